"""What a fit gives."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..parameters import MTKParameters
from ..problems import ODEProblem, remake
from ._objective import Kind, Objective
from ._run import CONVERGED, MESSAGES, PATIENCE, STEPS


class FitResult(eqx.Module):
    """A finished fit.

    **Attributes:**

    - `v`: the best values that were found, shape `(n,)`; `labels`: their names; `p`: the parameter
      object that has them; `result["alpha"]`: one of them.
    - `loss`: the objective there; `losses`: after each step, shape `(steps,)`.
    - `start`: the values where it began, shape `(n,)`.
    - `evaluations`, `failures`: how often the objective was computed, and how often that failed;
      `failed_at`: the values of the first failures, shape `(few, n)`.
    - `method`: what it is called; `code`, `message`: why it stopped.
    - `seconds`: wall time, compilation included.
    - `starts`: of many starts a table of all, else `None`.
    - `objective`: the objective itself, with data and declarations.
    """

    objective: Objective
    v: Float[np.ndarray, " n"]
    start: Float[np.ndarray, " n"]
    loss: float
    losses: Float[np.ndarray, ...]
    evaluations: int
    failures: int
    failed_at: Float[np.ndarray, "few n"]
    method: str
    code: int
    seconds: float
    starts: Any = None

    @property
    def kind(self) -> Kind:
        """What was made small: `"least_squares"`, `"likelihood"` or `"loss"`."""
        return self.objective.kind

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the free values."""
        return self.objective.labels

    @property
    def lower(self) -> np.ndarray:
        """Declared lower bounds, shape `(n,)`."""
        return self.objective.lower

    @property
    def upper(self) -> np.ndarray:
        """Declared upper bounds, shape `(n,)`."""
        return self.objective.upper

    @property
    def message(self) -> str:
        """Why it stopped, in words."""
        return MESSAGES[self.code]

    @property
    def success(self) -> bool:
        """Whether it converged, made all its steps, or stopped because nothing improved."""
        return self.code in (CONVERGED, STEPS, PATIENCE) and bool(np.isfinite(self.loss))

    @property
    def p(self) -> MTKParameters:
        """The parameters with the fitted values; everything else is as it was."""
        return self.objective.parameters(self.v)

    def problem(self, problem: ODEProblem) -> ODEProblem:
        """`problem` with the fitted parameters."""
        return remake(problem, p=self.p)

    def __getitem__(self, spec: Any) -> Any:
        """A fitted value by name, or anything else that `result.p[...]` reads."""
        return self.p[spec]

    @property
    def values(self) -> dict[str, float]:
        """The fitted values by label."""
        return dict(zip(self.labels, self.v.tolist(), strict=True))

    def predictions(self) -> dict[str, dict[str, Array]]:
        """What the fitted model says in place of the data, by table and column."""
        return self.objective.predictions(jnp.asarray(self.v))

    def __repr__(self) -> str:
        values = ", ".join(f"{name} = {x:.5g}" for name, x in list(self.values.items())[:8])
        more = ", ..." if len(self.labels) > 8 else ""
        return f"FitResult({values}{more}; loss {self.loss:.6g}. {self.message})"
