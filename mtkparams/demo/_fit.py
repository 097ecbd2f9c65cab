"""The fit: Adam on free coordinates, then standard errors from the curvature at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

import mtkparams as mtk

from ._model import FREE, negative_log_likelihood

# What a fit tells after each step: how many steps are done, and the loss before this one.
OnStep: TypeAlias = Callable[[int, float], object]

# Forward mode: for eight parameters it compiles twice and runs four times as fast as reverse mode.
_FORWARD = diffrax.ForwardMode()


class Fit(eqx.Module):
    """A finished fit.

    **Attributes:**

    - `p`: the fitted parameters.
    - `start`: the parameters before the first step.
    - `loss`: the negative log-likelihood at `p`.
    - `losses`: that before each step, shape `(steps,)`.
    - `slope`: the largest `|d loss / d free coordinate|` at `p`; nearly zero at a minimum.
    - `stderr`: standard errors in the units of the parameters, by name; NaN for all if the
      curvature at `p` is not that of a minimum.
    - `seconds`: wall time, compilation included.
    """

    p: mtk.MTKParameters
    start: mtk.MTKParameters
    loss: float
    losses: np.ndarray
    slope: float
    stderr: dict[str, float]
    seconds: float

    @property
    def converged(self) -> bool:
        """Whether the slope is so small that the values are good to four digits or more."""
        # Coordinates are off by slope / curvature. In logarithms of the values the least curvature
        # at the minimum is 20, so that 1e-4 in the slope is about 1e-5 in the values.
        return self.slope < 1e-4


def fit(
    start: mtk.MTKParameters,
    steps: int = 500,
    learning_rate: float = 0.05,
    on_step: OnStep | None = None,
) -> Fit:
    """The maximum of the likelihood near `start`, by Adam with a learning rate that falls to zero.

    **Arguments:**

    - `start`: parameters strictly inside their bounds, as from `declare()`.
    - `steps`: how many steps. 500 give eight digits from `declare()`; they reached this minimum
      also from 48 of 48 random starts around it, 10, 20 or 30 % away in each parameter.
    - `learning_rate`: the first step's, in free coordinates: here about relative changes.
    - `on_step`: called as `on_step(done, loss)` after each step, for progress.

    **Raises:** `FloatingPointError` if the loss is no number; what `simulate` raises if the
    equations cannot be solved. Both say at which step and at which parameters.
    """
    began = time.perf_counter()
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    free = mtk.to_unconstrained(start, what=FREE)
    state = optimizer.init(free)
    losses = np.zeros(steps)
    for i in range(steps):
        loss, slopes = _checked(free, start, f"{i} of {steps} steps")
        losses[i] = loss
        free, state = _step(optimizer, free, slopes, state)
        if on_step is not None:
            on_step(i + 1, loss)
    loss, slopes = _checked(free, start, f"{steps} of {steps} steps")
    p = _at(free, start)
    stderr = standard_errors(p)
    return Fit(
        p=p,
        start=start,
        loss=loss,
        losses=losses,
        slope=float(jnp.abs(slopes).max()),
        stderr=stderr,
        seconds=time.perf_counter() - began,
    )


def standard_errors(p: mtk.MTKParameters) -> dict[str, float]:
    """The standard error of each free parameter: roots of the diagonal of the inverse information.

    The information is the second derivative of the negative log-likelihood at `p`, in the units of
    the parameters. All are NaN where it is not positive definite: `p` is then no minimum.
    """
    values = mtk.canonicalize(FREE, p)[0]
    assert values is not None
    information = np.asarray(_information(values, p))
    names = mtk.labels(p, FREE)
    # Parameters differ by factors of a thousand; with a unit diagonal that does not matter.
    scale = np.sqrt(np.abs(np.diag(information)))
    shape = information / np.outer(scale, scale)
    if not np.isfinite(shape).all() or np.linalg.eigvalsh(shape).min() <= 0:
        return dict.fromkeys(names, float("nan"))
    errors = np.sqrt(np.diag(np.linalg.inv(shape))) / scale
    return dict(zip(names, errors.tolist(), strict=True))


def _at(free: Float[Array, " free"], like: mtk.MTKParameters) -> mtk.MTKParameters:
    return mtk.replace(FREE, like, mtk.from_unconstrained(like, free, FREE))


@eqx.filter_jit
def _loss_and_slopes(
    free: Float[Array, " free"], like: mtk.MTKParameters
) -> tuple[Float[Array, ""], Float[Array, " free"]]:
    def twice(free: Float[Array, " free"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        loss = negative_log_likelihood(_at(free, like), _FORWARD)
        return loss, loss  # the second comes out as it is: no solve of its own for the value

    slopes, loss = jax.jacfwd(twice, has_aux=True)(free)
    return loss, slopes


def _checked(
    free: Float[Array, " free"], like: mtk.MTKParameters, done: str
) -> tuple[float, Float[Array, " free"]]:
    """The loss and its slopes as numbers, or an error that says where the fit was."""
    try:
        loss, slopes = _loss_and_slopes(free, like)
        if not np.isfinite(loss) or not np.isfinite(slopes).all():
            raise FloatingPointError(f"The loss is {float(loss)} and its slopes are {slopes}.")
    except Exception as error:
        values = np.asarray(mtk.from_unconstrained(like, free, FREE)).tolist()
        named = zip(mtk.labels(like, FREE), values, strict=True)
        where = ", ".join(f"{name} = {value:.4g}" for name, value in named)
        error.add_note(f"This happened after {done}, at {where}.")
        raise
    return float(loss), slopes


@eqx.filter_jit
def _step(
    optimizer: optax.GradientTransformation,
    free: Float[Array, " free"],
    slopes: Float[Array, " free"],
    state: optax.OptState,
) -> tuple[Float[Array, " free"], optax.OptState]:
    # Adam raises a float to an integer count, which strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
        updates, state = optimizer.update(slopes, state)
    return eqx.apply_updates(free, updates), state


@eqx.filter_jit
def _information(
    values: Float[Array, " free"], like: mtk.MTKParameters
) -> Float[Array, "free free"]:
    def loss(values: Float[Array, " free"]) -> Float[Array, ""]:
        return negative_log_likelihood(mtk.replace(FREE, like, values), _FORWARD)

    return jax.jacfwd(jax.jacfwd(loss))(values)
