"""Attribute access to names: what equations and bindings get as `p`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import unknown_name
from ._names import Initial, Name, plain


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

    # Mangled, so that no parameter's name is hidden behind them.
    __slots__ = ("__get", "__prefix", "__tree")

    def __init__(self, tree: Any, get: Callable[[Name], Any], prefix: str = ""):
        self.__tree = tree
        self.__get = get
        self.__prefix = prefix

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") and attribute.endswith("__"):
            raise AttributeError(attribute)
        prefix = self.__prefix
        name = prefix + attribute
        if name in self.__tree.entries:
            return self.__get(name)
        if name in self.__tree.namespaces:
            return View(self.__tree, self.__get, name + ".")
        where = f"the names in {prefix[:-1]!r}" if prefix else "these names"
        raise unknown_name(attribute, self.__tree.namespaces.get(prefix[:-1], ()), where)

    def __getitem__(self, name: Name) -> Any:
        return self.__get(_inside(self.__prefix, name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str | Initial) and _inside(self.__prefix, name) in self.__tree

    def __iter__(self) -> Iterator[str]:
        prefix = self.__prefix
        return (name[len(prefix) :] for name in self.__tree.entries if name.startswith(prefix))

    def __dir__(self) -> list[str]:
        return list(self.__tree.namespaces.get(self.__prefix[:-1], ()))

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return f"<view of {', '.join(self) or 'no names'}>"


def within(view: View, prefix: str) -> View:
    """The view of a namespace (`"tank."`), which may have no names at all."""
    return View(view._View__tree, view._View__get, prefix) if prefix else view  # pyright: ignore


def _inside(prefix: str, name: Name) -> str:
    """`name` as seen from outside the namespace; `Initial(x)` inside `tank.` is `Initial(tank.x)`."""
    text = plain(name)
    for of in ("Initial(", "D("):
        if prefix and text.startswith(of):
            return of + prefix + text[len(of) :]
    return prefix + text
