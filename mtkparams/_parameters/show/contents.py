"""What an object holds, as far as it can be looked at: for showing, and never for computing.

Reading for show differs from reading for use. Each buffer is brought to the host once rather than
sliced once for each name, nothing is added to a trace that runs, and what has no value (a tracer,
a donated buffer) is there as its type. Parameter objects are `Any` in these modules: their class
has its `__str__` from here, and weird ones are shown too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from ..buffers.reader import ParameterObject
from ..names.index import Index, Place
from ..names.names import PORTIONS, VECTORS, Caches, Portion

# Of a larger buffer a table fetches only the rows that it shows.
LARGE = 1_000_000


@runtime_checkable
class Shaped(Protocol):
    """An array, of whatever library, or the type of one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    @property
    def size(self) -> int: ...


class Contents:
    """The buffers of an object, read on the host.

    - `buffers`: those of each portion, with `None` for what is absent (`optax.MaskedNode` too).
    - `fits`: whether each buffer has an entry for each name. Not so in an object that was mapped
      to something else, such as the norm of each buffer; it is shown by buffers.
    - `is_whole`: whether dependent parameters can be evaluated.
    """

    def __init__(self, p: ParameterObject, everything: bool):
        self.p = p
        self.buffers: Mapping[Portion, tuple[Any, ...]] = {
            q: _as_tuple(getattr(p, q.value), len(p.index.widths[q])) for q in PORTIONS
        }
        self.everything = everything
        self.fits = bool(p.index.entries) and all(
            _fits(p.index, *buffers) for buffers in self.buffers.items()
        )
        self.is_whole = self.fits and all(is_array(b) for b in self.all())
        self._hosts: dict[tuple[Portion, int], np.ndarray] = {}

    def all(self) -> list[Any]:
        return [buffer for buffers in self.buffers.values() for buffer in buffers]

    @property
    def leads(self) -> set[tuple[int, ...]]:
        """The axes in front of the buffers."""
        shapes = (b.shape for b in self.all() if is_array(b))
        return {tuple(shape[:-1]) for shape in shapes if shape and shape[-1]}

    @property
    def lead(self) -> tuple[int, ...]:
        """The leading axes, where all buffers have the same: the shape of a batch."""
        leads = self.leads
        return next(iter(leads)) if len(leads) == 1 else ()

    def width(self, portion: Portion, number: int) -> int:
        """How many entries one buffer has, also of one that is absent, as far as that is known."""
        buffer, widths = self.buffers[portion][number], self.p.index.widths[portion]
        if is_array(buffer):
            return buffer.shape[-1] if buffer.shape else 1
        return widths[number] if number < len(widths) else 1

    def at(self, place: Place) -> Any:
        """What is at `place`: an array, a type where there is no value, or what stands there."""
        buffer = self.buffers[place.portion][place.buffer]
        if not is_array(buffer):
            return buffer
        shape = (*buffer.shape[:-1], *place.shape)
        try:
            host = self._host((place.portion, place.buffer), buffer)
            if host is not None:
                return np.array(host[..., place.start : place.stop]).reshape(shape)
            if has_value(buffer):
                return _fetched(_slice(buffer, place).reshape(shape))
        except Exception:  # a buffer spread over several machines, an array of another library
            pass
        return jax.ShapeDtypeStruct(shape, buffer.dtype)

    def whole(self, portion: Portion, number: int) -> Any:
        """All of one buffer, as `at` gives a part of it."""
        buffer = self.buffers[portion][number]
        if not is_array(buffer) or not buffer.shape:
            return to_host(buffer)
        return self.at(Place(portion, number, 0, (buffer.shape[-1],)))

    def _host(self, key: tuple[Portion, int], buffer: Any) -> np.ndarray | None:
        if not has_value(buffer) or is_key(buffer):
            return None
        if not self.everything and buffer.size > LARGE and isinstance(buffer, jax.Array):
            return None
        if key not in self._hosts:
            self._hosts[key] = np.asarray(buffer)
        return self._hosts[key]


def is_array(x: object) -> TypeGuard[Shaped]:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def is_key(x: Shaped) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.extended)


def dtype_name(x: Shaped) -> str:
    return "float0" if x.dtype == jax.dtypes.float0 else x.dtype.name


def is_deleted(x: object) -> bool:
    return isinstance(x, jax.Array) and not isinstance(x, Tracer) and x.is_deleted()


def has_value(x: object) -> bool:
    """Whether an array has numbers to look at; a tracer, a type and a donated array have none."""
    return not isinstance(x, Tracer | jax.ShapeDtypeStruct) and not is_deleted(x)


def to_host(x: object) -> Any:
    """An array as a numpy array of its own, its type where it has no value; else `x` itself."""
    if not is_array(x):
        return x
    if not has_value(x):
        return jax.ShapeDtypeStruct(x.shape, x.dtype)
    return x if is_key(x) else np.array(x)


def _fetched(x: jax.Array) -> Any:
    return x if is_key(x) or x.size > LARGE else np.asarray(x)


def _slice(buffer: Any, place: Place) -> jax.Array:
    with jax.ensure_compile_time_eval():
        # The dynamic one is compiled once for all starts.
        return lax.dynamic_slice_in_dim(buffer, place.start, place.size, axis=buffer.ndim - 1)


def _as_tuple(own: object, count: int) -> tuple[Any, ...]:
    # One thing may stand for all buffers of a portion, as in the axes that `jax.vmap` takes.
    buffers = own if type(own) is tuple else (own,) if is_array(own) else (own,) * max(count, 1)
    return tuple(None if _is_nothing(b) else b for b in buffers)


def _is_nothing(x: object) -> bool:
    # `None`, and what stands for a frozen parameter in the state of a masked optimizer.
    return not is_array(x) and not jax.tree.leaves(x)


def _fits(index: Index, portion: Portion, own: tuple[Any, ...]) -> bool:
    widths = index.widths[portion] or ((0,) if portion in VECTORS else ())
    if portion is Caches:
        return True
    if len(own) != len(widths):
        return False
    for buffer, width in zip(own, widths, strict=True):
        # A number in place of a buffer sums it up; True or a text is said of each name.
        if is_array(buffer):
            if tuple(buffer.shape[-1:]) != (width,):
                return False
        elif isinstance(buffer, int | float | complex) and not isinstance(buffer, bool):
            return False
    return True
