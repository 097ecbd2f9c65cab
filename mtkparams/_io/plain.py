"""Arrays as plain Python numbers in nested lists, for people to read and edit, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._parameters import family
from .._text import shortened
from .arrays import REFUSED, Host, converted

# JSON has no numbers for these.
_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class UnfitError(Exception):
    """A plain value that is none of its parameter; `str` of it says why, after the name."""


def to_plain(host: Host, short: bool = False) -> Any:
    """Python numbers, exact: `bool`, `int`, `float`, `complex`; a key as generator and words.

    With `short` a float has the fewest digits that give it back in its own dtype: 0.1 for the
    single precision number that is 0.10000000149011612.
    """
    if host.impl is not None:
        return {"impl": host.impl, "data": host.data.tolist()}
    wide = {"b": np.bool_, "f": np.float64, "c": np.complex128}
    kind = family(host.data.dtype)
    if kind == "i":
        # 64 bits as they are; the small integers of ML hardware by way of one that NumPy knows.
        small = host.data.dtype.itemsize < 8
        return (host.data.astype(np.int64) if small else host.data).tolist()
    data = host.data.astype(wide[kind])
    if short and host.data.dtype == np.complex64:
        parts = host.data.ravel().view(np.float32)
        data = _fewest_digits(parts).view(np.complex128).reshape(data.shape)
    elif short and kind == "f" and host.data.dtype.itemsize < 8:
        data = _fewest_digits(host.data.ravel()).reshape(data.shape)
    return data.tolist()


def _fewest_digits(data: np.ndarray) -> np.ndarray:
    """Doubles that are the short decimals of `data`, where those give the same number back."""
    exact = data.astype(np.float64)
    few = np.asarray([float(str(x)) for x in data], np.float64)
    with np.errstate(all="ignore"):
        return np.where(few.astype(data.dtype).astype(np.float64) == exact, few, exact)


def to_json_value(value: object) -> Any:
    """A plain value in standard JSON, where NaN and infinities are text."""
    if isinstance(value, list):
        return [to_json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, complex):
        return {"re": to_json_value(value.real), "im": to_json_value(value.imag)}
    return value


def from_plain(value: object, like: Host, shape: tuple[int, ...]) -> Host:
    """The array of a plain value in the dtype of the buffer `like`, whose batch it may have.

    `UnfitError` for another kind or shape, and for numbers that the dtype cannot hold.
    """
    if isinstance(value, Tracer):
        raise UnfitError("is being traced; inside of jit, p.set takes it")
    if like.impl is not None:
        return _key(value, like, shape)
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        data = _array(value, like)
    else:
        data = _nested(value, like, shape)
    _check_shape(data.shape, shape, like)
    new, became = converted(data, like.data.dtype)
    if became == REFUSED:
        raise UnfitError(f"is given as {data.dtype}, and does not fit into {like.dtype}")
    return Host(new)


def plain_setting(value: object, like: str | bool | int | float | complex) -> Any:
    """`value` as a static value of the type of `like`."""
    if isinstance(like, str):
        if not isinstance(value, str):
            raise UnfitError(f"is given as {shortened(value)} and declared as text")
        return value
    kinds = {bool: "b", int: "i", float: "f", complex: "c"}
    return type(like)(_number(value, kinds[type(like)], type(like).__name__))


def _array(value: Any, like: Host) -> np.ndarray:
    is_key = jnp.issubdtype(value.dtype, jax.dtypes.extended)
    if is_key or np.asarray(value).dtype.kind not in "biufcV":
        raise UnfitError(f"is given as {value.dtype} and declared as {like.dtype}")
    return np.asarray(value)


def _nested(value: object, like: Host, shape: tuple[int, ...]) -> np.ndarray:
    scalars: list[Any] = []
    size = _flatten(value, scalars)
    if not scalars and value in ([], np.zeros(shape).tolist()):
        size = shape  # lists do not tell shape (0, 3) from (0,)
    kind = family(like.data.dtype)
    numbers = [_number(x, kind, like.dtype) for x in scalars]
    if kind == "i":
        limits = jnp.iinfo(like.data.dtype)
        outside = [x for x in numbers if not limits.min <= x <= limits.max]
        if outside:
            raise UnfitError(f"is given as {outside[0]}, which does not fit into {like.dtype}")
        dtype = np.uint64 if limits.min >= 0 else np.int64
    else:
        dtype = {"b": np.bool_, "f": np.float64, "c": np.complex128}[kind]
    return np.asarray(numbers, dtype).reshape(size)


def _flatten(value: object, found: list[Any]) -> tuple[int, ...]:
    """Appends the scalars in nested lists to `found`, and returns the shape that they make."""
    if not isinstance(value, list | tuple):
        found.append(value)
        return ()
    shapes = {_flatten(item, found) for item in value}
    if len(shapes) > 1:
        raise UnfitError("has rows of different lengths")
    return (len(value), *(shapes.pop() if shapes else ()))


def _number(value: object, kind: str, dtype: str) -> Any:
    """A Python number of the right kind; what JSON has no number for may be spelled out."""
    if isinstance(value, np.generic | jax.Array) and not value.ndim:
        value = value.item()
    if kind == "c" and isinstance(value, Mapping) and set(value) == {"re", "im"}:
        return complex(_number(value["re"], "f", dtype), _number(value["im"], "f", dtype))
    if kind in "fc" and isinstance(value, str) and value in _SPELLED:
        return _SPELLED[value]
    kinds = {"b": bool, "i": int, "f": int | float, "c": int | float | complex}
    if not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "b"):
        raise UnfitError(f"is given as {shortened(value)} and declared as {dtype}")
    try:
        return float(value) if isinstance(value, int | float) and kind == "f" else value
    except OverflowError:
        raise UnfitError(f"is given as {shortened(value)}, which no float holds") from None


def _key(value: object, like: Host, shape: tuple[int, ...]) -> Host:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        host = Host(np.asarray(jax.random.key_data(value)), str(jax.random.key_impl(value)))
    elif isinstance(value, Mapping) and set(value) == {"impl", "data"}:
        words = Host(np.zeros(0, np.uint32))
        host = Host(_nested(value["data"], words, (*shape, *like.words)), value["impl"])
    else:
        raise UnfitError(
            f"is given as {shortened(value)} and declared as a random key: "
            "{'impl': ..., 'data': [...]}"
        )
    if host.impl != like.impl:
        raise UnfitError(f"is a random key of {host.impl!r} and declared as one of {like.impl!r}")
    _check_shape(host.data.shape, (*shape, *like.words), like)
    return Host(host.data.astype(np.uint32), like.impl)


def _check_shape(given: tuple[int, ...], shape: tuple[int, ...], like: Host) -> None:
    lead = like.shape[:-1]
    if given not in (shape, (*lead, *shape)):
        raise UnfitError(f"is given with shape {given} and declared with {(*lead, *shape)}")
