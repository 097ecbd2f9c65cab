"""What an object holds under which name: arrays in buffers, and text and settings beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax

from .._parameters import VECTORS, At, Entry, Index, Leaf, MTKParameters, Place, Portion
from ..errors import KindError
from .arrays import Host, on_host

PLAIN = (str, bool, int, float, complex)


def check_object(p: object, what: str) -> None:
    if isinstance(p, MTKParameters):
        return
    raise KindError(f"{what} is an MTKParameters, got {_article(type(p).__name__)}.")


def _article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def hosts_of(p: MTKParameters) -> dict[At, Host | None]:
    """The buffers of `p` on the host; `None` for those that were partitioned away."""
    hosts: dict[At, Host | None] = {}
    for portion in Portion:
        # Not `p.buffers`: the fields of a filter or a Hessian may be anything.
        buffers = getattr(p, portion.value)
        for i, buffer in enumerate((buffers,) if portion in VECTORS else buffers):
            name = f"{portion.value}[{i}]" if portion not in VECTORS else portion.value
            hosts[portion, i] = None if buffer is None else on_host(buffer, name)
    return hosts


def leaves_of(
    entries: Iterable[Entry],
    widths: Mapping[Portion, tuple[int, ...]],
    hosts: Mapping[At, Host | None],
) -> dict[str, tuple[Entry, Leaf]]:
    """The arrays that have a name and values, by their full names, in declaration order."""
    readable = {
        at for at, host in hosts.items() if host is not None and _has_places(at, host, widths)
    }
    return {
        entry.name + leaf.path: (entry, leaf)
        for entry in entries
        for leaf in entry.leaves
        if leaf.place is not None and (leaf.place.portion, leaf.place.buffer) in readable
    }


def _has_places(at: At, host: Host, widths: Mapping[Portion, tuple[int, ...]]) -> bool:
    # A sum over all entries, for one, has the structure of an object and no entries.
    portion, number = at
    own = widths.get(portion, ())
    return not host.is_nothing and number < len(own) and host.shape[-1:] == (own[number],)


def place_of(leaf: Leaf | None) -> Place:
    """The place of an array that is in the object."""
    assert leaf is not None
    assert leaf.place is not None
    return leaf.place


def buffer_of(leaf: Leaf | None, hosts: Mapping[At, Host | None]) -> Host:
    """The buffer of an array that is in the object."""
    place = place_of(leaf)
    host = hosts[place.portion, place.buffer]
    assert host is not None
    return host


def settings_of(entry: Entry) -> dict[str, Any]:
    """The text of an entry; for a pytree, the text and the numbers that are no arrays."""
    if entry.bind is not None or entry.is_array:
        return {}
    settings, _ = jax.tree_util.tree_flatten_with_path(entry.skeleton)
    return {
        entry.name + jax.tree_util.keystr(path): value
        for path, value in settings
        if type(value) in PLAIN
    }


def all_settings(index: Index) -> dict[str, Any]:
    return {name: v for entry in index.entries.values() for name, v in settings_of(entry).items()}


def with_settings(index: Index, settings: Mapping[str, Any]) -> Index:
    """The index that has `settings` in place of its own of these names."""
    mine = all_settings(index)
    new = {k: v for k, v in settings.items() if type(v) is not type(mine[k]) or v != mine[k]}
    if not new:
        return index
    entries = (_with_settings(entry, new) for entry in index.entries.values())
    return Index.of(tuple(entries), index.widths)


def _with_settings(entry: Entry, new: Mapping[str, Any]) -> Entry:
    if not any(name in new for name in settings_of(entry)):
        return entry
    found, structure = jax.tree_util.tree_flatten_with_path(entry.skeleton)
    leaves = [new.get(entry.name + jax.tree_util.keystr(path), value) for path, value in found]
    return dataclasses.replace(entry, skeleton=structure.unflatten(leaves))


def on_device(hosts: Mapping[At, Host | None]) -> dict[Portion, tuple[Any, ...]]:
    """Buffers with memory of their own, as `MTKParameters.from_buffers` takes them."""
    fields: dict[Portion, list[Any]] = {portion: [] for portion in Portion}
    for (portion, _), host in hosts.items():
        fields[portion].append(None if host is None else host.on_device())
    return {portion: tuple(buffers) for portion, buffers in fields.items()}
