"""Reading names, and structures of names, from a parameter object.

Functions rather than methods of the object: Equinox makes a Module of each method that is taken
from an object, which takes longer than to read a name. Their `p` is `Any` because the class has its
`__getitem__` from here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import equinox as eqx

from ..errors import KindError
from ._names import Initial
from ._portions import Portion
from ._reader import BoundValues, Reader
from ._view import View


def read(p: Any, spec: Any, bound: BoundValues | None = None) -> Any:
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


def new_bound(p: Any) -> BoundValues:
    """Room for the dependent parameters of `p` during one read, or several that belong together."""
    return BoundValues(functools.partial(_view, p))


def shared_view(p: Any) -> View:
    """A view that evaluates each dependent parameter once, for one call of an equation."""
    return _view(p, new_bound(p))


def _view(p: Any, bound: BoundValues) -> View:
    return View(p.index, lambda name: read(p, name, bound))


def _of_each_member(p: Any, spec: Any) -> Any:
    # A function of parameters is one of a single set of them: `jnp.sum(p.tau)` of a batch is a
    # sum for each member. Buffers without the outermost axis of the batch serve all members.
    depth = max(buffer.ndim for own in p.buffers.values() for buffer in own)
    axes = {q: tuple(0 if b.ndim == depth else None for b in own) for q, own in p.buffers.items()}
    return eqx.filter_vmap(lambda p: p[spec], in_axes=(p.from_buffers(axes),))(p)


def _reader(p: Any) -> Reader:
    try:
        return p._reader
    except AttributeError:
        reader = Reader(p.index, p.buffers)
        object.__setattr__(p, "_reader", reader)
        return reader
