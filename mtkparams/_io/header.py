"""The index as JSON, and back: names, places, and what is declared about them."""

from __future__ import annotations

import dataclasses
from typing import Any

from .._parameters import Entry, Hole, Index, Leaf, Metadata, Place, Portion, sorted_widths
from .names import settings_of
from .static import NotPlainError, decode, encode, kind


@dataclasses.dataclass(frozen=True, eq=False)
class Described:
    """What a file says about an index.

    - `entries`: as in the index; one whose skeleton is not in the file has a `Hole` there.
    - `bound`: the names of dependent parameters.
    - `needs`: why the file alone does not give the index, for each name that stands in the way.
    - `settings`: text and numbers inside of pytrees, under their full names.
    """

    entries: tuple[Entry, ...]
    widths: dict[Portion, tuple[int, ...]]
    needs: dict[str, str]
    settings: dict[str, Any]
    bound: frozenset[str]

    def index(self) -> Index:
        return Index.of(self.entries, self.widths)

    def same_places(self, index: Index) -> bool:
        """Whether `index` has the same names with the same arrays at the same places."""
        mine = [(e.name, e.portion, e.leaves, e.name in self.bound) for e in self.entries]
        other = [(e.name, e.portion, e.leaves, e.bind is not None) for e in index.entries.values()]
        return mine == other and sorted_widths(self.widths) == sorted_widths(index.widths)


def describe(index: Index) -> dict[str, Any]:
    """`index` as a dictionary for JSON."""
    # An index never changes, and training loops save often.
    if "io" not in index.memo:
        index.memo["io"] = {
            "widths": {
                portion.value: list(widths) for portion, widths in sorted_widths(index.widths)
            },
            "entries": [_entry(entry) for entry in index.entries.values()],
        }
    return index.memo["io"]


def described(header: dict[str, Any]) -> Described:
    """What `describe` was told, as far as a file can hold it."""
    entries, needs, bound, settings = [], {}, set(), {}
    for stored in header["entries"]:
        name = stored["name"]
        skeleton = decode(stored["value"]) if "value" in stored else Hole()
        entry = Entry(
            name,
            None if stored["portion"] is None else Portion(stored["portion"]),
            tuple(_leaf_from(leaf) for leaf in stored["arrays"]),
            skeleton,
            about=Metadata(**{field: decode(value) for field, value in stored["about"].items()}),
        )
        entries.append(entry)
        settings.update(settings_of(entry))
        settings.update({name + path: decode(value) for path, value in stored.get("settings", ())})
        if "needs" in stored:
            needs[name] = stored["needs"]
        if stored.get("bound"):
            bound.add(name)
    widths = {Portion(portion): tuple(sizes) for portion, sizes in header["widths"].items()}
    return Described(tuple(entries), widths, needs, settings, frozenset(bound))


def _entry(entry: Entry) -> dict[str, Any]:
    stored: dict[str, Any] = {
        "name": entry.name,
        "portion": None if entry.portion is None else entry.portion.value,
        "arrays": [_leaf(leaf) for leaf in entry.leaves],
        "about": {},
    }
    needs = []
    if entry.bind is not None:
        stored["bound"] = True
        needs.append("is a binding")
    elif not isinstance(entry.skeleton, Hole):
        try:
            stored["value"] = encode(entry.skeleton)
        except NotPlainError as error:
            whole = kind(entry.skeleton) == str(error)
            needs.append(f"{'is' if whole else 'holds'} {error}")
            paths = {name[len(entry.name) :]: value for name, value in settings_of(entry).items()}
            stored["settings"] = [[path, encode(value)] for path, value in paths.items()]
    for field in dataclasses.fields(Metadata):
        value = getattr(entry.about, field.name)
        if value is None:
            continue
        try:
            stored["about"][field.name] = encode(value)
        except NotPlainError:
            needs.append(f"has a {field.name} ({type(value).__name__})")
    if needs:
        stored["needs"] = " and ".join(needs)
    return stored


def _leaf(leaf: Leaf) -> dict[str, Any]:
    stored: dict[str, Any] = {"path": leaf.path} if leaf.path else {}
    if leaf.place is not None:
        place = leaf.place
        stored |= {"portion": place.portion.value, "buffer": place.buffer, "start": place.start}
        stored["shape"] = list(place.shape)
    return stored | ({"key": True} if leaf.is_key else {})


def _leaf_from(found: dict[str, Any]) -> Leaf:
    place = None
    if "portion" in found:
        portion, shape = Portion(found["portion"]), tuple(found["shape"])
        place = Place(portion, found["buffer"], found["start"], shape)
    return Leaf(found.get("path", ""), place, found.get("key", False))
