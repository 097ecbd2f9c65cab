"""A problem as arguments of diffrax, and what diffrax gives read by name."""

from __future__ import annotations

from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .._parameters import MTKParameters, fresh, own_copy
from ..errors import DeclarationError, KindError, ShapeError
from .initialize import Initialization, initialize, needs_initialization
from .integrate.results import of_diffrax
from .problem import ODEProblem
from .solution.solution import Solution


class DiffraxArguments(NamedTuple):
    """What `diffrax.diffeqsolve` takes, in its order, with the first step left out.

    **Attributes:**

    - `term`: a `diffrax.ODETerm`; `t0`, `t1`: the time span; `y0`: the unknowns as one vector;
      `args`: the parameters.
    """

    term: diffrax.ODETerm
    t0: Array
    t1: Array
    y0: Array
    args: MTKParameters


def to_diffrax(problem: ODEProblem | Initialization) -> DiffraxArguments:
    """The arguments with which you call `diffrax.diffeqsolve` on a problem yourself.

    **Arguments:**

    - `problem`: the problem, or what `mtk.initialize` made of it; all its unknowns have derivatives.
      What is not given at the start is found first.

    **Returns:** a tuple `(term, t0, t1, y0, args)`. `mtk.from_diffrax(problem, solution)` reads by name
    what `diffeqsolve` gave.

    **Raises:** `DeclarationError` for a system with algebraic equations.

    !!! Example

        >>> import diffrax
        >>> import mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ... )
        >>> problem = mtk.ODEProblem(decay, {}, (0.0, 2.0))
        >>> term, t0, t1, y0, args = mtk.to_diffrax(problem)
        >>> solution = diffrax.diffeqsolve(term, diffrax.Tsit5(), t0, t1, 0.1, y0, args)
        >>> round(float(mtk.from_diffrax(problem, solution)["x"][-1]), 4)
        0.3679
    """
    problem = _started(problem, "to_diffrax")
    model = problem.model
    term = diffrax.ODETerm(model.derivative)
    return DiffraxArguments(term, problem.t0, problem.t1, model.start(problem.p), problem.p)


def _started(problem: object, who: str) -> ODEProblem:
    """The problem with what was found at its start."""
    is_started = isinstance(problem, Initialization)
    problem = problem.problem if is_started else problem
    if not isinstance(problem, ODEProblem):
        raise KindError(f"{who} takes an mtk.ODEProblem, got {type(problem).__name__}.")
    if problem.model.algebraic:
        raise DeclarationError(
            f"{', '.join(map(repr, problem.model.algebraic))} have no derivative: diffrax integrates "
            "ordinary differential equations. mtk.solve solves the algebraic equations beside them."
        )
    return (
        problem if is_started or not needs_initialization(problem) else initialize(problem).problem
    )


def from_diffrax(problem: ODEProblem | Initialization, solution: diffrax.Solution) -> Solution:
    """What `diffrax.diffeqsolve` gave for the arguments of `mtk.to_diffrax`, read by name.

    **Arguments:**

    - `problem`: the problem that was solved, or what `mtk.initialize` made of it.
    - `solution`: a `diffrax.Solution` with saved times; steps that were not used have infinite times.
      Whether it arrived is in `result` and `succeeded` of what comes back, or an error of diffrax with
      its `throw=True`.

    **Raises:** `ShapeError` for states of another size.
    """
    problem = _started(problem, "from_diffrax")
    size = sum(problem.model.sizes)
    ts: Any = solution.ts
    ys: Any = solution.ys
    if not eqx.is_array(ts) or not eqx.is_array(ys):
        raise KindError(
            "Saved times and one array of states are read by name. Save with SaveAt(ts=...)."
        )
    if ys.shape != (*ts.shape, size):
        raise ShapeError(
            f"The states have shape {ys.shape}, and this problem {size} entries at "
            f"{ts.shape} times."
        )
    return Solution(
        ts=ts,
        ys=ys,
        p=fresh(problem.p),
        t0=own_copy(problem.t0),
        t1=jnp.asarray(solution.t1, problem.t1.dtype),
        result=of_diffrax(solution.result),
        stats=solution.stats,
        interpolation=solution.interpolation,
        model=problem.model,
    )
