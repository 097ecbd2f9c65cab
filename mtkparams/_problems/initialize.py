"""A consistent start of a problem."""

from __future__ import annotations

from typing import Any, Unpack

import equinox as eqx
import jax
from jax.core import Tracer
from jaxtyping import Array, Bool

from .._initialization import (
    Algorithm,
    OverrideInit,
    Report,
    Start,
    StartOptions,
    find_start,
    raise_failure,
)
from .._parameters import Initial, MTKParameters, own_copy
from .._results import RESULTS, succeeded
from ..errors import KindError
from .option_names import check_names
from .problem import ODEProblem


class Initialization(eqx.Module):
    """A consistent start, by name, and how it was found.

    **Attributes:**

    - `problem`: the problem with what was found in the place of the guesses; what is given and what
      is found stays as it was, so that another search starts from here.
    - `found`: status, iterations and residual of each block as arrays, in the order of `report`.
    - `result`: how it ended, of `mtk.RESULTS`.
    """

    problem: ODEProblem
    found: Start
    result: RESULTS

    @property
    def succeeded(self) -> Bool[Array, "*batch"]:
        """Whether there is a consistent start, for each member of a batch."""
        return succeeded(self.result)

    @property
    def p(self) -> MTKParameters:
        """The parameters, with what was found among them and in their `Initial` values."""
        return self.problem.p

    @property
    def u0(self) -> dict[str, Any]:
        """All unknowns at the start by name."""
        return {name: self.p[Initial(name)] for name in self.problem.model.unknowns}

    def report(self) -> Report:
        """A table of the blocks in solving order: print it, or read its `blocks`."""
        return Report(self.found)

    def __getitem__(self, spec: object) -> Any:
        """Values at the start by name, as `problem[spec]`."""
        if self.found.y.ndim > 1:  # a batch
            return jax.vmap(lambda member: member.problem[spec])(self)
        return self.problem[spec]

    def __contains__(self, name: object) -> bool:
        return name in self.problem

    def __repr__(self) -> str:
        if isinstance(self.found.status, Tracer):
            return f"Initialization({', '.join(self.problem.model.unknowns)}; traced)"
        return str(self.report())


def initialize(
    problem: ODEProblem,
    algorithm: Algorithm | None = None,
    *,
    throw: bool = True,
    **options: Unpack[StartOptions],
) -> Initialization:
    """A consistent start: what is not given is found from the equations, block after block.

    `mtk.solve` does this too, before it integrates.

    **Arguments:**

    - `problem`: the problem.
    - `algorithm`: `mtk.OverrideInit()` (the default, with the options below), `mtk.CheckInit()`,
      `mtk.BrownFullBasicInit()`, `mtk.NoInit()`; an algorithm has options of its own.
    - `blocks`, `rtol`, `atol`, `max_steps`, `fully_determined`: as for `mtk.OverrideInit`.
    - `throw`: raise `InitializationError` if there is no consistent start. With `False`,
      `succeeded` and `result` tell; values that were not found are NaN, and so are their derivatives.

    **Raises:** `InitializationError` with the block, its unknowns and what to do; `StructureError`
    where equations cannot determine their unknowns, whatever the values.

    !!! Example

        >>> import mtkparams as mtk
        >>> circle = mtk.System(
        ...     parameters={"r": 5.0},
        ...     unknowns={"x": 3.0, "y": mtk.Unknown(guess=1.0)},
        ...     derivatives=lambda t, u, p: {"x": -u.y},
        ...     residuals=lambda t, u, p: {"on circle": u.x**2 + u.y**2 - p.r**2},
        ... )
        >>> init = mtk.initialize(mtk.ODEProblem(circle))
        >>> round(float(init["y"]), 6)
        4.0
    """
    if not isinstance(problem, ODEProblem):
        raise KindError(f"initialize takes an mtk.ODEProblem, got {type(problem).__name__}.")
    check_names(initialize, options, StartOptions)
    if algorithm is not None and options:
        raise KindError(
            f"The options of an algorithm are its own: mtk.{type(algorithm).__name__}(...), rather than "
            "arguments of initialize."
        )
    return initialized(problem, algorithm or OverrideInit(**options), throw)


def needs_initialization(problem: ODEProblem) -> bool:
    """Whether there is anything to find or to check: static, false for plain initial values."""
    at_start = any(e.initial_equations is not None for e in problem.model.equations)
    return bool(problem.conditions.free or problem.model.algebraic or at_start)


def initialized(problem: ODEProblem, algorithm: object, throw: bool) -> Initialization:
    """What `initialize` gives by one algorithm."""
    start = find_start(problem.model, problem.conditions, problem.t0, problem.p, algorithm)
    start = raise_failure(start) if throw else start
    times = (own_copy(problem.t0), own_copy(problem.t1))
    new = eqx.tree_at(lambda q: (q.p, q.t0, q.t1), problem, (start.p, *times))
    return Initialization(new, without_parameters(start), start.result)


def without_parameters(start: Start) -> Start:
    """What a search tells beside the parameters: no buffer is in two places, so all can be donated."""
    return eqx.tree_at(lambda s: s.p, start, None)
