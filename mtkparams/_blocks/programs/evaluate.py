"""The fixed values of all blocks, which depend on no unknown, and fillers for what does not matter to them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, PyTree

from ..._failure import constant
from ..solve.sizes import sizes
from ..trace.graph import Graph
from ..trace.jaxprs import aval
from ..trace.nodes import CONSTANT, DType, Op


class Evaluator:
    """Computes chosen nodes of a graph, each once, from the arguments.

    **Arguments:**

    - `graph`: an element graph.
    - `nodes`: numbers of nodes.
    - `moves`: for each node whether it depends on an unknown. Such nodes are computed as they are at some
      point, and as constants: they stand where what is in a place does not matter, as long as it is
      something that the function there is made for.
    """

    def __init__(self, graph: Graph, nodes: np.ndarray, moves: np.ndarray):
        still = _Computed(graph, _fully(graph, nodes[~moves[nodes]], moves))
        self.still = still
        fillers = [nodes, *still.operands]
        fillers = np.unique(np.concatenate(fillers))
        fillers = fillers[moves[fillers]]
        every = np.zeros_like(moves)
        self.filled = _Computed(graph, _fully(graph, fillers, every)) if fillers.size else None

    def evaluate(self, args: PyTree, u: Array) -> Values:
        """All the values, for these arguments, and with fillers as they are at these unknowns."""
        return self.still.evaluate(args, u, self._filled(args, u))

    def sizes(self, args: PyTree, u: Array) -> Values:
        """How large the terms of these values are."""
        filled = self._filled(args, u)
        stores = sizes(lambda args: self.still.evaluate(args, u, filled).stores, args)
        return Values(self.still, stores, filled)

    def _filled(self, args: PyTree, u: Array) -> Values | None:
        if self.filled is None:
            return None
        return self.filled.evaluate(constant(args), lax.stop_gradient(u), None)


def _fully(graph: Graph, nodes: np.ndarray, but: np.ndarray) -> np.ndarray:
    """The nodes and all that it takes to compute them, all operands of whole operations among that.

    **Arguments:**

    - `but`: which nodes come from elsewhere if they are no more than operands that do not matter.
    """
    while nodes.size:
        needed = graph.needed(nodes)
        wholes = np.unique(graph.op[needed])
        wholes = [k for k in wholes[wholes >= 0].tolist() if graph.ops[k].kind == "whole"]
        operands = [o.ravel() for k in wholes for o in graph.ops[k].operands]
        more = np.unique(np.concatenate([*operands, np.empty(0, np.int64)]))
        more = np.setdiff1d(more[~but[more]], needed)
        if not more.size:
            return needed
        nodes = np.concatenate([needed, more])
    return nodes


class _Computed:
    """Nodes computed in layers: one for all elements of one depth that one operation computes."""

    def __init__(self, graph: Graph, needed: np.ndarray):
        self.graph = graph
        # Where each node's value lies: the number of an array, and a place in it.
        self.store = np.full(graph.size, -1)
        self.at = np.zeros(graph.size, int)
        self.constants: list[np.ndarray] = []
        self.layers: list[list[tuple[Op, np.ndarray]]] = []
        self.operands: list[np.ndarray] = []
        leaves = graph.arguments
        for i, leaf in enumerate(leaves):
            self.store[leaf], self.at[leaf] = i, np.arange(leaf.size).reshape(leaf.shape)
        unknowns = graph.unknowns[np.isin(graph.unknowns, needed)]
        self.has_unknowns = bool(unknowns.size)
        if self.has_unknowns:
            self.store[graph.unknowns] = len(leaves)
            self.at[graph.unknowns] = np.arange(graph.unknowns.size)
        first = len(leaves) + self.has_unknowns
        known = needed[graph.op[needed] <= CONSTANT]
        for kind in np.unique(graph.kind[known]):
            nodes = known[graph.kind[known] == kind]
            self.store[nodes], self.at[nodes] = first + len(self.constants), np.arange(nodes.size)
            self.constants.append(np.asarray(graph.constant(nodes)))
        self._first = first + len(self.constants)
        self._plan(needed[graph.op[needed] >= 0])

    def _plan(self, computed: np.ndarray) -> None:
        graph = self.graph
        groups: dict[tuple[int, Hashable, int], dict[int, list[int]]] = {}
        for node in computed.tolist():
            number = int(graph.op[node])
            op = graph.ops[number]
            whole = op.kind == "whole"
            width = 0 if whole else int(graph.ptr[node + 1] - graph.ptr[node])
            key = (int(graph.depth[node]), number if whole else op.key, width)
            groups.setdefault(key, {}).setdefault(number, []).append(node)
        count = self._first
        for _, group in sorted(groups.items(), key=lambda item: item[0][0]):
            members = [(graph.ops[n], np.array(nodes)) for n, nodes in group.items()]
            if members[0][0].kind == "whole":
                op = members[0][0]
                self.operands.extend(o.ravel() for o in op.operands)
                for output in op.outputs:
                    self.store[output] = count
                    self.at[output] = np.arange(output.size).reshape(output.shape)
                    count += 1
            else:
                chosen = np.concatenate([nodes for _, nodes in members])
                self.store[chosen], self.at[chosen] = count, np.arange(chosen.size)
                count += 1
            self.layers.append(members)

    def evaluate(self, args: PyTree, u: Array, filled: Values | None) -> Values:
        """All the values, for these arguments."""
        stores: list[Array] = [jnp.ravel(x) for x in jax.tree.leaves(args)]
        stores.extend([u] if self.has_unknowns else [])
        stores.extend(jnp.asarray(c) for c in self.constants)
        values = Values(self, stores, filled)
        graph = self.graph
        for members in self.layers:
            op = members[0][0]
            if op.kind == "whole":
                operands = [
                    values.fetch(ids, aval(v).dtype)
                    for ids, v in zip(op.operands, op.whole_equation.invars, strict=True)
                ]
                stores.extend(r.ravel() for r in op.bind(*operands))
                continue
            # Operands by their place in the operation's own tables.
            tables = [
                np.concatenate(
                    [member.operands[j][graph.place[nodes]] for member, nodes in members]
                )
                for j in range(len(op.operands))
            ]
            stores.append(op.bind(*(values.fetch(ids) for ids in tables))[0])
        return values


class Values:
    """Values of nodes, in the arrays in which they were computed; fillers in others."""

    def __init__(self, computed: _Computed, stores: list[Array], filled: Values | None):
        self.computed, self.stores, self.filled = computed, stores, filled

    def fetch(self, ids: np.ndarray, dtype: DType = None) -> Array:
        """The values of nodes of one dtype, in the shape of `ids`."""
        flat = ids.ravel()
        if not flat.size:
            return jnp.zeros(ids.shape, dtype)
        there = self.computed.store[flat] >= 0
        if not there.all():
            assert self.filled is not None
            filled = self.filled.fetch(flat[~there])
            whole = jnp.zeros(flat.size, filled.dtype).at[np.flatnonzero(~there)].set(filled)
            if there.any():
                whole = whole.at[np.flatnonzero(there)].set(self.fetch(flat[there]))
            return whole.reshape(ids.shape)
        store, at = self.computed.store[flat], self.computed.at[flat]
        used = np.unique(store).tolist()
        whole = self.stores[used[0]]
        if len(used) > 1:
            parts = [self.stores[s] for s in used]
            start = np.zeros(int(store.max()) + 1, int)
            start[used] = np.cumsum([0, *(p.size for p in parts)])[:-1]
            at = start[store] + at
            whole = jnp.concatenate(parts)
        if at.size == whole.size and (at == np.arange(at.size)).all():
            return whole.reshape(ids.shape)
        if at.size > 1 and (np.diff(at) == 1).all():
            return lax.slice_in_dim(whole, int(at[0]), int(at[-1]) + 1).reshape(ids.shape)
        if at.size > 1 and (at == at[0]).all():
            return jnp.broadcast_to(whole[int(at[0])], ids.shape)
        return whole[at.reshape(ids.shape)]


def constant_value(graph: Graph, ids: Sequence[int]) -> np.generic | None:
    """The one value that all of these nodes have as constants, or None."""
    nodes = np.unique(np.asarray(ids))
    if not (graph.op[nodes] <= CONSTANT).all():
        return None
    values = np.asarray(graph.constant(nodes))
    return values[0] if (values == values[0]).all() else None
