"""One pass over the steps of a schedule, forward or backward, in as few pieces of program as it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, PyTree

from .schedule import Run, Schedule

_C = TypeVar("_C")
# From what is carried, the number of a kind, and the tables of one of its steps.
Step = Callable[[_C, int, PyTree], _C]


def walk(
    plan: Schedule, step: Step[_C], tables: Sequence[PyTree], carry: _C, reverse: bool = False
) -> _C:
    """What `step` makes of `carry`, one step after another.

    **Arguments:**

    - `tables`: for each kind a tree of arrays with the steps of the kind in the first axis.
    """
    if plan.runs is None:
        return _switched(plan, step, tables, carry, reverse)
    for run in reversed(plan.runs) if reverse else plan.runs:
        carry = _repeat(run, step, tables, carry, reverse)
    return carry


def _repeat(run: Run, step: Step[_C], tables: Sequence[PyTree], carry: _C, reverse: bool) -> _C:
    turns = list(zip(run.kinds, run.first, run.strides, strict=True))
    if reverse:
        turns.reverse()
    xs = [
        jax.tree.map(lambda t: t[first : first + stride * run.repeats : stride], tables[k])  # noqa: B023
        for k, first, stride in turns
    ]

    def round_(carry: _C, xs: PyTree) -> tuple[_C, None]:
        for (k, _, _), table in zip(turns, xs, strict=True):
            carry = step(carry, k, table)
        return carry, None

    if run.repeats == 1:
        return round_(carry, jax.tree.map(lambda t: jnp.asarray(t[0]), xs))[0]
    return lax.scan(round_, carry, jax.tree.map(jnp.asarray, xs), reverse=reverse)[0]


def _switched(
    plan: Schedule, step: Step[_C], tables: Sequence[PyTree], carry: _C, reverse: bool
) -> _C:
    tables = jax.tree.map(jnp.asarray, list(tables))

    def branch(k: int) -> Callable[[_C, Array], _C]:
        return lambda carry, i: step(carry, k, jax.tree.map(lambda t: t[i], tables[k]))

    branches = [branch(k) for k in range(len(plan.kinds))]

    def chosen(carry: _C, which: Array) -> tuple[_C, None]:
        return lax.switch(which[0], branches, carry, which[1]), None

    order = jnp.asarray(np.array(plan.order, np.int32))
    return lax.scan(chosen, carry, order, reverse=reverse)[0]
