"""What a modeler says about one parameter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._text import quoted
from ..errors import DeclarationError

SCALES = ("identity", "log", "log10", "logit")


@dataclasses.dataclass(frozen=True, eq=False)
class Parameter:
    """The declaration of one parameter; `mtk.parameters` gives it its name.

    **Arguments:**

    - `default`: a number, an array, a pytree of arrays (a dictionary, an `eqx.Module`), text or a
      function. `None`: no value, which `mtk.parameters(declarations, values)` must then give.
      `mtk.SOLVE`: a float that the initialization of a problem finds.
    - `tunable`: whether a fit may change it. By default floats are tunable, integers and truth
      values are constants. `True` for an integer makes it a float.
    - `discrete`: whether events change it.
    - `bind`: a function of a view of the parameters, `lambda p: 2 * p.alpha`. The parameter is then
      dependent: never stored, evaluated at each read, and differentiated through.
    - `bounds`: `(lower, upper)`, numbers or arrays of the parameter's shape; `None` for no bound.
      They are data of the index: nothing that is optimized can move them.
    - `scale`: the free coordinate of a fit: `"identity"`, `"log"`, `"log10"`, `"logit"`, or a
      positive number to divide by. By default it follows the bounds (`mtk.to_unconstrained`).
    - `guess`: where the search for it starts, if it is to be found: a number, or a function of the
      other values. Never a condition.
    - `prior`: a distribution; kept, and used by those who know it.
    - `unit`, `description`: text for tables and plots.
    - `dtype`: of the values; a tunable one takes part in the common dtype of all tunables.

    `DeclarationError` for declarations that contradict themselves.

    !!! Example

        >>> import mtkparams as mtk
        >>> k = mtk.Parameter(0.3, bounds=(0.0, None), unit="1/s", description="decay rate")
        >>> mtk.parameters({"k": k})["k"].item()
        0.3
    """

    default: Any = None
    _: dataclasses.KW_ONLY
    tunable: bool | None = None
    discrete: bool = False
    bind: Callable[[Any], Any] | None = None
    bounds: Any = None
    scale: str | int | float | None = None
    guess: Any = None
    prior: Any = None
    unit: str | None = None
    description: str | None = None
    dtype: Any = None

    def __post_init__(self) -> None:
        if self.tunable and self.discrete:
            raise DeclarationError(
                "A parameter is tunable=True or discrete=True, not both: what events change during "
                "a solve is no constant for a fit. Tune another parameter that the event reads."
            )
        if self.bind is not None:
            self._check_bind()
        if self.dtype is not None:
            try:
                jnp.dtype(self.dtype)
            except TypeError as error:
                raise DeclarationError(f"dtype={self.dtype!r} is no dtype.") from error
        self._check_scale()
        self._check_bounds()

    def _check_bind(self) -> None:
        if not callable(self.bind):
            raise DeclarationError(
                f"bind= is a function of the parameters, lambda p: ..., got {self.bind!r}."
            )
        fields = ("default", "tunable", "bounds", "scale", "guess", "prior", "dtype")
        fields_set = [name for name in fields if getattr(self, name) is not None]
        fields_set += ["discrete"] if self.discrete else []
        if fields_set:
            raise DeclarationError(
                f"A parameter with bind= is computed from others and takes no {fields_set[0]}=. "
                "Declare that on the parameters which the binding reads."
            )

    def _check_scale(self) -> None:
        if self.scale is None or self.scale in SCALES:
            return
        is_number = isinstance(self.scale, int | float) and not isinstance(self.scale, bool)
        if not is_number or not 0 < float(self.scale) < np.inf:
            raise DeclarationError(
                f"scale= is one of {quoted(SCALES)} or a positive number, got {self.scale!r}."
            )

    def _check_bounds(self) -> None:
        if self.bounds is None:
            if self.scale == "logit":
                raise DeclarationError("scale='logit' needs bounds=(lower, upper), both finite.")
            return
        if not isinstance(self.bounds, tuple | list) or len(self.bounds) != 2:
            raise DeclarationError(
                f"bounds= is a pair (lower, upper) with None for no bound, got {self.bounds!r}."
            )
        lower, upper = self.limits()
        if np.isnan(lower).any() or np.isnan(upper).any():
            raise DeclarationError(f"bounds={self.bounds!r} has a NaN; write None for no bound.")
        try:
            ordered = np.all(lower < upper)
        except ValueError as error:
            raise DeclarationError(
                f"The lower and upper bounds have shapes {lower.shape} and {upper.shape}."
            ) from error
        if not ordered:
            raise DeclarationError(
                f"bounds={self.bounds!r}: the lower bound must be below the upper one. For a value "
                "that stays as it is, write tunable=False."
            )
        if self.scale == "logit" and not (np.isfinite(lower).all() and np.isfinite(upper).all()):
            raise DeclarationError("scale='logit' needs two finite bounds.")

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound as arrays, infinite where there is none."""
        ends = (None, None) if self.bounds is None else self.bounds
        limits = []
        for end, nothing in zip(ends, (-np.inf, np.inf), strict=True):
            if isinstance(end, Tracer):
                raise DeclarationError("Bounds are static: plain numbers, not values being traced.")
            try:
                limits.append(np.asarray(nothing if end is None else end, dtype=float))
            except (TypeError, ValueError) as error:
                raise DeclarationError(f"The bound {end!r} is no number.") from error
        return limits[0], limits[1]
