"""What each primitive makes of the nodes of its operands."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jax.extend.core import JaxprEqn

from .. import ops
from ..builder import Builder, Rule
from ..jaxprs import aval
from ..nodes import Ids
from ..primitives import CUMULATIVE, DENSE, ELEMENTWISE, POOLED, REDUCTIONS
from .control import CONTROL
from .custom import CUSTOM
from .linear import LINEAR_ALGEBRA
from .lines import dense, lines, spread, total, without_zeros, zero
from .picking import PICKING
from .products import PRODUCTS
from .windows import WINDOWS


def elementwise(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    result = aval(eqn.outvars[0])
    flat = [np.broadcast_to(o, result.shape).ravel() for o in operands]
    name = eqn.primitive.name
    out = np.empty(result.size, np.int64)
    todo = np.ones(result.size, bool)
    if name in ("mul", "and"):
        # A constant zero (or False) decides alone: what it multiplies does not matter.
        todo = ~(b.nodes.zero[flat[0]] | b.nodes.zero[flat[1]])
    elif name == "div":
        todo = ~b.nodes.zero[flat[0]]
    elif name == "select_n":
        known = b.nodes.is_constant(flat[0])
        if known.any():
            which = b.nodes.value(flat[0][known]).astype(int)
            out[known] = np.stack(flat[1:])[which, np.flatnonzero(known)]
        todo = ~known
    if name in ("mul", "and", "div") and not todo.all():
        out[~todo] = zero(b, result.dtype)
    if todo.any():
        rest = [f[todo] for f in flat] if not todo.all() else flat
        out[todo] = ops.elementwise(b.nodes, eqn.primitive, dict(eqn.params), rest, result.dtype)
    return [out.reshape(result.shape)]


def reduction(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    result = aval(eqn.outvars[0])
    rows = lines(operands[0], eqn.params["axes"])
    if eqn.primitive.name == "reduce_sum":
        (rows,) = without_zeros(b, [rows])
        out = total(b, rows, result.dtype)
    elif rows.shape[1] == 1 and not eqn.primitive.name.startswith("arg"):
        out = rows[:, 0]
    else:
        out = ops.reduce(b.nodes, eqn.primitive, dict(eqn.params), rows, result.dtype)
    return [out.reshape(result.shape)]


def cumulative(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Each element depends on those before it, by way of log2(n) layers of junctions."""
    axis, x = eqn.params["axis"], operands[0]
    line = np.moveaxis(x, axis, -1)
    if eqn.params["reverse"]:
        line = line[..., ::-1]
    # After k rounds an element stands for the 2**k up to it, so few rounds reach the whole line.
    step = 1
    while step < line.shape[-1]:
        pairs = np.stack([line[..., step:], line[..., :-step]], -1)
        joined = b.nodes.junction(pairs.reshape(-1, 2)).reshape(pairs.shape[:-1])
        line = np.concatenate([line[..., :step], joined], -1)
        step *= 2
    if eqn.params["reverse"]:
        line = line[..., ::-1]
    return ops.whole(b.nodes, eqn, operands, [np.moveaxis(line, -1, axis).ravel()])


def sort(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Each element depends on the keys along its line, and on its own operand there."""
    axis, keys = eqn.params["dimension"], eqn.params["num_keys"]
    order = spread(b, np.stack(operands[:keys], -1), (axis, operands[0].ndim))
    sources = []
    for number, operand in enumerate(operands):
        line = order if number < keys else spread(b, operand, (axis,))
        both = np.stack([order, line], -1) if number >= keys else line[..., None]
        wide = np.broadcast_to(np.expand_dims(both, axis), (*operand.shape, both.shape[-1]))
        sources.append(wide.reshape(operand.size, both.shape[-1]))
    return ops.whole(b.nodes, eqn, operands, sources)


def top_k(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Each element depends on the whole line that the best are picked from."""
    x = operands[0]
    axis = eqn.params.get("axis", eqn.params.get("reduction_dimension", -1)) % x.ndim
    line = np.expand_dims(spread(b, x, (axis,)), axis)
    shapes = [aval(v).shape for v in eqn.outvars]
    return ops.whole(b.nodes, eqn, operands, [np.broadcast_to(line, s).ravel() for s in shapes])


def bitcast(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Element by element, but for the last axis if the sizes of the elements differ."""
    result = aval(eqn.outvars[0])
    x = operands[0]
    if x.ndim == result.ndim:
        return elementwise(b, eqn, operands)
    if x.ndim < result.ndim:
        source = np.broadcast_to(x[..., None], result.shape)
    else:
        source = spread(b, x, (x.ndim - 1,))
    return ops.whole(b.nodes, eqn, operands, [source.ravel()])


def general_reduction(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """With a function of the user's: from the lines of all operands and from where they start."""
    half = len(operands) // 2
    axes = tuple(eqn.params["dimensions"])
    rows = np.concatenate([lines(o, axes) for o in operands[:half]], 1)
    starts = np.array([int(o) for o in operands[half:]])
    sources = np.concatenate([rows, np.broadcast_to(starts, (len(rows), half))], 1)
    return ops.whole(b.nodes, eqn, operands, [sources] * len(eqn.outvars))


def select_if_vmap(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Equinox's `where` that is one only under `vmap`."""
    which, *cases = operands
    shape = aval(eqn.outvars[0]).shape
    spread_out = [np.broadcast_to(o, shape).ravel() for o in (which, *cases)]
    return ops.whole(b.nodes, eqn, operands, [np.stack(spread_out, 1)])


def fft(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    x = operands[0]
    result = aval(eqn.outvars[0])
    axes = tuple(range(x.ndim - len(eqn.params["fft_lengths"]), x.ndim))
    pooled = np.expand_dims(spread(b, x, axes), axes)
    return ops.whole(b.nodes, eqn, operands, [np.broadcast_to(pooled, result.shape).ravel()])


def dense_by_name(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    b.shared.dense.add(eqn.primitive.name)
    return dense(b, eqn, operands)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys(CUMULATIVE, cumulative),
    **dict.fromkeys(DENSE, dense_by_name),
    **CONTROL,
    **CUSTOM,
    **LINEAR_ALGEBRA,
    **PICKING,
    **PRODUCTS,
    **WINDOWS,
    **dict.fromkeys(POOLED, dense),
    "approx_top_k": top_k,
    "bitcast_convert_type": bitcast,
    "reduce": general_reduction,
    "select_if_vmap": select_if_vmap,
    "top_k": top_k,
    "fft": fft,
    "sort": sort,
}


def new_builder() -> Builder:
    """An empty graph with all rules."""
    return Builder(RULES, dense_by_name)
