"""Block by block: the front door of the solver half."""

from __future__ import annotations

import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._found import Found
from ._implicit import Residual, Solves, implicit
from ._linear_sweep import Factors, jacobian_places
from ._schedule import schedule
from ._settings import Settings, tolerances
from ._sweep import NO_SLOPE, NO_VALUE, from_residual, sweep

_DEFAULT = Settings()


class _Plan:
    """What is worked out once for a structure."""

    def __init__(self, structure: Any):
        blocks = structure.parts.blocks
        n = sum(len(b.unknowns) for b in blocks)
        sizes = [_bucket(len(b.unknowns)) for b in blocks]
        keys = [(size, bool(b.affine)) for size, b in zip(sizes, blocks, strict=True)]
        self.schedule = schedule(n, blocks, keys, sizes)
        self.affine = tuple(kind.key[1] for kind in self.schedule.kinds)
        self.block_of_row = np.zeros(n, int)
        for number, block in enumerate(blocks):
            self.block_of_row[list(block.equations)] = number
        self.partner = self.schedule.unknown_at[self.schedule.row_place]
        self.slot_of_unknown = np.zeros(n, int)
        for number, block in enumerate(blocks):
            self.slot_of_unknown[list(block.unknowns)] = self.schedule.slot_of[number]
        self.coloured, self.places = jacobian_places(self.schedule, structure.incidence)


def _bucket(size: int) -> int:
    """Padded sizes: few, so that few programs do, and none much larger than what is in it."""
    for bucket in (1, 3, 6, 10):
        if size <= bucket:
            return bucket
    return size if size > 64 else -(-size // 8) * 8


_plans: weakref.WeakKeyDictionary[Any, _Plan] = weakref.WeakKeyDictionary()


def _plan(structure: Any) -> _Plan:
    if structure not in _plans:
        _plans[structure] = _Plan(structure)
    return _plans[structure]


def solve_blocks(
    structure: Any, fn: Residual, guess: Array, args: Any, settings: Settings = _DEFAULT
) -> Found:
    """The unknowns that make `fn(u, args)` zero, block by block.

    **Arguments:**

    - `structure`: of `fn`, as `analyse` gives it; square.
    - `fn`: from unknowns `(n,)` and arguments to residuals `(n,)`. Everything that a derivative is
      wanted for comes through `args`.
    - `guess`: where the nonlinear blocks start, `(n,)`. The derivative with respect to it is zero.
    - `args`: any tree of arrays.
    """
    plan = _plan(structure)
    tol = tolerances(settings, guess.dtype)

    def find(guess: Array, args: Any) -> tuple[Array, Array, Any]:
        own = plan.schedule
        swept = sweep(own, from_residual(fn, args, own), plan.affine, guess, tol)
        u = swept.u[own.place_of]
        spoilt = swept.spoilt[plan.slot_of_unknown]
        lost = jnp.where(spoilt == NO_VALUE, 1, jnp.where(spoilt == NO_SLOPE, 2, 0))
        at = own.slot_of
        residual = jnp.zeros(own.n_blocks, u.dtype).at[plan.block_of_row].max(jnp.abs(fn(u, args)))
        report = (swept.status[at], swept.iterations[at], residual, swept.condition[at])
        return u, lost, report

    def factorize(u: Array, args: Any, bad: Array) -> Solves:
        _, push = jax.linearize(lambda u: fn(u, args), u)
        entries = plan.coloured.entries(push, u.dtype)
        usable = jnp.ones(plan.schedule.n_slots, bool).at[plan.slot_of_unknown].min(~bad)
        factors = Factors(plan.schedule, plan.places, entries, usable)
        return Solves(factors.solve, factors.solve_transposed)

    u, report = implicit(find, fn, factorize, plan.partner, guess, args)
    return Found(u, *report, caches=(u,))
