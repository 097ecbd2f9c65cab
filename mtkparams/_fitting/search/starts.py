"""Where many fits begin, and the table of where they end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from ..._parameters import select
from ..._results import RESULTS
from ..._text import counted
from ...errors import DeclarationError, KindError, ShapeError
from ..objective.objective import Objective
from ..options import Columns, Sampler, Starts
from .loop import RESULT_OF, START_FAILED, Run
from .methods import stored_label

# Bounds that span more than this are of a quantity whose order of magnitude is what is unknown.
_WIDE = 100.0


def starting_values(objective: Objective, starts: Starts) -> Float[np.ndarray, "starts n"]:
    """The values where many fits begin, shape `(starts, n)`."""
    if isinstance(starts.values, int | np.integer):
        drawn = _sampled(objective, int(starts.values) - 1, starts.seed, starts.sampler)
        return np.concatenate([np.asarray(objective.start)[None], drawn])
    if isinstance(starts.values, Mapping):
        return _by_name(objective, starts.values)
    values = np.asarray(starts.values, objective.start.dtype)
    if values.ndim != 2 or values.shape[1] != objective.start.size or not len(values):
        raise ShapeError(
            f"starts= has shape (starts, {objective.start.size}), a column for each of "
            f"{', '.join(objective.labels[:8])}; got {values.shape}."
        )
    return values


def _by_name(objective: Objective, starts: Mapping[Any, Columns]) -> np.ndarray:
    sizes = {name: np.asarray(values).shape[:1] for name, values in starts.items()}
    if len(set(sizes.values())) != 1 or () in sizes.values():
        raise ShapeError(f"starts= by name has arrays with as many starts each, got {sizes}.")
    (count,) = next(iter(sizes.values()))
    table = np.tile(np.asarray(objective.start), (count, 1))
    for name, values in starts.items():
        entries = select(stored_label(name, objective), objective.p.index, objective.p.buffers)
        columns = np.reshape(np.asarray(values), (count, -1)).T
        for label, column in zip(entries.labels(), columns, strict=True):
            if label not in objective.labels:
                raise KindError(f"{label!r} is not free: its value is the same in every start.")
            table[:, objective.labels.index(label)] = column
    return table


def _sampled(objective: Objective, count: int, seed: int, sampler: Sampler) -> np.ndarray:
    """Values at `count` points that fill the unit cube evenly, through each entry's quantiles."""
    size = objective.start.size
    if sampler == "sobol":
        cube = scipy.stats.qmc.Sobol(size, rng=seed)
        # A power of two, which the sequence is balanced for; the first of them are as good as any.
        points = cube.random_base2(max(count - 1, 1).bit_length())[:count]
    else:
        points = scipy.stats.qmc.LatinHypercube(size, rng=seed).random(count)
    points = np.clip(points, 1e-9, 1 - 1e-9)
    columns, missing, entry = [], [], 0
    pieces = select(objective.free, objective.p.index, objective.p.buffers).pieces
    for piece, prior in zip(pieces, objective.priors, strict=True):
        scale = piece.target.entry.about.scale if piece.target else None
        for _ in range(piece.positions.size):
            low, high = float(objective.lower[entry]), float(objective.upper[entry])
            column = _quantiles(points[:, entry], prior, low, high, scale)
            if column is None:
                missing.append(objective.labels[entry])
            columns.append(column)
            entry += 1
    if missing:
        raise DeclarationError(
            f"Starts are drawn from bounds or priors, and {', '.join(map(repr, missing))} "
            f"{'has' if len(missing) == 1 else 'have'} neither two finite bounds nor a prior with "
            "quantiles. Declare those, or give the values: starts={name: array, ...}."
        )
    return np.stack(columns, axis=1).astype(objective.start.dtype)


def _quantiles(
    points: np.ndarray, prior: object, low: float, high: float, scale: str | int | float | None
) -> np.ndarray | None:
    quantile = getattr(prior, "ppf", None) or getattr(prior, "icdf", None)
    if quantile is not None:
        values = np.asarray(quantile(points), float)
        return np.clip(values, np.nextafter(low, np.inf), np.nextafter(high, -np.inf))
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    if low > 0 and (scale in ("log", "log10") or (scale is None and high / low > _WIDE)):
        return np.exp(np.log(low) + points * (np.log(high) - np.log(low)))
    return low + points * (high - low)


