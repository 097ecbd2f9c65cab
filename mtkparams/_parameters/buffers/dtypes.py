"""Kinds of numbers, and the common dtype of several, the same under strict promotion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

_KINDS = {jnp.bool_: "b", jnp.integer: "i", jnp.floating: "f", jnp.complexfloating: "c"}


def family(dtype: DTypeLike) -> str:
    """`b`, `i`, `f` or `c`: truth values, integers, floats, complex numbers."""
    return next(letter for kind, letter in _KINDS.items() if jnp.issubdtype(dtype, kind))


def fits(given: DTypeLike, wanted: DTypeLike) -> bool:
    """Whether every number of the `given` kind is also one of the `wanted` kind."""
    return "bifc".index(family(given)) <= "bifc".index(family(wanted))


def is_plain(x: object) -> bool:
    """Whether `x` is a number of Python's own, without a precision; NumPy's float64 is one with."""
    return isinstance(x, bool | int | float | complex) and not isinstance(x, np.generic)


def promoted(dtypes: Iterable[Any]) -> np.dtype:
    """The common dtype; asked for by name here, so strict promotion has nothing to refuse."""
    result, *others = dtypes
    with jax.numpy_dtype_promotion("standard"):
        for dtype in others:
            result = jnp.promote_types(result, dtype)
    return np.dtype(result)
