"""The profiles of a fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..errors import KindError, unknown_name
from ..parameters import Initial
from ..parameters._names import plain
from ._objective import Objective
from ._profile import Profiles, profiles
from ._uncertainty import Uncertainty
from ._uncertainty_of import curvature, uncertainty


def profile(
    objective: Objective,
    v: Any,
    names: str | Initial | Iterable[str | Initial] | None = None,
    *,
    level: float = 0.95,
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

    - `objective`: of least squares or of a likelihood.
    - `v`: the fit, shape `(n,)`.
    - `names`: labels of entries; all by default.
    - `level`: of the intervals.
    - `errors`: the uncertainty at `v`, where it is known already.

    !!! Example

        >>> import jax.numpy as jnp, mtkparams as mtk
        >>> x, y = jnp.arange(4.0), jnp.asarray([1.1, 2.9, 5.2, 6.8])
        >>> p = mtk.parameters({"slope": 2.0, "start": 1.0})
        >>> result = mtk.fitting.least_squares(lambda p: p["slope"] * x + p["start"] - y, p)
        >>> found = mtk.fitting.profile(result.objective, result.v, "slope")
        >>> [round(end, 3) for end in found.interval["slope"]]
        [1.55, 2.33]
    """
    if not 0 < level < 1:
        raise KindError(f"level= is a probability such as 0.95, got {level!r}.")
    v = np.asarray(v)
    errors = uncertainty(objective, v) if errors is None else errors
    labels = objective.labels
    asked = [names] if isinstance(names, str | Initial) else names
    wanted = labels if asked is None else [plain(name) for name in asked]
    for name in wanted:
        if name not in labels:
            raise unknown_name(name, labels, "the free values")
    variance = errors.variance
    if not (np.isfinite(variance) and variance > 0):
        raise KindError(
            f"There is no profile likelihood: the variance of the residuals is {variance}, "
            "as of data that are met exactly or are as few as the values."
        )

    bent = curvature(objective, v) / variance
    if not np.isfinite(bent).all():
        raise KindError("There is no profile: the objective or its curvature is not finite here.")

    def evaluate(vs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        losses, slopes = _batch(objective, jnp.asarray(vs))
        return np.asarray(losses, float) / variance, np.asarray(slopes, float) / variance

    return profiles(
        evaluate,
        v,
        bent,
        labels,
        [labels.index(name) for name in wanted],
        objective.lower,
        objective.upper,
        level,
        errors.freedom if errors.scaled else np.inf,
    )


@eqx.filter_jit
def _batch(objective: Objective, vs: Array) -> tuple[Array, Array]:
    return jax.vmap(objective.value_and_grad)(vs)
