"""One declared value taken apart: its role, its arrays, and what is static in it."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeGuard

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .._parameters import Hole, Portion, fits, is_plain, unknown_of
from ..errors import DeclarationError, KindError, NonFiniteError, OutOfBoundsError, ShapeError
from .parameter import Parameter


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """One array of a value: its path in the pytree and the portion that it goes to.

    `is_weak` marks plain Python numbers, which have no precision of their own.
    """

    path: str
    portion: Portion
    array: Any
    is_weak: bool = False

    @property
    def is_key(self) -> bool:
        return is_key(self.array)


@dataclasses.dataclass(frozen=True, eq=False)
class Taken:
    portion: Portion
    parts: tuple[Part, ...]
    skeleton: Any


def take_apart(name: str, declared: Parameter) -> Taken:
    """The role of a declared value, its arrays and its static rest, or an error that names it."""
    value = declared.default
    if isinstance(value, Parameter):
        raise KindError(f"The value of {name!r} is itself an mtk.Parameter; give the value alone.")
    number = _as_number(value)
    if number is not None and number[0].dtype == object:
        raise KindError(f"{name!r} is {value!r}, which has an entry that is no number of 64 bits.")
    if number is not None:
        taken = _number(name, declared, *number)
    else:
        taken = _pytree(name, declared)
    _check_finite(name, taken)
    _check_bounds(name, declared, taken)
    return taken


def is_key(value: object) -> bool:
    """Whether `value` is a typed PRNG key."""
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def holds_numbers(x: object) -> TypeGuard[Array | np.ndarray | np.generic]:
    """Whether `x` is an array that can be a leaf: of numbers, truth values or random keys."""
    return isinstance(x, jax.Array | np.ndarray | np.generic) and (
        is_key(x) or jnp.issubdtype(x.dtype, jnp.number) or jnp.issubdtype(x.dtype, jnp.bool_)
    )


def _as_number(value: object) -> tuple[Any, bool] | None:
    """`value` as an array, and whether it was plain Python numbers; `None` for anything else."""
    if is_plain(value):
        return np.asarray(value), True
    if isinstance(value, jax.Array):
        return value, not is_key(value) and value.weak_type
    if isinstance(value, np.ma.MaskedArray):
        raise KindError("A masked array has no values in places. Give one without a mask.")
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        return (array, False) if holds_numbers(array) else None
    if type(value) is list and not value:
        return np.zeros(0), True
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return _as_list(value)
    if hasattr(value, "__array__") and not isinstance(value, eqx.Module):
        # A table's column, a labeled array: its numbers; what else it holds has no place here.
        array = np.asarray(value)
        return (array, False) if holds_numbers(array) else None
    return None


def _as_list(value: list[Any] | tuple[Any, ...]) -> tuple[Any, bool] | None:
    leaves = jax.tree.leaves(value)
    if not leaves or not all(eqx.is_array_like(x) and not is_key(x) for x in leaves):
        return None
    nested = jax.tree.structure(value)
    if "{" in str(nested):
        return None  # dictionaries inside a list
    weak = all(map(is_plain, leaves))
    try:
        if any(isinstance(x, Tracer) for x in leaves):
            return jnp.asarray(value), weak
        return np.asarray(value), weak
    except ValueError:
        return None  # rows of different lengths: a pytree


def _number(name: str, declared: Parameter, array: Array | np.ndarray, weak: bool) -> Taken:
    if is_key(array):
        if declared.tunable or declared.discrete:
            raise KindError(f"{name!r} is a random key: it can be neither tunable nor discrete.")
        return Taken(Portion.NONNUMERIC, (Part("", Portion.NONNUMERIC, array),), Hole())
    array = _cast(name, declared, array)
    weak = weak and declared.dtype is None
    is_float = jnp.issubdtype(array.dtype, jnp.floating)
    if unknown_of(name) is not None:
        if declared.discrete or declared.tunable is not None:
            raise DeclarationError(
                f"{name!r} is in the Initials portion: neither tunable= nor discrete= applies. A fit "
                "includes it when its list of names does."
            )
        return _plain(Portion.INITIALS, *_as_float(name, array, weak))
    if declared.discrete:
        return _plain(Portion.DISCRETE, array, weak)
    if declared.tunable:
        return _plain(Portion.TUNABLE, *_as_float(name, array, weak))
    if is_float and declared.tunable is None:
        return _plain(Portion.TUNABLE, array, weak)
    return _plain(Portion.CONSTANTS, array, weak)


def _plain(portion: Portion, array: Array | np.ndarray, weak: bool) -> Taken:
    return Taken(portion, (Part("", portion, array, weak),), Hole())


def _as_float(name: str, array: Array | np.ndarray, weak: bool) -> tuple[Any, bool]:
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array, weak
    if jnp.issubdtype(array.dtype, jnp.integer):
        return array.astype(jnp.result_type(float)), True
    cure = (
        "Declare its real and imaginary parts as two parameters."
        if jnp.issubdtype(array.dtype, jnp.complexfloating)
        else "A truth value cannot be fitted: leave tunable out."
    )
    raise KindError(
        f"{name!r} holds {array.dtype.name}, and this portion is a vector of floats. {cure}"
    )


def _cast(name: str, declared: Parameter, array: Array | np.ndarray | np.generic) -> Any:
    if declared.dtype is None or is_key(array):
        return array
    dtype = jax.dtypes.canonicalize_dtype(declared.dtype)
    if not fits(array.dtype, dtype):
        raise KindError(f"{name!r} is declared with dtype={dtype} and holds {array.dtype.name}.")
    check_fits(name, array, dtype)
    return array.astype(dtype)


def check_fits(name: str, array: Array | np.ndarray | np.generic, dtype: Any) -> None:
    """Raises where a value would change by more than rounding, such as 2**40 in 32 bits."""
    if is_key(array) or isinstance(array, Tracer):
        return
    exact = np.asarray(array)
    with np.errstate(over="ignore", invalid="ignore"):
        stored = exact.astype(dtype)
    if jnp.issubdtype(dtype, jnp.integer):
        changed = stored != exact
    else:
        changed = np.isfinite(exact.astype(complex)) & ~np.isfinite(stored.astype(complex))
    if changed.any():
        narrow = not jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
        cure = " For 64 bits, call jax.config.update('jax_enable_x64', True) first."
        cure = cure if narrow else ""
        raise KindError(f"The value of {name!r} does not fit into {np.dtype(dtype).name}.{cure}")


def _pytree(name: str, declared: Parameter) -> Taken:
    value = declared.default
    if unknown_of(name) is not None:
        raise KindError(f"{name!r} is a number or an array, got {type(value).__name__}.")
    if not isinstance(value, eqx.Module):
        # Python numbers in plain containers are values. In a Module they are settings, as in
        # equinox: `Dropout.p` is compared with 0 in Python.
        value = jax.tree.map(_number_leaf, value, is_leaf=lambda x: isinstance(x, eqx.Module))
    flat, structure = jax.tree_util.tree_flatten_with_path(value)
    arrays = [(jax.tree_util.keystr(path), x) for path, x in flat if holds_numbers(x)]
    skeleton = structure.unflatten([Hole() if holds_numbers(x) else x for _, x in flat])
    floats = any(jnp.issubdtype(x.dtype, jnp.floating) for _, x in arrays)
    if declared.dtype is not None:
        arrays = [(path, _cast(name + path, declared, x)) for path, x in arrays]
    static = len(arrays) < len(flat) or isinstance(value, eqx.Module) or not arrays
    if declared.discrete:
        if static:
            raise KindError(
                f"{name!r} is discrete=True: numbers or arrays only, got {_kind(value)}."
            )
        return Taken(Portion.DISCRETE, _parts(arrays, Portion.DISCRETE, False), skeleton)
    if declared.tunable and not floats:
        raise KindError(f"{name!r} is tunable=True and holds no floats: it is {_kind(value)}.")
    if floats and declared.tunable is not False:
        return Taken(Portion.TUNABLE, _parts(arrays, Portion.CONSTANTS, True), skeleton)
    portion = Portion.NONNUMERIC if static else Portion.CONSTANTS
    return Taken(portion, _parts(arrays, portion, False), skeleton)


def _number_leaf(x: object) -> Any:
    number = _as_number(x)
    return x if number is None or number[0].dtype == object else number[0]


def _parts(arrays: list[tuple[str, Any]], portion: Portion, tune: bool) -> tuple[Part, ...]:
    parts = []
    for path, x in arrays:
        if is_key(x):
            parts.append(Part(path, Portion.NONNUMERIC, x))
        elif tune and jnp.issubdtype(x.dtype, jnp.floating):
            parts.append(Part(path, Portion.TUNABLE, x))
        else:
            parts.append(Part(path, portion, x))
    return tuple(parts)


def _kind(value: object) -> str:
    return "text" if isinstance(value, str) else f"a {type(value).__name__}"


def _concrete(part: Part) -> np.ndarray | None:
    if part.is_key or isinstance(part.array, Tracer):
        return None
    return np.asarray(part.array)


def _check_finite(name: str, taken: Taken) -> None:
    for part in taken.parts:
        values = _concrete(part)
        if values is None or not jnp.issubdtype(values.dtype, jnp.inexact):
            continue
        wrong = ~np.isfinite(values.astype(complex))
        if wrong.any():
            at = np.argwhere(wrong)[0].tolist()
            where = name + part.path + (f"[{','.join(map(str, at))}]" if at else "")
            entry = values[tuple(at)]
            raise NonFiniteError(f"The value of {where!r} is {entry}; it must be finite.")


def _check_bounds(name: str, declared: Parameter, taken: Taken) -> None:
    if declared.bounds is None and declared.scale is None and declared.prior is None:
        return
    if not taken.parts:
        raise DeclarationError(f"{name!r} holds no numbers and takes no bounds, scale or prior.")
    lower, upper = declared.limits()
    for part in taken.parts:
        shape = part.array.shape
        for limit in (lower, upper):
            if limit.shape not in ((), shape):
                raise ShapeError(
                    f"The bounds of {name + part.path!r} have shape {limit.shape}, its value has "
                    f"{shape}. Give a number or an array of the same shape."
                )
        values = _concrete(part)
        if values is None or jnp.issubdtype(values.dtype, jnp.complexfloating):
            continue
        values = values.astype(float)
        outside = (values < lower) | (values > upper)
        if outside.any():
            at = np.argwhere(outside)[0].tolist()
            where = name + part.path + (f"[{','.join(map(str, at))}]" if at else "")
            ends = (np.broadcast_to(limit, shape)[tuple(at)].item() for limit in (lower, upper))
            raise OutOfBoundsError(
                f"The value of {where!r} is {values[tuple(at)].item()}, outside its bounds "
                f"({', '.join(map(str, ends))})."
            )
