"""The structure of a residual: its graph, its incidence, its blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
import scipy.sparse as sp
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from .order.blocks import Block, Parts, decompose
from .order.forms import Forms, forms, owners
from .trace.dependence import dependence
from .trace.graph import Graph, element_graph
from .trace.nodes import Sparse


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Structure:
    """What `analyze` found. Static: equal to itself only, and hashable.

    - `graph`: the element graph.
    - `incidence`: booleans `(m, n)`, in scipy's CSR form.
    - `parts`: blocks, over- and under-determined parts; `blocks` are the blocks among them.
    - `owner`: for each node of the graph the last block whose unknowns it depends on, -1 if none.
    - `opaque`: names of primitives that were taken to be dense for want of anything better.

    To solve block `k` alone, its equations need `graph.needed(graph.residual[list(block.equations)])`,
    in an order in which they can be computed. Those of owner `k` depend on unknowns of the block, and are
    computed in every iteration. The others depend on earlier unknowns, arguments and constants only,
    and are computed once.
    An operation by rows (`Op.kind` other than `"whole"`) is computed for the rows that are needed:
    `op.operands` at `graph.place[nodes]`. A whole operation is computed once for all; those of its
    operand nodes that are not needed do not matter to the nodes that are. What stands in
    for them must be something that the operation is made for.
    """

    graph: Graph
    incidence: Sparse
    parts: Parts
    owner: np.ndarray
    opaque: tuple[str, ...]

    def __repr__(self) -> str:
        m, n = self.incidence.shape
        return f"Structure({m} equations, {n} unknowns, {len(self.blocks)} blocks)"

    @property
    def blocks(self) -> tuple[Block, ...]:
        return self.parts.blocks


def analyze(
    fn: Callable[[Array, PyTree], Array], u: ArrayLike | jax.ShapeDtypeStruct, args: PyTree
) -> Structure:
    """The structure of `fn(u, args)`: what depends on what, and the blocks to solve one by one.

    Only shapes and dtypes of `u` and `args` are read, so that it can be called while tracing, and the
    result holds for all values.

    **Arguments:**

    - `fn`: a JAX function from a vector of unknowns `(n,)` and a pytree of arrays to a vector `(m,)`.
      What it closes over is taken as constant; what may change belongs into `args`.
    - `u`: an array or a `jax.ShapeDtypeStruct` of shape `(n,)`.
    - `args`: a pytree of arrays or of `jax.ShapeDtypeStruct`s.

    **Raises:** `ShapeError` or `KindError` if `u` or the result is no vector. Warns with
    `StructureWarning`, once, if there are primitives without a rule.

    !!! Example

        >>> import jax.numpy as jnp
        >>> from mtkparams._blocks import analyze
        >>> def residual(u, p):
        ...     return jnp.stack([u[0] ** 3 + u[0] - p * u[1], 2.0 * u[1] - p])
        >>> structure = analyze(residual, jnp.zeros(2), jnp.ones(()))
        >>> [(b.equations, b.unknowns, b.affine) for b in structure.blocks]
        [((1,), (1,), True), ((0,), (0,), False)]
    """
    graph = element_graph(fn, u, args)
    pattern = graph_incidence(graph)
    parts = decompose(pattern)
    block_of = np.full(len(graph.unknowns), -1)
    for number, block in enumerate(parts.blocks):
        block_of[list(block.unknowns)] = number
    owner = owners(graph, block_of)
    single = np.array([len(b.unknowns) == 1 for b in parts.blocks], bool)
    form = forms(graph, owner, single)
    blocks = tuple(_described(block, graph, form) for block in parts.blocks)
    opaque = graph.dense_primitives
    return Structure(graph, pattern, dataclasses.replace(parts, blocks=blocks), owner, opaque)


def _described(block: Block, graph: Graph, form: Forms) -> Block:
    rows = graph.residual[list(block.equations)]
    affine = bool((form.degree[rows] <= 1).all())
    slope = float(form.factor[rows[0]])  # a number for blocks of one unknown only
    explicit = affine and abs(slope) == 1.0
    return dataclasses.replace(
        block, affine=affine, explicit=explicit, coefficient=slope if explicit else 0.0
    )


def incidence(
    fn: Callable[[Array, PyTree], Array], u: ArrayLike | jax.ShapeDtypeStruct, args: PyTree
) -> Sparse:
    """Which entry of `fn(u, args)` depends on which entry of `u`, as a matrix of booleans `(m, n)`.

    The pattern of the Jacobian lies in it, whatever the values of `u` and `args`. Branches that
    `where` or `lax.cond` would not take count as well, and so does what a traced index might reach;
    what is multiplied by a constant zero does not. What passes through `stop_gradient` counts: the
    value depends on it, so that it has to be known first.

    **Arguments:** as for `analyze`.
    """
    return graph_incidence(element_graph(fn, u, args))


def graph_incidence(graph: Graph) -> Sparse:
    """The incidence of a graph's residual."""
    sets = dependence(graph.nodes, graph.unknowns)
    counts, members = sets.rows(sets.of[graph.residual])
    ptr = np.concatenate([[0], np.cumsum(counts)])
    shape = (len(graph.residual), len(graph.unknowns))
    return sp.csr_array((np.ones(len(members), bool), members, ptr), shape=shape)
