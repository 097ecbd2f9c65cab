"""Reading unknowns, observed values and parameters by name at one instant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from .._lookup import call, filled, leaves_of
from .._parameters import MTKParameters, part_of, plain, split_index
from .._text import quoted
from ..errors import DeclarationError, UnknownNameError, unknown_name
from .model import Instant, Model


def read_at(model: Model, t: ArrayLike, y: Array, p: MTKParameters, spec: PyTree) -> Any:
    """The values that `spec` names at time `t`, in the structure of `spec`.

    **Arguments:**

    - `y`: all unknowns, shape `(sum(model.sizes),)`.
    - `spec`: a name, a function `f(t, u, p)` or `f(p)`, or lists, tuples and dictionaries of those.
    """
    now = model.instant(t, y, p)
    derivative_of = lambda name: _derivative(model, t, y, p, now, name)
    values = [_one(model, now, p, leaf, derivative_of) for leaf in leaves_of(spec)]
    return filled(spec, iter(values))


def _one(
    model: Model, now: Instant, p: MTKParameters, leaf: object, derivative_of: Callable[[str], Any]
) -> Any:
    if callable(leaf):
        return call(leaf, now.t, now.u, now.p)
    name = plain(leaf)
    if is_time(model, p, name):
        return now.t
    if name in model.states:
        return now.u[name]
    if name in p:
        return now.p[name]
    if name.startswith("D("):
        return derivative_of(name)
    raise unknown(model, p, name)


def is_time(model: Model, p: MTKParameters, name: str) -> bool:
    """Whether `name` is the time, and neither a parameter nor an unknown that is called so."""
    return name == "t" and "t" not in p and "t" not in model.states


def unknown(model: Model, p: MTKParameters, name: str) -> UnknownNameError:
    """The error for a name that nothing declares, or for an index that is out of range."""
    base = (split_index(name) or (name,))[0]
    for index in (model.states, p.index):
        if base not in index.entries:
            continue
        try:
            target = index.find(name)
            if target.leaf is not None and target.leaf.place is not None:
                part_of(target, target.leaf.place.shape)
        except UnknownNameError as error:  # the name is right, its index is not
            return error
    return unknown_name(name, [*model.states, *p.names()], "the unknowns, observed and parameters")


def _derivative(
    model: Model, t: ArrayLike, y: Array, p: MTKParameters, now: Instant, name: str
) -> Any:
    """`"D(x)"`, also `"D(x)[1]"` and `"D(x[1])"`: the time derivative as the equations give it."""
    split = split_index(name)
    outer, items = split if split is not None else (name, ())
    inner = outer[2:-1] if outer.endswith(")") else outer[2:]
    split = split_index(inner)
    base = split[0] if split is not None else inner
    items = (*(split[1] if split is not None else ()), *items)
    entry = model.states.entries.get(base)
    if entry is None:
        raise unknown(model, p, base)
    if entry.bind is not None:
        whole = _of_observed(model, t, y, p, base)
    elif base in model.algebraic:
        raise DeclarationError(
            f"{base!r} is an algebraic unknown: no equation gives its derivative."
        )
    else:
        whole = now.u[f"D({base})"]
        part = name.replace("D(", "", 1).replace(")", "", 1)
        if part not in model.states:
            raise unknown(model, p, part)
    return jnp.asarray(whole)[items] if items else whole


def _of_observed(model: Model, t: ArrayLike, y: Array, p: MTKParameters, name: str) -> Any:
    """By the chain rule along the solution, exact where all unknowns have a derivative."""
    if model.algebraic:
        raise DeclarationError(
            f"'D({name})' is the derivative of an observed value, in a system with the algebraic "
            f"unknowns {quoted(model.algebraic)}, whose derivatives no equation gives."
        )
    t = jnp.asarray(t, y.dtype)
    value = lambda t, y: jnp.asarray(model.instant(t, y, p).u[name])
    return jax.jvp(value, (t, y), (jnp.ones_like(t), model.derivative(t, y, p)))[1]
