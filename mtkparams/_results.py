"""How a solve, the search for a start or a root, or a fit ended: one enumeration for all of them."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int


class RESULTS(eqx.Enumeration):
    """How a solve, an initialization, the search for a root or a fit ended.

    `solution.result == mtk.RESULTS.successful` is a truth value of JAX, one for each member of a
    batch, in traced programs too; `mtk.RESULTS[solution.result]` is a text. `solution.succeeded`
    says whether it worked, and `solution.report()` why not.

    **Worked:** `successful`; `event_occurred`, ended by the event that it was given.

    **Integration:** `max_steps_reached`; `dt_min_reached`, the steps went to zero; `max_steps_rejected`;
    `nonlinear_solve_failed`, `linear_solve_failed` and `not_finite`, within a step;
    `algebraic_equations_failed`, at a save time; `no_consistent_start`; `internal_error`.

    **Starts and roots:** `not_converged`; `singular`; `inconsistent`.

    **Fits** that worked: `converged`; `steps_done`; `patience_spent`; `no_search`, of values found
    elsewhere. Others: `running`; `start_failed`; `no_step`; `stalled`; `interrupted`.

    !!! Example

        >>> import mtkparams as mtk
        >>> growth = mtk.System(
        ...     parameters={"k": 1.0},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": p.k * u.x**2},
        ... )
        >>> solution = mtk.solve(mtk.ODEProblem(growth, {}, (0.0, 2.0)), throw=False)
        >>> bool(solution.succeeded), bool(solution.result == mtk.RESULTS.dt_min_reached)
        (False, True)
    """

    successful = "It arrived."
    event_occurred = "An event ended it, as it should."
    max_steps_reached = "It did not arrive within max_steps steps."
    dt_min_reached = (
        "The step size went to zero: the solution blows up or its derivative is not finite."
    )
    max_steps_rejected = "More steps were rejected than the step size controller has room for (store_rejected_steps)."
    nonlinear_solve_failed = (
        "A nonlinear solve failed, of the algebraic equations or of an implicit step."
    )
    linear_solve_failed = "A linear solve of an implicit step failed."
    not_finite = "A value is not finite."
    algebraic_equations_failed = "The algebraic equations have no solution at a save time."
    no_consistent_start = "There is no consistent start to integrate from."
    not_converged = (
        "The search did not arrive at values that fulfil the equations: other guesses may do, or there "
        "are no such values."
    )
    singular = (
        "The values fulfil the equations and do not depend on them smoothly: the Jacobian is singular "
        "there, and a derivative has no meaning."
    )
    inconsistent = "The values given contradict the equations: more is given than they leave open."
    converged = "It converged."
    steps_done = "All steps are done."
    patience_spent = "The loss did not improve for as many steps as patience= allows."
    no_search = "No search was made here."
    running = "It has not stopped."
    start_failed = "The objective cannot be computed at the start."
    no_step = "No step leads to a place where the objective can be computed."
    stalled = "The method found no better place, though its own test of convergence was not met."
    interrupted = "It was interrupted."
    internal_error = "The solver failed for a reason that has no name here."

    __names__ = tuple(name for name in [*vars()] if not name.startswith("_"))


NAMES: tuple[str, ...] = RESULTS.__names__


_OF_SOLVES, _OF_FITS = (
    ("successful", "event_occurred"),
    ("converged", "steps_done", "patience_spent", "no_search"),
)
_WORKED = np.array([NAMES.index(name) for name in (*_OF_SOLVES, *_OF_FITS)], np.int32)


def number(result: RESULTS) -> Int[Array, "*batch"]:
    """The place of each result in `NAMES`."""
    return jnp.asarray(jax.tree.leaves(result)[0])


def of_number(value: Int[Array, "*batch"]) -> RESULTS:
    """The results at places in `NAMES`."""
    return jax.tree.map(lambda _: value, RESULTS.successful)


def choose(condition: Bool[Array, "*batch"], result: RESULTS, other: RESULTS) -> RESULTS:
    """`result` where the condition holds, and `other` elsewhere; of a batch for each member."""
    return of_number(jnp.where(condition, number(result), number(other)))


def succeeded(result: RESULTS) -> Bool[Array, "*batch"]:
    """Whether it worked, for each member of a batch."""
    return jnp.isin(number(result), _WORKED)
