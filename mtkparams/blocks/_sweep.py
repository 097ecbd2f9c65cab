"""Block after block: each solved with the earlier ones as they came out, and a verdict for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from ._newton import BLOCKED, FAILED, SINGULAR, Evaluate, Root, solve_affine, solve_nonlinear
from ._schedule import Kind, Schedule
from ._settings import Tolerances
from ._walk import walk

# How far a verdict reaches into the blocks that read this one.
FINE, NO_SLOPE, NO_VALUE = 0, 1, 2

# From a kind, the tables of one of its steps, and the carried vector, to what its blocks evaluate.
Evaluator: TypeAlias = Callable[[int, dict[str, Array], Array], Evaluate]


class Swept(NamedTuple):
    """All unknowns in the order of the schedule, and a verdict for each block in its slot."""

    u: Array
    spoilt: Array
    status: Array
    iterations: Array
    condition: Array


def sweep(
    plan: Schedule, evaluator: Evaluator, affine: tuple[bool, ...], guess: Array, tol: Tolerances
) -> Swept:
    """The unknowns of all blocks, in the order of the schedule."""
    padded = jnp.append(guess, jnp.zeros(1, guess.dtype))
    slots = plan.n_slots
    carry = Swept(
        padded[plan.unknown_at],
        jnp.zeros(slots + 1, jnp.int32),
        jnp.zeros(slots, jnp.int32),
        jnp.zeros(slots, jnp.int32),
        jnp.zeros(slots, guess.dtype),
    )
    tables = [_tables(plan, kind) for kind in plan.kinds]

    def step(carry: Swept, k: int, table: dict[str, Array]) -> Swept:
        kind = plan.kinds[k]
        shape = (kind.size, kind.width)
        x0 = lax.dynamic_slice(carry.u, (table["start"],), (kind.size * kind.width,)).reshape(shape)
        spoilt = jnp.max(carry.spoilt[table["before"]], axis=-1, initial=FINE)
        active = table["real"] & (spoilt < NO_VALUE)
        solve = solve_affine if affine[k] else solve_nonlinear
        root = solve(evaluator(k, table, carry.u), x0, active, tol)
        return _write(carry, root, spoilt, table)

    return walk(plan, step, tables, carry)


def _tables(plan: Schedule, kind: Kind) -> dict[str, np.ndarray]:
    small = lambda x: x.astype(np.int32)
    return {
        "start": small(kind.start),
        "start_slot": small(kind.start_slot),
        "rows": small(kind.rows),
        "columns": small(kind.columns),
        "before": small(kind.before),
        "real": kind.blocks < plan.n_blocks,
        "step": small(np.arange(len(kind.start))),
    }


def _write(carry: Swept, root: Root, spoilt: Array, table: dict[str, Array]) -> Swept:
    own = jnp.where(root.status == SINGULAR, NO_SLOPE, FINE)
    own = jnp.where((root.status == FAILED) | (root.status == BLOCKED), NO_VALUE, own)
    spoilt = jnp.where(table["real"], jnp.maximum(own, spoilt), FINE).astype(jnp.int32)
    at, slot = (table["start"],), (table["start_slot"],)
    put = lax.dynamic_update_slice
    return Swept(
        put(carry.u, root.x.ravel(), at),
        put(carry.spoilt, spoilt, slot),
        put(carry.status, root.status, slot),
        put(carry.iterations, root.iterations, slot),
        put(carry.condition, root.condition, slot),
    )


def from_residual(fn: Any, args: Any, plan: Schedule) -> Evaluator:
    """Evaluates blocks by the whole residual and the rows of it that are theirs."""

    def evaluator(k: int, table: dict[str, Array], carried: Array) -> Evaluate:
        kind = plan.kinds[k]
        rows, columns = table["rows"], table["columns"]
        everything = carried[plan.place_of]
        padding = (rows == plan.n)[:, None] & jnp.eye(kind.size, dtype=bool)[:, :, None]

        def take(full: Array) -> Array:
            return jnp.append(full, jnp.zeros(1, full.dtype))[rows]

        def evaluate(x: Array) -> tuple[Array, Array]:
            u = everything.at[columns].set(x, mode="drop")
            f, push = jax.linearize(lambda u: fn(u, args), u)
            seeds = jnp.eye(kind.size, dtype=x.dtype)

            def column(seed: Array) -> Array:
                own = jnp.broadcast_to(seed[:, None], x.shape)
                return take(push(jnp.zeros_like(u).at[columns].set(own, mode="drop")))

            jacobian = jax.vmap(column, out_axes=1)(seeds)
            return take(f), jnp.where(padding, 1, jacobian).astype(x.dtype)

        return evaluate

    return evaluator
