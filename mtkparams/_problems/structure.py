"""The structure of a problem's equations."""

from __future__ import annotations

from typing import Any, Literal

from .._initialization import BlockStructure, plan
from ..errors import KindError
from .nonlinear import NonlinearProblem
from .problem import ODEProblem


def structure(
    problem: ODEProblem | NonlinearProblem, of: Literal["start", "algebraic"] = "start"
) -> Any:
    """The blocks in which values are found, in solving order: print it, or `structure.plot()` it.

    Each block is a set of equations that must be solved together; it reads earlier blocks only. What
    depends on what is read from the equations themselves.

    **Arguments:**

    - `problem`: a problem of either kind.
    - `of`: of an `mtk.ODEProblem`: `"start"`, what initialization finds; `"algebraic"`, what is solved
      in every evaluation of the derivatives.

    !!! Example

        >>> import mtkparams as mtk
        >>> chain = mtk.System(
        ...     parameters={"b": 2.0, "c": 1.5},
        ...     unknowns={"x": 1.0, "y": mtk.Unknown(guess=1.0), "z": mtk.Unknown(guess=0.5)},
        ...     derivatives=lambda t, u, p: {"x": u.y + u.z},
        ...     residuals=lambda t, u, p: {
        ...         "z_eq": u.z**3 + u.z - p.c * u.y,
        ...         "y_eq": u.y**3 + u.y - p.b * u.x,
        ...     },
        ... )
        >>> print(mtk.structure(mtk.ODEProblem(chain)))
        Structure of the start: 2 unknowns, 2 equations, 2 blocks
        block  unknowns  equations  kind       reads
        0      y         y_eq       nonlinear
        1      z         z_eq       nonlinear  0
    """
    if isinstance(problem, NonlinearProblem):
        question, t = problem.question, problem.t
    elif isinstance(problem, ODEProblem):
        question, t = of, problem.t0
    else:
        raise KindError(
            "structure takes an mtk.ODEProblem or mtk.NonlinearProblem, got "
            f"{type(problem).__name__}."
        )
    return BlockStructure.of(plan(problem.model, problem.conditions, question, t, problem.p))
