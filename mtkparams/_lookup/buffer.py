"""Values alone: a parameter object, a dictionary or an array with some of its entries changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from .._parameters import MTKParameters, fits, is_plain, plain, promoted
from ..errors import KindError, ShapeError, UnknownNameError, unknown_name


def remake_buffer(buffer: object, values: Mapping[Any, Any], *, cast: bool = False) -> Any:
    """A copy of `buffer` with some values changed. Nothing that depends on them is looked at.

    It is for values alone. `mtk.remake` is for problems: there functions and `mtk.UNSET` are values
    too, and initial values follow.

    **Arguments:**

    - `buffer`: an `MTKParameters`; or a dictionary of arrays by name; or an array; or a list or tuple of
      numbers and arrays. `None` stays `None`.
    - `values`: the new values, by name for an `MTKParameters` and a dictionary, by index for the
      others: an integer, or a tuple of integers for an array of more axes.
    - `cast`: keep each dtype. Without it each array gets the common dtype of what it holds and what
      it is given; plain Python numbers have no precision of their own.

    The result shares no buffer with the input. What has no sense in JAX is left out: there is no
    buffer that is changed in place, no element type apart from the dtype, and a name that is not
    there is an error rather than skipped.

    **Raises:** `UnknownNameError`, `ShapeError`, `KindError`; `BoundParameterError` for a dependent
    parameter.

    !!! Example

        >>> import jax.numpy as jnp
        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"a": 1.0, "n": 3})
        >>> mtk.remake_buffer(p, {"n": 4})["n"].item()
        4
        >>> mtk.remake_buffer(jnp.array([1, 2, 3]), {1: 2.5}).tolist()
        [1.0, 2.5, 3.0]
    """
    if not isinstance(values, Mapping):
        raise KindError(f"The new values are a dictionary, got {type(values).__name__}.")
    if isinstance(buffer, MTKParameters):
        return buffer.set(values, cast=cast)
    if buffer is None:
        return None
    if isinstance(buffer, Mapping):
        return _by_name(buffer, values, cast)
    if isinstance(buffer, list | tuple):
        return _by_number(buffer, values, cast)
    if hasattr(buffer, "dtype") and hasattr(buffer, "shape"):
        return _entries(jnp.asarray(buffer), values, cast)
    raise KindError(
        "A buffer is an MTKParameters, a dictionary, an array, a list or a tuple; got "
        f"{type(buffer).__name__}. For a problem use mtk.remake."
    )


def _by_name(buffer: Mapping[Any, Any], values: Mapping[Any, Any], cast: bool) -> dict[Any, Any]:
    known = {plain(key): key for key in buffer}
    new = {key: _copy(value) for key, value in buffer.items()}
    for name, value in values.items():
        if plain(name) not in known:
            raise unknown_name(plain(name), known, "the names of this dictionary")
        key = known[plain(name)]
        new[key] = _whole(plain(name), buffer[key], value, cast)
    return new


def _by_number(buffer: list[Any] | tuple[Any, ...], values: Mapping[Any, Any], cast: bool) -> Any:
    new = [_copy(value) for value in buffer]
    for number, value in values.items():
        _check_number(number, len(buffer))
        new[number] = _whole(str(number), buffer[number], value, cast)
    return type(buffer)(*new) if hasattr(buffer, "_fields") else type(buffer)(new)


def _check_number(number: object, count: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool):
        raise KindError(f"Entries of this buffer have integers for names, got {number!r}.")
    if not -count <= number < count:
        raise UnknownNameError(f"No entry {number} in a buffer of {count}.")


def _copy(value: object) -> Any:
    return jnp.array(value, copy=True) if hasattr(value, "dtype") else value


def _whole(name: str, old: Any, value: object, cast: bool) -> Any:
    """A new value in place of an old one of the same shape and kind."""
    if is_plain(old) and is_plain(value):
        return type(old)(value) if cast else value
    array, new = _array(name, old), _array(name, value)
    if array.shape != new.shape:
        raise ShapeError(f"{name!r} has shape {array.shape}, got {new.shape}.")
    return jnp.array(new, dtype=_common(name, array.dtype, value, cast), copy=True)


def _entries(buffer: Array, values: Mapping[Any, Any], cast: bool) -> Any:
    new, dtype = {}, buffer.dtype
    for index, value in values.items():
        at = index if isinstance(index, tuple) else (index,)
        if len(at) > buffer.ndim:
            raise UnknownNameError(f"No entry {index!r} in an array of shape {buffer.shape}.")
        for number, count in zip(at, buffer.shape, strict=False):
            _check_number(number, count)
        new[at] = _array(str(index), value)
        if new[at].shape != buffer.shape[len(at) :]:
            raise ShapeError(
                f"Entry {index!r} has shape {buffer.shape[len(at) :]}, got {new[at].shape}."
            )
        dtype = _common(str(index), dtype, value, cast)
    result = jnp.array(buffer, dtype=dtype, copy=True)
    for at, value in new.items():
        result = result.at[at].set(value.astype(dtype))
    return result


def _array(name: str, value: object) -> Any:
    if hasattr(value, "dtype") or _is_plain(value):
        return jnp.asarray(value)
    raise KindError(f"{name!r} is a number or an array, got {type(value).__name__} {value!r}.")


def _is_plain(value: object) -> bool:
    return is_plain(value) or (isinstance(value, list | tuple) and all(map(_is_plain, value)))


def _common(name: str, dtype: DTypeLike, value: object, cast: bool) -> np.dtype:
    new = jnp.asarray(value).dtype
    # A number of Python's own has no precision of its own.
    if cast or ((_is_plain(value) or getattr(value, "weak_type", False)) and fits(new, dtype)):
        if not fits(new, dtype):
            raise KindError(f"{name!r} holds {np.dtype(dtype).name}, got {new.name}.")
        return np.dtype(dtype)
    return promoted([dtype, new])
