"""Hashable stand-ins for static values: equal where the values would behave equally.

Interning an index needs to know whether two declarations are the same. Functions make it hard: the
same `lambda` line run twice gives two objects that Python calls unequal. Here they are equal where
code, defaults, closure and the globals that the code reads are equal; in doubt they are unequal,
which costs a retrace and never a stale result.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import sys
import types
from collections.abc import Hashable
from typing import Any

import equinox as eqx
import jax
import numpy as np


class _Same:
    """Compares by identity, and keeps its object alive so that no other can take its address."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def fingerprint(value: Any) -> Hashable:
    """A hashable value that is equal for values which a declaration cannot tell apart."""
    return _fingerprint(value, ())


def _fingerprint(value: Any, inside: tuple[int, ...]) -> Hashable:
    if value is None or isinstance(value, bool | int | str | bytes | enum.Enum | type):
        # The type is part of it: 1 == True == 1.0 in Python, and they trace differently.
        return (type(value), value)
    if isinstance(value, float | complex):
        return (type(value), repr(value))
    if isinstance(value, np.ndarray | np.generic):
        return _array(np.asarray(value))
    if isinstance(value, jax.Array):
        if isinstance(value, jax.core.Tracer) or jax.dtypes.issubdtype(
            value.dtype, jax.dtypes.extended
        ):
            return _Same(value)
        return ("jax", _array(np.asarray(value)))
    if id(value) in inside:
        return ("recursion", inside.index(id(value)))
    inside = (*inside, id(value))
    if isinstance(value, list | tuple):
        return (type(value), tuple(_fingerprint(v, inside) for v in value))
    if isinstance(value, dict):
        items = ((_fingerprint(k, inside), _fingerprint(v, inside)) for k, v in value.items())
        return (dict, tuple(items))
    if isinstance(value, set | frozenset):
        return (type(value), frozenset(_fingerprint(v, inside) for v in value))
    if isinstance(value, functools.partial):
        parts = (value.func, value.args, value.keywords)
        return ("partial", tuple(_fingerprint(v, inside) for v in parts))
    if isinstance(value, types.MethodType):
        return (
            "method",
            _fingerprint(value.__func__, inside),
            _fingerprint(value.__self__, inside),
        )
    if isinstance(value, types.FunctionType):
        return _function(value, inside)
    if isinstance(value, eqx.Module) and dataclasses.is_dataclass(value):
        fields = (getattr(value, f.name, None) for f in dataclasses.fields(value))
        return (type(value), tuple(_fingerprint(v, inside) for v in fields))
    return _other(value, inside)


def _array(value: np.ndarray) -> Hashable:
    if value.dtype.hasobject:
        return ("objects", value.shape, tuple(_fingerprint(v, ()) for v in value.ravel().tolist()))
    content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).digest()
    return ("array", value.dtype.name, value.shape, content)


def _function(f: types.FunctionType, inside: tuple[int, ...]) -> Hashable:
    cells = []
    for cell in f.__closure__ or ():
        try:
            cells.append(_fingerprint(cell.cell_contents, inside))
        except ValueError:  # an empty cell: the name is assigned after the function was made
            cells.append(_Same(cell))
    reads = [
        (name, _global(f.__globals__[name], f, inside))
        for name in sorted(_names(f.__code__))
        if name in f.__globals__
    ]
    return (
        "function",
        _Same(f.__globals__),
        f.__qualname__,
        _code(f.__code__, inside),
        _fingerprint(f.__defaults__, inside),
        _fingerprint(f.__kwdefaults__, inside),
        tuple(cells),
        tuple(reads),
    )


def _global(value: Any, reader: types.FunctionType, inside: tuple[int, ...]) -> Hashable:
    if isinstance(value, types.ModuleType):
        return _Same(value)
    if isinstance(value, types.FunctionType) and value.__globals__ is not reader.__globals__:
        # Another module's function. One that its module still holds under its own name is that
        # module's business; following it would walk through whole libraries.
        home: Any = sys.modules.get(value.__module__)
        for part in value.__qualname__.split("."):
            home = getattr(home, part, None)
        if home is value:
            return _Same(value)
    return _fingerprint(value, inside)


def _names(code: types.CodeType) -> set[str]:
    nested = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*(_names(c) for c in nested))


def _code(code: types.CodeType, inside: tuple[int, ...]) -> Hashable:
    # Not the code object itself: its equality includes line numbers, and the same text two lines
    # further down is the same function.
    consts = tuple(
        _code(c, inside) if isinstance(c, types.CodeType) else _fingerprint(c, inside)
        for c in code.co_consts
    )
    return (
        code.co_code,
        consts,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags,
        code.co_exceptiontable,
    )


def _other(value: Any, inside: tuple[int, ...]) -> Hashable:
    # A pytree class of another library, such as a distribution: its children and its static data.
    if not jax.tree_util.all_leaves([value]):
        children, structure = jax.tree.flatten(value, is_leaf=lambda x: x is not value)
        return (type(value), structure, tuple(_fingerprint(c, inside) for c in children))
    try:
        hash(value)
    except TypeError:
        return _Same(value)
    return value
