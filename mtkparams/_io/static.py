"""Static values as JSON: text, numbers, arrays, and plain containers of those. Nothing else."""

from __future__ import annotations

import enum
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._parameters import Hole
from ..errors import FileError
from .arrays import dtype_named


class NotPlainError(Exception):
    """A value that no file holds; `str` of it says what it is."""


def encode(value: object) -> Any:
    """`value` in terms of JSON; exact types and exact bits. `NotPlainError` for what is no data."""
    if type(value) is str and not _is_unicode(value):
        return {"text": value.encode("utf-8", "surrogatepass").hex()}
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) is complex:
        return {"complex": [encode(value.real), encode(value.imag)]}
    if type(value) is list:
        return [encode(item) for item in value]
    if type(value) is tuple:
        return {"tuple": [encode(item) for item in value]}
    if type(value) is dict:
        return {"dict": [[encode(k), encode(v)] for k, v in value.items()]}
    if isinstance(value, Hole):
        return {"array": None}
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return _array(value)
    raise NotPlainError(kind(value))


def decode(value: object) -> Any:
    """What `encode` was given."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "text":
        return bytes.fromhex(content).decode("utf-8", "surrogatepass")
    if tag == "float":
        return float(content)
    if tag == "complex":
        return complex(*map(decode, content))
    if tag == "tuple":
        return tuple(decode(item) for item in content)
    if tag == "dict":
        return {decode(k): decode(v) for k, v in content}
    if tag == "array":
        return Hole()
    if tag in ("numpy", "jax"):
        dtype, shape, content = content
        data = np.frombuffer(bytes.fromhex(content), dtype_named(dtype)).reshape(shape)
        return jnp.array(data) if tag == "jax" else data.copy()
    raise FileError(f"The header has a value of the unknown kind {tag!r}.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # surrogates, of which JSON makes one character or an error
        return False
    return True


def _array(value: Any) -> Any:
    is_jax = isinstance(value, jax.Array)
    if is_jax and (isinstance(value, Tracer) or jnp.issubdtype(value.dtype, jax.dtypes.extended)):
        raise NotPlainError(kind(value))
    data = np.asarray(value)
    if data.dtype.kind not in "biufcV" or data.dtype.names is not None or data.dtype.hasobject:
        raise NotPlainError(f"an array of {data.dtype.name}")
    content = [data.dtype.name, list(data.shape), data.tobytes().hex()]
    return {"jax" if is_jax else "numpy": content}


def kind(value: object) -> str:
    """What a value is, in the words of an error message."""
    if isinstance(value, eqx.Module):
        return f"a Module ({type(value).__name__})"
    if isinstance(value, Tracer):
        return "a traced array"
    if isinstance(value, jax.Array):
        return "a random key"
    if isinstance(value, enum.Enum):
        return f"an enum ({type(value).__name__})"
    if isinstance(value, type):
        return "a class"
    return "a function" if callable(value) else f"a {type(value).__name__}"
