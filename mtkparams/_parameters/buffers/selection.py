"""A portion or a list of names as positions in buffers: one flat vector out, and back in."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from ...errors import BoundParameterError, KindError, OverlapError, PortionError
from ..names.index import Index, Leaf, Place, Target, part_of, show_item
from ..names.names import VECTORS, Caches, Initial, Name, Portion, plain
from .reader import Buffers, is_absent

# What a vector is made of: a portion, a name, or a list that mixes both.
What: TypeAlias = "Portion | Name | Iterable[Portion | Name]"

At: TypeAlias = "tuple[Portion, int]"


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """What one name contributes to a vector: `positions` in one buffer, in row-major order.

    `label` is the name with its path; `shape` is that of the value, `()` for a number.
    """

    name: str
    label: str
    target: Target | None
    at: At
    positions: np.ndarray
    shape: tuple[int, ...]

    @property
    def leaf(self) -> Leaf:
        """The array that a piece with a name is a part of."""
        assert self.target is not None
        assert self.target.leaf is not None
        return self.target.leaf

    @property
    def place(self) -> Place:
        """Where that whole array lives."""
        assert self.leaf.place is not None
        return self.leaf.place

    @staticmethod
    def of(target: Target) -> Piece:
        leaf = target.leaf
        assert leaf is not None
        label = target.entry.name + leaf.path
        if leaf.place is None:
            raise PortionError(f"{label!r} is not in this part of the object.")
        part = part_of(target, leaf.place.shape)
        if target.items is not None:
            label += f"[{','.join(map(show_item, target.items))}]"
        at = (leaf.place.portion, leaf.place.buffer)
        return Piece(
            target.entry.name, label, target, at, leaf.place.start + part.ravel(), part.shape
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Selection:
    """Entries of buffers in the order of a vector.

    `whole` is the portion that the caller asked for, or `None` for a list of names.
    """

    pieces: tuple[Piece, ...]
    whole: Portion | None

    @functools.cached_property
    def size(self) -> int:
        return sum(piece.positions.size for piece in self.pieces)

    def labels(self) -> tuple[str, ...]:
        return tuple(label for piece in self.pieces for label in _entry_labels(piece))

    def places(self) -> tuple[At, ...]:
        return tuple(self.by_place)

    @functools.cached_property
    def by_place(self) -> Mapping[At, tuple[np.ndarray, np.ndarray]]:
        """For each buffer the positions in it, and for each of those the position in the vector."""
        positions: dict[At, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        start = 0
        for piece in self.pieces:
            inside, outside = positions.setdefault(piece.at, ([], []))
            inside.append(piece.positions)
            outside.append(np.arange(start, start + piece.positions.size))
            start += piece.positions.size
        return {at: (np.concatenate(i), np.concatenate(o)) for at, (i, o) in positions.items()}


def select(what: What, index: Index, buffers: Buffers) -> Selection:
    """The selection that `what` means, with an error where it names one entry twice."""
    if isinstance(what, Portion):
        return _portion(what, index, buffers)
    if not isinstance(what, str | Initial | Iterable):
        raise KindError(f"A vector is made of a portion, a name, or a list of both; got {what!r}.")
    items = [what] if isinstance(what, str | Initial) else list(what)
    key = ("selection", tuple(x if isinstance(x, Portion) else plain(x) for x in items))
    # Caches, and all of an object from bare buffers, have widths that the index does not know.
    same_for_all = bool(index.entries) and Caches not in items
    if same_for_all and key in index.memo:
        return index.memo[key]
    pieces: list[Piece] = []
    for item in items:
        if isinstance(item, Portion):
            pieces.extend(_portion(item, index, buffers).pieces)
        else:
            pieces.extend(_named(item, index))
    selection = Selection(tuple(pieces), None)
    refuse_overlaps(selection)
    if same_for_all:
        index.memo[key] = selection
    return selection


def _portion(portion: Portion, index: Index, buffers: Buffers) -> Selection:
    if portion is not Caches and index.entries:
        key = ("portion", portion)
        if key not in index.memo:
            pieces = [
                piece for name in index.entries for piece in _in_portion(name, portion, index)
            ]
            index.memo[key] = Selection(tuple(pieces), portion)
        return index.memo[key]
    # Caches, and objects from bare buffers, have places and no names.
    pieces = []
    for number, buffer in enumerate(buffers[portion]):
        if not is_absent(buffer) and not jnp.issubdtype(buffer.dtype, jax.dtypes.extended):
            label = portion.value if portion in VECTORS else f"{portion.value}[{number}]"
            n = buffer.shape[-1]
            pieces.append(Piece(label, label, None, (portion, number), np.arange(n), (n,)))
    return Selection(tuple(pieces), portion)


def _in_portion(name: str, portion: Portion, index: Index) -> list[Piece]:
    entry = index.entries[name]
    return [
        Piece.of(Target(entry, leaf, None))
        for leaf in entry.leaves
        if leaf.place is not None and leaf.place.portion is portion and not leaf.is_key
    ]


def _named(name: Name, index: Index) -> list[Piece]:
    target = index.find(name)
    entry = target.entry
    if entry.bind is not None:
        raise BoundParameterError(
            f"{plain(name)!r} is a dependent parameter (bind=): it has no place of its own. "
            "Name the parameters that it reads instead."
        )
    if target.leaf is not None and not target.leaf.is_key:
        return [Piece.of(target)]
    # A pytree stands for its arrays in its own portion; a network's integers are not tuned.
    assert entry.portion is not None
    pieces = _in_portion(entry.name, entry.portion, index)
    if not pieces:
        raise KindError(
            f"{entry.name!r} holds no numbers: text, functions and random keys cannot be part of a "
            "vector."
        )
    return pieces


def _entry_labels(piece: Piece) -> Sequence[str]:
    if piece.target is None:
        return [f"{piece.label}[{i}]" for i in range(piece.positions.size)]
    name = piece.target.entry.name + piece.leaf.path
    shape = piece.place.shape
    if not shape:
        return [name]
    # The full index of each entry, also where a part was asked for: "tau[1:3]" is tau[1], tau[2].
    indices = np.unravel_index(piece.positions - piece.place.start, shape)
    return [
        f"{name}[{','.join(map(str, at))}]"
        for at in zip(*(i.tolist() for i in indices), strict=True)
    ]


def refuse_overlaps(selection: Selection) -> None:
    for at in selection.places():
        pieces = [piece for piece in selection.pieces if piece.at == at]
        positions = np.concatenate([piece.positions for piece in pieces])
        owners = np.repeat(np.arange(len(pieces)), [piece.positions.size for piece in pieces])
        order = np.argsort(positions, kind="stable")
        same = np.flatnonzero(np.diff(positions[order]) == 0)
        if same.size:
            first, second = (pieces[owners[order[same[0] + i]]].label for i in (0, 1))
            if first == second:
                raise OverlapError(f"{first!r} is named twice in one call.")
            raise OverlapError(
                f"{first!r} and {second!r} name the same entry in one call. Keep one of them."
            )
