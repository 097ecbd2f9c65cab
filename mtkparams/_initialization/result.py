"""How an initialization ended."""

from __future__ import annotations

import equinox as eqx


class InitializationResult(eqx.Enumeration):
    """How the search for a start ended: `init.result == InitializationResult.successful`."""

    successful = "A consistent start was found."
    not_converged = (
        "The search did not arrive at values that fulfil the equations: other guesses may do, or there "
        "are no such values."
    )
    singular = (
        "The values fulfil the equations and do not depend on them smoothly: the Jacobian is singular "
        "there, and a derivative has no meaning."
    )
    inconsistent = "The values given contradict the equations: more is given than they leave open."
