"""Stored values into a declaration that may have changed, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from .._parameters import At, Caches, Entry, Leaf, MTKParameters, Target
from .arrays import REFUSED, ROUNDED, SAME, Host, converted, narrowed
from .fill import Value, filled
from .header import Described
from .mismatch import Mismatch
from .names import all_settings, buffer_of, hosts_of, leaves_of, on_device, place_of, with_settings

Hosts: TypeAlias = Mapping[At, Host | None]


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """The content of a file: the index as far as it goes, and the buffers."""

    described: Described
    hosts: Hosts


@dataclasses.dataclass(frozen=True, eq=False)
class _Content:
    """What there is under each full name: an array, a text or a setting, or a binding."""

    arrays: dict[str, tuple[Entry, Leaf]]
    settings: dict[str, Any]
    bound: Collection[str]

    def kind(self, name: str) -> str | None:
        if name in self.arrays:
            return "an array"
        if name in self.settings:
            value = self.settings[name]
            return "text" if isinstance(value, str) else f"a static {type(value).__name__}"
        return "a dependent parameter" if name in self.bound else None

    @property
    def names(self) -> list[str]:
        return [*self.arrays, *self.settings]


def load_like(stored: Stored, like: MTKParameters, strict: bool, what: str) -> MTKParameters:
    """The stored values in an object with the declaration of `like`."""
    about, hosts = stored.described, stored.hosts
    mine, index = hosts_of(like), like.index
    content = _Content(leaves_of(about.entries, about.widths, hosts), about.settings, about.bound)
    arrays = leaves_of(index.entries.values(), index.widths, mine)
    wanted = _Content(arrays, all_settings(index), frozenset(index.bound))
    same = about.same_places(index)
    whole = _whole(hosts, mine) if same else None
    mismatch = Mismatch()
    # With the same places the parts of an object come back as such: what it lacks is not missing.
    both = _matched(content, wanted, mismatch, apart=not same)
    settings = {name: about.settings[name] for name in both if name in about.settings}
    values = []
    for name in both:
        if name in content.arrays:
            pair = _Pair.of(content.arrays[name][1], hosts, wanted.arrays[name], mine)
            host = pair.compared(name, mismatch, whole is None)
            if host is not None:
                values.append(Value(pair.target, host))
    mismatch.settle(what, "`like`", strict)
    if whole is not None:
        return like.from_buffers(on_device(whole), with_settings(index, settings))
    return filled(like, values, settings, _lead(hosts))


def _matched(given: _Content, wanted: _Content, mismatch: Mismatch, apart: bool) -> list[str]:
    """The names that both hold, as the same kind of thing."""
    for name in wanted.names:
        if given.kind(name) is None and (apart or name in wanted.settings):
            mismatch.missing.append(name)
    both = []
    for name in dict.fromkeys([*given.names, *given.bound]):
        was, now = given.kind(name), wanted.kind(name)
        if now is None:
            if name not in given.bound and (apart or name in given.settings):
                mismatch.left_over.append(name)
        elif was != now:
            mismatch.changed[name] = f"is given as {was} and declared as {now}"
        elif name not in given.bound:
            both.append(name)
    return both


@dataclasses.dataclass(frozen=True, eq=False)
class _Pair:
    """An array in the file, and the buffer that it goes to."""

    given: Host
    shape: tuple[int, ...]  # without a batch
    target: Target
    buffer: Host

    @staticmethod
    def of(given: Leaf, hosts: Hosts, wanted: tuple[Entry, Leaf], mine: Hosts) -> _Pair:
        place = place_of(given)
        host = buffer_of(given, hosts).take(place)
        return _Pair(host, place.shape, Target(*wanted, None), buffer_of(wanted[1], mine))

    def compared(self, name: str, mismatch: Mismatch, with_batch: bool) -> Host | None:
        """The value in the dtype of its buffer, or `None` with a word in `mismatch`."""
        source, buffer = self.given, self.buffer
        shape = place_of(self.target.leaf).shape
        if self.shape != shape:
            mismatch.changed[name] = f"is given with shape {self.shape} and declared with {shape}"
            return None
        lead, batch = source.shape[: len(source.shape) - len(self.shape)], buffer.shape[:-1]
        if with_batch and lead and batch and lead != batch:
            mismatch.changed[name] = f"is given as a batch of {lead}, for a batch of {batch}"
            return None
        host, became = _like(source, buffer)
        if became == SAME:
            return host
        does = "rounds it" if became == ROUNDED else "cannot hold it"
        mismatch.changed[name] = f"is given as {source.dtype}, and {buffer.dtype} {does}"
        return None if became == REFUSED else host


def _like(host: Host, buffer: Host) -> tuple[Host, str]:
    if host.impl != buffer.impl:
        return host, REFUSED
    if host.impl is not None:
        return host, SAME
    data, became = converted(host.data, buffer.data.dtype)
    return Host(data), became


def _whole(hosts: Hosts, mine: Hosts) -> dict[At, Host | None] | None:
    """All buffers as stored, in the dtypes of `mine`; `None` where some of them do not fit."""
    buffers: dict[At, Host | None] = {}
    for at, host in hosts.items():
        buffer = mine.get(at)
        buffers[at] = host
        if host is None or host.is_nothing:
            continue
        if buffer is None or buffer.is_nothing or at[0] is Caches:
            buffers[at] = narrowed(host)
            continue
        buffers[at], became = _like(host, buffer)
        if became == REFUSED:
            return None
    return buffers


def _lead(hosts: Hosts) -> tuple[int, ...]:
    """The leading axes that all buffers share."""
    leads = {host.shape[:-1] for host in hosts.values() if host is not None}
    return leads.pop() if len(leads) == 1 else ()
