"""Values into an object, by name and on the host, so that each keeps its bits."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .._parameters import At, MTKParameters, Place, Target, part_of
from .arrays import Host
from .names import hosts_of, on_device, place_of, with_settings


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """A value for an entry: its place in the object, and the value with the batch in front."""

    target: Target
    host: Host

    @property
    def name(self) -> str:
        """The full name of the array that has the entry."""
        assert self.target.leaf is not None
        return self.target.entry.name + self.target.leaf.path

    @property
    def place(self) -> Place:
        return place_of(self.target.leaf)

    @functools.cached_property
    def positions(self) -> np.ndarray:
        return np.asarray(self.place.start + part_of(self.target, self.place.shape))

    @property
    def lead(self) -> tuple[int, ...]:
        return self.host.shape[: len(self.host.shape) - self.positions.ndim]


def filled(
    p: MTKParameters, values: Iterable[Value], settings: Mapping[str, Any], lead: tuple[int, ...]
) -> MTKParameters:
    """`p` with `values` and `settings`; `lead` are leading axes that all of its buffers get."""
    hosts = {at: host if host is None else _batch(host, lead) for at, host in hosts_of(p).items()}
    mine: dict[At, list[Value]] = {}
    for value in values:
        place = value.place
        mine.setdefault((place.portion, place.buffer), []).append(value)
    for at, group in mine.items():
        hosts[at] = _put(hosts[at], group)
    return p.from_buffers(on_device(hosts), with_settings(p.index, settings))


def _batch(host: Host, lead: tuple[int, ...]) -> Host:
    if not lead or host.shape[:-1]:
        return host
    return Host(np.broadcast_to(host.data, (*lead, *host.data.shape)), host.impl)


def _put(host: Host | None, values: list[Value]) -> Host:
    assert host is not None
    host = _batch(host, max((value.lead for value in values), key=len))
    data = host.data.copy()
    every = (slice(None),) * len(host.words)
    for value in values:
        data[(..., value.positions, *every)] = value.host.data
    return Host(data, host.impl)
