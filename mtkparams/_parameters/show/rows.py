"""Rows that say all that is known of each parameter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import PyTree

from ..names.index import Entry, Metadata, rebuild
from ..names.names import PORTIONS, VECTORS, Caches, Portion
from . import dependent as dependent
from .contents import Contents, dtype_name, is_array

Row: TypeAlias = "dict[str, Any]"
# What a row is made from: a name, or one buffer.
Where: TypeAlias = "Entry | tuple[Portion, int]"


def places(contents: Contents) -> Iterator[Where]:
    """The names, then the buffers without names."""
    if contents.fits:
        yield from contents.p.index.entries.values()
    for portion in (Caches,) if contents.fits else PORTIONS:
        for number, buffer in enumerate(contents.buffers[portion]):
            nothing = is_array(buffer) and tuple(buffer.shape[-1:]) == (0,)
            if not (portion in VECTORS and nothing):
                yield portion, number


def rows(contents: Contents, wanted: Iterable[Where]) -> list[Row]:
    """The rows of what is `wanted`."""
    wanted = list(wanted)
    bound = [w.name for w in wanted if isinstance(w, Entry) and w.bind is not None]
    values, reads = dependent.values(contents, bound), dependent.reads(contents, bound)
    described = []
    for where in wanted:
        if not isinstance(where, Entry):
            described.append(_of_buffer(contents, *where))
        elif where.bind is not None:
            described.append(_of_bound(contents, where, values[where.name], reads[where.name]))
        else:
            described.append(_of_name(contents, where))
    return described


def is_left_out(contents: Contents, where: Where) -> bool:
    """Whether everything of a row was partitioned away."""
    if not isinstance(where, Entry):
        return contents.buffers[where[0]][where[1]] is None
    if where.bind is not None:
        return not contents.is_whole
    places = (leaf.place for leaf in where.leaves)
    return bool(where.leaves) and all(
        place is None or contents.buffers[place.portion][place.buffer] is None for place in places
    )


def _of_name(contents: Contents, entry: Entry) -> Row:
    leaves = [None if leaf.place is None else contents.at(leaf.place) for leaf in entry.leaves]
    shape = entry.leaves[0].place.shape if entry.is_array and entry.leaves[0].place else None
    if entry.is_array:
        value = leaves[0]
    elif leaves and all(_is_same(leaf, leaves[0]) for leaf in leaves):
        value = leaves[0]  # nothing, or one thing that is said of all of it
    else:
        value = rebuild(entry.skeleton, leaves)
    dtypes = {dtype_name(leaf) for leaf in leaves if is_array(leaf)}
    declared = entry.about.dtype if not dtypes else None
    return _row(entry.name, value, entry.portion, entry.about, shape, dtypes, declared=declared)


def _of_bound(contents: Contents, entry: Entry, value: PyTree, reads: tuple[str, ...]) -> Row:
    lead, shape = contents.lead, None
    if is_array(value):
        batched = lead and tuple(value.shape[: len(lead)]) == lead
        shape = tuple(value.shape[len(lead) :] if batched else value.shape)
    dtypes = {dtype_name(leaf) for leaf in jax.tree.leaves(value) if is_array(leaf)}
    return _row(entry.name, value, None, entry.about, shape, dtypes, reads)


def _of_buffer(contents: Contents, portion: Portion, number: int) -> Row:
    value = contents.whole(portion, number)
    name = portion.value if portion in VECTORS else f"{portion.value}[{number}]"
    shape, dtypes = None, set()
    if is_array(value):
        shape, dtypes = tuple(value.shape[-1:]), {dtype_name(value)}
    return _row(name, value, portion, Metadata(), shape, dtypes)


def _row(
    name: str,
    value: object,
    portion: Portion | None,
    about: Metadata,
    shape: tuple[int, ...] | None,
    dtypes: set[str],
    reads: tuple[str, ...] = (),
    declared: str | None = None,
) -> Row:
    bounds = None
    if about.lower is not None and about.upper is not None:
        bounds = (_number(about.lower), _number(about.upper))
    return {
        "name": name,
        "value": value,
        "unit": about.unit,
        "portion": portion,
        "bounds": bounds,
        "description": about.description,
        "shape": shape,
        "dtype": dtypes.pop() if len(dtypes) == 1 else declared,
        "scale": about.scale,
        "guess": about.guess,
        "prior": about.prior,
        "reads": reads,
    }


def _is_same(a: object, b: object) -> bool:
    if is_array(a) or is_array(b):
        return False
    return a is b or (isinstance(a, str | tuple) and type(a) is type(b) and a == b)


def _number(bound: np.ndarray) -> Any:
    return bound.item() if np.ndim(bound) == 0 else bound
