"""What a fit gives."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._parameters import Initial, MTKParameters
from ..._problems import ODEProblem, remake
from ..objective.objective import Kind, Objective
from ..search.loop import CONVERGED, MESSAGES, PATIENCE, STEPS
from .bands import Band, bands
from .estimate import Estimate, propagate, uncertainty
from .kept import OfFile
from .plots import plot
from .profile import Profiles, profile
from .report import Report
from .summary import Summary, summarise
from .uncertainty import Uncertainty

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    def converged(self) -> bool:
        """Whether the method stopped because it was at a minimum, by its own rule."""
        return self.code == CONVERGED

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

    @functools.cached_property
    def uncertainty(self) -> Uncertainty:
        """How well the data determine the values; computed when it is first asked for.

        **Raises:** `KindError` for a loss that is no likelihood.
        """
        target = self.objective.target
        if isinstance(target, OfFile):
            return target.known()
        return uncertainty(self.objective, self.v, start=self.start)

    @property
    def stderr(self) -> dict[str, float]:
        """Standard errors by label: NaN for a value at its bound, infinite for one that is open."""
        return self.uncertainty.stderr

    @property
    def covariance(self) -> np.ndarray:
        """Of the values, shape `(n, n)`."""
        return self.uncertainty.covariance

    @property
    def correlation(self) -> np.ndarray:
        """Of the values, shape `(n, n)`."""
        return self.uncertainty.correlation

    def estimate(self, spec: Any) -> Estimate:
        """The value of anything that `result.p[spec]` reads, with its standard error to first order.

        **Arguments:**

        - `spec`: a name, also of a dependent parameter; a function such as `lambda p: p.a * p.b`;
          or a list or dictionary of those.
        """
        return propagate(self.objective, self.v, self.uncertainty, spec)

    def profile(
        self, names: str | Initial | Iterable[str | Initial] | None = None, level: float = 0.95
    ) -> Profiles:
        """Confidence intervals by profile likelihood, as `mtk.fitting.profile`.

        **Arguments:**

        - `names`: labels of free values; all by default.
        - `level`: of the intervals.
        """
        return profile(self.objective, self.v, names, level=level, errors=self.uncertainty)

    def bands(self, ts: Any = None, level: float = 0.95) -> dict[str, dict[str, Band]]:
        """The fitted curves behind all data columns with confidence bands, by condition and column.

        **Arguments:**

        - `ts`: times inside of the time span; by default 200 up to the last data.
        - `level`: of the bands, at each time alone.
        """
        return bands(self.objective, self.v, self.uncertainty, ts, level)

    @functools.cached_property
    def summary(self) -> Summary:
        """All that the report says, as data."""
        target = self.objective.target
        if isinstance(target, OfFile):
            return target.summary
        return summarise(self, None if self.kind == "loss" else self.uncertainty)

    def report(self, least: float = 0.5) -> Report:
        """Values with errors, how good the fit is and why it stopped, to be printed or shown.

        **Arguments:**

        - `least`: correlations below this size are left out.
        """
        return Report(self.summary, least)

    def plot(self, level: float = 0.95) -> Figure:
        """The data, the fitted curves with confidence bands, and residuals, as `mtk.fitting.plot`."""
        return plot(self, level)

    def _repr_html_(self) -> str:
        """The report, where a notebook shows the result."""
        return self.report()._repr_html_()

    def __repr__(self) -> str:
        values = ", ".join(f"{name} = {x:.5g}" for name, x in list(self.values.items())[:8])
        more = ", ..." if len(self.labels) > 8 else ""
        return f"FitResult({values}{more}; loss {self.loss:.6g}. {self.message})"
