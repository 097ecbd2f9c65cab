"""Solves with a block-triangular Jacobian and with its transpose, block after block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from .condition import equal_parts
from .schedule import Kind, Schedule
from .settings import Settings, tolerances
from .small_linear import inverse, refined, times
from .walk import walk


class Parts(NamedTuple):
    """The Jacobian of the blocks of one kind at all its steps.

    **Attributes:**

    - `own`: by the blocks' own unknowns.
    - `leaves`: of what the blocks leave behind, by their own unknowns.
    - `other`: by what they read, first the unknowns' rows and then those of what is left behind.
    - `source`: the places of what is read; the same for all rows of a block where it has one row.
    """

    own: Float[Array, "size size steps width"]
    leaves: Float[Array, "extra size steps width"] | None
    other: Float[Array, "steps extent width reads"]
    source: np.ndarray


class Factors:
    """Inverses of the diagonal blocks, and the entries beside them.

    Blocks that are not usable count as the identity, and as reading nothing.
    """

    def __init__(self, plan: Schedule, parts: Sequence[Parts], usable: Bool[Array, " slots"]):
        self.plan = plan
        self.tables = [
            _table(kind, part, usable[kind.slots])
            for kind, part in zip(plan.kinds, parts, strict=True)
        ]

    def solve(self, b: Float[Array, " places"]) -> Float[Array, " places"]:
        """The solution of `J x = b`."""

        def step(x: Array, k: int, t: Any) -> Array:
            # What is left of `b` at a step is replaced by `x` there.
            own = _piece(x, self.plan.kinds[k], t)
            if t["source"].shape[-1]:
                own = own - jnp.sum(t["other"] * x[t["source"]], -1)
            return lax.dynamic_update_slice(x, times(t["inverse"], own).ravel(), (t["start"],))

        return walk(self.plan, step, self.tables, b)

    def solve_transposed(self, c: Float[Array, " places"]) -> Float[Array, " places"]:
        """The solution of `J^T y = c`."""

        def step(c: Array, k: int, t: Any) -> Array:
            # What is left of `c` at a step is replaced by `y` there.
            y = times(jnp.swapaxes(t["inverse"], 0, 1), _piece(c, self.plan.kinds[k], t))
            if t["source"].shape[-1]:
                read = t["other"] * y[..., None]
                if t["source"].shape[0] == 1:
                    read = jnp.sum(read, 0, keepdims=True)
                c = c.at[t["source"]].add(-read)
            return lax.dynamic_update_slice(c, y.ravel(), (t["start"],))

        return walk(self.plan, step, self.tables, c, reverse=True)


def _piece(vector: Array, kind: Kind, t: Any) -> Array:
    piece = lax.dynamic_slice(vector, (t["start"],), (kind.extent * kind.width,))
    return piece.reshape(kind.extent, kind.width)


def _table(kind: Kind, part: Parts, good: Bool[Array, "steps width"]) -> dict[str, Any]:
    eye = jnp.eye(kind.size, dtype=part.own.dtype)[:, :, None, None]
    own = jnp.where(good[None, None], part.own, eye)
    flat = own.reshape(kind.size, kind.size, -1)
    rows, columns = equal_parts(flat, tolerances(Settings(), own.dtype))
    even = flat * columns[None] * rows[:, None]
    even = refined(inverse(even), even)
    inverted = (even * columns[:, None] * rows[None]).reshape(own.shape)
    if part.leaves is not None:
        # What is left behind is an unknown too, with an equation that says what it is.
        leaves = jnp.where(good[None, None], part.leaves, 0)
        below = jnp.sum(leaves[:, :, None] * inverted[None], 1)
        beside = jnp.zeros((kind.size, kind.extra, *own.shape[2:]), own.dtype)
        unit = jnp.broadcast_to(
            jnp.eye(kind.extra, dtype=own.dtype)[:, :, None, None],
            (kind.extra, kind.extra, *own.shape[2:]),
        )
        inverted = jnp.concatenate(
            [jnp.concatenate([inverted, beside], 1), jnp.concatenate([below, unit], 1)]
        )
    return {
        "inverse": jnp.moveaxis(inverted, 2, 0),
        "other": jnp.where(good[:, None, :, None], part.other, 0),
        "source": part.source,
        "start": kind.start.astype(np.int32),
    }
