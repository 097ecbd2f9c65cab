"""Buffers on the host, bit for bit: as NumPy arrays, and as `.npy` files that anyone can open."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._parameters import Place, family, fits
from ..errors import FileError, KindError

_FLOAT0 = jax.dtypes.float0


@dataclasses.dataclass(frozen=True, eq=False)
class Host:
    """An array on the host. For random keys it is their data, with an axis of words at the end.

    `impl` is the generator that keys belong to, `None` for numbers.
    """

    data: np.ndarray
    impl: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape if self.impl is None else self.data.shape[:-1]

    @property
    def dtype(self) -> str:
        if self.impl is not None:
            return f"key<{self.impl}>"
        return "float0" if self.data.dtype == _FLOAT0 else self.data.dtype.name

    @property
    def is_nothing(self) -> bool:
        """The derivative by an integer: it has a shape and no numbers."""
        return self.data.dtype == _FLOAT0

    @property
    def words(self) -> tuple[int, ...]:
        return () if self.impl is None else self.data.shape[-1:]

    def take(self, place: Place) -> Host:
        """The array at `place`, with the leading axes of a batch in front."""
        lead = self.shape[:-1]
        part = self.data[(*(slice(None),) * len(lead), slice(place.start, place.stop))]
        return Host(part.reshape((*lead, *place.shape, *self.words)), self.impl)

    def on_device(self) -> Any:
        """The JAX array with these bits and with memory of its own."""
        if self.is_nothing:
            return self.data
        if self.impl is not None:
            return jax.random.wrap_key_data(jnp.array(self.data), impl=self.impl)
        return jnp.array(self.data)


def on_host(buffer: object, name: str) -> Host:
    """`buffer` on the host, or an error where it holds no values."""
    if isinstance(buffer, Tracer):
        raise KindError(
            f"{name} is being traced and has no values yet. mtk.io works outside of jit, grad and "
            "vmap: return the object from them first."
        )
    if not isinstance(buffer, jax.Array | np.ndarray):
        raise KindError(
            f"{name} is a {type(buffer).__name__} and no array. mtk.io takes objects whose buffers "
            "are arrays, or None where they were partitioned away."
        )
    if jnp.issubdtype(buffer.dtype, jax.dtypes.prng_key):
        impl = jax.random.key_impl(buffer)
        if not isinstance(impl, str):
            raise KindError(f"{name} holds random keys of {impl}, a generator without a name.")
        return Host(np.asarray(jax.random.key_data(buffer)), impl)
    return Host(np.asarray(buffer))


def is_wide(host: Host) -> bool:
    """Whether JAX would halve the precision of these numbers, because its 64 bits are off."""
    if host.impl is not None or host.is_nothing:
        return False
    return jax.dtypes.canonicalize_dtype(host.data.dtype) != host.data.dtype


def narrowed(host: Host) -> Host:
    """The same in 32 bits, if JAX has its 64 bits off."""
    if not is_wide(host):
        return host
    with np.errstate(all="ignore"):
        return Host(host.data.astype(jax.dtypes.canonicalize_dtype(host.data.dtype)))


# What becomes of a value in another dtype.
SAME, ROUNDED, REFUSED = "same", "rounded", "refused"


def converted(data: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, str]:
    """`data` in `dtype`, and what it became: `SAME`, `ROUNDED`, or `REFUSED`.

    Rounded means the next float. Refused are kinds that do not fit (a float for an integer), and
    numbers outside of the range.
    """
    if data.dtype == dtype:
        return data, SAME
    if not fits(data.dtype, dtype):
        return data, REFUSED
    with np.errstate(all="ignore"):
        new = data.astype(dtype)
        real = np.real(new) if family(dtype) == "c" != family(data.dtype) else new
        back = real.astype(data.dtype)
    # In double precision, where every NumPy has these comparisons for every dtype.
    double = np.dtype(complex if family(data.dtype) == "c" else float)
    old, now, was = data.astype(double), real.astype(double), back.astype(double)
    if family(data.dtype) in "bi":
        in_range = np.isfinite(now) & ((now < 0) == (old < 0))
        same = in_range & (back == data)
        rounds = in_range & (family(dtype) in "fc")
    else:
        same = (old == was) | (np.isnan(old) & np.isnan(was))
        rounds = (np.isfinite(old) == np.isfinite(was)) & (np.isnan(old) == np.isnan(was))
    return new, SAME if same.all() else ROUNDED if rounds.all() else REFUSED


def to_npy(host: Host) -> bytes:
    """The bytes of a `.npy` file. What NumPy alone does not know is there as raw integers."""
    data = host.data
    if host.is_nothing:
        data = np.zeros(data.shape, np.bool_)
    elif data.dtype.isbuiltin != 1:
        data = np.ascontiguousarray(data).view(_raw(data.dtype)).reshape(data.shape)
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(data, order="C"), allow_pickle=False)
    return file.getvalue()


def from_npy(content: bytes, dtype: str) -> Host:
    """What `to_npy` wrote, given the name of its dtype."""
    data = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    if dtype == "float0":
        return Host(np.zeros(data.shape, _FLOAT0))
    if dtype.startswith("key<"):
        host = Host(data, dtype[len("key<") : -1])
        try:
            host.on_device()
        except (TypeError, ValueError) as error:
            raise FileError(
                f"The file holds random keys of {host.impl!r}, which this version of JAX "
                f"({jax.__version__}) does not make: {error}"
            ) from error
        return host
    known = dtype_named(dtype)
    return Host(data if known.isbuiltin == 1 else data.view(known))


def dtype_named(name: str) -> np.dtype:
    """The dtype called `name`, those of ML hardware included."""
    try:
        return jnp.dtype(name)
    except TypeError as error:
        raise FileError(
            f"The file holds {name}, which this version of JAX ({jax.__version__}) does not know. "
            "Load it with a newer one."
        ) from error


def _raw(dtype: np.dtype) -> np.dtype:
    return np.dtype(f"u{dtype.itemsize}")
