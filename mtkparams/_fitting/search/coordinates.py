"""Where an optimizer works: coordinates without bounds, or natural values."""

from __future__ import annotations

from typing import Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._parameters import MTKParameters, Portion, from_unconstrained, to_unconstrained
from ...errors import KindError
from ..objective.objective import Objective

Kind: TypeAlias = Literal["free", "natural"]


class Coordinates(eqx.Module):
    """A map between the natural values of an objective and what an optimizer moves.

    **Attributes:**

    - `kind`: `"free"`, the declared free coordinates of `mtk.to_unconstrained`, which keep bounds by
      themselves, or `"natural"`, the values, whose bounds somebody has to keep.
    - `lower`, `upper`: bounds of the coordinates, shape `(n,)`.
    """

    p: MTKParameters
    lower: Float[Array, " n"]
    upper: Float[Array, " n"]
    free: tuple[Portion | str, ...] = eqx.field(static=True)
    kind: Kind = eqx.field(static=True)

    @staticmethod
    def of(objective: Objective, kind: str) -> Coordinates:
        """The coordinates of an objective's vector."""
        if kind not in ("free", "natural"):
            raise KindError(f"coordinates= is 'free' or 'natural', got {kind!r}.")
        low, high = objective.lower, objective.upper
        if kind == "free":
            low, high = np.full_like(low, -np.inf), np.full_like(high, np.inf)
        return Coordinates(
            p=objective.p,
            lower=jnp.asarray(low),
            upper=jnp.asarray(high),
            free=objective.free,
            kind=kind,  # pyright: ignore[reportArgumentType]
        )

    def into(self, v: Array) -> Array:
        """The coordinates of natural values, shape `(..., n)`."""
        return to_unconstrained(self.p, v, self.free) if self.kind == "free" else v

    def back(self, z: Array) -> Array:
        """The natural values at coordinates, shape `(..., n)`."""
        return from_unconstrained(self.p, z, self.free) if self.kind == "free" else z

    def keep(self, z: Array) -> Array:
        """The nearest coordinates within the bounds."""
        return z if self.kind == "free" else jnp.clip(z, self.lower, self.upper)


class Landscape(eqx.Module):
    """An objective as an optimizer sees it: a function of coordinates."""

    objective: Objective
    coordinates: Coordinates

    def value(self, z: Array) -> Array:
        """The objective, shape `()`."""
        return self.objective(self.coordinates.back(z))

    def value_and_grad(self, z: Array) -> tuple[Array, Array]:
        """The objective and its gradient in the coordinates, shape `(n,)`."""
        v, pull = jax.vjp(self.coordinates.back, z)
        value, slopes = self.objective.value_and_grad(v)
        return value, pull(slopes)[0]

    def residuals(self, z: Array) -> Array:
        """The weighted residuals, shape `(residuals,)`."""
        return self.objective.residuals(self.coordinates.back(z))

    def residuals_and_jacobian(self, z: Array) -> tuple[Array, Array]:
        """The residuals, and their derivatives in the coordinates, shape `(residuals, n)`."""
        residuals, slopes = self.objective.residuals_and_jacobian(self.coordinates.back(z))
        return residuals, slopes @ jax.jacfwd(self.coordinates.back)(z)
