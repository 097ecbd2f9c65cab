"""Block by block: the front door of the solver half."""

from __future__ import annotations

import weakref

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ..errors import ShapeError
from .programs.equations import ProgramPlan
from .solve.found import Found
from .solve.implicit import Residual, Solves, implicit
from .solve.newton import FAILED
from .solve.settings import Settings, tolerances
from .solve.sweep import NO_SLOPE, NO_VALUE, Plan, sweep
from .solve.whole import WholePlan
from .structure import Structure
from .trace.graph import Graph

_DEFAULT = Settings()


# Above this many operations to compile, blocks are evaluated by the whole residual instead.
_MOST_OPERATIONS = 12_000

_plans: weakref.WeakKeyDictionary[Structure, dict[bool, Plan]] = weakref.WeakKeyDictionary()


def _plan(structure: Structure, sliced: bool) -> Plan:
    plans = _plans.setdefault(structure, {})
    if sliced not in plans:
        programs = _programs(structure) if sliced else None
        plans[sliced] = programs or WholePlan(structure)
    return plans[sliced]


def _programs(structure: Structure) -> ProgramPlan | None:
    """Programs of the blocks, where there are any, and few enough."""
    graph = structure.graph
    # One block needs the whole residual anyway. Values that a residual closed over while they were
    # traced belong to that trace, and only a call of the residual has those of this one.
    if graph.closed or len(structure.parts.blocks) < 2:
        return None
    plan = ProgramPlan(structure)
    return plan if plan.cost <= _MOST_OPERATIONS else None


def solve_blocks(
    structure: Structure, fn: Residual, guess: Array, args: PyTree, settings: Settings = _DEFAULT
) -> Found:
    """The unknowns that make `fn(u, args)` zero, block by block.

    **Arguments:**

    - `structure`: of `fn`, as `analyze` gives it; square.
    - `fn`: from unknowns `(n,)` and arguments to residuals `(n,)`. Everything that a derivative is
      wanted for comes through `args`.
    - `guess`: where the nonlinear blocks start, `(n,)`. The derivative with respect to it is zero.
    - `args`: any tree of arrays.

    **Raises:** `ShapeError` if the structure is not square, or of a residual with other shapes.
    """
    _check(structure, guess, args)
    if not guess.size:
        none = jnp.zeros(0, jnp.int32)
        return Found(guess, none, none, guess, guess, caches=(guess,))
    plan = _plan(structure, settings.sliced and _same_dtypes(structure.graph, guess, args))
    layout = plan.schedule
    tol = tolerances(settings, guess.dtype)

    # Where an operation is computed as a whole and a block needs a part of it, the rest is as at a point
    # where all equations make sense: the guess, and for the derivative the solution.
    def residual(z: Array, args: PyTree) -> Array:
        return plan.equations(fn, args, z[layout.place_of]).residual(z)

    def find(start: Array, args: PyTree) -> tuple[Array, Array, PyTree]:
        guess = start[layout.place_of]
        blocks = plan.equations(fn, args, guess, settings.doubt)
        swept = sweep(layout, blocks, plan.affine, guess, tol)
        spoilt = swept.spoilt[layout.slot_at]
        lost = jnp.where(spoilt == NO_VALUE, 1, jnp.where(spoilt == NO_SLOPE, 2, 0))
        largest = jnp.where(swept.status == FAILED, swept.residual, blocks.largest(swept.z))
        report = (swept.status, swept.iterations, largest, swept.condition)
        return swept.z, lost, tuple(r[layout.slot_of] for r in report)

    def factorize(z: Array, args: PyTree, no_slope: Array) -> Solves:
        usable = jnp.asarray(layout.real).at[layout.slot_at].min(~no_slope)
        factors = plan.equations(fn, args, z[layout.place_of]).factors(z, usable)
        return Solves(factors.solve, factors.solve_transposed)

    start = jnp.zeros(layout.length, guess.dtype).at[layout.place_of].set(guess)
    z, report = implicit(find, residual, factorize, start, args)
    u = z[layout.place_of]
    return Found(u, *report, caches=(u, z[plan.caches]))


def _check(structure: Structure, guess: Array, args: PyTree) -> None:
    if not structure.parts.is_square:
        m, n = structure.incidence.shape
        raise ShapeError(
            f"These {m} equations cannot be solved for {n} unknowns block by block: some of them are "
            "too many or too few for their unknowns (`structure.parts.over`, `structure.parts.under`). "
            "`least_squares` solves such systems."
        )
    graph = structure.graph
    want = [graph.unknowns.shape, *(a.shape for a in graph.arguments)]
    got = [jnp.shape(x) for x in (guess, *jax.tree.leaves(args))]
    if got != want:
        raise ShapeError(
            f"The structure is that of a residual whose unknowns and arguments have the shapes {want}, "
            f"and these have {got}: analyze the residual with arguments of these shapes."
        )


def _same_dtypes(graph: Graph, guess: Array, args: PyTree) -> bool:
    """Whether programs cut out of the graph fit these inputs."""
    nodes = [graph.unknowns, *graph.arguments]
    return all(
        graph.dtypes[graph.kind[ids.flat[0]]] == jnp.result_type(x)
        for ids, x in zip(nodes, (guess, *jax.tree.leaves(args)), strict=True)
        if ids.size
    )
