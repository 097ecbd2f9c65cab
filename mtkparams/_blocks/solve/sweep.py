"""Block after block: each solved with the earlier ones as they came out, and a verdict for each."""

from __future__ import annotations

import abc
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, PyTree

from .implicit import Residual
from .newton import (
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
from .schedule import Schedule
from .settings import Tolerances
from .triangular import Factors
from .walk import walk

# How far a verdict reaches into the blocks that read this one.
FINE, NO_SLOPE, NO_VALUE = 0, 1, 2


class Plan(abc.ABC):
    """How the blocks of a structure will be evaluated; made once, for all values.

    **Attributes:**

    - `schedule`: in which steps, and where in the carried vector.
    - `affine`: for each kind whether its blocks are.
    - `caches`: places of what blocks leave for later ones, besides their unknowns.
    """

    schedule: Schedule
    affine: tuple[bool, ...]
    caches: np.ndarray

    @abc.abstractmethod
    def equations(self, fn: Residual, args: PyTree, guess: Array, sized: bool = False) -> Blocks:
        """The blocks at some arguments.

        **Arguments:**

        - `guess`: all unknowns at a point where the equations make sense.
        - `sized`: somebody will ask for the sizes of terms.
        """


class Blocks(abc.ABC):
    """The blocks of a schedule at some arguments, apart or all together.

    `all_together`: what reads an unknown is evaluated with it, so that it must not be far from sense.
    """

    all_together: bool

    @abc.abstractmethod
    def tables(self, k: int) -> PyTree:
        """What the blocks of a kind need: a tree of arrays with the steps in the first axis."""

    @abc.abstractmethod
    def tail(self, dtype: DTypeLike) -> Array:
        """The values at the end of the carried vector, that no block computes."""

    @abc.abstractmethod
    def block(self, k: int, places: dict[str, Array], table: PyTree, carried: Array) -> Equations:
        """The equations of the blocks of one step, with the earlier ones as carried."""

    @abc.abstractmethod
    def caches(self, k: int, table: PyTree, carried: Array, x: Array) -> Array:
        """What the blocks of one step leave for later ones, besides their unknowns."""

    @abc.abstractmethod
    def residual(self, z: Array) -> Array:
        """What is zero at the solution, place by place of the carried vector."""

    @abc.abstractmethod
    def largest(self, z: Array) -> Array:
        """The largest residual of the block in each slot."""

    @abc.abstractmethod
    def factors(self, z: Array, usable: Bool[Array, " slots"]) -> Factors:
        """Solves with the Jacobian at `z`, with blocks that are not usable left out."""


class Swept(NamedTuple):
    """The carried vector at the end, and what is said of each block, in its slot.

    One slot more is never written. What is said is in two arrays, since each costs a kernel a step.
    """

    z: Float[Array, " places"]
    verdicts: Int[Array, "3 slots"]
    measures: Float[Array, "2 slots"]

    @property
    def spoilt(self) -> Array:
        return self.verdicts[0]

    @property
    def status(self) -> Array:
        return self.verdicts[1, :-1]

    @property
    def iterations(self) -> Array:
        return self.verdicts[2, :-1]

    @property
    def residual(self) -> Array:
        return self.measures[0, :-1]

    @property
    def condition(self) -> Array:
        return self.measures[1, :-1]


def sweep(
    plan: Schedule, blocks: Blocks, affine: tuple[bool, ...], guess: Array, tol: Tolerances
) -> Swept:
    """The unknowns of all blocks, and what blocks leave, as a schedule lays them out."""
    slots = plan.n_slots
    tail = blocks.tail(guess.dtype)
    head = jnp.append(guess, jnp.zeros((), guess.dtype))[plan.unknown_at[: plan.length - tail.size]]
    carry = Swept(
        jnp.concatenate([head, tail]),
        jnp.zeros((3, slots + 1), jnp.int32),
        jnp.zeros((2, slots + 1), guess.dtype),
    )
    tables = [(_tables(plan, k), blocks.tables(k)) for k in range(len(plan.kinds))]

    def step(carry: Swept, k: int, tables: PyTree) -> Swept:
        places, table = tables
        kind = plan.kinds[k]
        piece = lax.dynamic_slice(carry.z, (places["start"],), (kind.size * kind.width,))
        x0 = piece.reshape(kind.size, kind.width)
        spoilt = jnp.max(carry.spoilt[places["before"]], axis=-1, initial=FINE)
        active = places["real"] & (spoilt < NO_VALUE)
        equations = blocks.block(k, places, table, carry.z)
        if affine[k]:
            root = solve_affine(equations, x0, active, tol, blocks.all_together)
        else:
            root = solve_nonlinear(equations, x0, active, tol)
        caches = blocks.caches(k, table, carry.z, root.x) if kind.extra else root.x[:0]
        return _write(carry, root, caches, spoilt, places)

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


def _write(
    carry: Swept, root: Root, caches: Array, spoilt: Array, places: dict[str, Array]
) -> Swept:
    reads = (root.status == SOLVED) & (spoilt == NO_SLOPE)
    status = jnp.where(reads, READS_SINGULAR, root.status)
    damage = jnp.where(root.status == SINGULAR, NO_SLOPE, FINE)
    damage = jnp.where((root.status == FAILED) | (root.status == BLOCKED), NO_VALUE, damage)
    spoilt = jnp.where(places["real"], jnp.maximum(damage, spoilt), FINE).astype(jnp.int32)
    slot = (jnp.zeros_like(places["start_slot"]), places["start_slot"])
    put = lax.dynamic_update_slice
    return Swept(
        put(carry.z, jnp.concatenate([root.x, caches]).ravel(), (places["start"],)),
        put(carry.verdicts, jnp.stack([spoilt, status, root.iterations]), slot),
        put(carry.measures, jnp.stack([root.residual, root.condition]), slot),
    )
