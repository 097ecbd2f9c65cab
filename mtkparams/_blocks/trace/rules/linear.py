"""Factorizations and linear solves: dense inside one system, independent between systems of a batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from jax.extend.core import JaxprEqn

from .. import ops
from ..builder import Builder, Rule
from ..jaxprs import aval
from ..nodes import CLOSED, Ids, Sparse
from .lines import batches

# How many of the first operand's axes, from the last, make up one system.
_CORE = {
    "cholesky": 2,
    "cholesky_update": 2,
    "eig": 2,
    "eigh": 2,
    "geqp3": 2,
    "geqrf": 2,
    "hessenberg": 2,
    "householder_product": 2,
    "lu": 2,
    "lu_pivots_to_permutation": 1,
    "ormqr": 2,
    "qr": 2,
    "schur": 2,
    "svd": 2,
    "symmetric_product": 2,
    "tridiagonal": 2,
    "tridiagonal_solve": 1,
}


def batched(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Every result of a batch member depends on all of that member."""
    lead = operands[0].ndim - _CORE[eqn.primitive.name]
    rows = [batches(o, o.ndim - lead) for o in operands]
    hub = b.nodes.junction(np.concatenate(rows, 1))
    sources = []
    for v in eqn.outvars:
        each = int(np.prod(aval(v).shape[lead:], dtype=int))
        sources.append(np.repeat(hub, each))
    return ops.whole(b.nodes, eqn, operands, sources)


def triangular_solve(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """A column of the solution depends on the matrix and on its own right-hand side."""
    matrix, right = operands
    along = -2 if eqn.params["left_side"] else -1
    hub = b.nodes.junction(batches(matrix, 2)).reshape(*matrix.shape[:-2], 1, 1)
    line = np.moveaxis(right, along, -1)
    columns = b.nodes.junction(batches(line, 1)).reshape(line.shape[:-1])
    column = np.broadcast_to(np.expand_dims(columns, along), right.shape)
    sources = np.stack([column, np.broadcast_to(hub, right.shape)], -1)
    return ops.whole(b.nodes, eqn, operands, [sources.reshape(-1, 2)])


def custom_linear_solve(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """What the solver says, and what the inverse of the operator can have.

    The inverse is a polynomial of the operator, so that its pattern lies in the transitive closure of
    the operator's. Both count: values come from the solver, derivatives from the operator.
    """
    lengths, jaxprs = eqn.params["const_lengths"], eqn.params["jaxprs"]
    cuts = np.cumsum([lengths.matvec, lengths.vecmat, lengths.solve, lengths.transpose_solve])
    matvec, _, solve, _, right = (
        operands[i:j] for i, j in zip([0, *cuts], [*cuts, None], strict=True)
    )
    values = b.inner([*solve, *right], lambda sub, x: sub.run_closed(jaxprs.solve, x), jaxprs.solve)
    # The vectors that the operator is applied to have the shapes of the right-hand sides.
    vectors = [b.nodes.leaf(CLOSED, r.shape, float) for r in right]
    operator = b.relation(
        [*matvec, *vectors], lambda sub, x: sub.run_closed(jaxprs.matvec, x)
    ).astype(np.int32)
    constants = sum(o.size for o in matvec)
    closure = closed(operator[:, constants:])
    reach = sp.hstack([closure @ operator[:, :constants], closure]).tocsr()
    outer = np.concatenate([o.ravel() for o in (*matvec, *right)])
    counts = np.diff(reach.indptr)
    joined = b.nodes.junctions(counts, outer[reach.indices])
    per = np.split(joined, np.cumsum([r.size for r in right])[:-1])
    sources = [np.stack([f, j], 1) for f, j in zip(values, per, strict=True)]
    return ops.whole(b.nodes, eqn, operands, sources)


def closed(relation: Sparse) -> Sparse:
    """The reflexive and transitive closure of a square relation, as a matrix of ones."""
    reach = (relation + sp.eye_array(relation.shape[0]).astype(np.int32)).tocsr()
    reach.data[:] = 1
    while True:
        further = (reach @ reach).tocsr()
        further.data[:] = 1
        if further.nnz == reach.nnz:
            return reach
        reach = further


LINEAR_ALGEBRA: Mapping[str, Rule] = {
    **dict.fromkeys(_CORE, batched),
    "triangular_solve": triangular_solve,
    "custom_linear_solve": custom_linear_solve,
}
