"""Convolutions and reductions of sliding windows: each element depends on its own window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn

from .. import ops
from ..builder import Builder, Rule
from ..jaxprs import aval
from ..nodes import NONE, Ids
from .lines import batches, dense, without_zeros, zero

# Entries of an operand table, above which a convolution is computed as a whole.
_TABLE = 4_000_000


def _places(
    room: int, window: int, stride: int, pads: Sequence[int], inner: int, apart: int
) -> np.ndarray:
    """For each place of a window along one axis the elements that it sees; -1: padding.

    `inner` is how far apart the elements are spread, `apart` those of the window.
    """
    spread = max((room - 1) * inner + 1, 0) if room else 0
    wide = (window - 1) * apart + 1
    count = max((spread + pads[0] + pads[1] - wide) // stride + 1, 0)
    at = np.arange(count)[:, None] * stride + np.arange(window) * apart - pads[0]
    inside = (at >= 0) & (at < spread) & (at % inner == 0)
    return np.where(inside, at // inner, -1)


def _windows(x: Ids, places: Sequence[np.ndarray]) -> Ids:
    """The elements under each window: axes of windows first, then axes inside of them."""
    rank = len(places)
    flat = np.zeros((1,) * (2 * rank), np.int64)
    inside = np.ones((1,) * (2 * rank), bool)
    for axis, at in enumerate(places):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = at.shape
        flat = flat * x.shape[axis] + np.maximum(at, 0).reshape(shape)
        inside = inside & (at >= 0).reshape(shape)
    if not x.size:
        return np.full(flat.shape, NONE)
    return np.where(inside, x.ravel()[flat], NONE)


def convolution(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Products of windows with kernels, so that constant zeros of a kernel drop out."""
    p = eqn.params
    result = aval(eqn.outvars[0])
    if p["batch_group_count"] != 1:  # only derivatives of grouped convolutions have it
        b.shared.dense.add(eqn.primitive.name)
        return dense(b, eqn, operands)
    if not (operands[0].size and operands[1].size):
        return [np.full(result.shape, zero(b, result.dtype))]
    spec = p["dimension_numbers"]
    x, kernel = operands[0].transpose(spec.lhs_spec), operands[1].transpose(spec.rhs_spec)
    groups, space = p["feature_group_count"], x.shape[2:]
    settings = zip(
        space,
        kernel.shape[2:],
        p["window_strides"],
        p["padding"],
        p["lhs_dilation"],
        p["rhs_dilation"],
        strict=True,
    )
    places = [_places(*s) for s in settings]
    batch, outs, inner = x.shape[0], kernel.shape[0], kernel.shape[1]
    filler = zero(b, b.nodes.dtypes[b.nodes.kind[x.flat[0]]])
    seen = np.stack([_windows(c, places) for c in x.reshape(-1, *space)])
    seen = np.where(seen == NONE, filler, seen)
    width = int(np.prod(kernel.shape[2:], dtype=int))
    where = [len(at) for at in places]
    # To (batch, groups, 1, places, inputs and offsets), against (1, groups, outputs, 1, the same).
    seen = seen.reshape(batch, groups, inner, -1, width).swapaxes(2, 3)
    seen = seen.reshape(batch, groups, 1, -1, inner * width)
    kernel = kernel.reshape(1, groups, outs // groups, 1, inner * width)
    if seen.size * (outs // groups) > _TABLE:
        made = _by_junctions(b, eqn, operands, seen, kernel)
        shape = (batch, outs, *where)
        order = np.argsort(spec.out_spec)
        sources = [s.reshape(shape).transpose(order).ravel() for s in made]
        return ops.whole(b.nodes, eqn, operands, [np.stack(sources, 1)])
    tables = [t.reshape(-1, inner * width) for t in np.broadcast_arrays(seen, kernel)]
    tables = without_zeros(b, tables)
    if tables[0].shape[1]:
        out = ops.dot(b.nodes, eqn.primitive, {}, tables[0], tables[1], result.dtype)
    else:
        out = np.full(len(tables[0]), zero(b, result.dtype))
    return [out.reshape(batch, outs, *where).transpose(np.argsort(spec.out_spec))]


def _by_junctions(
    b: Builder, eqn: JaxprEqn, operands: list[Ids], seen: Ids, kernel: Ids
) -> list[Ids]:
    rows = b.nodes.junction(batches(seen, 1)).reshape(seen.shape[:-1])
    columns = b.nodes.junction(batches(kernel, 1)).reshape(kernel.shape[:-1])
    return list(np.broadcast_arrays(rows, columns))


def window_reduction(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    p, x = eqn.params, operands[0]
    result = aval(eqn.outvars[0])
    rows = _reduced(p, x)
    name = eqn.primitive.name
    if name == "reduce_window_sum":
        (rows,) = without_zeros(b, [np.where(rows == NONE, zero(b, result.dtype), rows)])
        if not rows.shape[1]:
            return [np.full(result.shape, zero(b, result.dtype))]
        return [ops.total(b.nodes, rows, result.dtype).reshape(result.shape)]
    # Padding never wins; a window of nothing else has the value that always loses.
    low, high = (-np.inf, np.inf)
    if not np.issubdtype(result.dtype, np.inexact):
        info = np.iinfo(result.dtype)
        low, high = info.min, info.max
    worst = np.asarray(low if name == "reduce_window_max" else high, result.dtype)
    rows = np.where(rows == NONE, b.nodes.constant(worst), rows)
    best = jnp.max if name == "reduce_window_max" else jnp.min
    out = ops.by_rows(b.nodes, eqn.primitive, name, lambda v: best(v, axis=-1), rows, result.dtype)
    return [out.reshape(result.shape)]


def _reduced(p: Mapping[str, Any], x: Ids) -> Ids:
    """The elements under each window of a reduction, as rows."""
    settings = zip(
        x.shape,
        p["window_dimensions"],
        p["window_strides"],
        p["padding"],
        p["base_dilation"],
        p["window_dilation"],
        strict=True,
    )
    places = [_places(*s) for s in settings]
    width = int(np.prod([at.shape[1] for at in places], dtype=int))
    return _windows(x, places).reshape(-1, width)


def general_window_reduction(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """With a function of the user's: as a whole, from the windows of all operands and the starts."""
    half = len(operands) // 2
    starts = np.array([int(o) for o in operands[half:]])
    rows = np.concatenate([_reduced(eqn.params, o) for o in operands[:half]], 1)
    sources = np.concatenate([rows, np.broadcast_to(starts, (len(rows), half))], 1)
    return ops.whole(b.nodes, eqn, operands, [sources] * len(eqn.outvars))


WINDOWS: Mapping[str, Rule] = {
    "conv_general_dilated": convolution,
    "reduce_window": general_window_reduction,
    "reduce_window_max": window_reduction,
    "reduce_window_min": window_reduction,
    "reduce_window_sum": window_reduction,
}
