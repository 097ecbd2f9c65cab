"""Taking an object apart by role or by name, and putting it together again."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import equinox as eqx

from .._text import counted
from ..errors import KindError, OverlapError
from .buffers.reader import is_absent
from .buffers.selection import At, Piece, Selection, select
from .buffers.vector import gather, transfer
from .coordinates import of_piece
from .names.index import Entry, Index, Leaf, Place
from .names.names import PORTIONS, Caches, Name, Portion
from .object import MTKParameters


def filter_spec(p: MTKParameters, *what: Portion | Name) -> Any:
    """`p` with `True` for each buffer of the given portions and `False` for every other.

    It is what `eqx.partition`, `eqx.filter_jit`, `eqx.filter_vmap` and `optax.masked` take.

    **Arguments:**

    - `p`: the object.
    - `what`: portions, or names that together fill whole buffers.

    **Raises:** `KindError` for a name that is only a part of a buffer; `mtk.partition` splits those.

    !!! Example

        >>> import equinox as eqx
        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"k": 0.5, "n": 3})
        >>> free, rest = eqx.partition(p, mtk.filter_spec(p, mtk.Tunable))
        >>> free.constants, rest.tunable
        ((None,), None)
    """
    buffers = p.buffers
    portions = {item for item in what if isinstance(item, Portion)}
    names = [item for item in what if not isinstance(item, Portion)]
    filled = _filled(select(names, p.index, buffers), p) if names else set()
    chosen = {
        q: tuple(q in portions or (q, i) in filled for i, _ in enumerate(numbered))
        for q, numbered in buffers.items()
    }
    present = {
        q: tuple(None if b is None else c for b, c in zip(buffers[q], chosen[q], strict=True))
        for q in PORTIONS
    }
    return p.from_buffers(present)


def _filled(selection: Selection, p: MTKParameters) -> set[At]:
    for at in selection.places():
        mine = [piece for piece in selection.pieces if piece.at == at]
        width = p.index.widths[at[0]][at[1]]
        if sum(piece.positions.size for piece in mine) < width:
            raise KindError(
                f"{mine[0].label!r} is a part of a buffer of {counted(width, 'entry')} in {at[0]!r}, and a "
                f"filter takes whole buffers. mtk.partition(p, {mine[0].label!r}) splits it off, "
                f"and mtk.canonicalize([{mine[0].label!r}], p) makes a vector of it."
            )
    return set(selection.places())


def partition(p: MTKParameters, *what: Any) -> tuple[Any, MTKParameters]:
    """`p` in two: what a loop works on, and the rest; `mtk.combine` joins them again.

    **Arguments:**

    - `p`: the object.
    - `what`: portions, names, or lists of both. Or one dictionary `{label: names}`: then the first
      result is a dictionary of parts, for a learning rate or an optimizer for each label
      (`optax.multi_transform(..., mtk.param_labels(parts))`).

    **Returns:** `(free, rest)`, both with buffers of their own, so that either can be donated.

    For whole portions both have the structure of `p` with `None` in place of the other's buffers,
    as from `eqx.partition`, and `eqx.combine` joins them as well. For names `free` is a smaller
    object of just those entries (with an index of its own, so that `grads["alpha"]` works), and
    `rest` is the whole of `p`.

    !!! Example

        >>> import equinox as eqx
        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.5, "beta": 2.0, "n": 3})
        >>> free, rest = mtk.partition(p, "alpha")
        >>> loss = lambda free, rest: mtk.combine(free, rest)["alpha"] ** 2 * rest["beta"]
        >>> eqx.filter_grad(loss)(free, rest)["alpha"].item()
        2.0
    """
    if len(what) == 1 and isinstance(what[0], Mapping):
        return _groups(p, what[0]), p.with_buffers(p.buffers)
    if what and all(isinstance(item, Portion) for item in what):
        copy = p.with_buffers(p.buffers)
        return eqx.partition(copy, filter_spec(copy, *what))
    items = [x for item in what for x in (_listed(item))]
    return _part(p, items), p.with_buffers(p.buffers)


def _listed(item: object) -> list[Any]:
    return list(item) if isinstance(item, Iterable) and not isinstance(item, str) else [item]


def _groups(p: MTKParameters, groups: Mapping[Hashable, Any]) -> dict[Hashable, MTKParameters]:
    items = {label: _listed(names) for label, names in groups.items()}
    try:
        select([x for names in items.values() for x in names], p.index, p.buffers)
    except OverlapError as error:
        raise OverlapError(f"{error} A name goes into one group only.") from None
    return {label: _part(p, names) for label, names in items.items()}


def param_labels(parts: Mapping[Hashable, Any]) -> dict[Hashable, Hashable]:
    """The `param_labels` that `optax.multi_transform` takes for a dictionary of parts.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.5, "beta": 2.0})
        >>> parts, rest = mtk.partition(p, {"fast": ["alpha"], "slow": ["beta"]})
        >>> mtk.param_labels(parts)
        {'fast': 'fast', 'slow': 'slow'}
    """
    return {label: label for label in parts}


def _part(p: MTKParameters, items: list[Any]) -> MTKParameters:
    if Caches in items:
        raise KindError("mtk.Caches has no names: partition it as a portion of its own.")
    selection = select(items, p.index, p.buffers)
    if any(piece.target is None for piece in selection.pieces):
        raise KindError(
            "This object was built from bare buffers: its entries have no names to make a part of. "
            "Partition it by whole portions, mtk.partition(p, mtk.Tunable)."
        )
    key = ("part", selection)
    if key not in p.index.memo:
        p.index.memo[key] = _part_index(selection)
    index, order = p.index.memo[key]
    buffers: dict[Portion, tuple[Any, ...]] = {}
    for portion in PORTIONS:
        buffers[portion] = tuple(gather(s, p.buffers) for s in order.get(portion, ()))
    empty = MTKParameters()
    return empty.with_buffers({q: group or empty.buffers[q] for q, group in buffers.items()}, index)


def _part_index(selection: Selection) -> tuple[Index, dict[Portion, tuple[Selection, ...]]]:
    """The index of the named entries alone, and for each of its buffers what goes into it."""
    old = selection.places()
    numbers: dict[At, int] = {}
    for at in old:
        numbers[at] = sum(portion is at[0] for portion, _ in numbers)
    filled = dict.fromkeys(old, 0)
    entries: dict[str, Entry] = {}
    for piece in selection.pieces:
        assert piece.target is not None
        place = Place(piece.at[0], numbers[piece.at], filled[piece.at], piece.shape)
        filled[piece.at] += piece.positions.size
        _add(entries, piece, place)
    widths: dict[Portion, tuple[int, ...]] = {}
    order: dict[Portion, tuple[Selection, ...]] = {}
    for at in old:
        mine = tuple(piece for piece in selection.pieces if piece.at == at)
        widths[at[0]] = (*widths.get(at[0], ()), filled[at])
        order[at[0]] = (*order.get(at[0], ()), Selection(mine, None))
    return Index.of(tuple(entries.values()), widths), order


def _add(entries: dict[str, Entry], piece: Piece, place: Place) -> None:
    assert piece.target is not None
    entry = piece.target.entry
    if (
        not entry.is_array
        and piece.label == entry.name + piece.leaf.path
        and entry.portion is piece.at[0]
    ):
        # An array of a pytree. All of them together are the pytree again; one alone is an array.
        known = entries.get(entry.name) or dataclasses.replace(
            entry, leaves=tuple(dataclasses.replace(leaf, place=None) for leaf in entry.leaves)
        )
        leaves = (
            dataclasses.replace(leaf, place=place) if leaf.path == piece.leaf.path else leaf
            for leaf in known.leaves
        )
        entries[entry.name] = dataclasses.replace(known, leaves=tuple(leaves))
        return
    about = dataclasses.replace(
        entry.about,
        lower=of_piece(entry.about.lower, piece),
        upper=of_piece(entry.about.upper, piece),
    )
    entries[piece.label] = Entry(piece.label, piece.at[0], (Leaf("", place),), about=about)


def combine(free: object, rest: MTKParameters) -> MTKParameters:
    """The whole object: `rest` with the entries of `free`; undoes `mtk.partition`.

    **Arguments:**

    - `free`: the first result of `mtk.partition`: an object, or a dictionary of objects.
    - `rest`: the second result, or any object with the same names.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.5, "beta": 2.0})
        >>> free, rest = mtk.partition(p, "beta")
        >>> mtk.combine(free.set({"beta": 3.0}), rest)["beta"].item()
        3.0
    """
    if isinstance(free, Mapping):
        for part in free.values():
            rest = combine(part, rest)
        return rest
    if not isinstance(free, MTKParameters) or not isinstance(rest, MTKParameters):
        raise KindError(
            "mtk.combine joins what mtk.partition gave: a parameter object or a dictionary of them, "
            f"and the rest; got {type(free).__name__} and {type(rest).__name__}."
        )
    if free.index is rest.index:
        whole = eqx.combine(free, rest)
        return whole.with_buffers(whole.buffers)
    if any(is_absent(buffer) for group in free.buffers.values() for buffer in group):
        raise KindError(
            "These are parts of two different objects: text or a function was set in one of them "
            "after mtk.partition, or they were never one. Set it before, or after mtk.combine."
        )
    mine = select(list(free.index.entries), free.index, free.buffers)
    theirs = select(list(free.index.entries), rest.index, rest.buffers)
    return rest.with_buffers(transfer(mine, free.buffers, theirs, rest.buffers))
