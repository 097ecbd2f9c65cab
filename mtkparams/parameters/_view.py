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

    # Two underscores: Python then adds the name of the class, and no parameter is hidden by them.
    __slots__ = ("__get", "__index", "__prefix")

    def __init__(self, index: Index, get: Callable[[Name], Any], prefix: str = ""):
        self.__index = index
        self.__get = get
        self.__prefix = prefix

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") and attribute.endswith("__"):
            raise AttributeError(attribute)
        name = self.__prefix + attribute
        if name in self.__index.entries:
            return self.__get(name)
        if name in self.__index.namespaces:
            return View(self.__index, self.__get, name + ".")
        where = f"the names in {self.__prefix[:-1]!r}" if self.__prefix else "these parameters"
        raise unknown_name(attribute, self.__index.namespaces.get(self.__prefix[:-1], ()), where)

    def __getitem__(self, name: Name) -> Any:
        return self.__get(self.__prefix + plain(name))

    def __contains__(self, name: object) -> bool:
        return self.__prefix + plain(name) in self.__index

    def __iter__(self) -> Iterator[str]:
        names = (n for n in self.__index if n.startswith(self.__prefix))
        return (name[len(self.__prefix) :] for name in names)

    def __dir__(self) -> list[str]:
        return list(self.__index.namespaces.get(self.__prefix[:-1], ()))

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return f"<view of {', '.join(self) or 'no names'}>"
