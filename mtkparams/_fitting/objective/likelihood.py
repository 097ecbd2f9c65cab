"""Data against a model: residuals and log densities of all data columns."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._problems import Solution
from .experiment import Experiment, Spec
from .target import AbstractTarget, half_sum_of_squares, scalar, unknown_scatter

_LOG_2PI = float(np.log(2 * np.pi))


@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """One data column of one table, and where the model's values for it are.

    **Attributes:**

    - `table`, `name`, `condition`: where the data come from.
    - `t`, `y`: the column as it is, shapes `(rows,)` and `(rows, ...)`; missing values are NaN.
    - `scale`: what was given for its noise: numbers of `y`'s shape, the spec of a value that is
      read, or `None`; `log`: whether the noise is lognormal.
    - `experiment`, `spec`: what is read for it.
    - `at`: the position of each entry of `y` in what was read, shape `(rows, ...)`.
    - `scale_at`: the same of its scale, where that is read.
    """

    table: str
    name: str
    condition: str
    t: np.ndarray
    y: np.ndarray
    log: bool
    scale: np.ndarray | Spec | None
    experiment: int
    spec: Spec
    at: np.ndarray
    scale_at: np.ndarray | None

    @functools.cached_property
    def present(self) -> np.ndarray:
        """The positions of the values that are there, in `y.ravel()`."""
        return np.flatnonzero(np.isfinite(self.y))

    @property
    def reads_scale(self) -> bool:
        """Whether the scale comes from the model."""
        return self.scale is not None and not isinstance(self.scale, np.ndarray)


@dataclasses.dataclass(frozen=True)
class Block:
    """Data that are computed together: `start` is where they begin among the residuals."""

    experiment: int
    spec: int
    log: bool
    scale_spec: int | None
    at: np.ndarray
    scale_at: np.ndarray
    start: int


class Layout:
    """Which data there are and where the model's values for them are: static, equal by content."""

    __slots__ = ("_hash", "_key", "blocks", "series", "specs", "where")

    def __init__(self, series: tuple[Series, ...], experiments: int):
        self.series = series
        specs: list[list[Spec]] = [[] for _ in range(experiments)]
        groups: dict[Hashable, list[int]] = {}
        for i, column in enumerate(series):
            read = specs[column.experiment]
            spec = _place(read, column.spec)
            scale_spec = None
            if column.scale is not None and not isinstance(column.scale, np.ndarray):
                scale_spec = _place(read, column.scale)
            groups.setdefault((column.experiment, spec, column.log, scale_spec), []).append(i)
        self.specs = tuple(map(tuple, specs))
        blocks, start = [], 0
        where: list[np.ndarray] = [np.zeros(0, int)] * len(series)
        for (experiment, spec, log, scale_spec), members in groups.items():  # pyright: ignore
            begin, at, scale_at = start, [], []
            for i in members:
                column = series[i]
                where[i] = start + np.arange(column.present.size)
                start += column.present.size
                at.append(column.at.ravel()[column.present])
                if column.scale_at is not None:
                    scale_at.append(column.scale_at.ravel()[column.present])
            scales = np.concatenate(scale_at) if scale_at else np.zeros(0, int)
            blocks.append(
                Block(experiment, spec, log, scale_spec, np.concatenate(at), scales, begin)
            )
        self.blocks = tuple(blocks)
        self.where = tuple(where)
        self._key = (
            self.specs,
            tuple((s.table, s.name, s.condition, s.at.shape, s.at.tobytes()) for s in series),
            tuple(
                (b.experiment, b.spec, b.log, b.scale_spec, b.start, b.at.tobytes())
                + (b.scale_at.tobytes(),)
                for b in blocks
            ),
        )
        self._hash = hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Layout) and self._key == other._key)

    def __repr__(self) -> str:
        return f"<layout of {len(self.series)} series>"


def _place(specs: list[Spec], spec: Spec) -> int:
    """Where a spec is among others; it joins them at the end."""
    if spec not in specs:
        specs.append(spec)
    return specs.index(spec)


class OfData(AbstractTarget):
    """A model against data.

    **Attributes:**

    - `experiments`: the solves.
    - `y`: all data that are there, shape `(data,)`, in the order of the residuals.
    - `scale`: their given scales; one where it is read or unknown.
    """

    experiments: tuple[Experiment, ...]
    y: Float[Array, " data"]
    scale: Float[Array, " data"]
    layout: Layout = eqx.field(static=True)
    known: bool = eqx.field(static=True)  # whether scales are given, or read, and not unknown

    def _parts(self, v: Array, forward: bool) -> list[tuple[Block, Array, Array, Array]]:
        """For each block the residuals, the scales and the data."""
        read = self._read(v, forward)
        parts = []
        for block in self.layout.blocks:
            values = read[block.experiment]
            model = values[block.spec].ravel()[block.at]
            y = self.y[block.start : block.start + block.at.size]
            if block.scale_spec is None:
                scale = self.scale[block.start : block.start + block.at.size]
            else:
                scale = values[block.scale_spec].ravel()[block.scale_at]
            away = jnp.log(model) - jnp.log(y) if block.log else model - y
            parts.append((block, away / scale, scale, y))
        return parts

    def _read(self, v: Array, forward: bool) -> list[list[Array]]:
        pairs = zip(self.experiments, self.layout.specs, strict=True)
        return [experiment.read(v, specs, forward) for experiment, specs in pairs]

    def residuals(self, v: Array, forward: bool) -> Array:
        return jnp.concatenate([residuals for _, residuals, _, _ in self._parts(v, forward)])

    def loss(self, v: Array, forward: bool) -> Array:
        return half_sum_of_squares(self.residuals(v, forward))

    def log_likelihood(self, v: Array, forward: bool) -> Array:
        if not self.known:
            return unknown_scatter(self.residuals(v, forward))
        total = jnp.zeros((), self.y.dtype)
        for block, residuals, scale, y in self._parts(v, forward):
            # The log of a scale that is not positive is NaN, and so is the density then.
            density = -0.5 * residuals**2 - jnp.log(scale) - 0.5 * _LOG_2PI
            total = total + jnp.sum(density - jnp.log(y) if block.log else density)
        return total

    def predictions(self, v: Array, forward: bool) -> dict[str, dict[str, Array]]:
        read = self._read(v, forward)
        model: dict[str, dict[str, Array]] = {}
        for column in self.layout.series:
            spec = self.layout.specs[column.experiment].index(column.spec)
            values = read[column.experiment][spec].ravel()[column.at]
            model.setdefault(column.table, {})[column.name] = values
        return model


class OfSolution(AbstractTarget):
    """A user's loss of the solution, or of the solutions by condition."""

    function: Callable[..., ArrayLike] = eqx.field(static=True)
    experiments: tuple[Experiment, ...]

    def loss(self, v: Array, forward: bool) -> Array:
        solutions = self.solutions(v, forward)
        argument = next(iter(solutions.values())) if len(solutions) == 1 else solutions
        return scalar(self.function(argument))

    def solutions(self, v: Array, forward: bool) -> dict[str, Solution]:
        """The solution of each condition."""
        by_condition = {}
        for experiment in self.experiments:
            solution = experiment.solutions(v, forward)
            for i, condition in enumerate(experiment.conditions):
                alone = len(experiment.conditions) == 1
                by_condition[condition] = (
                    solution if alone else jax.tree.map(lambda x, i=i: x[i], solution)
                )
        return by_condition
