"""Solves with a block-triangular Jacobian and with its transpose, block after block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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

    - `diagonal`: by the blocks' unknowns.
    - `caches`: of what the blocks leave behind, by the same unknowns.
    - `beside`: by what they read, first the unknowns' rows and then those of what is left behind.
    - `source`: the places of what is read; the same for all rows of a block where it has one row.
    """

    diagonal: Float[Array, "size size steps width"]
    caches: Float[Array, "extra size steps width"] | None
    beside: Float[Array, "steps extent width reads"]
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

        def step(x: Array, k: int, t: dict[str, Array]) -> Array:
            # What is left of `b` at a step is replaced by `x` there.
            rest = _piece(x, self.plan.kinds[k], t)
            if t["source"].shape[-1]:
                rest = rest - jnp.sum(t["beside"] * x[t["source"]], -1)
            return lax.dynamic_update_slice(x, times(t["inverse"], rest).ravel(), (t["start"],))

        return walk(self.plan, step, self.tables, b)

    def solve_transposed(self, c: Float[Array, " places"]) -> Float[Array, " places"]:
        """The solution of `J^T y = c`."""

        def step(c: Array, k: int, t: dict[str, Array]) -> Array:
            # What is left of `c` at a step is replaced by `y` there.
            y = times(jnp.swapaxes(t["inverse"], 0, 1), _piece(c, self.plan.kinds[k], t))
            if t["source"].shape[-1]:
                read = t["beside"] * y[..., None]
                if t["source"].shape[0] == 1:
                    read = jnp.sum(read, 0, keepdims=True)
                c = c.at[t["source"]].add(-read)
            return lax.dynamic_update_slice(c, y.ravel(), (t["start"],))

        return walk(self.plan, step, self.tables, c, reverse=True)


def _piece(vector: Array, kind: Kind, t: dict[str, Array]) -> Array:
    piece = lax.dynamic_slice(vector, (t["start"],), (kind.extent * kind.width,))
    return piece.reshape(kind.extent, kind.width)


def _table(
    kind: Kind, part: Parts, good: Bool[Array, "steps width"]
) -> dict[str, Array | np.ndarray]:
    eye = jnp.eye(kind.size, dtype=part.diagonal.dtype)[:, :, None, None]
    diagonal = jnp.where(good[None, None], part.diagonal, eye)
    flat = diagonal.reshape(kind.size, kind.size, -1)
    rows, columns = equal_parts(flat, tolerances(Settings(), diagonal.dtype))
    even = flat * columns[None] * rows[:, None]
    even = refined(inverse(even), even)
    inverted = (even * columns[:, None] * rows[None]).reshape(diagonal.shape)
    if part.caches is not None:
        # What is left behind is an unknown too, with an equation that says what it is.
        caches = jnp.where(good[None, None], part.caches, 0)
        below = jnp.sum(caches[:, :, None] * inverted[None], 1)
        beside = jnp.zeros((kind.size, kind.extra, *diagonal.shape[2:]), diagonal.dtype)
        unit = jnp.broadcast_to(
            jnp.eye(kind.extra, dtype=diagonal.dtype)[:, :, None, None],
            (kind.extra, kind.extra, *diagonal.shape[2:]),
        )
        inverted = jnp.concatenate(
            [jnp.concatenate([inverted, beside], 1), jnp.concatenate([below, unit], 1)]
        )
    return {
        "inverse": jnp.moveaxis(inverted, 2, 0),
        "beside": jnp.where(good[:, None, :, None], part.beside, 0),
        "source": part.source,
        "start": kind.start.astype(np.int32),
    }
