"""Attribute access to names: what equations and bindings get as `p`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import unknown_name
from ._index import Index
from ._names import Name, plain


class View:
    """Parameters with their names as attributes: `v.k`, `v.tank.k`, `v["tank.k"]`.

    `mtk.MTKParameters.view` gives one, and the functions of `bind=` are called with one. Inside a
    namespace names are relative: `v.tank["k"]` is `v["tank.k"]`.

    !!! Example

        >>> import mtkparams as mtk
        >>> v = mtk.parameters({"tank.k": 0.3, "tank.area": 2.0}).view
        >>> float(v.tank.k), dir(v.tank)
        (0.3, ['area', 'k'])
    """

    __slots__ = ("_get", "_index", "_prefix")

    def __init__(self, index: Index, get: Callable[[Name], Any], prefix: str = ""):
        self._index = index
        self._get = get
        self._prefix = prefix

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        name = self._prefix + attribute
        if name in self._index.entries:
            return self._get(name)
        if name in self._index.namespaces:
            return View(self._index, self._get, name + ".")
        where = f"the names in {self._prefix[:-1]!r}" if self._prefix else "these parameters"
        raise unknown_name(attribute, self._index.namespaces.get(self._prefix[:-1], ()), where)

    def __getitem__(self, name: Name) -> Any:
        return self._get(self._prefix + plain(name))

    def __contains__(self, name: object) -> bool:
        return self._prefix + plain(name) in self._index

    def __iter__(self) -> Iterator[str]:
        names = (n for n in self._index if n.startswith(self._prefix))
        return (name[len(self._prefix) :] for name in names)

    def __dir__(self) -> list[str]:
        return list(self._index.namespaces.get(self._prefix[:-1], ()))

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return f"<view of {', '.join(self) or 'no names'}>"
