"""Attribute access to names: what equations and bindings get as `p`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import equinox as eqx
from jaxtyping import PyTree

from ..._text import listed
from ...errors import KindError, unknown_name
from ..names.index import Index, namespaces
from ..names.names import Initial, Name, Portion, plain, unknown_of
from .reader import BoundValues, ParameterObject, Reader


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

    def __init__(self, tree: Index | _Renamed, get: Callable[[Name], Any], prefix: str = ""):
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
        return f"<view of {listed(self) or 'no names'}>"


def within(view: View, prefix: str) -> View:
    """The view of a namespace (`"tank."`), which may have no names at all."""
    return View(view._View__tree, view._View__get, prefix) if prefix else view  # pyright: ignore


def _inside(prefix: str, name: Name) -> str:
    """`name` as seen from outside the namespace; `Initial(x)` inside `tank.` is `Initial(tank.x)`."""
    text = plain(name)
    unknown = unknown_of(text)
    if unknown is not None:
        return str(Initial(prefix + unknown))
    return f"D({prefix}{text[2:]}" if text.startswith("D(") else prefix + text


def read(p: ParameterObject, spec: PyTree, bound: BoundValues | None = None) -> Any:
    """The value under a name, or a structure of values; `bound` has what was evaluated before."""
    bound = new_bound(p) if bound is None else bound
    if isinstance(spec, str | Initial):
        reader = _reader(p)
        if reader.is_batch() and p.index.find(spec).entry.bind is not None:
            return _of_each_member(p, spec)
        return reader.name(spec, bound)
    if isinstance(spec, tuple) and hasattr(spec, "_fields"):
        return type(spec)(*(read(p, s, bound) for s in spec))
    if isinstance(spec, list | tuple):
        return type(spec)(read(p, s, bound) for s in spec)
    if isinstance(spec, Mapping):
        return {key: read(p, s, bound) for key, s in spec.items()}
    if isinstance(spec, Portion):
        raise KindError(
            f"{spec!r} is a portion. p[p.names({spec!r})] reads its values, "
            f"mtk.canonicalize({spec!r}, p) makes one vector of them."
        )
    if callable(spec):
        return _of_each_member(p, spec) if _reader(p).is_batch() else spec(_view(p, bound))
    raise KindError(
        "Names are strings, mtk.Initial(...), functions of the view, or lists, tuples and "
        f"dictionaries of those; got {spec!r}."
    )


def new_bound(p: ParameterObject) -> BoundValues:
    """Room for the dependent parameters of `p` during one read, or several that belong together."""
    return BoundValues(functools.partial(_view, p))


def shared_view(p: ParameterObject) -> View:
    """A view that evaluates each dependent parameter once, for one call of an equation."""
    return _view(p, new_bound(p))


def _view(p: ParameterObject, bound: BoundValues) -> View:
    return View(p.index, lambda name: read(p, name, bound))


def _of_each_member(p: ParameterObject, spec: PyTree) -> Any:
    # A function of parameters is one of a single set of them: `jnp.sum(p.tau)` of a batch is a
    # sum for each member. Buffers without the outermost axis of the batch serve all members.
    depth = max(buffer.ndim for buffers in p.buffers.values() for buffer in buffers)
    axes = {
        q: tuple(0 if b.ndim == depth else None for b in buffers)
        for q, buffers in p.buffers.items()
    }
    return eqx.filter_vmap(lambda p: p[spec], in_axes=(p.from_buffers(axes),))(p)


def _reader(p: ParameterObject) -> Reader:
    try:
        return p._reader  # pyright: ignore[reportAttributeAccessIssue], a slot of the object
    except AttributeError:
        reader = Reader(p.index, p.buffers)
        object.__setattr__(p, "_reader", reader)
        return reader


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
