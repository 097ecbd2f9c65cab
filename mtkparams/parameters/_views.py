"""Views with other names than their own."""

from __future__ import annotations

from collections.abc import Mapping

from ._index import namespaces
from ._view import View


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
