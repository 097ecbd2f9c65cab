"""How a solve, the search for a start, or that for a root ended: one enumeration for all of them."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


class RESULTS(eqx.Enumeration):
    """How a solve, an initialization or the search for a root ended.

    `solution.result == mtk.RESULTS.successful` is a truth value of JAX, one for each member of a
    batch, in traced programs too; `mtk.RESULTS[solution.result]` is a text. `solution.succeeded`
    says whether it worked, and `solution.report()` why not.

    **Worked:** `successful`; `event_occurred`, ended by the event that it was given.

    **Integration:** `max_steps_reached`; `dt_min_reached`, the steps went to zero; `max_steps_rejected`;
    `nonlinear_solve_failed`, `linear_solve_failed` and `not_finite`, within a step;
    `algebraic_equations_failed`, at a save time; `no_consistent_start`; `internal_error`.

    **Starts and roots:** `not_converged`; `singular`; `inconsistent`.
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
    internal_error = "The solver failed for a reason that has no name here."


NAMES: tuple[str, ...] = tuple(RESULTS._name_to_item)


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
    place = number(result)
    return (place == number(RESULTS.successful)) | (place == number(RESULTS.event_occurred))
