"""Matrix products: each element from a row and a column, without what constant zeros leave out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jax.extend.core import JaxprEqn

from .. import ops
from ..builder import Builder, Rule
from ..jaxprs import aval
from ..nodes import Ids
from .lines import without_zeros, zero

# Entries of the operand tables of one matrix product, above which it is taken as a whole.
TABLE = 4_000_000


def dot_general(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    result = aval(eqn.outvars[0])
    (left_in, right_in), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    left = _stacked(operands[0], left_batch, left_in)  # batch, free, contracted
    right = _stacked(operands[1], right_batch, right_in)
    batch, m, k = left.shape
    n = right.shape[1]
    # The side with more constant zeros goes left: they are left out row by row there.
    swapped = b.nodes.zero[right].sum() * m > b.nodes.zero[left].sum() * n
    if swapped:
        left, right, m, n = right, left, n, m
    places = _kept(b.nodes.zero[left])  # batch, m, width
    width = places.shape[-1]
    if batch * m * n * width > TABLE:
        return _large_dot(b, eqn, operands)
    here = np.take_along_axis(left, np.maximum(places, 0), 2)
    there = right[np.arange(batch)[:, None, None, None], np.arange(n)[:, None], places[:, :, None]]
    if (places < 0).any():
        here = np.where(places < 0, zero(b, b.nodes.dtypes[b.nodes.kind[left.flat[0]]]), here)
    shape = (batch * m * n, width)  # all that is left of it may be zeros, so that the width is none
    tables = [np.broadcast_to(here[:, :, None], there.shape).reshape(shape), there.reshape(shape)]
    tables = without_zeros(b, tables)
    if swapped:
        tables.reverse()
    if tables[0].shape[1] == 0:
        out = np.full(batch * m * n, zero(b, result.dtype))
    else:
        params = dict(eqn.params)
        out = ops.dot(b.nodes, eqn.primitive, params, tables[0], tables[1], result.dtype)
    out = out.reshape(batch, m, n)
    return [(out.swapaxes(1, 2) if swapped else out).reshape(result.shape)]


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
    rows = b.nodes.junction(left.reshape(batch * m, left.shape[2])).reshape(batch, m, 1)
    columns = b.nodes.junction(right.reshape(batch * n, right.shape[2])).reshape(batch, 1, n)
    sources = np.stack(np.broadcast_arrays(rows, columns), -1).reshape(-1, 2)
    return ops.whole(b.nodes, eqn, operands, [sources])


PRODUCTS: Mapping[str, Rule] = {"dot_general": dot_general}
