"""Short texts for values: numbers in six digits, long arrays as a range, tracers as types."""

from __future__ import annotations

import enum
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._text import counted, cut, number, one_line
from .contents import Shaped, dtype_name, has_value, is_array, is_key

MANY = 6  # entries up to which an array is written out
LONG = 40  # characters of text inside of a table


_PREFIXES = {"float": "f", "int": "i", "uint": "u", "complex": "c", "bfloat": "bf"}


def short_value(value: object, shape: tuple[int, ...] | None = None) -> str:
    """`value` in one line; an array of another shape than `shape` is that of a batch."""
    if isinstance(value, Exception):
        return cut(one_line(f"{type(value).__name__}: {value}"), LONG)
    if is_array(value):
        return _array(value, shape)
    if value is None or isinstance(value, str | bool | int | float | complex):
        return cut(short_object(value), LONG)
    leaves = jax.tree.leaves(value)
    if not (len(leaves) == 1 and leaves[0] is value):
        sizes = [leaf.size for leaf in leaves if is_array(leaf) and not is_key(leaf)]
        if sizes:
            count = sum(sizes)
            return f"{type(value).__name__}, {counted(count, 'number')}"
        if not isinstance(value, dict | list | tuple):
            return type(value).__name__
    elif isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    elif callable(value) and hasattr(value, "__qualname__"):
        return cut(f"function {value.__qualname__.rpartition('<locals>.')[2]}", LONG)
    return cut(short_object(value), LONG)


def short_object(x: object) -> str:
    """An array as its type, anything else as Python writes it; never fails."""
    if is_array(x):
        return short_type(x)
    try:
        return one_line(repr(x))
    except Exception:
        return f"<{type(x).__name__}>"


def short_type(x: Shaped) -> str:
    """`f64[3,2]` for an array, a tracer or a `jax.ShapeDtypeStruct`."""
    name = dtype_name(x)
    letters = name.rstrip("0123456789")
    if letters in _PREFIXES and name != "float0":
        name = _PREFIXES[letters] + name[len(letters) :]
    return f"{name}[{','.join(map(str, x.shape))}]"


def short_bounds(bounds: tuple[Any, Any] | None) -> str:
    """`>= 0`, `<= 1` or `0 … 1`; bounds belong to the values that they allow."""
    if bounds is None:
        return ""
    lower, upper = (None if np.isinf(end).all() else _end(end) for end in bounds)
    if lower is None:
        return "" if upper is None else f"<= {upper}"
    return f">= {lower}" if upper is None else f"{lower} … {upper}"


def is_number(value: object) -> bool:
    """Whether `value` is one number, to be aligned with others at its point."""
    if is_array(value):
        return value.shape == () and has_value(value) and _kind(value) in ("integer", "float")
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(x: Shaped) -> str:
    kinds = {
        "bool": jnp.bool_,
        "integer": jnp.integer,
        "float": jnp.floating,
        "complex": jnp.complexfloating,
    }
    if dtype_name(x) == "float0":
        return "none"
    return next((k for k, dtype in kinds.items() if jnp.issubdtype(x.dtype, dtype)), "none")


def _array(x: Any, shape: tuple[int, ...] | None) -> str:
    if not has_value(x) or _kind(x) == "none":
        return short_type(x)
    if shape is None or tuple(x.shape) == tuple(shape):
        if x.shape == ():
            return number(np.asarray(x).item())
        if 0 < x.size <= MANY and len(written := _written(np.asarray(x).tolist())) <= LONG:
            return written
    return f"{short_type(x)} {_range(x)}".rstrip()


def _written(values: Any) -> str:
    if isinstance(values, list):
        return f"[{', '.join(map(_written, values))}]"
    return number(values)


def _range(x: Any) -> str:
    """The lowest and the highest entry of an array, and how many are not a number."""
    kind = _kind(x)
    if x.size == 0:
        return ""
    if isinstance(x, np.ndarray):
        missing, low, high = _extremes(np, kind, x)
    else:  # so large that it was left on its device
        with jax.ensure_compile_time_eval():
            missing, low, high = _extremes_on_device(kind, x)
    missing, low, high = (np.asarray(end).item() for end in (missing, low, high))
    if kind == "bool":
        return f"{high} true"
    if missing == x.size:
        return "all nan"
    ends = f"{number(low)} … {number(high)}"
    text = f"all {number(low)}" if low == high else ends
    text = f"|z| {text}" if kind == "complex" else text
    return f"{text}, {missing} nan" if missing else text


def _extremes(xp: Any, kind: str, x: Any) -> tuple[Any, Any, Any]:
    """How many nan, and the least and the greatest of all others; of truth values how many true."""
    if kind == "bool":
        return 0, 0, xp.sum(x)
    if kind == "integer":
        return 0, xp.min(x), xp.max(x)
    x = xp.abs(x) if kind == "complex" else x
    nan = xp.isnan(x)
    return xp.sum(nan), xp.min(xp.where(nan, np.inf, x)), xp.max(xp.where(nan, -np.inf, x))


_extremes_on_device = jax.jit(functools.partial(_extremes, jnp), static_argnums=0)


def _end(bound: Any) -> str:
    values = np.asarray(bound)
    if (values == values.flat[0]).all():
        return number(values.flat[0])
    flat = [number(v) for v in values.flat]
    return f"[{', '.join(flat if len(flat) <= 4 else [flat[0], '…', flat[-1]])}]"