class StartTable(eqx.Module):
    """Many fits of one objective, the best first.

    **Attributes:**

    - `v`, `start`: values at the end and at the start of each, shape `(starts, n)`.
    - `loss`: at the end, shape `(starts,)`, infinite where none could be computed.
    - `code`: why each stopped; `evaluations`, `failures`: counts; `number`: which start it was.
    - `cluster`: equal numbers for equal optima, 0 for the best, -1 for those that failed.
    - `labels`: the names of the columns of `v`.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"x": 0.5})
        >>> double_well = lambda p: (p["x"] ** 2 - 1) ** 2 + 0.3 * p["x"]
        >>> result = mtk.fitting.minimise(double_well, p, starts={"x": [0.5, -0.5, 2.0]})
        >>> result.starts.number.tolist()[0], result.starts.cluster.tolist()
        (1, [0, 1, 1])
    """

    v: Float[np.ndarray, "starts n"]
    start: Float[np.ndarray, "starts n"]
    loss: Float[np.ndarray, " starts"]
    code: Int[np.ndarray, " starts"]
    evaluations: Int[np.ndarray, " starts"]
    failures: Int[np.ndarray, " starts"]
    number: Int[np.ndarray, " starts"]
    cluster: Int[np.ndarray, " starts"]
    labels: tuple[str, ...] = eqx.field(static=True)

    @staticmethod
    def ranked(v: np.ndarray, start: np.ndarray, runs: Run, labels: tuple[str, ...]) -> StartTable:
        """The table of runs in any order, that began at `start` and ended at `v`.

        Optima are compared in the coordinates of the runs.
        """
        loss = np.asarray(runs.best_loss)
        order = np.argsort(loss, kind="stable")
        v = np.where(np.isfinite(loss)[:, None], v, start)
        return StartTable(
            v=v[order],
            start=start[order],
            loss=loss[order],
            code=np.asarray(runs.code)[order],
            evaluations=np.asarray(runs.evaluations)[order],
            failures=np.asarray(runs.failures)[order],
            number=order,
            cluster=_clusters(loss[order], np.asarray(runs.best)[order]),
            labels=labels,
        )

    @property
    def failed(self) -> np.ndarray:
        """Which could not begin, shape `(starts,)`."""
        return (self.code == START_FAILED) | ~np.isfinite(self.loss)

    def rows(self) -> list[dict[str, int | float | str]]:
        """One dictionary for each start; `pandas.DataFrame(rows)` makes a table of them."""
        return [
            {
                "rank": i,
                "number": int(self.number[i]),
                "loss": float(self.loss[i]),
                "cluster": int(self.cluster[i]),
                "message": RESULTS[RESULT_OF[int(self.code[i])]],
                "evaluations": int(self.evaluations[i]),
                "failures": int(self.failures[i]),
                **dict(zip(self.labels, self.v[i].tolist(), strict=True)),
            }
            for i in range(self.loss.size)
        ]

    def __len__(self) -> int:
        return self.loss.size

    def __str__(self) -> str:
        lines = [f"{counted(len(self), 'start')}, {int(self.failed.sum())} failed"]
        for cluster in range(int(self.cluster.max(initial=-1)) + 1):
            members = np.flatnonzero(self.cluster == cluster)
            first = members[0]
            values = ", ".join(
                f"{name} = {x:.5g}" for name, x in zip(self.labels, self.v[first], strict=True)
            )
            lines.append(f"{members.size:5d} at loss {self.loss[first]:.6g}: {values}")
        return "\n".join(lines)


def _clusters(loss: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Equal optima: their losses differ by a thousandth, their coordinates by a hundredth."""
    clusters = np.full(loss.size, -1)
    heads: list[int] = []
    for i in np.flatnonzero(np.isfinite(loss)):
        for number, head in enumerate(heads):
            near = np.abs(z[i] - z[head]) <= 0.01 * (1 + np.abs(z[head]))
            if loss[i] - loss[head] <= 1e-3 * (1 + abs(loss[head])) and near.all():
                clusters[i] = number
                break
        else:
            clusters[i] = len(heads)
            heads.append(int(i))
    return clusters
