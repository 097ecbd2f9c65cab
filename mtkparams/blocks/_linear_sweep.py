"""Solves with a block-triangular Jacobian and with its transpose, block after block."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from ._coloured import Coloured
from ._schedule import Kind, Schedule
from ._small_linear import inverse, times
from ._walk import walk


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """Where the entries of a sparse Jacobian go, for each kind of a schedule.

    **Attributes:**

    - `diagonal`: `(steps, size, size, width)`, numbers of entries within a block.
    - `other`: `(steps, size, width, most)`, numbers of entries in columns of earlier blocks.
    - `source`: the same shape, places of these columns in the carried vector.

    The number of an entry that is not there is that of a zero, or of a one, after all entries.
    """

    diagonal: tuple[np.ndarray, ...]
    other: tuple[np.ndarray, ...]
    source: tuple[np.ndarray, ...]


def places(plan: Schedule, row: np.ndarray, column: np.ndarray) -> Places:
    """Where the entries at `row`, `column` go."""
    n_entries = row.size
    zero, one = n_entries, n_entries + 1
    kind, step, local, slot = _coordinates(plan, plan.row_place)
    kind_c, step_c, local_c, slot_c = _coordinates(plan, plan.place_of)
    own = (
        (kind[row] == kind_c[column])
        & (step[row] == step_c[column])
        & (slot[row] == slot_c[column])
    )
    diagonal, other, source = [], [], []
    for k, each in enumerate(plan.kinds):
        shape = each.rows.shape
        entry = np.full((shape[0], each.size, each.size, each.width), zero)
        padding = each.rows == plan.n
        for i in range(each.size):
            entry[:, i, i, :] = np.where(padding[:, i], one, zero)
        e = np.nonzero(own & (kind[row] == k))[0]
        r, c = row[e], column[e]
        entry[step[r], local[r], local_c[c], slot[r]] = e
        diagonal.append(entry)

        e = np.nonzero(~own & (kind[row] == k))[0]
        r = row[e]
        flat = np.ravel_multi_index((step[r], local[r], slot[r]), shape)
        e = e[np.argsort(flat, kind="stable")]
        flat = np.sort(flat, kind="stable")
        counts = np.bincount(flat, minlength=int(np.prod(shape)))
        nth = np.arange(flat.size) - (np.cumsum(counts) - counts)[flat]
        most = int(counts.max(initial=0))
        value, place = np.full((counts.size, most), zero), np.zeros((counts.size, most), int)
        value[flat, nth], place[flat, nth] = e, plan.place_of[column[e]]
        other.append(value.reshape(*shape, most))
        source.append(place.reshape(*shape, most).astype(np.int32))
    return Places(tuple(diagonal), tuple(other), tuple(source))


def _coordinates(plan: Schedule, place: np.ndarray) -> tuple[np.ndarray, ...]:
    """Kind, step, number in the block and slot of each place."""
    total = plan.unknown_at.size
    found = [np.zeros(total, int) for _ in range(4)]
    for k, kind in enumerate(plan.kinds):
        for s, start in enumerate(kind.start):
            inside = np.arange(kind.size * kind.width)
            piece = slice(start, start + inside.size)
            for array, value in zip(
                found, (k, s, inside // kind.width, inside % kind.width), strict=True
            ):
                array[piece] = value
    return tuple(f[place] for f in found)


class Factors:
    """The inverses of the diagonal blocks, and the entries beside them.

    Blocks without a usable derivative count as the identity, and as reading nothing.
    """

    def __init__(
        self,
        plan: Schedule,
        at: Places,
        entries: Float[Array, " entries"],
        usable: Bool[Array, " slots"],
    ):
        self.plan = plan
        ends = jnp.array([0, 1], entries.dtype)
        padded = jnp.concatenate([entries, ends])
        self.tables = []
        for k, kind in enumerate(plan.kinds):
            good = usable[kind.start_slot[:, None] + np.arange(kind.width)]
            eye = jnp.eye(kind.size, dtype=entries.dtype)[None, :, :, None]
            blocks = jnp.where(good[:, None, None], padded[at.diagonal[k]], eye)
            flat = jnp.moveaxis(blocks, 0, -1).reshape(kind.size, kind.size, -1)
            inverted = inverse(flat).reshape(kind.size, kind.size, kind.width, -1)
            self.tables.append(
                {
                    "inverse": jnp.moveaxis(inverted, -1, 0),
                    "other": jnp.where(good[:, None, :, None], padded[at.other[k]], 0),
                    "source": at.source[k],
                    "start": kind.start.astype(np.int32),
                }
            )

    def solve(self, b: Float[Array, " n"]) -> Float[Array, " n"]:
        """The solution of `J x = b`."""
        plan = self.plan
        right = jnp.append(b, jnp.zeros(1, b.dtype))[_rows_at(plan)]

        def step(x: Array, k: int, t: Any) -> Array:
            shape = _shape(plan.kinds[k])
            own = lax.dynamic_slice(right, (t["start"],), (shape[0] * shape[1],)).reshape(shape)
            if t["source"].shape[-1]:
                own = own - jnp.sum(t["other"] * x[t["source"]], -1)
            return lax.dynamic_update_slice(x, times(t["inverse"], own).ravel(), (t["start"],))

        x = walk(plan, step, self.tables, jnp.zeros_like(right))
        return x[plan.place_of]

    def solve_transposed(self, c: Float[Array, " n"]) -> Float[Array, " n"]:
        """The solution of `J^T y = c`."""
        plan = self.plan
        left = jnp.append(c, jnp.zeros(1, c.dtype))[plan.unknown_at]

        def step(c: Array, k: int, t: Any) -> Array:
            # What is left of `c` at a step is replaced by `y` there: later steps are done with it.
            shape = _shape(plan.kinds[k])
            own = lax.dynamic_slice(c, (t["start"],), (shape[0] * shape[1],)).reshape(shape)
            y = times(jnp.swapaxes(t["inverse"], 0, 1), own)
            if t["source"].shape[-1]:
                c = c.at[t["source"]].add(-t["other"] * y[..., None])
            return lax.dynamic_update_slice(c, y.ravel(), (t["start"],))

        return walk(plan, step, self.tables, left, reverse=True)[plan.row_place]


def _shape(kind: Kind) -> tuple[int, int]:
    return kind.size, kind.width


def _rows_at(plan: Schedule) -> np.ndarray:
    rows = np.full(plan.unknown_at.size, plan.n)
    rows[plan.row_place] = np.arange(plan.n)
    return rows


def jacobian_places(plan: Schedule, incidence: Any) -> tuple[Coloured, Places]:
    """How to get the entries of a Jacobian with this incidence, and where they go."""
    coloured = Coloured(incidence)
    return coloured, places(plan, coloured.row, coloured.column)
