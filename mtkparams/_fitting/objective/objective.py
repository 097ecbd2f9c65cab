"""An objective: a pure function of one vector whose entries have names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._parameters import (
    Initial,
    MTKParameters,
    Piece,
    Portion,
    Tunable,
    canonicalize,
    float_dtype,
    labels,
    limits,
    plain,
    replace,
    select,
)
from ..._problems import ODEProblem
from ...errors import KindError, ShapeError
from ..options import names_checked
from .build import base_conditions, experiments_of, inside, of_data, times_of
from .experiment import SolveSettings, Spec, check_solve_options
from .forward import OfVector, Vector, by_forward_mode, infinite_where_failed, with_jacobian
from .likelihood import OfData, OfSolution, Series
from .noise import Normal
from .priors import check, log_density, priors_of
from .tables import tables
from .target import AbstractTarget, OfLoss, OfResiduals

Kind: TypeAlias = Literal["least_squares", "likelihood", "loss"]
Mode: TypeAlias = Literal["forward", "reverse"]
# What may change: a name, a portion, or several of them.
Free: TypeAlias = str | Initial | Portion | Iterable[str | Initial | Portion]

# Up to here a forward pass with all tangents at once costs less than a reverse pass.
FEW = 20


class Objective(eqx.Module):
    """What a fit makes small: a pure function of one vector of natural values, with their names.

    `objective(v)` goes through `jit`, `grad`, `vmap` and any optimizer or sampler. Where a solve
    fails, it is infinite and its derivatives are NaN.

    **Attributes:**

    - `kind`: `"least_squares"` (half the sum of squared residuals), `"likelihood"` (minus the log
      density of the data and of declared priors) or `"loss"` (a function of the user's).
    - `labels`: the name of each entry; `units`: theirs, `None` where none is declared.
    - `start`: the values that it was made with, shape `(n,)`; `lower`, `upper`: declared bounds.
    - `p`: the parameter object that they come from.
    - `mode`: `"forward"` or `"reverse"`, how it is differentiated.
    """

    target: AbstractTarget
    p: MTKParameters
    start: Float[Array, " n"]
    kind: Kind = eqx.field(static=True)
    mode: Mode = eqx.field(static=True)
    free: tuple[Portion | str, ...] = eqx.field(static=True)
    labels: tuple[str, ...] = eqx.field(static=True)
    units: tuple[str | None, ...] = eqx.field(static=True)
    priors: tuple[object, ...] = eqx.field(static=True)

    def __call__(self, v: Vector) -> Float[Array, ""]:
        """The value at `v`, shape `(n,)`: infinite where it cannot be computed."""
        return self._derivable(_value)(self, self._vector(v))

    def value_and_grad(self, v: Vector) -> tuple[Float[Array, ""], Float[Array, " n"]]:
        """The value at `v` and its gradient, shape `(n,)`, by the objective's own mode."""
        v = self._vector(v)
        if self.mode == "forward":
            return with_jacobian(_value)(self, v)
        return jax.value_and_grad(lambda v: _value(self, v))(v)

    def residuals(self, v: Vector) -> Float[Array, " residuals"]:
        """Weighted residuals, shape `(residuals,)`, NaN where the solve failed.

        Model minus data, over the scale; of logarithms where the noise is lognormal.
        """
        return self._derivable(_residuals)(self, self._vector(v))

    def residuals_and_jacobian(
        self, v: Vector
    ) -> tuple[Float[Array, " residuals"], Float[Array, "residuals n"]]:
        """The residuals and their derivatives, shape `(residuals, n)`."""
        v = self._vector(v)
        if self.mode == "forward":
            return with_jacobian(_residuals)(self, v)
        residuals, pull = jax.vjp(lambda v: _residuals(self, v), v)
        (slopes,) = jax.vmap(pull)(jnp.eye(residuals.size, dtype=residuals.dtype))
        return residuals, slopes

    def log_likelihood(self, v: Vector) -> Float[Array, ""]:
        """The log density of the data at `v`, minus infinity where the solve failed.

        Where the scatter of the data is unknown, that with the scatter which makes it greatest.
        """
        return -self._derivable(_minus_log_likelihood)(self, self._vector(v))

    def log_prior(self, v: Vector) -> Float[Array, ""]:
        """The log density of the priors at `v`, shape `()`; zero without priors."""
        return _log_prior(self, self._vector(v))

    def log_density(self, v: Vector) -> Float[Array, ""]:
        """Log likelihood plus log prior: what a sampler takes."""
        return self.log_likelihood(v) + self.log_prior(v)

    def predictions(self, v: Vector) -> dict[str, dict[str, Array]]:
        """What the model says in place of the data: by table and column, a value for each row."""
        return self.target.predictions(self._vector(v), self.mode == "forward")

    def parameters(self, v: Vector) -> MTKParameters:
        """The parameter object with the values `v`."""
        return replace(self.free, self.p, self._vector(v))

    @property
    def series(self) -> tuple[Series, ...]:
        """The data columns: table, name, condition, `t`, `y`, and their noise."""
        return self.target.layout.series if isinstance(self.target, OfData) else ()

    @property
    def lower(self) -> np.ndarray:
        """Lower bounds, shape `(n,)`, minus infinity where none is declared."""
        return self._limits()[0]

    @property
    def upper(self) -> np.ndarray:
        """Upper bounds, shape `(n,)`, infinity where none is declared."""
        return self._limits()[1]

    @property
    def noise_known(self) -> bool:
        """Whether the scatter of the data is given or estimated, and not read off the residuals."""
        return isinstance(self.target, OfData) and self.target.known

    @property
    def data(self) -> int:
        """How many data there are; of a user's residuals, how many residuals."""
        if isinstance(self.target, OfData):
            return self.target.y.size
        if isinstance(self.target, OfResiduals):
            return jax.eval_shape(lambda v: _residuals(self, v), self.start).size
        return 0

    def _limits(self) -> tuple[np.ndarray, np.ndarray]:
        lower, upper = limits(select(self.free, self.p.index, self.p.buffers))
        return lower.astype(self.start.dtype), upper.astype(self.start.dtype)

    def _vector(self, v: Vector) -> Array:
        v = jnp.asarray(v)
        if v.shape != self.start.shape:
            raise ShapeError(
                f"The vector has shape {self.start.shape}, one entry for each of "
                f"{', '.join(self.labels[:8])}{', ...' if len(self.labels) > 8 else ''}; got {v.shape}."
            )
        return v.astype(self.start.dtype)

    def _derivable(self, f: OfVector) -> OfVector:
        return by_forward_mode(f) if self.mode == "forward" else f

    # By identity, as functions compare: `jax.jit(objective)` needs a hash.

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Objective({self.kind} of {', '.join(self.labels)})"


def _value(self: Objective, v: Array) -> Array:
    forward = self.mode == "forward"
    if self.kind != "likelihood":
        return infinite_where_failed(self.target.loss(v, forward))
    return infinite_where_failed(-self.target.log_likelihood(v, forward) - _log_prior(self, v))


def _residuals(self: Objective, v: Array) -> Array:
    return self.target.residuals(v, self.mode == "forward")


def _minus_log_likelihood(self: Objective, v: Array) -> Array:
    return infinite_where_failed(-self.target.log_likelihood(v, self.mode == "forward"))


def _log_prior(self: Objective, v: Array) -> Array:
    total = jnp.zeros((), v.dtype)
    start = 0
    for piece, prior in zip(_pieces(self), self.priors, strict=True):
        size = piece.positions.size
        if prior is not None:
            value = v[start : start + size].reshape(piece.shape)
            density = log_density(prior, piece.label)(value)
            total = total + jnp.sum(jnp.asarray(density)).astype(v.dtype)
        start += size
    return total


def _pieces(self: Objective) -> tuple[Piece, ...]:
    return select(self.free, self.p.index, self.p.buffers).pieces


class ObjectiveOptions(TypedDict, total=False):
    """How badly values fit data, as `mtk.fitting.objective` describes it."""

    free: Free
    noise: Normal | Mapping[str, Normal] | None
    conditions: Mapping[str, Mapping[Any, object]] | None
    observe: Mapping[str, Spec] | None
    columns: Iterable[str] | None
    time: str
    loss: Callable[..., ArrayLike] | None
    saveat: Vector | None
    priors: bool | Mapping[Any, object]
    solver: diffrax.AbstractSolver | Literal["auto"]
    rtol: float | int
    atol: float | int | Mapping[str, ArrayLike]
    max_steps: int | None
    solve_options: Mapping[str, Any] | None
    mode: Mode | None


@names_checked()
def objective(
    problem: ODEProblem,
    data: object = None,
    *,
    free: Free = Tunable,
    noise: Normal | Mapping[str, Normal] | None = None,
    conditions: Mapping[str, Mapping[Any, object]] | None = None,
    observe: Mapping[str, Spec] | None = None,
    columns: Iterable[str] | None = None,
    time: str = "t",
    loss: Callable[..., ArrayLike] | None = None,
    saveat: Vector | None = None,
    priors: bool | Mapping[Any, object] = True,
    solver: diffrax.AbstractSolver | Literal["auto"] = "auto",
    rtol: float | int = 1e-6,
    atol: float | int | Mapping[str, ArrayLike] = 1e-9,
    max_steps: int | None = 100_000,
    solve_options: Mapping[str, Any] | None = None,
    mode: Mode | None = None,
) -> Objective:
    """How badly a model with given values fits data, as a function of the free values.

    **Main arguments:**

    - `problem`: the model; its values are where a fit starts.
    - `data`: a dictionary of columns, a `pandas.DataFrame` or the path of a CSV file; or a list or
      dictionary of several. A column `t` has the times, in any order, and may repeat one. The others
      have the names of unknowns or observed values. A missing value is NaN.
    - `free`: what may change: names, `mtk.Initial("x")`, portions. By default all tunables.
    - `noise`: `mtk.fitting.Normal(scale)` or `LogNormal(scale)`, for all columns or by name. By
      default plain least squares.
    - `conditions`: experiments, `{name: {parameter or unknown: value}}`; `data` is then a dictionary
      with the same keys. A value may be a function of other names: `{"k": lambda p: p.k_cold}`.

    **Other arguments:**

    - `observe`: for each column that has another name, what it measures: a name or `f(t, u, p)`.
    - `columns`: the columns to fit; by default all but times and scales.
    - `time`: the name of the column of times.
    - `loss`: in place of data and noise, a function of the solution, or with several conditions of
      a dictionary of solutions, that returns one number; `saveat`: the times it is given.
    - `priors`: whether to use declared priors, or priors by name. With priors it is a likelihood.
    - `solver`, `rtol`, `atol`, `max_steps`: as in `mtk.solve`; `solve_options`: more of them.
    - `mode`: how to differentiate, `"forward"` or `"reverse"`; by default forward for up to 20 free
      values and for least squares.

    **Raises:** `DataError` naming the table and column; `UnknownNameError` for a name that nothing
    declares; `KindError`.

    !!! Example

        >>> import jax.numpy as jnp, mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ... )
        >>> problem = mtk.ODEProblem(decay, {}, (0.0, 2.0))
        >>> data = {"t": [1.0, 2.0], "x": [0.61, 0.37]}
        >>> objective = mtk.fitting.objective(problem, data, noise=mtk.fitting.Normal(0.01))
        >>> objective.labels, objective.kind
        (('k',), 'least_squares')
        >>> round(float(objective([0.5])), 3)
        0.083
    """
    if not isinstance(problem, ODEProblem):
        raise KindError(f"objective takes an mtk.ODEProblem, got {type(problem).__name__}.")
    check_solve_options(solve_options or {})
    free = _names(free, problem.p, problem)
    settings = SolveSettings(
        solver=solver,
        rtol=rtol,
        atol=tuple(atol.items()) if isinstance(atol, Mapping) else atol,
        max_steps=max_steps,
        others=tuple((solve_options or {}).items()),
    )
    values_of = base_conditions(conditions)
    entries = labels(problem.p, free)
    if loss is not None:
        if data is not None or noise is not None:
            raise KindError("Give data= and noise=, or a loss= of the solution, not both.")
        ts = np.asarray([problem.t0, problem.t1] if saveat is None else saveat, float)
        experiments = experiments_of(
            problem, entries, values_of, {c: ts for c in values_of}, settings
        )
        return _assembled(problem.p, free, OfSolution(loss, experiments), "loss", False, mode)
    if data is None:
        raise KindError("Give data=, a table, or loss=, a function of the solution.")
    data_tables = inside(tables(data, None if conditions is None else values_of, time), problem)
    experiments = experiments_of(
        problem, entries, values_of, times_of(data_tables, problem), settings
    )
    target = of_data(
        experiments,
        data_tables,
        noise,
        dict(observe or {}),
        None if columns is None else tuple(columns),
        problem.names(),
    )
    estimated = any(series.reads_scale for series in target.layout.series)
    kind = "likelihood" if estimated else "least_squares"
    return _assembled(problem.p, free, target, kind, priors, mode)


def of_residuals(
    residuals: Callable[[MTKParameters], ArrayLike], p: MTKParameters, free: Free, mode: Mode | None
) -> Objective:
    """The objective of a user's residuals."""
    free = _names(free, p, None)
    return _assembled(p, free, OfResiduals(residuals, p, free), "least_squares", False, mode)


def of_loss(
    loss: Callable[[MTKParameters], ArrayLike], p: MTKParameters, free: Free, mode: Mode | None
) -> Objective:
    """The objective of a user's loss."""
    free = _names(free, p, None)
    return _assembled(p, free, OfLoss(loss, p, free), "loss", False, mode or "reverse")


def _names(free: Free, p: MTKParameters, problem: ODEProblem | None) -> tuple[Portion | str, ...]:
    """The free names as a static tuple; an unknown stands for its initial value."""
    items = [free] if isinstance(free, Portion) or isinstance(free, str) else None
    items = list(free if isinstance(free, Iterable) else [free]) if items is None else items
    names = []
    for item in items:
        if isinstance(item, Portion):
            names.append(item)
            continue
        name = plain(item)
        unknown = problem is not None and name.split("[")[0] in problem.model.states
        names.append(str(Initial(name)) if unknown and name not in p else name)
    return tuple(names)


def _assembled(
    p: MTKParameters,
    free: tuple[Portion | str, ...],
    target: AbstractTarget,
    kind: Kind,
    priors: bool | Mapping[Any, object],
    mode: Mode | None,
) -> Objective:
    selection = select(free, p.index, p.buffers)
    dtype = float_dtype(selection, p.buffers)
    start = canonicalize(free, p)[0]
    if start is None or not start.size:
        raise KindError("Nothing is free: free= names no parameter.")
    distributions = priors_of(selection, priors)
    entry = 0
    for piece, prior in zip(selection.pieces, distributions, strict=True):
        size = piece.positions.size
        if prior is not None:
            value = start[entry : entry + size].reshape(piece.shape)
            check(log_density(prior, piece.label), value, piece.label)
        entry += size
    has_prior = any(prior is not None for prior in distributions)
    about = [piece.target.entry.about if piece.target else None for piece in selection.pieces]
    units = tuple(
        getattr(description, "unit", None)
        for description, piece in zip(about, selection.pieces, strict=True)
        for _ in range(piece.positions.size)
    )
    if mode not in (None, "forward", "reverse"):
        raise KindError(f"mode= is 'forward' or 'reverse', got {mode!r}.")
    few = selection.size <= FEW or kind == "least_squares"
    return Objective(
        target=target,
        p=p,
        start=start.astype(dtype),
        kind="likelihood" if has_prior else kind,
        mode=mode or ("forward" if few else "reverse"),
        free=free,
        labels=selection.labels(),
        units=units,
        priors=distributions if has_prior else (None,) * len(distributions),
    )
