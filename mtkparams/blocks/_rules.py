"""What each primitive makes of the nodes of its operands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn

from . import _ops
from ._builder import Builder, Rule
from ._control import CONTROL
from ._indexed import gather_places, scatter_places
from ._linear import LINEAR_ALGEBRA
from ._lines import dense, lines, spread, without_zeros, zero
from ._movement import dynamic_slice
from ._nodes import NONE, Ids
from ._primitives import CUMULATIVE, DENSE, ELEMENTWISE, POOLED, REDUCTIONS
from ._windows import WINDOWS

# Entries of the operand tables of one matrix product, above which it is taken as a whole.
_TABLE = 4_000_000


def elementwise(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    aval: Any = eqn.outvars[0].aval
    flat = [np.broadcast_to(o, aval.shape).ravel() for o in operands]
    name = eqn.primitive.name
    out = np.empty(aval.size, np.int64)
    todo = np.ones(aval.size, bool)
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
        out[~todo] = zero(b, aval.dtype)
    if todo.any():
        rest = [f[todo] for f in flat] if not todo.all() else flat
        out[todo] = _ops.elementwise(b.nodes, eqn.primitive, dict(eqn.params), rest, aval.dtype)
    return [out.reshape(aval.shape)]


def reduction(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    aval: Any = eqn.outvars[0].aval
    rows = lines(operands[0], eqn.params["axes"])
    if eqn.primitive.name == "reduce_sum":
        (rows,) = without_zeros(b, [rows])
        out = _sum(b, rows, aval.dtype)
    elif rows.shape[1] == 1 and not eqn.primitive.name.startswith("arg"):
        out = rows[:, 0]
    else:
        out = _ops.reduce(b.nodes, eqn.primitive, dict(eqn.params), rows, aval.dtype)
    return [out.reshape(aval.shape)]


def _sum(b: Builder, rows: Ids, dtype: Any) -> Ids:
    if rows.shape[1] == 0:
        return np.full(len(rows), zero(b, dtype))
    return _ops.total(b.nodes, rows, dtype)


def dot_general(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    aval: Any = eqn.outvars[0].aval
    (left_in, right_in), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    left = _stacked(operands[0], left_batch, left_in)  # batch, free, contracted
    right = _stacked(operands[1], right_batch, right_in)
    batch, m, k = left.shape
    n = right.shape[1]
    swapped = b.nodes.zero[right].sum() * m > b.nodes.zero[left].sum() * n
    if swapped:
        left, right, m, n = right, left, n, m
    places = _kept(b.nodes.zero[left])  # batch, m, width
    width = places.shape[-1]
    if batch * m * n * width > _TABLE:
        return _large_dot(b, eqn, operands)
    here = np.take_along_axis(left, np.maximum(places, 0), 2)
    there = right[np.arange(batch)[:, None, None, None], np.arange(n)[:, None], places[:, :, None]]
    if (places < 0).any():
        here = np.where(places < 0, zero(b, b.nodes.dtypes[b.nodes.kind[left.flat[0]]]), here)
    tables = [
        np.broadcast_to(here[:, :, None], there.shape).reshape(-1, width),
        there.reshape(-1, width),
    ]
    tables = without_zeros(b, tables)
    if swapped:
        tables.reverse()
    if tables[0].shape[1] == 0:
        out = np.full(batch * m * n, zero(b, aval.dtype))
    else:
        params = dict(eqn.params)
        out = _ops.dot(b.nodes, eqn.primitive, params, tables[0], tables[1], aval.dtype)
    out = out.reshape(batch, m, n)
    return [(out.swapaxes(1, 2) if swapped else out).reshape(aval.shape)]


def _stacked(x: Ids, batch: tuple[int, ...], inner: tuple[int, ...]) -> Ids:
    batch, inner = tuple(batch), tuple(inner)
    free = tuple(i for i in range(x.ndim) if i not in batch + inner)
    size = [int(np.prod([x.shape[i] for i in axes], dtype=int)) for axes in (batch, free, inner)]
    return x.transpose(batch + free + inner).reshape(size)


def _kept(zero: np.ndarray) -> np.ndarray:
    """Places along the last axis that are not zero, first; -1 to fill up."""
    if not zero.any():
        return np.broadcast_to(np.arange(zero.shape[-1]), zero.shape)
    width = int((~zero).sum(-1).max(initial=0))
    order = np.argsort(zero, axis=-1, kind="stable")[..., :width]
    return np.where(np.take_along_axis(zero, order, -1), -1, order)


def _large_dot(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """A product as a whole: an element depends on its row and its column."""
    (left_in, right_in), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    left = _stacked(operands[0], left_batch, left_in)
    right = _stacked(operands[1], right_batch, right_in)
    batch, m, n = len(left), left.shape[1], right.shape[1]
    rows = b.nodes.junction(left.reshape(batch * m, -1)).reshape(batch, m, 1)
    columns = b.nodes.junction(right.reshape(batch * n, -1)).reshape(batch, 1, n)
    sources = np.stack(np.broadcast_arrays(rows, columns), -1).reshape(-1, 2)
    return _ops.whole(b.nodes, eqn, operands, [sources])


def cumulative(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Each element depends on those before it, by way of log2(n) layers of junctions."""
    axis, x = eqn.params["axis"], operands[0]
    line = np.moveaxis(x, axis, -1)
    if eqn.params["reverse"]:
        line = line[..., ::-1]
    step = 1
    while step < line.shape[-1]:
        pairs = np.stack([line[..., step:], line[..., :-step]], -1)
        joined = b.nodes.junction(pairs.reshape(-1, 2)).reshape(pairs.shape[:-1])
        line = np.concatenate([line[..., :step], joined], -1)
        step *= 2
    if eqn.params["reverse"]:
        line = line[..., ::-1]
    return _ops.whole(b.nodes, eqn, operands, [np.moveaxis(line, -1, axis).ravel()])


