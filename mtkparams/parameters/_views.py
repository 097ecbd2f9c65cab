"""Views for one call of an equation."""

from __future__ import annotations

from collections.abc import Mapping

from ._index import namespaces
from ._mtkparameters import MTKParameters, from_fields
from ._reader import Reader, trace_state
from ._view import View


def local(p: MTKParameters) -> MTKParameters:
    """`p` for use in one trace: it splits its buffers once there, wherever they come from.

    An equation inside a solver's loop reads the parameters of an outer trace. Their pieces may be
    remembered as long as the equation runs, and not with `p` itself, which outlives the loop.
    """
    q = from_fields(p.index, *(getattr(p, name) for name in FIELDS))
    object.__setattr__(q, "_reader", Reader(q.index, q.buffers, home=trace_state()))
    return q


def renamed(view: View, names: Mapping[str, str]) -> View:
    """`view` with more names, each of which stands for another of its names."""
    return View(_Renamed(view, names), lambda name: view[names.get(str(name), name)])


class _Renamed:
    """The names of a view and aliases for some of them."""

    def __init__(self, view: View, names: Mapping[str, str]):
        self.entries = dict.fromkeys([*view, *names])
        self.namespaces = namespaces(self.entries)

    def __contains__(self, name: object) -> bool:
        return name in self.entries


FIELDS = ("tunable", "initials", "discrete", "constants", "nonnumeric", "caches")
