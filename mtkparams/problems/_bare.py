"""A problem as arguments of diffrax, and what diffrax gives read by name."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from ..errors import DeclarationError, KindError, ShapeError
from ..parameters import MTKParameters
from ._initialize import initialize, needs_initialization
from ._problem import ODEProblem
from ._solution import Solution


class DiffraxArguments(NamedTuple):
    """What `diffrax.diffeqsolve` takes, in its order, with the first step left out.

    **Attributes:**

    - `term`: a `diffrax.ODETerm`; `t0`, `t1`: the time span; `y0`: the unknowns as one vector;
      `args`: the parameters.
    """

    term: Any
    t0: Array
    t1: Array
    y0: Array
    args: MTKParameters


def to_diffrax(problem: ODEProblem) -> DiffraxArguments:
    """The arguments with which you call `diffrax.diffeqsolve` on a problem yourself.

    **Arguments:**

    - `problem`: the problem; all its unknowns have derivatives.

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
    import diffrax

    if not isinstance(problem, ODEProblem):
        raise KindError(f"to_diffrax takes an mtk.ODEProblem, got {type(problem).__name__}.")
    model = problem.model
    if model.algebraic:
        raise DeclarationError(
            f"{', '.join(map(repr, model.algebraic))} have no derivative: diffrax integrates ordinary "
            "differential equations. mtk.solve solves the algebraic equations beside them."
        )
    if needs_initialization(problem):
        problem = initialize(problem).problem
    term = diffrax.ODETerm(model.derivative)
    return DiffraxArguments(term, problem.t0, problem.t1, model.start(problem.p), problem.p)


def from_diffrax(problem: ODEProblem, solution: Any) -> Solution:
    """What `diffrax.diffeqsolve` gave for the arguments of `mtk.to_diffrax`, read by name.

    **Arguments:**

    - `problem`: the problem that was solved.
    - `solution`: a `diffrax.Solution` with saved times. Whether it arrived is yours to check, or
      diffrax's with its `throw=True`; steps that were not used have infinite times.

    **Raises:** `ShapeError` for states of another size.
    """
    size = sum(problem.model.sizes)
    if solution.ts is None or not hasattr(solution.ys, "shape"):
        raise KindError(
            "Saved times and one array of states are read by name. Save with SaveAt(ts=...)."
        )
    if solution.ys.shape != (*solution.ts.shape, size):
        raise ShapeError(
            f"The states have shape {solution.ys.shape}, and this problem {size} entries at "
            f"{solution.ts.shape} times."
        )
    return Solution(
        ts=solution.ts,
        ys=solution.ys,
        p=problem.p,
        t0=problem.t0,
        t1=jnp.asarray(solution.t1, problem.t1.dtype),
        result=solution.result,
        stats=solution.stats,
        interpolation=solution.interpolation,
        model=problem.model,
    )