def sort(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Each element depends on the keys along its line, and on its own operand there."""
    axis, keys = eqn.params["dimension"], eqn.params["num_keys"]
    order = spread(b, np.stack(operands[:keys], -1), (axis, operands[0].ndim))
    sources = []
    for number, operand in enumerate(operands):
        own = order if number < keys else spread(b, operand, (axis,))
        both = np.stack([order, own], -1) if number >= keys else own[..., None]
        wide = np.broadcast_to(np.expand_dims(both, axis), (*operand.shape, both.shape[-1]))
        sources.append(wide.reshape(operand.size, -1))
    return _ops.whole(b.nodes, eqn, operands, sources)


def gather(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    x, index = operands
    aval: Any = eqn.outvars[0].aval
    if not b.nodes.is_constant(index).all():
        return _gather_traced(b, eqn, x, index)
    places = gather_places(eqn, x, b.nodes.value(index))
    filler = b.nodes.constant(np.asarray(_filler(eqn.params["fill_value"], aval.dtype), aval.dtype))
    if not x.size:
        return [np.full(aval.shape, filler)]
    return [np.where(places < 0, filler, x.ravel()[np.maximum(places, 0)]).reshape(aval.shape)]


def _filler(value: Any, dtype: Any) -> Any:
    """What JAX fills in for an index outside, unless the call says otherwise."""
    if value is not None:
        return value
    if np.issubdtype(dtype, np.inexact):
        return np.nan
    if np.issubdtype(dtype, np.bool_):
        return True
    info = np.iinfo(dtype)
    return info.min if np.issubdtype(dtype, np.signedinteger) else info.max


def _gather_traced(b: Builder, eqn: JaxprEqn, x: Ids, index: Ids) -> list[Ids]:
    """Indices that depend on values: every element along the indexed axes may be meant."""
    d = eqn.params["dimension_numbers"]
    axes = tuple(int(i) for i in d.start_index_map)
    pooled = np.broadcast_to(
        np.expand_dims(spread(b, x, axes), tuple(sorted(axes))), x.shape
    )  # each element stands for all along the indexed axes
    places = gather_places(eqn, x, np.zeros(index.shape, int))
    own = pooled.ravel()[places.ravel()]
    # The indices have their vector last; a slice depends on its own.
    which = b.nodes.junction(index.reshape(-1, index.shape[-1])).reshape(index.shape[:-1])
    rank = places.ndim
    wide = [1] * rank
    batch_dims = [axis for axis in range(rank) if axis not in set(d.offset_dims)]
    for axis, size in zip(batch_dims, which.shape, strict=True):
        wide[axis] = size
    which = np.broadcast_to(which.reshape(wide), places.shape).ravel()
    return _ops.whole(b.nodes, eqn, [x, index], [np.stack([own, which], 1)])


def scatter(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    x, index, updates = operands
    name = eqn.primitive.name
    if not b.nodes.is_constant(index).all():
        # Anything may go anywhere; only what was there before stays in its place.
        rest = b.nodes.junction(np.concatenate([index.ravel(), updates.ravel()])[None])
        sources = np.stack([x.ravel(), np.broadcast_to(rest, x.size)], 1)
        return _ops.whole(b.nodes, eqn, operands, [sources])
    places = scatter_places(eqn, x, b.nodes.value(index), updates).ravel()
    inside = places >= 0
    places, come = places[inside], updates.ravel()[inside]
    out = x.ravel().copy()
    unique = len(np.unique(places)) == len(places)
    # `x.at[i].apply(f)` is a scatter whose updates do not matter and whose old values do.
    replaces = name == "scatter" and eqn.params.get("update_jaxpr") is None
    if replaces and unique:
        out[places] = come
    elif name == "scatter-add":
        table = _grouped(places, come, out)
        touched = np.unique(places)
        rows = np.where(table == NONE, zero(b, eqn.outvars[0].aval.dtype), table)  # pyright: ignore
        (rows,) = without_zeros(b, [rows])
        out[touched] = _sum(b, rows, eqn.outvars[0].aval.dtype)  # pyright: ignore
    else:
        sources = np.full((x.size, 1), NONE)
        sources[:, 0] = out
        if places.size:
            table = _grouped(places, come, out)
            wide = np.full((x.size, table.shape[1]), NONE)
            wide[:, 0] = out
            wide[np.unique(places)] = table
            sources = wide
        if replaces and places.size:
            # What is overwritten does not matter, whichever of the updates wins.
            sources[np.unique(places), 0] = NONE
        return _ops.whole(b.nodes, eqn, operands, [sources])
    return [out.reshape(x.shape)]


def _grouped(places: np.ndarray, come: Ids, base: Ids) -> Ids:
    """For each place, ascending: what was there, and all that comes, filled up with `NONE`."""
    order = np.argsort(places, kind="stable")
    where, starts, counts = np.unique(places[order], return_index=True, return_counts=True)
    table = np.full((len(where), 1 + int(counts.max(initial=0))), NONE)
    table[:, 0] = base[where]
    row = np.repeat(np.arange(len(where)), counts)
    table[row, 1 + np.arange(len(order)) - np.repeat(starts, counts)] = come[order]
    return table


def dynamic_slice_rule(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    x, *starts = operands
    sizes = eqn.params["slice_sizes"]
    if all(b.nodes.is_constant(s) for s in starts):
        return [x[dynamic_slice(sizes, x, [b.nodes.value(s) for s in starts])]]
    traced = tuple(i for i, s in enumerate(starts) if not b.nodes.is_constant(s))
    values = [0 if i in traced else b.nodes.value(s) for i, s in enumerate(starts)]
    pooled = np.broadcast_to(np.expand_dims(spread(b, x, traced), traced), x.shape)
    own = pooled[dynamic_slice(sizes, x, values)].ravel()
    which = np.array([int(starts[i]) for i in traced])
    sources = np.concatenate([own[:, None], np.broadcast_to(which, (own.size, len(which)))], 1)
    return _ops.whole(b.nodes, eqn, operands, [sources])


def dynamic_update_slice(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    x, updates, *starts = operands
    if all(b.nodes.is_constant(s) for s in starts):
        out = x.copy()
        out[dynamic_slice(updates.shape, x, [b.nodes.value(s) for s in starts])] = updates
        return [out]
    traced = tuple(i for i, s in enumerate(starts) if not b.nodes.is_constant(s))
    values = [0 if i in traced else b.nodes.value(s) for i, s in enumerate(starts)]
    # Along the traced axes every update may land everywhere.
    pooled = np.expand_dims(spread(b, updates, traced), traced)
    shape = tuple(x.shape[i] if i in traced else updates.shape[i] for i in range(x.ndim))
    landed = np.full(x.shape, NONE)
    where = dynamic_slice(shape, x, values)
    landed[where] = np.broadcast_to(pooled, shape)
    which = np.array([int(starts[i]) for i in traced])
    moved = np.where((landed != NONE).ravel()[:, None], which, NONE)
    sources = np.concatenate([x.reshape(-1, 1), landed.reshape(-1, 1), moved], 1)
    return _ops.whole(b.nodes, eqn, operands, [sources])


def top_k(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Each element depends on the whole line that the best are picked from."""
    x = operands[0]
    axis = eqn.params.get("axis", eqn.params.get("reduction_dimension", -1)) % x.ndim
    line = np.expand_dims(spread(b, x, (axis,)), axis)
    shapes = [v.aval.shape for v in eqn.outvars]  # pyright: ignore
    return _ops.whole(b.nodes, eqn, operands, [np.broadcast_to(line, s).ravel() for s in shapes])


def bitcast(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Element by element, but for the last axis if the sizes of the elements differ."""
    aval: Any = eqn.outvars[0].aval
    x = operands[0]
    if x.ndim == aval.ndim:
        return elementwise(b, eqn, operands)
    if x.ndim < aval.ndim:
        own = np.broadcast_to(x[..., None], aval.shape)
    else:
        own = spread(b, x, (x.ndim - 1,))
    return _ops.whole(b.nodes, eqn, operands, [own.ravel()])


def general_reduction(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """With a function of the user's: from the lines of all operands and from where they start."""
    half = len(operands) // 2
    axes = tuple(eqn.params["dimensions"])
    rows = np.concatenate([lines(o, axes) for o in operands[:half]], 1)
    starts = np.array([int(o) for o in operands[half:]])
    sources = np.concatenate([rows, np.broadcast_to(starts, (len(rows), half))], 1)
    return _ops.whole(b.nodes, eqn, operands, [sources] * len(eqn.outvars))


def select_if_vmap(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Equinox's `where` that is one only under `vmap`."""
    which, *cases = operands
    shape = eqn.outvars[0].aval.shape  # pyright: ignore
    spread_out = [np.broadcast_to(o, shape).ravel() for o in (which, *cases)]
    return _ops.whole(b.nodes, eqn, operands, [np.stack(spread_out, 1)])


def fft(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    x = operands[0]
    aval: Any = eqn.outvars[0].aval
    axes = tuple(range(x.ndim - len(eqn.params["fft_lengths"]), x.ndim))
    pooled = np.expand_dims(spread(b, x, axes), axes)
    return _ops.whole(b.nodes, eqn, operands, [np.broadcast_to(pooled, aval.shape).ravel()])


def dense_by_name(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    b.shared.dense.add(eqn.primitive.name)
    return dense(b, eqn, operands)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys(CUMULATIVE, cumulative),
    **dict.fromkeys(DENSE, dense_by_name),
    **dict.fromkeys(
        ("scatter", "scatter-add", "scatter-mul", "scatter-min", "scatter-max"), scatter
    ),
    **dict.fromkeys(("scatter-sub", "scatter_add", "scatter_mul"), scatter),
    **CONTROL,
    **LINEAR_ALGEBRA,
    **WINDOWS,
    **dict.fromkeys(POOLED, dense),
    "approx_top_k": top_k,
    "bitcast_convert_type": bitcast,
    "reduce": general_reduction,
    "select_if_vmap": select_if_vmap,
    "top_k": top_k,
    "dot_general": dot_general,
    "dynamic_slice": dynamic_slice_rule,
    "dynamic_update_slice": dynamic_update_slice,
    "fft": fft,
    "gather": gather,
    "sort": sort,
}


def new_builder() -> Builder:
    """An empty graph with all rules."""
    return Builder(RULES, dense_by_name)
