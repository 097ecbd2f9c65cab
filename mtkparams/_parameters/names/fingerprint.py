"""Hashable stand-ins for static values: equal where the values would behave equally.

Interning an index needs to know whether two declarations are the same. Functions make it hard: the
same `lambda` line run twice gives two objects that Python calls unequal. Here they are equal where
code, defaults, closure and the globals that the code reads are equal; in doubt they are unequal,
which costs a retrace and never a stale result.
"""

from __future__ import annotations

import builtins
import dataclasses
import dis
import enum
import functools
import hashlib
import sys
import types
from collections.abc import Hashable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


class Same:
    """Compares by identity, and keeps its object alive so that no other can take its address."""

    __slots__ = ("value",)

    def __init__(self, value: object):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def fingerprint(value: object) -> Hashable:
    """A hashable value that is equal for values which a declaration cannot tell apart."""
    return _fingerprint(value, ())


def _fingerprint(value: object, inside: tuple[int, ...]) -> Hashable:
    if value is None or isinstance(value, bool | int | str | bytes | enum.Enum | type):
        # The type is part of it: 1 == True == 1.0 in Python, and they trace differently.
        return (type(value), value)
    if isinstance(value, float | complex):
        return (type(value), repr(value))
    if isinstance(value, np.ndarray | np.generic):
        return (type(value), _array(np.asarray(value)))
    if isinstance(value, jax.Array):
        if isinstance(value, Tracer) or value.is_deleted():
            return Same(value)
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            return (value.dtype, _array(np.asarray(jax.random.key_data(value))))
        return ("jax", value.weak_type, _array(np.asarray(value)))
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
    if dataclasses.is_dataclass(value) and _never_changes(type(value)):
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
            cells.append(Same(cell))
    reads = [(name, _read_global(name, f, inside)) for name in sorted(_globals_read(f.__code__))]
    return (
        "function",
        f.__qualname__,
        _code(f.__code__, inside),
        _fingerprint(f.__defaults__, inside),
        _fingerprint(f.__kwdefaults__, inside),
        tuple(cells),
        tuple(reads),
    )


def _never_changes(kind: type) -> bool:
    return issubclass(kind, eqx.Module) or kind.__dataclass_params__.frozen  # pyright: ignore


def _read_global(name: str, reader: types.FunctionType, inside: tuple[int, ...]) -> Hashable:
    if name in reader.__globals__:
        return _global(reader.__globals__[name], reader, inside)
    # A built-in one, or one that is still to come: that of this very module then.
    return None if hasattr(builtins, name) else Same(reader.__globals__)


def _global(value: object, reader: types.FunctionType, inside: tuple[int, ...]) -> Hashable:
    if isinstance(value, types.ModuleType):
        return _module(value, reader, inside)
    if isinstance(value, types.FunctionType) and value.__module__ != reader.__module__:
        # Another module's function. One that its module still holds under its own name is that
        # module's business; following it would walk through whole libraries.
        if is_at_home(value):
            return Same(value)
    return _fingerprint(value, inside)


def is_at_home(value: object) -> bool:
    """Whether the module of a function holds it under its own name."""
    attribute: Any = sys.modules.get(getattr(value, "__module__", None) or "")
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or ""
    for part in name.split("."):
        attribute = getattr(attribute, part, None)
    return attribute is not None and attribute is value


def _module(
    module: types.ModuleType, reader: types.FunctionType, inside: tuple[int, ...]
) -> Hashable:
    """A module, with what the reader may read from it: `settings.k` is as global as `k`."""
    if id(module) in inside:
        return Same(module)
    inside = (*inside, id(module))
    held = vars(module)
    names = sorted(name for name in _names(reader.__code__) if name in held)
    return (Same(module), tuple((name, _global(held[name], reader, inside)) for name in names))


def _names(code: types.CodeType) -> set[str]:
    return set(code.co_names).union(*(_names(c) for c in _nested(code)))


@functools.cache
def _globals_read(code: types.CodeType) -> frozenset[str]:
    # Not all of `co_names`: in `lambda p: p.k` it has `k`, and a global `k` is no concern of it.
    names = {i.argval for i in dis.get_instructions(code) if i.opname in _READS_GLOBAL}
    return frozenset(names.union(*(_globals_read(c) for c in _nested(code))))


_READS_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")


def _nested(code: types.CodeType) -> list[types.CodeType]:
    return [c for c in code.co_consts if isinstance(c, types.CodeType)]


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
        return Same(value)
    return value
