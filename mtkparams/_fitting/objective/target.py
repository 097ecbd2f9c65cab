"""What an objective is made of: a function of the vector, with what it can say of itself."""

from __future__ import annotations

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._parameters import MTKParameters, Portion, replace
from ...errors import KindError


class AbstractTarget(eqx.Module):
    """What the values of free parameters lead to; `forward` chooses the adjoint of solves inside."""

    @abc.abstractmethod
    def loss(self, v: Array, forward: bool) -> Array:
        """What is to be minimized, without priors; NaN where it failed."""

    def residuals(self, v: Array, forward: bool) -> Array:
        """Weighted residuals, shape `(residuals,)`."""
        raise KindError("This objective is a loss, and has no residuals.")

    def log_likelihood(self, v: Array, forward: bool) -> Array:
        """The log density of the data."""
        raise KindError("This objective is a loss, and has no likelihood.")

    def predictions(self, v: Array, forward: bool) -> dict[str, dict[str, Array]]:
        """What the model says in place of the data, by table and name."""
        raise KindError("This objective has no data, and so no predictions.")


class OfResiduals(AbstractTarget):
    """A user's residuals of a parameter object."""

    function: Callable[[MTKParameters], ArrayLike] = eqx.field(static=True)
    p: MTKParameters
    free: tuple[Portion | str, ...] = eqx.field(static=True)

    def residuals(self, v: Array, forward: bool) -> Array:
        del forward
        residuals = jnp.asarray(self.function(replace(self.free, self.p, v)))
        if not jnp.issubdtype(residuals.dtype, jnp.floating):
            raise KindError(f"The residuals are floats, got {residuals.dtype.name}.")
        return residuals.ravel()

    def loss(self, v: Array, forward: bool) -> Array:
        return half_sum_of_squares(self.residuals(v, forward))

    def log_likelihood(self, v: Array, forward: bool) -> Array:
        return unknown_scatter(self.residuals(v, forward))


class OfLoss(AbstractTarget):
    """A user's loss of a parameter object."""

    function: Callable[[MTKParameters], ArrayLike] = eqx.field(static=True)
    p: MTKParameters
    free: tuple[Portion | str, ...] = eqx.field(static=True)

    def loss(self, v: Array, forward: bool) -> Array:
        del forward
        return scalar(self.function(replace(self.free, self.p, v)))


def scalar(value: ArrayLike) -> Array:
    """A loss as an array, with an error where it is not one number."""
    loss = jnp.asarray(value)
    if loss.shape or not jnp.issubdtype(loss.dtype, jnp.floating):
        raise KindError(
            f"The loss is one float, got shape {loss.shape} and dtype {loss.dtype.name}."
        )
    return loss


def half_sum_of_squares(residuals: Array) -> Array:
    return 0.5 * jnp.sum(residuals**2)


def unknown_scatter(residuals: Array) -> Array:
    """The greatest log density of residuals that have one unknown standard deviation."""
    count = residuals.size
    return -0.5 * count * (jnp.log(2 * jnp.pi * jnp.sum(residuals**2) / count) + 1.0)
