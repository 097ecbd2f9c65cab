"""What depends on no unknown: arguments, constants, and all that is computed from them alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from ._nodes import CONSTANT


class Given:
    """Computes chosen nodes of a graph, each once, from the arguments.

    **Arguments:**

    - `graph`: an element graph.
    - `nodes`: numbers of nodes that depend on no unknown.
    """

    def __init__(self, graph: Any, nodes: np.ndarray):
        self.graph = graph
        # Where each node's value lies: the number of an array, and a place in it.
        self.store = np.full(graph.size, -1)
        self.at = np.zeros(graph.size, int)
        self.constants: list[np.ndarray] = []
        self.layers: list[list[tuple[Any, np.ndarray]]] = []
        n_leaves = len(graph.arguments)
        for i, leaf in enumerate(graph.arguments):
            self.store[leaf], self.at[leaf] = i, np.arange(leaf.size).reshape(leaf.shape)
        needed = graph.needed(nodes) if nodes.size else nodes
        constant = needed[graph.op[needed] <= CONSTANT]
        for kind in np.unique(graph.kind[constant]):
            own = constant[graph.kind[constant] == kind]
            self.store[own], self.at[own] = n_leaves + len(self.constants), np.arange(own.size)
            self.constants.append(np.asarray(graph.constant(own)))
        self._first = n_leaves + len(self.constants)
        self._plan(needed[graph.op[needed] >= 0])

    def _plan(self, computed: np.ndarray) -> None:
        """One layer for all elements of one depth that one operation computes."""
        graph = self.graph
        groups: dict[Any, dict[int, list[int]]] = {}
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
                for output in op.outputs:
                    self.store[output] = count
                    self.at[output] = np.arange(output.size).reshape(output.shape)
                    count += 1
            else:
                own = np.concatenate([nodes for _, nodes in members])
                self.store[own], self.at[own] = count, np.arange(own.size)
                count += 1
            self.layers.append(members)

    def evaluate(self, args: Any) -> Values:
        """All the values, for these arguments."""
        stores: list[Any] = [jnp.ravel(x) for x in jax.tree.leaves(args)]
        stores.extend(jnp.asarray(c) for c in self.constants)
        values = Values(self, stores)
        graph = self.graph
        for members in self.layers:
            op = members[0][0]
            if op.kind == "whole":
                operands = [
                    values.fetch(ids, v.aval.dtype)
                    for ids, v in zip(op.operands, op.equation.invars, strict=True)
                ]
                stores.extend(r.ravel() for r in op.bind(*operands))
                continue
            # Operands by their place in the operation's own tables.
            tables = [
                np.concatenate([own.operands[j][graph.place[nodes]] for own, nodes in members])
                for j in range(len(op.operands))
            ]
            stores.append(op.bind(*(values.fetch(ids) for ids in tables))[0])
        return values


class Values:
    """Values of nodes, in the arrays in which they were computed."""

    def __init__(self, given: Given, stores: list[Any]):
        self.given, self.stores = given, stores

    def fetch(self, ids: np.ndarray, dtype: Any = None) -> Array:
        """The values of nodes of one dtype, in the shape of `ids`; zero for nodes without one."""
        flat = ids.ravel()
        store, at = self.given.store[flat], self.given.at[flat]
        used = np.unique(store[store >= 0]).tolist()
        if not used:
            return jnp.zeros(ids.shape, dtype)
        whole = self.stores[used[0]]
        if len(used) > 1 or (store < 0).any():
            parts = [self.stores[s] for s in used]
            ends = np.cumsum([0, *(p.size for p in parts)])
            start = np.zeros(int(store.max()) + 1, int)
            start[used] = ends[:-1]
            at = np.where(store >= 0, start[np.maximum(store, 0)] + at, ends[-1])
            if (store < 0).any():
                parts = [*parts, jnp.zeros(1, parts[0].dtype)]
            whole = jnp.concatenate(parts)
        if at.size == whole.size and (at == np.arange(at.size)).all():
            return whole.reshape(ids.shape)
        if at.size > 1 and (np.diff(at) == 1).all():
            return lax.slice_in_dim(whole, int(at[0]), int(at[-1]) + 1).reshape(ids.shape)
        if at.size > 1 and (at == at[0]).all():
            return jnp.broadcast_to(whole[int(at[0])], ids.shape)
        return whole[at.reshape(ids.shape)]


def constant_value(graph: Any, ids: Sequence[int]) -> Any:
    """The one value that all of these nodes have as constants, or None."""
    nodes = np.unique(np.asarray(ids))
    if not (graph.op[nodes] <= CONSTANT).all():
        return None
    values = np.asarray(graph.constant(nodes))
    return values[0] if (values == values[0]).all() else None
