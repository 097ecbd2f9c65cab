"""Block after block: each solved with the earlier ones as they came out, and a verdict for each."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from ._newton import (
    BLOCKED,
    FAILED,
    READS_SINGULAR,
    SINGULAR,
    SOLVED,
    Equations,
    Root,
    solve_affine,
    solve_nonlinear,
)
from ._schedule import Schedule
from ._settings import Tolerances
from ._walk import walk

# How far a verdict reaches into the blocks that read this one.
FINE, NO_SLOPE, NO_VALUE = 0, 1, 2


class Blocks(abc.ABC):
    """How the blocks of a schedule are evaluated, apart or all together.

    `all_together`: what reads an unknown is evaluated with it, so that it must not be far from sense.
    """

    all_together: bool

    @abc.abstractmethod
    def tables(self, k: int) -> Any:
        """What the blocks of a kind need: a tree of arrays with the steps in the first axis."""

    @abc.abstractmethod
    def tail(self, dtype: Any) -> Array:
        """The values at the end of the carried vector, that no block computes."""

    @abc.abstractmethod
    def block(self, k: int, table: dict[str, Array], own: Any, carried: Array) -> Equations:
        """The equations of the blocks of one step, with the earlier ones as carried."""

    @abc.abstractmethod
    def leave(self, k: int, own: Any, carried: Array, x: Array) -> Array:
        """What the blocks of one step leave for later ones, besides their unknowns."""


class Swept(NamedTuple):
    """The carried vector at the end, and a verdict for each block in its slot."""

    z: Float[Array, " places"]
    spoilt: Array
    status: Array
    iterations: Array
    residual: Array
    condition: Array


def sweep(
    plan: Schedule, blocks: Blocks, affine: tuple[bool, ...], guess: Array, tol: Tolerances
) -> Swept:
    """The unknowns of all blocks, and what blocks leave, as a schedule lays them out."""
    slots = plan.n_slots
    tail = blocks.tail(guess.dtype)
    head = jnp.append(guess, jnp.zeros((), guess.dtype))[plan.unknown_at[: plan.length - tail.size]]
    carry = Swept(
        jnp.concatenate([head, tail]),
        jnp.zeros(slots + 1, jnp.int32),
        jnp.zeros(slots, jnp.int32),
        jnp.zeros(slots, jnp.int32),
        jnp.zeros(slots, guess.dtype),
        jnp.zeros(slots, guess.dtype),
    )
    tables = [(_tables(plan, k), blocks.tables(k)) for k in range(len(plan.kinds))]

    def step(carry: Swept, k: int, tables: Any) -> Swept:
        table, own = tables
        kind = plan.kinds[k]
        piece = lax.dynamic_slice(carry.z, (table["start"],), (kind.size * kind.width,))
        x0 = piece.reshape(kind.size, kind.width)
        spoilt = jnp.max(carry.spoilt[table["before"]], axis=-1, initial=FINE)
        active = table["real"] & (spoilt < NO_VALUE)
        equations = blocks.block(k, table, own, carry.z)
        if affine[k]:
            root = solve_affine(equations, x0, active, tol, blocks.all_together)
        else:
            root = solve_nonlinear(equations, x0, active, tol)
        left = blocks.leave(k, own, carry.z, root.x) if kind.extra else root.x[:0]
        return _write(carry, root, left, spoilt, table)

    return walk(plan, step, tables, carry)


def _tables(plan: Schedule, k: int) -> dict[str, np.ndarray]:
    kind = plan.kinds[k]
    small = lambda x: x.astype(np.int32)
    return {
        "start": small(kind.start),
        "start_slot": small(kind.start_slot),
        "rows": small(kind.rows),
        "columns": small(kind.columns),
        "before": small(kind.before),
        "real": kind.blocks < plan.n_blocks,
    }


def _write(carry: Swept, root: Root, left: Array, spoilt: Array, table: dict[str, Array]) -> Swept:
    reads = (root.status == SOLVED) & (spoilt == NO_SLOPE)
    status = jnp.where(reads, READS_SINGULAR, root.status)
    own = jnp.where(root.status == SINGULAR, NO_SLOPE, FINE)
    own = jnp.where((root.status == FAILED) | (root.status == BLOCKED), NO_VALUE, own)
    spoilt = jnp.where(table["real"], jnp.maximum(own, spoilt), FINE).astype(jnp.int32)
    at, slot = (table["start"],), (table["start_slot"],)
    put = lax.dynamic_update_slice
    return Swept(
        put(carry.z, jnp.concatenate([root.x, left]).ravel(), at),
        put(carry.spoilt, spoilt, slot),
        put(carry.status, status, slot),
        put(carry.iterations, root.iterations, slot),
        put(carry.residual, root.residual, slot),
        put(carry.condition, root.condition, slot),
    )
