"""Batches: objects with leading axes, and which of their buffers have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ..errors import KindError, ShapeError
from .buffers.dtypes import is_plain, promoted
from .buffers.selection import At, select
from .names.names import Name, Portion, plain
from .object import MTKParameters

T = TypeVar("T")


def in_axes(p: T, *what: Portion | Name) -> T:
    """What `jax.vmap(..., in_axes=)` takes for `p`: its structure with 0 where there is a batch.

    **Arguments:**

    - `p`: a parameter object, or anything that holds some, such as a problem.
    - `what`: the portions and names that have the batch in front. A name stands for the whole
      buffer that it is in, since a buffer has leading axes as a whole; `mtk.batch` makes such
      objects. With nothing named, the axes are those that `p` has: 0 for each buffer with more
      axes than one, and for times that are arrays.

    **Raises:** `UnknownNameError`; `BoundParameterError` for a dependent parameter.

    !!! Example

        >>> import jax
        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"k": 0.5, "n": 3})
        >>> many = mtk.batch(p, {"k": [0.1, 0.2, 0.3]})
        >>> axes = mtk.in_axes(many)
        >>> axes.tunable, axes.constants
        (0, (None,))
        >>> jax.vmap(lambda p: p["k"] * p["n"], in_axes=(axes,))(many).shape
        (3,)
    """

    def axes(x: MTKParameters | ArrayLike) -> Any:
        if not isinstance(x, MTKParameters):
            return 0 if not what and jnp.ndim(x) else None
        batched = _named(x, what) if what else _found(x)
        return x.from_buffers(
            {
                portion: tuple(
                    0 if (portion, i) in batched else None for i, _ in enumerate(buffers)
                )
                for portion, buffers in x.buffers.items()
            }
        )

    return jax.tree.map(axes, p, is_leaf=lambda x: isinstance(x, MTKParameters))


def _named(p: MTKParameters, what: Sequence[Portion | Name]) -> set[At]:
    places: set[At] = set()
    for item in what:
        if isinstance(item, Portion):
            places |= {(item, i) for i, _ in enumerate(p.buffers[item])}
        else:
            places |= set(select(item, p.index, p.buffers).places())
    return places


def _found(p: MTKParameters) -> set[At]:
    return {
        (portion, i)
        for portion, buffers in p.buffers.items()
        for i, buffer in enumerate(buffers)
        if jnp.ndim(buffer) > 1
    }


def batch_by_name(p: MTKParameters, values: Mapping[Any, Any]) -> MTKParameters:
    """`p` with `values`, which have the members in front, and with that axis on their buffers."""
    size = members(values)
    places = _named(p, [plain(name) for name in values])
    broadcast = {
        portion: tuple(
            jnp.broadcast_to(buffer, (size, *buffer.shape)) if (portion, i) in places else buffer
            for i, buffer in enumerate(buffers)
        )
        for portion, buffers in p.buffers.items()
    }
    return p.from_buffers(broadcast).set(values)


def members(values: Mapping[Any, Any]) -> int:
    """How many members `values` have, all of them in front."""
    if not isinstance(values, Mapping):
        raise KindError(f"Values are a dictionary by name, got {type(values).__name__}.")
    sizes: dict[str, int] = {}
    for name, value in values.items():
        leaves = [np.asarray(value)] if is_list(value) else jax.tree.leaves(value)
        shapes = [leaf.shape for leaf in leaves if hasattr(leaf, "shape")]
        if not shapes or not all(shapes):
            raise ShapeError(
                f"{plain(name)!r} has one value, and no axis of members in front. Give one value for "
                "each member, or set what is the same for all beforehand."
            )
        for shape in shapes:
            if sizes.setdefault(plain(name), shape[0]) != shape[0]:
                raise ShapeError(
                    f"The arrays in {plain(name)!r} have {sizes[plain(name)]} and {shape[0]} members."
                )
    counts = set(sizes.values())
    if len(counts) > 1:
        every = ", ".join(f"{name!r} {size}" for name, size in sizes.items())
        raise ShapeError(f"The values have different numbers of members: {every}.")
    if not counts:
        raise ShapeError("No values are given, and so no members: name what differs between them.")
    return counts.pop()


def is_list(value: object) -> bool:
    """Whether `value` is a list of numbers, or of lists of them, which stands for an array."""
    return isinstance(value, list | tuple) and all(is_list(x) or is_plain(x) for x in value)


def stack(objects: Sequence[T]) -> T:
    """One object with a leading axis on every array, from objects of one structure.

    **Arguments:**

    - `objects`: parameter objects, problems or solutions of the same names; as many as there are
      become the length of the new axis.

    **Raises:** `KindError` for objects of different names, roles or equations; `ShapeError` for
    arrays of different shapes.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"k": 0.5})
        >>> mtk.stack([p, p.set({"k": 0.7})])["k"].tolist()
        [0.5, 0.7]
    """
    objects = list(objects)
    if not objects:
        raise ShapeError("There is nothing to stack.")
    first, structure = jax.tree.flatten(objects[0])
    columns = [[leaf] for leaf in first]
    for number, other in enumerate(objects[1:], 1):
        leaves, other_structure = jax.tree.flatten(other)
        if other_structure != structure:
            raise KindError(
                f"Objects 0 and {number} differ in their {_difference(objects[0], other)}, and only "
                "arrays can be stacked. Make all of them from one with set, replace or mtk.remake."
            )
        for column, leaf in zip(columns, leaves, strict=True):
            if jnp.shape(leaf) != jnp.shape(column[0]):
                raise ShapeError(
                    f"Objects 0 and {number} hold arrays of shapes {jnp.shape(column[0])} and "
                    f"{jnp.shape(leaf)} in one place."
                )
            column.append(leaf)
    return structure.unflatten([_stacked(column) for column in columns])


def _stacked(column: list[Any]) -> Any:
    arrays = [jnp.asarray(x) for x in column]
    if jnp.issubdtype(arrays[0].dtype, jax.dtypes.extended):
        return jnp.stack(arrays)
    dtype = promoted([x.dtype for x in arrays])
    return jnp.stack([x.astype(dtype) for x in arrays])


def _difference(one: object, other: object) -> str:
    if type(one) is not type(other):
        return f"kind: {type(one).__name__} and {type(other).__name__}"
    mine, theirs = (
        x if isinstance(x, MTKParameters) else getattr(x, "p", None) for x in (one, other)
    )
    if mine is None or theirs is None or mine.index is theirs.index:
        return "static parts (equations, names or settings)"
    for name in dict.fromkeys([*mine.names(), *theirs.names()]):
        entries = [x.index.entries.get(name) for x in (mine, theirs)]
        if len({None if entry is None else entry.key() for entry in entries}) > 1:
            return f"declaration of {name!r}"
    return "order of names"
