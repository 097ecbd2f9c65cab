"""The element graph of a JAX function: one node for each element of each array that it computes.

`element_graph` traces a residual on abstract values, so that it works inside `jax.jit`, and so that a
parameter that happens to be zero does not remove what depends on it.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from ...errors import KindError, ShapeError, StructureWarning
from .builder import mutates
from .levels import Level, levels, ranges
from .nodes import ARGUMENT, CONSTANT, JUNCTION, UNKNOWN, DType, Ids, Nodes, Op
from .rules.rules import new_builder


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """Nodes, numbered so that a node comes after those that it is computed from.

    Columns, one entry a node:

    - `op`: the number of the operation that computes it, or what else it is: `UNKNOWN`, `ARGUMENT`,
      `CLOSED` (a value that the function closed over and that is itself being traced), `JUNCTION` (no
      value; it says what an operation's result depends on), or `CONSTANT - k` for the k-th chunk of
      constants.
    - `place`: its place among those: in the operation's results (raveled, one result after the other),
      in the vector of unknowns, in the raveled leaf of the arguments, in the chunk.
    - `depth`: 0 for what is given, else one more than the deepest operand.
    - `kind`: a place in `dtypes`.
    - `ptr`, `edges`: what node `i` depends on is `edges[ptr[i]:ptr[i + 1]]`. For results of elementwise
      operations, sums and the like these are the operands, in their order. For a whole operation they
      are what that element depends on: other elements of its operands do not matter to it. What
      stands in for them must be something that the operation is made for: it is computed on that too.

    `unknowns` are the nodes of `u`, `arguments` those of each leaf of `args` in its shape, `residual`
    those of the result, `closed` pairs of nodes and values. `ops` are the operations, each of them
    computed from earlier ones. `dense_primitives` are names of those that no rule says more of.
    """

    op: np.ndarray
    place: np.ndarray
    depth: np.ndarray
    kind: np.ndarray
    ptr: np.ndarray
    edges: np.ndarray
    dtypes: tuple[DType, ...]
    ops: tuple[Op, ...]
    unknowns: Ids
    arguments: tuple[Ids, ...]
    residual: Ids
    closed: tuple[tuple[Ids, Any], ...]
    dense_primitives: tuple[str, ...]
    nodes: Nodes

    @property
    def size(self) -> int:
        return len(self.op)

    @functools.cached_property
    def levels(self) -> list[Level]:
        """The nodes that depend on something, by depth, with their operands."""
        return levels(self.depth, np.diff(self.ptr), self.edges)

    @functools.cached_property
    def consumers(self) -> Ids:
        """For each of the `edges` the node that depends on it."""
        return np.repeat(np.arange(self.size), np.diff(self.ptr))

    @functools.cached_property
    def _whole(self) -> np.ndarray:
        # One more than there are operations: their number may be none.
        return np.array([*(op.kind == "whole" for op in self.ops), False])

    def __repr__(self) -> str:
        return f"Graph({self.size} nodes, {len(self.ops)} operations)"

    def is_constant(self, ids: Ids) -> np.ndarray:
        """Which of some nodes are constants."""
        return np.asarray(self.op[ids] <= CONSTANT)

    def constant(self, ids: Ids) -> np.ndarray:
        """The values of constant nodes of one dtype."""
        return self.nodes.value(ids)

    def needed(self, targets: Ids) -> Ids:
        """The targets and all that they depend on, by depth, junctions left out.

        What a whole operation does not need for the elements asked for is not among them; the
        constants among its operands are.
        """
        seen = np.zeros(self.size, bool)
        layers = [np.unique(targets)]
        seen[layers[0]] = True
        while layers[-1].size:
            last = layers[-1]
            below = self.edges[ranges(self.ptr[last], self.ptr[last + 1] - self.ptr[last])]
            below = np.unique(below[~seen[below]])
            seen[below] = True
            layers.append(below)
        nodes = np.concatenate(layers)
        nodes = nodes[self.op[nodes] != JUNCTION]
        numbers = np.unique(self.op[nodes])
        numbers = numbers[numbers >= 0]
        wholes = numbers[self._whole[numbers]]
        operands = [o.ravel() for k in wholes.tolist() for o in self.ops[k].operands]
        if operands:
            constants = np.unique(np.concatenate(operands))
            constants = constants[self.is_constant(constants) & ~seen[constants]]
            nodes = np.concatenate([constants, nodes])
        return nodes[np.lexsort((nodes, self.depth[nodes]))]


def element_graph(
    fn: Callable[[Array, PyTree], Array], u: ArrayLike | jax.ShapeDtypeStruct, args: PyTree
) -> Graph:
    """The element graph of `fn(u, args)`.

    **Arguments:**

    - `fn`: a JAX function from a vector of unknowns and a pytree of arrays to a vector.
    - `u`: the unknowns, of shape `(n,)`: an array, or a `jax.ShapeDtypeStruct`. Only shape and dtype
      are read.
    - `args`: the pytree, of arrays or of `jax.ShapeDtypeStruct`s.

    **Raises:** `ShapeError` if `u` or the result is no vector, `KindError` if the result is no array.
    """
    shape = jnp.shape(u)
    if len(shape) != 1:
        raise ShapeError(f"The unknowns must be a vector; these have the shape {shape}.")
    abstract = jax.tree.map(_abstract, (u, args))
    traced, out = jax.make_jaxpr(fn, return_shape=True)(*abstract)
    if mutates(traced):
        # As one call, whose results depend on all that goes in.
        traced = jax.make_jaxpr(jax.jit(lambda u, args: fn(u, args)))(*abstract)
    if not hasattr(out, "shape"):
        raise KindError(f"The residual must be one array; this function returns {out!r}.")
    if len(out.shape) != 1:
        raise ShapeError(f"The residual must be a vector; this one has the shape {out.shape}.")
    b = new_builder()
    unknowns = b.nodes.leaf(UNKNOWN, abstract[0].shape, abstract[0].dtype)
    leaves = [b.nodes.leaf(ARGUMENT, s.shape, s.dtype) for s in jax.tree.leaves(abstract[1])]
    (residual,) = b.run_closed(traced, [unknowns, *leaves])
    nodes = b.nodes
    size = nodes.size
    if b.shared.unknown:
        names = ", ".join(f"`{name}`" for name in sorted(b.shared.unknown))
        warnings.warn(
            f"No rule for the primitive{'s' * (len(b.shared.unknown) > 1)} {names}: every element that "
            "comes out is taken to depend on every element that goes in. Results stay right; blocks "
            "may be larger than they need be.",
            StructureWarning,
            stacklevel=2,
        )
    return Graph(
        op=nodes.op[:size],
        place=nodes.place[:size],
        depth=nodes.depth[:size],
        kind=nodes.kind[:size],
        ptr=np.concatenate([[0], np.cumsum(nodes.count[:size])]),
        edges=np.concatenate([*nodes.edges, np.empty(0, np.int64)]),
        dtypes=tuple(nodes.dtypes),
        ops=tuple(nodes.ops),
        unknowns=unknowns,
        arguments=tuple(leaves),
        residual=residual,
        closed=tuple(b.closed),
        dense_primitives=tuple(sorted(b.shared.dense)),
        nodes=nodes,
    )


def _abstract(x: ArrayLike | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    if isinstance(x, jax.ShapeDtypeStruct):
        return x
    seen: Any = jax.typeof(x)
    return jax.ShapeDtypeStruct(seen.shape, seen.dtype, weak_type=seen.weak_type)
