"""The static map from names to places. It holds no values, and there is one for each structure."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
import operator
import types
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from ..._interned import Interned
from ..._text import counted, quoted
from ...errors import UnknownNameError, unknown_name
from .fingerprint import fingerprint, is_at_home
from .names import Item, Name, Portion, plain, split_index, unknown_of


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where an array lives: `buffers[portion][buffer][..., start : start + size]`, row-major."""

    portion: Portion
    buffer: int
    start: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def stop(self) -> int:
        return self.start + self.size


class Hole:
    """Stands in a skeleton for an array that lives in a buffer."""

    def __repr__(self) -> str:
        return "*"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hole)

    def __hash__(self) -> int:
        return hash(Hole)


@dataclasses.dataclass(frozen=True, slots=True)
class Leaf:
    """One array of a parameter: its path inside the parameter's pytree, and its place.

    `place` is `None` in a part of an object that was split off without this array. `is_key` marks
    a PRNG key, which lives in a buffer and is no number.
    """

    path: str
    place: Place | None
    is_key: bool = False


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What is declared about a parameter besides its value."""

    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    scale: str | int | float | None = None
    guess: Any = None
    prior: Any = None
    unit: str | None = None
    description: str | None = None
    dtype: str | None = None

    def key(self) -> Hashable:
        return tuple(fingerprint(getattr(self, f.name)) for f in dataclasses.fields(self))


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the index knows of one name.

    - `portion`: its role; `None` for a dependent parameter.
    - `leaves`: its arrays. A plain number or array has one, with the path `""`.
    - `skeleton`: for a pytree, a string or a function: the value with a `Hole` for each array.
    - `bind`: for a dependent parameter: the function of a view that gives its value.
    """

    name: str
    portion: Portion | None
    leaves: tuple[Leaf, ...] = ()
    skeleton: Any = Hole()
    bind: Callable[..., Any] | None = None
    about: Metadata = Metadata()

    @property
    def is_array(self) -> bool:
        return self.bind is None and isinstance(self.skeleton, Hole)

    def key(self) -> Hashable:
        return (
            self.name,
            self.portion,
            self.leaves,
            fingerprint(self.skeleton),
            fingerprint(self.bind),
            self.about.key(),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What a name with or without an index means: an entry, one of its leaves, a part of that."""

    entry: Entry
    leaf: Leaf | None
    items: tuple[Item, ...] | None


class Index(Interned):
    """Names, and the place of each: static, interned, compared by identity.

    Equal declarations give the same object, also after copying and pickling, so that JAX compares
    two parameter objects of one structure by `is`. Make one with `Index.of`.
    """

    __slots__ = ("entries", "widths")

    entries: Mapping[str, Entry]
    widths: Mapping[Portion, tuple[int, ...]]

    @staticmethod
    def of(entries: tuple[Entry, ...], widths: Mapping[Portion, tuple[int, ...]]) -> Index:
        """The one index that has these `entries`, and buffers of these `widths` in each portion."""
        key = (tuple(entry.key() for entry in entries), tuple(sorted_widths(widths)))
        return Index._interned(
            key,
            lambda: {
                "entries": MappingProxyType({entry.name: entry for entry in entries}),
                "widths": MappingProxyType(dict(sorted_widths(widths))),
            },
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restored, (tuple(map(_portable, self.entries.values())), dict(self.widths)))

    def __repr__(self) -> str:
        return f"<index of {counted(len(self.entries), 'name')}>"

    def names(self, portion: Portion | None = None) -> tuple[str, ...]:
        """The declared names in declaration order, those of one portion or all."""
        return tuple(self.entries) if portion is None else self._by_portion[portion]

    @functools.cached_property
    def _by_portion(self) -> Mapping[Portion, tuple[str, ...]]:
        names_of: dict[Portion, list[str]] = {portion: [] for portion in Portion}
        for name, entry in self.entries.items():
            if entry.portion is not None:
                names_of[entry.portion].append(name)
        return {portion: tuple(names) for portion, names in names_of.items()}

    @functools.cached_property
    def leaf_names(self) -> Mapping[str, tuple[Entry, Leaf]]:
        """Every array inside a pytree under its full name, such as `net.layers[0].weight`."""
        return {
            entry.name + leaf.path: (entry, leaf)
            for entry in self.entries.values()
            if not entry.is_array
            for leaf in entry.leaves
        }

    @functools.cached_property
    def namespaces(self) -> Mapping[str, tuple[str, ...]]:
        """What comes after each prefix: `{"": ("k", "tank"), "tank": ("h",)}`."""
        return namespaces(self.entries)

    @functools.cached_property
    def bound(self) -> tuple[str, ...]:
        """The names of the dependent parameters."""
        return tuple(name for name, entry in self.entries.items() if entry.bind is not None)

    @functools.cached_property
    def runs(self) -> Mapping[tuple[Portion, int], tuple[Place, ...]]:
        """The places of each buffer from first to last; they cover it without gaps."""
        places_of: dict[tuple[Portion, int], list[Place]] = {}
        for entry in self.entries.values():
            for leaf in entry.leaves:
                if leaf.place is not None:
                    places_of.setdefault((leaf.place.portion, leaf.place.buffer), []).append(
                        leaf.place
                    )
        return {key: tuple(sorted(places, key=_start)) for key, places in places_of.items()}

    def find(self, name: Name) -> Target:
        """What `name` means, with nearest names in the error where it means nothing."""
        text = plain(name)
        target = self._target(text)
        if target is not None:
            return target
        split = split_index(text)
        text = split[0] if split is not None else text
        if not self.entries:
            raise UnknownNameError(
                f"No {text!r}: this object was built from bare buffers, or from an empty "
                "declaration, and has no names. Declare them with mtk.parameters({...})."
            )
        if text in self.namespaces:
            inside = quoted(f"{text}.{child}" for child in self.namespaces[text])
            raise UnknownNameError(f"{text!r} is a namespace, not a parameter: it holds {inside}.")
        raise unknown_name(text, [*self.entries, *self.leaf_names])

    def _target(self, text: str) -> Target | None:
        whole = self._whole(text)
        if whole is not None:
            return Target(*whole, None)
        split = split_index(text)
        whole = self._whole(split[0]) if split is not None else None
        if split is None or whole is None:
            return None
        entry, leaf = whole
        if entry.bind is None and leaf is None:
            raise UnknownNameError(f"{split[0]!r} is not an array: it has no entry {text!r}.")
        return Target(entry, leaf, split[1])

    def _whole(self, text: str) -> tuple[Entry, Leaf | None] | None:
        entry = self.entries.get(text)
        if entry is not None:
            return entry, entry.leaves[0] if entry.is_array else None
        return self.leaf_names.get(text)

    def __contains__(self, name: object) -> bool:
        try:
            # Not by `find`: its error takes a while to look for the nearest names.
            target = self._target(plain(name))
            if target is None:
                return False
            if (
                target.leaf is not None
                and target.leaf.place is not None
                and target.items is not None
            ):
                part_of(target, target.leaf.place.shape)
        except UnknownNameError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)


@dataclasses.dataclass(frozen=True)
class _Reference:
    """Stands in a pickle for a function of a module, such as `jax.nn.relu`, which has no other way."""

    module: str
    name: str

    @staticmethod
    def to(value: object) -> Any:
        plain = types.FunctionType | types.BuiltinFunctionType | type  # pickle takes these by name
        if not callable(value) or isinstance(value, plain) or not is_at_home(value):
            return value
        if value.__module__ == "__main__":
            return value  # another process has another one
        name = getattr(value, "__qualname__", None) or value.__name__
        return _Reference(value.__module__, name)

    @staticmethod
    def follow(value: object) -> Any:
        if not isinstance(value, _Reference):
            return value
        return operator.attrgetter(value.name)(importlib.import_module(value.module))


def _portable(entry: Entry) -> Entry:
    skeleton = jax.tree.map(_Reference.to, entry.skeleton)
    return dataclasses.replace(entry, skeleton=skeleton, bind=_Reference.to(entry.bind))


def _restored(entries: tuple[Entry, ...], widths: Mapping[Portion, tuple[int, ...]]) -> Index:
    follow = _Reference.follow
    there = (
        dataclasses.replace(e, skeleton=jax.tree.map(follow, e.skeleton), bind=follow(e.bind))
        for e in entries
    )
    return Index.of(tuple(there), widths)


def namespaces(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The parts of dotted names that come after each prefix; initial values are in none."""
    children_of: dict[str, dict[str, None]] = {"": {}}
    for name in names:
        if unknown_of(name) is not None:
            continue
        parts = name.split(".")
        for depth, part in enumerate(parts):
            children_of.setdefault(".".join(parts[:depth]), {})[part] = None
    return {prefix: tuple(children) for prefix, children in children_of.items()}


def _start(place: Place) -> tuple[int, int]:
    # An array of no entries shares its start with its successor and comes first.
    return (place.start, place.stop)


def sorted_widths(
    widths: Mapping[Portion, tuple[int, ...]],
) -> list[tuple[Portion, tuple[int, ...]]]:
    return [(portion, tuple(widths.get(portion, ()))) for portion in Portion]


def part_of(target: Target, shape: tuple[int, ...]) -> np.ndarray:
    """The flat positions, inside an array of `shape`, that `target` picks out, in their shape."""
    positions = np.arange(math.prod(shape)).reshape(shape)
    if target.items is None:
        return positions
    try:
        return np.asarray(positions[target.items])
    except IndexError as error:
        name = target.entry.name + (target.leaf.path if target.leaf else "")
        raise UnknownNameError(
            f"No entry [{', '.join(map(show_item, target.items))}] in {name!r}, "
            f"which has shape {shape}; indices start at 0."
        ) from error


def show_item(item: Item) -> str:
    if isinstance(item, slice):
        start, stop, step = (
            "" if x is None else str(x) for x in (item.start, item.stop, item.step)
        )
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"
    return str(item)


def rebuild(skeleton: PyTree, arrays: list[Any]) -> Any:
    """The pytree of `skeleton` with `arrays` in its holes, in order."""
    leaves, structure = jax.tree.flatten(skeleton)
    filled = iter(arrays)
    return structure.unflatten([next(filled) if isinstance(x, Hole) else x for x in leaves])
