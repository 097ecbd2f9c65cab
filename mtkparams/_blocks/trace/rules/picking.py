"""Elements picked and put by index: exact for constant indices, dense along the axes of traced ones."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn

from .. import ops
from ..builder import Builder, Rule
from ..jaxprs import aval
from ..movement import dynamic_slice as sliced
from ..nodes import NONE, Ids
from .indexed import gather_places, scatter_places
from .lines import batches, spread, total, without_zeros, zero


def gather(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    x, index = operands
    if not b.nodes.is_constant(index).all():
        return _gather_traced(b, eqn, x, index)
    indices = b.nodes.value(index)
    places = gather_places(eqn, x, indices)
    outside = places == NONE
    picked = x.ravel()[np.where(outside, 0, places)] if x.size else np.array(places)
    if outside.any():
        # What JAX fills in there, it fills in for any operand.
        dtype = aval(eqn.outvars[0]).dtype
        with jax.ensure_compile_time_eval():
            values = eqn.primitive.bind(jnp.zeros(x.shape, dtype), indices, **eqn.params)
        picked[outside] = b.nodes.constant(np.asarray(values)[outside][:1]).item()
    return [picked]


def _gather_traced(b: Builder, eqn: JaxprEqn, x: Ids, index: Ids) -> list[Ids]:
    """Indices that depend on values: every element along the indexed axes may be meant."""
    d = eqn.params["dimension_numbers"]
    axes = tuple(int(i) for i in d.start_index_map)
    pooled = np.broadcast_to(
        np.expand_dims(spread(b, x, axes), tuple(sorted(axes))), x.shape
    )  # each element stands for all along the indexed axes
    meant = pooled.ravel()[gather_places(eqn, x, np.zeros(index.shape, int))]
    # The indices have their vector last; a slice depends on its own.
    which = b.nodes.junction(batches(index, 1)).reshape(index.shape[:-1])
    wide = [1] * meant.ndim
    batch_dims = [axis for axis in range(meant.ndim) if axis not in set(d.offset_dims)]
    for axis, size in zip(batch_dims, which.shape, strict=True):
        wide[axis] = size
    which = np.broadcast_to(which.reshape(wide), meant.shape)
    return ops.whole(b.nodes, eqn, [x, index], [np.stack([meant.ravel(), which.ravel()], 1)])


def scatter(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    x, index, updates = operands
    name = eqn.primitive.name
    if not b.nodes.is_constant(index).all():
        # Anything may go anywhere; only what was there before stays in its place.
        rest = b.nodes.junction(np.concatenate([index.ravel(), updates.ravel()])[None])
        sources = np.stack([x.ravel(), np.broadcast_to(rest, x.size)], 1)
        return ops.whole(b.nodes, eqn, operands, [sources])
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
        rows = np.where(table == NONE, zero(b, aval(eqn.outvars[0]).dtype), table)
        (rows,) = without_zeros(b, [rows])
        out[touched] = total(b, rows, aval(eqn.outvars[0]).dtype)
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
        return ops.whole(b.nodes, eqn, operands, [sources])
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


def dynamic_slice(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    x, *starts = operands
    sizes = eqn.params["slice_sizes"]
    if all(b.nodes.is_constant(s) for s in starts):
        return [x[sliced(sizes, x, [b.nodes.value(s) for s in starts])]]
    traced = tuple(i for i, s in enumerate(starts) if not b.nodes.is_constant(s))
    values = [0 if i in traced else b.nodes.value(s) for i, s in enumerate(starts)]
    pooled = np.broadcast_to(np.expand_dims(spread(b, x, traced), traced), x.shape)
    meant = pooled[sliced(sizes, x, values)].ravel()
    which = np.array([int(starts[i]) for i in traced])
    sources = np.concatenate([meant[:, None], np.broadcast_to(which, (meant.size, len(which)))], 1)
    return ops.whole(b.nodes, eqn, operands, [sources])


def dynamic_update_slice(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    x, updates, *starts = operands
    if all(b.nodes.is_constant(s) for s in starts):
        out = x.copy()
        out[sliced(updates.shape, x, [b.nodes.value(s) for s in starts])] = updates
        return [out]
    traced = tuple(i for i, s in enumerate(starts) if not b.nodes.is_constant(s))
    values = [0 if i in traced else b.nodes.value(s) for i, s in enumerate(starts)]
    # Along the traced axes every update may land everywhere.
    pooled = np.expand_dims(spread(b, updates, traced), traced)
    shape = tuple(x.shape[i] if i in traced else updates.shape[i] for i in range(x.ndim))
    landed = np.full(x.shape, NONE)
    where = sliced(shape, x, values)
    landed[where] = np.broadcast_to(pooled, shape)
    which = np.array([int(starts[i]) for i in traced])
    moved = np.where((landed != NONE).ravel()[:, None], which, NONE)
    sources = np.concatenate([x.reshape(-1, 1), landed.reshape(-1, 1), moved], 1)
    return ops.whole(b.nodes, eqn, operands, [sources])


PICKING: Mapping[str, Rule] = {
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "gather": gather,
    "scatter": scatter,
    "scatter-add": scatter,
    "scatter-max": scatter,
    "scatter-min": scatter,
    "scatter-mul": scatter,
    "scatter-sub": scatter,
}
