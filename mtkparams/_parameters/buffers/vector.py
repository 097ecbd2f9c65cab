"""Vectors out of buffers and back, with one rule for dtypes.

A vector of several dtypes has their common one. On the way back each buffer keeps its own dtype
when the vector kept its own, and follows the vector's precision when that changed. Integers and
truth values come back as such, and refuse what they cannot hold: a fraction, or a derivative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array

from ..._text import counted, listed, quoted
from ...errors import KindError, PortionError, ShapeError
from .copies import own_copy
from .dtypes import family, fits, promoted
from .reader import Buffers, as_array, is_absent
from .selection import At, Selection

# The numbers of a vector: an array, or a list of them.
Values: TypeAlias = ArrayLike | Sequence[Any]


def gather(selection: Selection, buffers: Buffers) -> Array:
    """The vector of a selection, as a buffer of its own; leading axes of a batch stay in front."""
    if not selection.pieces:
        return jnp.zeros(0)
    places = selection.by_place
    parts = [take(present(at, buffers), inside) for at, (inside, _) in places.items()]
    dtype = vector_dtype(selection, buffers)
    lead = max((part.shape[:-1] for part in parts), key=len)
    parts = [jnp.broadcast_to(part.astype(dtype), (*lead, part.shape[-1])) for part in parts]
    if len(parts) == 1:
        return own_copy(parts[0])
    order = np.argsort(np.concatenate([outside for _, outside in places.values()]))
    return take(jnp.concatenate(parts, axis=-1), order)


def vector_dtype(selection: Selection, buffers: Buffers) -> np.dtype:
    """The common dtype of the buffers that a selection reads."""
    return promoted([present(at, buffers).dtype for at in selection.places()])


def take(buffer: Array, positions: np.ndarray) -> Array:
    start = _contiguous(positions)
    if start == 0 and positions.size == buffer.shape[-1]:
        return buffer
    # Outside of a trace a slice is a program of its own for each start.
    if start is not None and isinstance(buffer, Tracer):
        return lax.slice_in_dim(buffer, start, start + positions.size, axis=-1)
    return jnp.take(buffer, positions, axis=-1, unique_indices=True, mode="clip")


def put(buffer: Array, positions: np.ndarray, values: Array) -> Array:
    """`buffer` with `values` at `positions`; either may have leading axes of a batch."""
    n = buffer.shape[-1]
    lead = max(buffer.shape[:-1], values.shape[:-1], key=len)
    values = jnp.broadcast_to(values, (*lead, values.shape[-1]))
    if positions.size == n:
        order = np.argsort(positions)
        return values if _contiguous(order) == 0 else jnp.take(values, order, axis=-1)
    buffer = jnp.broadcast_to(buffer, (*lead, n))
    return buffer.at[..., positions].set(values, unique_indices=True)


def scatter(
    selection: Selection, buffers: Buffers, vector: object, keep_precision: bool
) -> Buffers:
    """`buffers` with the entries of a selection taken from `vector`.

    **Arguments:**

    - `vector`: as `gather` gives it; shape `(..., size)`.
    - `keep_precision`: a buffer never gets less precision than it has. It is set where only some
      of a buffer's entries come from the vector.
    """
    if not selection.pieces:
        check_vector(vector, selection, jnp.float32)
        return buffers
    common = vector_dtype(selection, buffers)
    vector = check_vector(vector, selection, common)
    _check_family(vector.dtype, common, selection)
    new: dict[At, Array] = {}
    for at, (positions, outside) in selection.by_place.items():
        buffer = present(at, buffers)
        dtype = _back(buffer.dtype, vector.dtype, common, keep_precision)
        values = take(vector, outside)
        names = [piece.name for piece in selection.pieces if piece.at == at]
        was = take(buffer, positions)
        buffer = widened(buffer, dtype, positions, names)
        new[at] = put(buffer, positions, convert(values, dtype, names, was))
    return with_buffers(buffers, new)


def transfer(source: Selection, given: Buffers, target: Selection, buffers: Buffers) -> Buffers:
    """`buffers` with the entries of `target` taken from those of `source`, piece by piece.

    Without a vector between them: integers and floats never meet, so floats can be differentiated.
    """
    moves: dict[tuple[At, At], list[tuple[np.ndarray, np.ndarray]]] = {}
    for old, new in zip(source.pieces, target.pieces, strict=True):
        if old.shape != new.shape:
            raise ShapeError(f"{new.label!r} has shape {new.shape}, and {old.shape} in the part.")
        moves.setdefault((old.at, new.at), []).append((old.positions, new.positions))
    parts: dict[At, list[tuple[np.ndarray, Array]]] = {}
    for (at, to), pairs in moves.items():
        old, new = (np.concatenate(side) for side in zip(*pairs, strict=True))
        parts.setdefault(to, []).append((new, take(present(at, given), old)))
    result: dict[At, Array] = {}
    for at, pieces in parts.items():
        dtype = promoted([present(at, buffers).dtype, *(v.dtype for _, v in pieces)])
        positions = np.concatenate([positions for positions, _ in pieces])
        values = jnp.concatenate([v.astype(dtype) for _, v in pieces], axis=-1)
        names = [piece.label for piece in target.pieces if piece.at == at]
        result[at] = put(widened(present(at, buffers), dtype, positions, names), positions, values)
    return with_buffers(buffers, result)


def with_buffers(buffers: Buffers, new: Mapping[At, Array]) -> Buffers:
    return {
        portion: tuple(new.get((portion, i), old) for i, old in enumerate(portion_buffers))
        for portion, portion_buffers in buffers.items()
    }


def check_vector(vector: Any, selection: Selection, common: DTypeLike) -> Array:
    """`vector` as an array of numbers with the length of a selection."""
    what = _words(selection)
    if not eqx.is_array_like(vector) and not isinstance(vector, list | tuple):
        raise KindError(f"The values of {what} are a vector, got {type(vector).__name__}.")
    try:
        # The numbers of a list have no precision of their own, and whole ones may be floats.
        vector = _plain(vector, common) if isinstance(vector, list | tuple) else jnp.asarray(vector)
    except (TypeError, ValueError, OverflowError) as error:
        raise KindError(f"The values of {what} are a vector of numbers: {error}") from error
    if vector.ndim == 0 or vector.shape[-1] != selection.size:
        raise ShapeError(
            f"{what} takes a vector of {counted(selection.size, 'entry')} ({listed(selection.labels())}), "
            f"got shape {vector.shape}."
        )
    return vector


def _plain(values: Sequence[Any], common: DTypeLike) -> Array:
    array = jnp.asarray(values)
    return array.astype(common) if fits(array.dtype, common) else array


def _words(selection: Selection) -> str:
    if selection.whole is not None:
        return repr(selection.whole)
    return f"the list of {counted(len(selection.pieces), 'name')}"


def present(at: At, buffers: Buffers) -> Array:
    portion, number = at
    buffer = buffers[portion][number]
    if is_absent(buffer):
        raise PortionError(
            f"{portion!r} is not in this object: it was partitioned away. "
            "Use the other part, or mtk.combine(free, rest)."
        )
    return as_array(buffer)


def _contiguous(positions: np.ndarray) -> int | None:
    if positions.size == 0:
        return 0
    steps = np.diff(positions)
    return int(positions[0]) if bool((steps == 1).all()) else None


def _check_family(given: DTypeLike, common: np.dtype, selection: Selection) -> None:
    if fits(given, common) and family(given) != family(common):
        raise KindError(
            f"{_words(selection)} holds {np.dtype(common).name} and was given a vector of "
            f"{np.dtype(given).name}. Convert it with .astype({np.dtype(common).name!r}) if that is meant."
        )
    if family(given) == "c" != family(common):
        raise KindError(
            f"{_words(selection)} holds {np.dtype(common).name} and was given complex numbers. "
            "Take their real part, or declare the parameter complex."
        )


def _back(old: np.dtype, given: np.dtype, common: np.dtype, keep_precision: bool) -> np.dtype:
    if given == common:
        return old
    if family(old) == family(given):
        return promoted([old, given]) if keep_precision else given
    if family(common) == family(given):
        return old  # integers beside floats of another precision
    return promoted([old, given])  # integers only, given floats: floats from now on


def convert(values: Array, dtype: Any, names: list[str], was: Array | None = None) -> Array:
    """`values` in `dtype`; where that loses something, it says so rather than lose it.

    `was` is what the values were before they went through a vector: an integer beyond the
    precision of floats that did not change comes back as it was.
    """
    if values.dtype == dtype:
        return values
    who = quoted(dict.fromkeys(names))
    if fits(values.dtype, dtype):
        new = values.astype(dtype)
        if family(values.dtype) != "i" or promoted([values.dtype, dtype]) == dtype:
            return new
        lost = (new.astype(values.dtype) != values) | ((new < 0) != (values < 0))
        return refuse(
            new, lost, f"{who} is {np.dtype(dtype).name}, which is too narrow for a value."
        )
    if family(values.dtype) == "c":
        values = refuse(values, values.imag != 0, f"{who} is real, got a complex value.")
        return convert(values.real, dtype, names, was)
    whole = {"i": "an integer", "b": "True or False"}[family(dtype)]
    new = _to_integers(values, np.dtype(dtype), who)
    if was is None:
        same = jnp.zeros(values.shape, bool)
    else:
        was = jnp.broadcast_to(was, values.shape)
        same = was.astype(values.dtype) == values
        new = jnp.where(same, was, new)
    lost = ~same & (new.astype(values.dtype) != values)
    return refuse(new, lost, f"{who} is {whole}, got a value that is not.")


def widened(buffer: Array, dtype: Any, positions: np.ndarray, names: list[str]) -> Array:
    """`buffer` in a `dtype` that takes new values at `positions`, or an error for what else it holds.

    Integers beside one that becomes a float become floats as well; large ones would change.
    """
    if buffer.dtype == dtype:
        return buffer
    new = buffer.astype(dtype)
    if family(buffer.dtype) != "i" or family(dtype) == "i":
        return new
    others = np.setdiff1d(np.arange(buffer.shape[-1]), positions)
    mine = take(buffer, others)
    lost = take(new, others).astype(buffer.dtype) != mine
    who = quoted(dict.fromkeys(names))
    return refuse(
        new,
        lost,
        f"{who} was given a float, and shares a buffer of {buffer.dtype.name} with integers that "
        f"{np.dtype(dtype).name} cannot hold. Declare it as a float.",
    )


def refuse(values: Array, wrong: Array, text: str) -> Array:
    """`values`, or a `KindError` where any is `wrong`; where they are traced, at run time."""
    if isinstance(wrong, Tracer):
        return eqx.error_if(values, wrong.any(), text)
    if wrong.any():
        raise KindError(text)
    return values


def _to_integers(values: Array, dtype: np.dtype, who: str) -> Array:
    @jax.custom_jvp
    def cast(x: Array) -> Array:
        return x.astype(dtype)

    @cast.defjvp
    def _(primals: object, tangents: object) -> Any:
        # JAX would give zero here. Zero is a number, and the question has no answer.
        raise KindError(
            f"A derivative with respect to {who} was asked for, which holds {dtype.name} and has "
            "none. Differentiate a list of names without it, or declare it as a float."
        )

    return cast(values)
