"""The uncertainty of a fit, and of whatever is computed from its values."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from ...errors import KindError
from ..objective.forward import Vector
from ..objective.likelihood import OfData
from ..objective.objective import Objective
from .format import pair
from .uncertainty import Uncertainty, of_least_squares, of_likelihood


class Estimate(eqx.Module):
    """A value with its standard error, both of the same shape.

    **Attributes:**

    - `value`, `stderr`: an infinite error says that the data do not determine the value.
    """

    value: PyTree
    stderr: PyTree

    def __str__(self) -> str:
        if isinstance(self.value, float):
            value, error = pair(self.value, self.stderr)
            return f"{value} ± {error or 'nan'}"
        return f"{self.value} ± {self.stderr}"


def uncertainty(
    objective: Objective,
    v: Vector,
    *,
    scale: bool | None = None,
    likelihood: bool = False,
    start: Vector | None = None,
) -> Uncertainty:
    """How well the data determine the values at `v`, a minimum of the objective.

    `result.uncertainty` is that of a fit; this is for other values, another variance of the noise, or
    a loss that is a likelihood.

    Least squares: `variance * inverse(J.T @ J)` with the Jacobian `J` of the weighted residuals, by
    its singular values. A likelihood: the inverse of the Hessian of its negative logarithm, priors
    included. Both are asymptotic; `result.profile` asks the likelihood itself.

    **Arguments:**

    - `objective`: of least squares or of a likelihood.
    - `v`: the fitted values, shape `(n,)`.
    - `scale`: take the variance of the noise from the residuals. By default where no scale was given.
    - `likelihood`: a loss of the user's is a negative log-likelihood.
    - `start`: where the fit began, a measure of what is "on a bound"; by default the objective's.

    Entries on a bound are held fixed: they have no error, and the errors of the others are those
    with them fixed.

    **Raises:** `KindError` for a loss that is no likelihood.

    !!! Example

        >>> import jax.numpy as jnp, mtkparams as mtk
        >>> x, y = jnp.arange(4.0), jnp.asarray([1.1, 2.9, 5.2, 6.8])
        >>> p = mtk.parameters({"slope": 2.0, "start": 1.0})
        >>> result = mtk.fitting.least_squares(lambda p: p["slope"] * x + p["start"] - y, p)
        >>> errors = mtk.fitting.uncertainty(result.objective, result.v).stderr
        >>> {name: round(error, 3) for name, error in errors.items()}
        {'slope': 0.091, 'start': 0.169}
    """
    _check(objective, likelihood)
    if isinstance(v, Tracer):
        raise KindError(
            "The values are being traced, and an uncertainty is worked out on the host: call it outside "
            "of jit, grad and vmap. mtk.fitting.fisher_information can be traced."
        )
    v = np.asarray(v)
    about = {
        "values": v,
        "labels": objective.labels,
        "lower": objective.lower,
        "upper": objective.upper,
        "start": np.asarray(objective.start if start is None else start),
    }
    if objective.kind == "least_squares":
        residuals, jacobian = _residuals_and_jacobian(objective, jnp.asarray(v))
        return of_least_squares(
            np.asarray(jacobian),
            np.asarray(residuals),
            scale=not objective.noise_known if scale is None else scale,
            model=lambda v: np.asarray(_residuals(objective, jnp.asarray(v))),
            **about,
        )
    if scale:
        raise KindError(
            "scale=True takes the noise from the residuals of least squares. This is a likelihood, "
            "which has its noise: a scale that is given, or one that is estimated with the rest."
        )
    hessian, slope = map(np.asarray, _hessian(_forward(objective), jnp.asarray(v)))
    model = _residuals if isinstance(objective.target, OfData) else _loss
    return of_likelihood(
        hessian,
        slope,
        objective.data,
        model=lambda v: np.asarray(model(objective, jnp.asarray(v))),
        **about,
    )


def fisher_information(
    objective: Objective, v: Vector, *, likelihood: bool = False
) -> Float[Array, "n n"]:
    """The observed Fisher information at `v`, shape `(n, n)`; it can be traced and differentiated.

    For least squares `J.T @ J` of the weighted residuals, which is in units of their variance: one
    where scales are given. For a likelihood the Hessian of its negative logarithm, with priors.

    **Arguments:**

    - `objective`: of least squares or of a likelihood.
    - `v`: values, shape `(n,)`.
    - `likelihood`: a loss of the user's is a negative log-likelihood.

    **Raises:** `KindError` for a loss that is no likelihood.

    !!! Example

        >>> import jax.numpy as jnp, mtkparams as mtk
        >>> x = jnp.asarray([1.0, 2.0])
        >>> p = mtk.parameters({"slope": 2.0})
        >>> result = mtk.fitting.least_squares(lambda p: p["slope"] * x - 2 * x, p)
        >>> mtk.fitting.fisher_information(result.objective, result.v).tolist()
        [[5.0]]
    """
    _check(objective, likelihood)
    v = jnp.asarray(v)
    if objective.kind == "least_squares":
        _, jacobian = objective.residuals_and_jacobian(v)
        return jacobian.T @ jacobian
    return _hessian_and_slope(_forward(objective), v)[0]


def propagate(objective: Objective, v: np.ndarray, errors: Uncertainty, spec: object) -> Estimate:
    """What `FitResult.estimate` says."""

    def read(v: Array) -> PyTree:
        return jax.tree.map(jnp.asarray, objective.parameters(v)[spec])

    value = read(jnp.asarray(v))
    gradients = jax.tree.map(np.asarray, jax.jacfwd(read)(jnp.asarray(v)))
    stderr = jax.tree.map(errors.errors, gradients)
    plain = lambda x: x.item() if np.ndim(x) == 0 else np.asarray(x)
    return Estimate(jax.tree.map(plain, value), jax.tree.map(plain, stderr))


def curvature(objective: Objective, v: np.ndarray) -> np.ndarray:
    """`fisher_information` on the host, compiled once for all uses."""
    if objective.kind == "least_squares":
        jacobian = np.asarray(_residuals_and_jacobian(objective, jnp.asarray(v))[1])
        return jacobian.T @ jacobian
    return np.asarray(_hessian(_forward(objective), jnp.asarray(v))[0])


def _check(objective: Objective, likelihood: bool) -> None:
    if objective.kind == "loss" and not likelihood:
        raise KindError(
            "This objective is a loss, and a loss says nothing of the noise in the data: it gives no "
            "standard errors. Fit residuals (mtk.fitting.least_squares) or data with noise=. Where the "
            "loss is a negative log-likelihood, give likelihood=True."
        )


def _forward(objective: Objective) -> Objective:
    """The same, differentiated in forward mode, whose derivative forward mode can take again."""
    return dataclasses.replace(objective, mode="forward")


def _hessian_and_slope(objective: Objective, v: Array) -> tuple[Array, Array]:
    def twice(v: Array) -> tuple[Array, Array]:
        slope = objective.value_and_grad(v)[1]
        return slope, slope

    return jax.jacfwd(twice, has_aux=True)(v)


_hessian = eqx.filter_jit(_hessian_and_slope)


@eqx.filter_jit
def _residuals_and_jacobian(objective: Objective, v: Array) -> tuple[Array, Array]:
    return objective.residuals_and_jacobian(v)


@eqx.filter_jit
def _residuals(objective: Objective, v: Array) -> Array:
    return objective.residuals(v)


@eqx.filter_jit
def _loss(objective: Objective, v: Array) -> Array:
    return objective(v)
