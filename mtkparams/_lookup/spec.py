"""Structures of names: taken apart into single ones, and put together again around values."""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard

import jax
from jax.core import Tracer
from jaxtyping import PyTree

from .._parameters import Initial, Name, Same, current_trace, fingerprint
from .._text import counted
from ..errors import KindError, ShapeError


def leaves_of(spec: PyTree) -> list[Any]:
    """The single names and functions in a structure of lists, tuples and dictionaries."""
    if isinstance(spec, list | tuple):
        return [leaf for inner in spec for leaf in leaves_of(inner)]
    if isinstance(spec, Mapping):
        return [leaf for inner in spec.values() for leaf in leaves_of(inner)]
    if isinstance(spec, str | Initial) or callable(spec):
        return [spec]
    raise KindError(
        "Names are strings, mtk.Initial(...), functions f(t, u, p) or f(p), or lists, tuples and "
        f"dictionaries of those; got {spec!r}."
    )


def filled(spec: PyTree, values: Iterator[Any]) -> Any:
    """The structure of `spec` with the next of `values` for each single name."""
    if isinstance(spec, tuple) and hasattr(spec, "_fields"):
        return type(spec)(*(filled(inner, values) for inner in spec))
    if isinstance(spec, list | tuple):
        return type(spec)(filled(inner, values) for inner in spec)
    if isinstance(spec, Mapping):
        return {key: filled(inner, values) for key, inner in spec.items()}
    return next(values)


def matched(spec: PyTree, values: PyTree, where: str = "values") -> list[Any]:
    """One of `values` for each single name in `spec`, where they have its structure.

    In place of a list there may be an array with an entry along its first axis for each item.
    """
    if isinstance(spec, Mapping):
        if not isinstance(values, Mapping) or set(values) != set(spec):
            got = sorted(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
            raise KindError(f"{where} is a dictionary with the keys {list(spec)}, got {got}.")
        parts = [matched(inner, values[key], f"{where}[{key!r}]") for key, inner in spec.items()]
        return [value for part in parts for value in part]
    if isinstance(spec, list | tuple):
        items = _items(values, len(spec), where)
        parts = [
            matched(inner, value, f"{where}[{i}]")
            for i, (inner, value) in enumerate(zip(spec, items, strict=True))
        ]
        return [value for part in parts for value in part]
    return [values]


def _items(values: PyTree, count: int, where: str) -> list[Any]:
    if isinstance(values, list | tuple):
        length = len(values)
    elif getattr(values, "shape", ()):
        length = values.shape[0]
    else:
        raise KindError(
            f"{where} is a list of {counted(count, 'value')}, got {type(values).__name__}."
        )
    if length != count:
        raise ShapeError(f"{where} has {counted(length, 'value')} for {counted(count, 'name')}.")
    return [values[i] for i in range(count)]


def is_name(leaf: object) -> TypeGuard[Name]:
    """Whether a single item of a structure of names is a name, and no function."""
    return isinstance(leaf, str | Initial)


def takes_parameters_alone(f: Callable[..., Any]) -> bool:
    """Whether an expression is an `f(p)`, and not an `f(t, u, p)`."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [
        q for q in parameters if q.kind in positional and q.default is inspect.Parameter.empty
    ]
    variadic = any(q.kind is inspect.Parameter.VAR_POSITIONAL for q in parameters)
    return len(needed) == 1 and not variadic


def call(f: Callable[..., Any], t: object, u: object, p: object) -> Any:
    """The value of an expression of time, unknowns and parameters, or of parameters alone."""
    return f(p) if takes_parameters_alone(f) else f(t, u, p)


class Spec:
    """A structure of names as a static argument: equal where it asks for the same.

    A `lambda` that is written in a loop is a new one at each turn, and asks for the same.
    """

    __slots__ = ("_key", "value")

    def __init__(self, value: PyTree):
        self.value = value
        self._key = fingerprint(value)

    @property
    def is_settled(self) -> bool:
        """Whether its key tells everything that its expressions read.

        Not so where one reads an attribute of an object that anybody may change, or calls a function
        of a module with globals of its own: what was compiled for it could be out of date.
        """
        return _is_settled(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return repr(self.value)


def _is_settled(key: object) -> bool:
    if isinstance(key, tuple | frozenset):
        return all(map(_is_settled, key))
    if isinstance(key, Same):
        key = key.value
        if isinstance(key, types.ModuleType):
            return True  # what is read from it has keys of its own
    if isinstance(key, type | str | bytes | int | float | complex | enum.Enum | None):
        return True
    module = key.__module__ if isinstance(key, types.FunctionType) else type(key).__module__
    return str(module).split(".")[0] in _SETTLED


# Libraries whose functions read nothing that changes.
_SETTLED = ("builtins", "math", "numpy", "scipy", "jax", "jaxlib", "equinox", "diffrax", "optax")


def is_eager(*trees: Any) -> bool:
    """Whether values are at hand and nothing is traced, so that a compiled call is worth its while.

    In a trace an expression joins the program around it, which is compiled as a whole.
    """
    trace = current_trace()
    if type(trace).__name__ != "EvalTrace":
        return False
    return not any(isinstance(x, Tracer) for x in jax.tree.leaves(trees))


class Absent:
    """Stands in an expression for the time or the unknowns where there are none: any use raises."""

    __slots__ = ("_what",)

    def __init__(self, what: str):
        self._what = what

    def _refuse(self, *_: Any) -> Any:
        raise absent(self._what)

    __getattr__ = __getitem__ = __float__ = __bool__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __neg__ = __abs__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = _refuse


def absent(what: str) -> KindError:
    """The error of an expression that uses what is not there."""
    return KindError(
        f"This expression uses {what}, and parameters alone were asked for. mtk.getsym reads it from "
        "a problem or a solution."
    )
