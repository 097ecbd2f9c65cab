"""How diffrax says that a solve ended, in words of this library."""

from __future__ import annotations

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ..._results import RESULTS, of_number

# From diffrax's own results, and those of the solvers in it.
_NAMES = {
    "successful": "successful",
    "event_occurred": "event_occurred",
    "max_steps_reached": "max_steps_reached",
    "dt_min_reached": "dt_min_reached",
    "max_steps_rejected": "max_steps_rejected",
    "nonlinear_max_steps_reached": "nonlinear_solve_failed",
    "nonlinear_divergence": "nonlinear_solve_failed",
    "singular": "linear_solve_failed",
    "breakdown": "linear_solve_failed",
    "stagnation": "linear_solve_failed",
    "conlim": "linear_solve_failed",
    "nonfinite_input": "not_finite",
    "nonfinite": "not_finite",
}


def _table() -> np.ndarray:
    """For each result of diffrax the place of ours; what a later diffrax adds is an internal error."""
    place = lambda results, name: int(np.asarray(jax.tree.leaves(getattr(results, name))[0]))
    table = np.full(len(diffrax.RESULTS), place(RESULTS, "internal_error"), np.int32)
    for theirs, ours in _NAMES.items():
        if hasattr(diffrax.RESULTS, theirs):
            table[place(diffrax.RESULTS, theirs)] = place(RESULTS, ours)
    return table


_TABLE = _table()


def of_diffrax(result: Any) -> RESULTS:
    """The `mtk.RESULTS` of a `diffrax.RESULTS`, for each member of a batch."""
    (place,) = jax.tree.leaves(result)
    return of_number(jnp.asarray(_TABLE).at[place].get(mode="promise_in_bounds"))
