"""Writing by name: new buffers, and a new index where text or functions change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PyTree

from ..._text import shortened
from ...errors import BoundParameterError, KindError, ShapeError
from ..names.fingerprint import fingerprint
from ..names.index import Entry, Hole, Index, Target
from ..names.names import plain
from .dtypes import family, fits, is_plain, promoted
from .reader import Buffers
from .selection import At, Piece, Selection, refuse_overlaps
from .vector import convert, present, put, widened, with_buffers


def write(
    index: Index, buffers: Buffers, values: Mapping[Any, Any], cast: bool
) -> tuple[Index, Buffers]:
    """`buffers` with `values` under their names, and the index that then describes them."""
    if not isinstance(values, Mapping):
        raise KindError(f"Values are set by name, p.set({{'name': value}}); got {values!r}.")
    pieces: list[Piece] = []
    arrays: list[Any] = []
    skeletons: dict[str, Any] = {}
    for name, value in values.items():
        target = index.find(name)
        if target.entry.bind is not None:
            raise BoundParameterError(
                f"{plain(name)!r} is a dependent parameter (bind=): its value follows from the names "
                "that it reads. Set those, or declare it without bind."
            )
        if target.leaf is not None:
            pieces.append(Piece.of(target))
            arrays.append(value)
            continue
        leaves, skeleton = _take_apart(target.entry, value)
        if fingerprint(skeleton) != fingerprint(target.entry.skeleton):
            skeletons[target.entry.name] = skeleton
        for leaf, array in zip(target.entry.leaves, leaves, strict=True):
            pieces.append(Piece.of(Target(target.entry, leaf, None)))
            arrays.append(array)
    selection = Selection(tuple(pieces), None)
    refuse_overlaps(selection)
    return _with_skeletons(index, skeletons), _write(selection, buffers, arrays, cast)


def _write(selection: Selection, buffers: Buffers, arrays: list[Any], cast: bool) -> Buffers:
    new: dict[At, Array] = {}
    for at in selection.places():
        buffer = present(at, buffers)
        mine = [(q, v) for q, v in zip(selection.pieces, arrays, strict=True) if q.at == at]
        flat = [_flat(piece, value, buffer) for piece, value in mine]
        # A Python number takes the dtype of its buffer: it has no precision of its own.
        strong = [
            v.dtype for (_, raw), v in zip(mine, flat, strict=True) if not _is_weak(raw, v, buffer)
        ]
        dtype = buffer.dtype if cast or not strong else promoted([buffer.dtype, *strong])
        names = [piece.label for piece, _ in mine]
        flat = [convert(v, dtype, [name]) for v, name in zip(flat, names, strict=True)]
        lead = max((v.shape[:-1] for v in flat), key=len)
        parts = [jnp.broadcast_to(v, (*lead, v.shape[-1])) for v in flat]
        positions = np.concatenate([piece.positions for piece, _ in mine])
        buffer = widened(buffer, dtype, positions, names)
        new[at] = put(buffer, positions, _joined(parts))
    return with_buffers(buffers, new)


def _joined(parts: list[Array]) -> Array:
    # Outside of a trace a concatenation is a program of its own for each number of parts, and takes
    # seconds to compile for thousands of them: many go over the host.
    if len(parts) <= 16 or any(isinstance(x, Tracer) or _is_key(x) for x in parts):
        return jnp.concatenate(parts, axis=-1)
    return jnp.asarray(np.concatenate(jax.device_get(parts), axis=-1))


def _is_key(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.extended)


def _is_weak(given: PyTree, array: Array, buffer: Array) -> bool:
    """Whether `given`, which is `array` now, has no precision of its own and fits the buffer."""
    if jnp.issubdtype(buffer.dtype, jax.dtypes.extended):
        return True
    plain = all(map(is_plain, jax.tree.leaves(given)))
    return (plain or array.weak_type) and fits(array.dtype, buffer.dtype)


def _flat(piece: Piece, value: object, buffer: Array) -> Array:
    name = piece.label
    is_key = jnp.issubdtype(buffer.dtype, jax.dtypes.extended)
    try:
        if isinstance(value, str | bytes):
            raise TypeError("text")  # NumPy would take a single letter, with a warning
        array = jnp.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise KindError(
            f"{name!r} is {'a random key' if is_key else 'a number or an array of numbers'}, "
            f"got {type(value).__name__} {shortened(value)}."
        ) from error
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "iu":
        # Where 64 bits are off, JAX cuts NumPy's integers down without a word.
        if (value.astype(array.dtype) != value).any():
            raise KindError(f"{name!r} is {array.dtype.name}, which is too narrow for a value.")
    if is_key != jnp.issubdtype(array.dtype, jax.dtypes.extended):
        want, got = ("a random key", "numbers") if is_key else ("numbers", "a random key")
        raise KindError(f"{name!r} holds {want}, got {got}.")
    if is_key and array.dtype != buffer.dtype:
        raise KindError(f"{name!r} is a random key of {buffer.dtype}, got one of {array.dtype}.")
    if not is_key and family(array.dtype) == "c" and family(buffer.dtype) != "c":
        raise KindError(
            f"{name!r} is real ({buffer.dtype.name}), got {array.dtype.name}. Take the real part, or "
            "declare the parameter complex."
        )
    shape, lead = piece.shape, buffer.shape[:-1]
    if array.shape not in (shape, (*lead, *shape)):
        batch = f", or {(*lead, *shape)} with the batch in front" if lead else ""
        hint = f" Fill it with jnp.full({shape}, ...)." if array.ndim == 0 else ""
        raise ShapeError(f"{name!r} has shape {shape}{batch}, got {array.shape}.{hint}")
    return array.reshape((*array.shape[: array.ndim - len(shape)], -1))


def _take_apart(entry: Entry, value: PyTree) -> tuple[list[Any], Any]:
    """The arrays of a new value for a pytree, a text or a function, and what is static in it."""
    if isinstance(entry.skeleton, str) and not isinstance(value, str):
        raise KindError(f"{entry.name!r} is text, got {type(value).__name__} {shortened(value)}.")
    if callable(entry.skeleton) and not callable(value):
        raise KindError(
            f"{entry.name!r} is a function, got {type(value).__name__} {shortened(value)}."
        )
    holes, structure = jax.tree.flatten(entry.skeleton)
    leaves, other_structure = jax.tree.flatten(value)
    if structure != other_structure:
        raise _other_structure(entry, value, str(structure), str(other_structure))
    arrays = [x for x, hole in zip(leaves, holes, strict=True) if isinstance(hole, Hole)]
    static = [hole if isinstance(hole, Hole) else x for x, hole in zip(leaves, holes, strict=True)]
    late = [
        x for x, old in zip(static, holes, strict=True) if eqx.is_array(x) and not eqx.is_array(old)
    ]
    if late:
        raise KindError(
            f"{entry.name!r} has an array where its declaration has none. Declare it anew with "
            "mtk.parameters({...})."
        )
    for new, old in zip(static, holes, strict=True):
        if not (isinstance(new, type(old)) or _both_functions(new, old) or _both_numbers(new, old)):
            raise KindError(
                f"{entry.name!r} holds a {type(old).__name__}, got {type(new).__name__} {shortened(new)}."
            )
    return arrays, structure.unflatten(static)


def _both_functions(new: object, old: object) -> bool:
    return callable(new) and callable(old)


def _both_numbers(new: object, old: object) -> bool:
    # Among the settings of a Module. Of a truth value the type counts, of a number it does not.
    return type(new) in (int, float, complex) and type(old) in (int, float, complex)


def _other_structure(entry: Entry, value: object, structure: str, found: str) -> KindError:
    declared, kind = type(entry.skeleton).__name__, type(value).__name__
    cure = "Give a value of the same structure, or declare it anew."
    if isinstance(entry.skeleton, eqx.Module):
        # The structure of a Module lists every setting of every layer: pages that nobody reads.
        got = (
            "one with other settings or sizes" if kind == declared else f"{kind} {shortened(value)}"
        )
        return KindError(f"{entry.name!r} is a {declared} as it was declared, got {got}. {cure}")
    return KindError(
        f"{entry.name!r} is a {declared} of structure {structure}, got {found}. {cure}"
    )


def _with_skeletons(index: Index, skeletons: Mapping[str, Any]) -> Index:
    if not skeletons:
        return index
    entries = (
        dataclasses.replace(entry, skeleton=skeletons[name]) if name in skeletons else entry
        for name, entry in index.entries.items()
    )
    return Index.of(tuple(entries), index.widths)
