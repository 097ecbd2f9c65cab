"""Lines of an array: the elements along some axes, as rows of a table or as one junction each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jax.extend.core import JaxprEqn

from .. import ops
from ..builder import Builder
from ..jaxprs import aval
from ..nodes import NONE, DType, Ids


def lines(x: Ids, axes: Sequence[int]) -> Ids:
    """A table with a row for each place along the other axes."""
    axes = tuple(axes)
    others = tuple(i for i in range(x.ndim) if i not in axes)
    width = int(np.prod([x.shape[i] for i in axes], dtype=int))
    height = int(np.prod([x.shape[i] for i in others], dtype=int))
    return x.transpose(others + axes).reshape(height, width)


def spread(b: Builder, x: Ids, axes: Sequence[int]) -> Ids:
    """One node for each line along `axes`; the shape is that of the other axes."""
    others = [x.shape[i] for i in range(x.ndim) if i not in set(axes)]
    return b.nodes.junction(lines(x, axes)).reshape(others)


def dense(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """An equation all of whose results depend on all of its operands."""
    everything = np.concatenate([o.ravel() for o in operands] or [np.empty(0, np.int64)])
    hub = b.nodes.junction(everything[None])[0] if everything.size else NONE
    sizes = [int(np.prod(aval(v).shape, dtype=int)) for v in eqn.outvars]
    return ops.whole(b.nodes, eqn, operands, [np.full(size, hub) for size in sizes])


def batches(x: Ids, inner: int) -> Ids:
    """The last `inner` axes of each batch as a row."""
    outer = x.ndim - inner
    count = lambda shape: int(np.prod(shape, dtype=int))
    return x.reshape(count(x.shape[:outer]), count(x.shape[outer:]))


def zero(b: Builder, dtype: DType) -> int:
    """The node of a constant zero."""
    return int(b.nodes.constant(np.zeros((), dtype)).item())


def without_zeros(b: Builder, tables: list[Ids]) -> list[Ids]:
    """Rows whose entries drop out where one of the tables has a constant zero, padded with zeros."""
    none = np.logical_or.reduce([b.nodes.zero[t] for t in tables])
    if not none.any():
        return tables
    width = int((~none).sum(1).max(initial=0))
    order = np.argsort(none, axis=1, kind="stable")[:, :width]
    gone = np.take_along_axis(none, order, 1)
    out = []
    for table in tables:
        chosen = np.take_along_axis(table, order, 1)
        if gone.any():
            chosen = np.where(gone, zero(b, b.nodes.dtypes[b.nodes.kind[table.flat[0]]]), chosen)
        out.append(chosen)
    return out


def total(b: Builder, rows: Ids, dtype: DType) -> Ids:
    """The sum of each row; zero for rows of nothing."""
    if rows.shape[1] == 0:
        return np.full(len(rows), zero(b, dtype))
    return ops.total(b.nodes, rows, dtype)
