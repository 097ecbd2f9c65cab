"""Primitives that only move elements: what they do to an array of node numbers, in numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn

from .jaxprs import aval
from .nodes import Ids
from .primitives import IDENTITY


def _reshape(eqn: JaxprEqn, operands: Sequence[Ids]) -> list[Ids]:
    x = operands[0]
    if eqn.params.get("dimensions") is not None:
        x = x.transpose(eqn.params["dimensions"])
    return [x.reshape(_shape(eqn))]


def _broadcast_in_dim(eqn: JaxprEqn, operands: Sequence[Ids]) -> list[Ids]:
    x, shape = operands[0], _shape(eqn)
    wide = [1] * len(shape)
    for axis, into in enumerate(eqn.params["broadcast_dimensions"]):
        wide[into] = x.shape[axis]
    return [np.broadcast_to(x.reshape(wide), shape)]


def _slice(eqn: JaxprEqn, operands: Sequence[Ids]) -> list[Ids]:
    p = eqn.params
    strides = p["strides"] or (1,) * operands[0].ndim
    where = zip(p["start_indices"], p["limit_indices"], strides, strict=True)
    return [operands[0][tuple(slice(*w) for w in where)]]


def _pad(eqn: JaxprEqn, operands: Sequence[Ids]) -> list[Ids]:
    x, filler = operands
    out = np.full(_shape(eqn), filler)
    into, come = [], []
    # Negative padding cuts off: of each axis the places inside, and what goes there.
    for size, room, (low, _, inner) in zip(
        x.shape, out.shape, eqn.params["padding_config"], strict=True
    ):
        place = low + np.arange(size) * (inner + 1)
        inside = (place >= 0) & (place < room)
        into.append(place[inside])
        come.append(np.flatnonzero(inside))
    out[np.ix_(*into)] = x[np.ix_(*come)]
    return [out]


def _split(eqn: JaxprEqn, operands: Sequence[Ids]) -> list[Ids]:
    cuts = np.cumsum(eqn.params["sizes"])[:-1]
    return list(np.split(operands[0], cuts, eqn.params["axis"]))


def _unstack(eqn: JaxprEqn, operands: Sequence[Ids]) -> list[Ids]:
    axis = eqn.params["axis"]
    return [np.asarray(operands[0].take(i, axis)) for i in range(operands[0].shape[axis])]


def _tile(eqn: JaxprEqn, operands: Sequence[Ids]) -> list[Ids]:
    return [np.tile(operands[0], eqn.params["reps"])]


def _identity(eqn: JaxprEqn, operands: Sequence[Ids]) -> list[Ids]:
    return list(operands)


def _shape(eqn: JaxprEqn) -> tuple[int, ...]:
    return aval(eqn.outvars[0]).shape


MOVEMENT: Mapping[str, Callable[[JaxprEqn, Sequence[Ids]], list[Ids]]] = {
    "broadcast_in_dim": _broadcast_in_dim,
    "concatenate": lambda eqn, x: [np.concatenate(x, eqn.params["dimension"])],
    "pad": _pad,
    "reshape": _reshape,
    "rev": lambda eqn, x: [np.flip(x[0], eqn.params["dimensions"])],
    "slice": _slice,
    "split": _split,
    "squeeze": lambda eqn, x: [x[0].reshape(_shape(eqn))],
    "stack": lambda eqn, x: [np.stack(x, eqn.params["axis"])],
    "tile": _tile,
    "transpose": lambda eqn, x: [x[0].transpose(eqn.params["permutation"])],
    "unstack": _unstack,
    **dict.fromkeys(IDENTITY, _identity),
}


def dynamic_slice(sizes: Sequence[int], x: Ids, starts: Sequence[Any]) -> tuple[slice, ...]:
    """Where a dynamic slice lies; JAX moves one that would stick out back inside."""
    low = [int(np.clip(s, 0, n - k)) for s, n, k in zip(starts, x.shape, sizes, strict=True)]
    return tuple(slice(s, s + k) for s, k in zip(low, sizes, strict=True))
