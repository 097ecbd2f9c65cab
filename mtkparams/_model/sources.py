"""A system as a source of names. It has no values, so ones stand in where equations are traced."""

from __future__ import annotations

import weakref
from typing import Any

import jax.numpy as jnp

from .._lookup import Names, names_of
from .complete import stand_in
from .flatten import flatten
from .model import Model
from .read import read_at
from .system import System

_known: weakref.WeakKeyDictionary[System, Names] = weakref.WeakKeyDictionary()


@names_of.register(System)
def _(source: Any) -> Names:
    if source not in _known:
        _known[source] = _names(source)
    return _known[source]


def _names(system: System) -> Names:
    flat = flatten(system)
    p = stand_in(flat.declarations(), flat.shapes())
    # As if all unknowns had a derivative: names are the same, and any of them can be read.
    model = Model.of(flat, tuple(flat.unknowns))
    y = jnp.ones(sum(model.sizes), p.initials.dtype)
    t = jnp.zeros((), y.dtype)
    return Names(p, model.states, lambda spec: read_at(model, t, y, p, spec), t)
