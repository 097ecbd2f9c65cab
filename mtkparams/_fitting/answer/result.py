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
from ..._results import RESULTS, succeeded
from ...errors import KindError
from ..objective.forward import Vector
from ..objective.objective import Kind, Objective
from ..search.loop import CONVERGED, NO_SEARCH, RESULT_OF
from ..search.starts import StartTable
from .bands import Band, bands
from .estimate import Estimate, propagate, uncertainty
from .of_file import OfFile
from .plots import correlation_matrix, data_and_curves, loss_trace, waterfall
from .profile import Profiles, profile
from .report import Report
from .summary import Summary, summarize
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
    - `method`: what it is called; `result`, `message`: why it stopped, one of `mtk.RESULTS` and
      its text.
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
    starts: StartTable | None = None

    @staticmethod
    def at(objective: Objective, v: Vector) -> FitResult:
        """What a search of your own found, with the errors, profiles, report and pictures of a fit.

        **Arguments:**

        - `objective`: what was made small.
        - `v`: the values that were found, shape `(n,)`.

        !!! Example

            >>> import jax.numpy as jnp, mtkparams as mtk
            >>> x, y = jnp.arange(4.0), jnp.asarray([1.1, 2.9, 5.2, 6.8])
            >>> p = mtk.parameters({"slope": 2.0, "start": 1.0})
            >>> line = lambda p: p["slope"] * x + p["start"] - y
            >>> objective = mtk.fitting.least_squares(line, p, steps=1).objective
            >>> result = mtk.fitting.FitResult.at(objective, [1.94, 1.09])
            >>> {name: round(error, 3) for name, error in result.stderr.items()}
            {'slope': 0.091, 'start': 0.169}
        """
        loss = float(objective(v))
        values = np.asarray(v, objective.start.dtype)
        return FitResult(
            objective=objective,
            v=values,
            start=np.asarray(objective.start),
            loss=loss,
            losses=np.zeros(0, values.dtype),
            evaluations=1,
            failures=int(not np.isfinite(loss)),
            failed_at=values[None][: int(not np.isfinite(loss))],
            method="a search of your own",
            code=NO_SEARCH,
            seconds=0.0,
        )

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
    def result(self) -> RESULTS:
        """Why it stopped, one of `mtk.RESULTS`."""
        return RESULT_OF[self.code]

    @property
    def message(self) -> str:
        """Why it stopped, in words."""
        return RESULTS[self.result]

    @property
    def converged(self) -> bool:
        """Whether the method stopped because it was at a minimum, by its own rule."""
        return self.code == CONVERGED

    @property
    def succeeded(self) -> bool:
        """Whether it converged, made all its steps, or stopped because nothing improved; of `at`, whether
        the objective can be computed there."""
        return bool(succeeded(self.result)) and bool(np.isfinite(self.loss))

    @property
    def p(self) -> MTKParameters:
        """The parameters with the fitted values; everything else is as it was."""
        return self.objective.parameters(self.v)

    def problem(self, problem: ODEProblem) -> ODEProblem:
        """`problem` with the fitted parameters."""
        return remake(problem, p=self.p)

    def __getitem__(self, spec: object) -> Any:
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

    def _errors(self, errors: Uncertainty | None) -> Uncertainty:
        return self.uncertainty if errors is None else errors

    def estimate(self, spec: object, *, errors: Uncertainty | None = None) -> Estimate:
        """The value of anything that `result.p[spec]` reads, with its standard error to first order.

        **Arguments:**

        - `spec`: a name, also of a dependent parameter; a function such as `lambda p: p.a * p.b`;
          or a list or dictionary of those.
        - `errors`: in place of `result.uncertainty` one of `mtk.fitting.uncertainty(...)`.
        """
        return propagate(self.objective, self.v, self._errors(errors), spec)

    def profile(
        self,
        names: str | Initial | Iterable[str | Initial] | None = None,
        level: float = 0.95,
        *,
        errors: Uncertainty | None = None,
    ) -> Profiles:
        """Confidence intervals by profile likelihood: how far a value can go if the others follow.

        One value is moved away from the fit in steps, to both sides; at each step all others are brought
        to their best again, within their bounds. The interval ends where the loss has grown by half the
        quantile of chi-squared (Venzon and Moolgavkar 1988), 1.92 for 95 %; for least squares whose
        scatter was read off the residuals by that of the F distribution. All walks run as one batch.

        Unlike standard errors it needs no curvature at the fit: it is right for bent likelihoods, finds
        that a value has no upper limit, and meets a better fit if there is one on the way.

        **Arguments:**

        - `names`: labels of free values; all by default.
        - `level`: of the intervals.
        - `errors`: in place of `result.uncertainty` one of `mtk.fitting.uncertainty(...)`.

        !!! Example

            >>> import jax.numpy as jnp, mtkparams as mtk
            >>> x, y = jnp.arange(4.0), jnp.asarray([1.1, 2.9, 5.2, 6.8])
            >>> p = mtk.parameters({"slope": 2.0, "start": 1.0})
            >>> result = mtk.fitting.least_squares(lambda p: p["slope"] * x + p["start"] - y, p)
            >>> [round(end, 3) for end in result.profile("slope").interval["slope"]]
            [1.55, 2.33]
        """
        return profile(self.objective, self.v, names, level, self._errors(errors))

    def bands(
        self,
        ts: Vector | None = None,
        level: float = 0.95,
        *,
        errors: Uncertainty | None = None,
    ) -> dict[str, dict[str, Band]]:
        """The fitted curves behind all data columns with confidence bands, by condition and column.

        **Arguments:**

        - `ts`: times inside of the time span, in the order of the solve; by default 200 from the start
          to the last data of each condition.
        - `level`: of the bands, at each time alone. With a scatter that was read off the residuals they
          are those of Student's t.
        - `errors`: in place of `result.uncertainty` one of `mtk.fitting.uncertainty(...)`.
        """
        return bands(self.objective, self.v, self._errors(errors), ts, level)

    @functools.cached_property
    def summary(self) -> Summary:
        """All that the report says, as data."""
        target = self.objective.target
        if isinstance(target, OfFile):
            return target.summary
        return summarize(self, None if self.kind == "loss" else self.uncertainty)

    def report(self, least: float = 0.5) -> Report:
        """Values with errors, how good the fit is and why it stopped, to be printed or shown.

        **Arguments:**

        - `least`: correlations below this size are left out.
        """
        return Report(self.summary, least)

    def plot(self, level: float = 0.95) -> Figure:
        """The data and the fitted curves with confidence bands, and the residuals below: model minus data.

        A column of panels for each data column; conditions have colors.

        **Arguments:**

        - `level`: of the bands, which are those of the curve and not of new data.

        **Returns:** a `matplotlib.figure.Figure`. `figure.savefig(...)` writes it, and a notebook shows it.

        **Raises:** `ModuleNotFoundError` without matplotlib; `KindError` for a fit without data in time.
        """
        return data_and_curves(self, level)

    def plot_trace(self) -> Figure:
        """A picture of the loss after each step, above the least loss of all on a logarithmic axis."""
        return loss_trace(self.losses)

    def plot_correlation(self) -> Figure:
        """A picture of the correlations of the fitted values, a matrix of colors and numbers."""
        return correlation_matrix(self.correlation, self.labels)

    def plot_waterfall(self) -> Figure:
        """A picture of the losses of many starts in order, above the least: equal optima are a step.

        **Raises:** `KindError` for a fit from one start.
        """
        if self.starts is None:
            raise KindError(
                "A waterfall shows many starts, and this fit had one: give it starts=100."
            )
        return waterfall(self.starts.loss)

    def _repr_html_(self) -> str:
        """The report, where a notebook shows the result."""
        return self.report()._repr_html_()

    def __repr__(self) -> str:
        values = ", ".join(f"{name} = {x:.5g}" for name, x in list(self.values.items())[:8])
        more = ", ..." if len(self.labels) > 8 else ""
        return f"FitResult({values}{more}; loss {self.loss:.6g}. {self.message})"
