"""The nodes of an element graph: one for each array element, in arrays that grow as a whole.

A node is an integer. Arrays of node numbers stand for the arrays of a program, so that moving
elements about is indexing, and the cost of an analysis goes with the number of equations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias

import numpy as np
from jax import Array
from jax.extend.core import JaxprEqn, Primitive

# Numbers of nodes, or of entries: integers of any shape.
Ids: TypeAlias = np.ndarray

# scipy's `csr_array`, of which type checkers know too little.
Sparse: TypeAlias = Any

# numpy's dtype, or one of JAX's own, which have no public class; None for junctions.
DType: TypeAlias = Any

# What a node is, where it is not an operation's result (those have the operation's number, >= 0).
UNKNOWN = -1
ARGUMENT = -2
CLOSED = -3
JUNCTION = -4
CONSTANT = -5  # the constants of chunk k have CONSTANT - k

NONE = -1  # in lists of sources: no node


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Op:
    """One equation of the program: how to compute its result nodes from its operand nodes.

    - `kind`: `"elementwise"`, `"sum"`, `"dot"`, `"reduce"` (these four can be computed for any subset
      of their rows) or `"whole"` (all of it or nothing).
    - `operands`: node numbers. Elementwise: one `(k,)` array per operand; sum and reduce: one
      `(k, w)` array; dot: two `(k, w)` arrays; whole: the operands' own shapes.
    - `outputs`: node numbers of the results: one `(k,)` array, or the results' own shapes of a whole.
    - `key`: operations of equal keys do the same; their rows may be computed in one call.
    - `bind(*values) -> tuple of arrays`: the computation itself, on JAX arrays shaped like `operands`
      (any subset of the rows, if it is no whole).
    """

    kind: str
    primitive: Primitive
    params: dict[str, Any]
    operands: tuple[Ids, ...]
    outputs: tuple[Ids, ...]
    key: Hashable
    bind: Callable[..., tuple[Array, ...]]
    equation: JaxprEqn | None = None

    @property
    def whole_equation(self) -> JaxprEqn:
        """The equation that an operation of kind `"whole"` is."""
        assert self.equation is not None
        return self.equation

    def __repr__(self) -> str:
        return f"Op({self.kind} {self.primitive.name})"


class Nodes:
    """The nodes so far, by columns; filled by the rules, read through `Graph` afterwards."""

    def __init__(self) -> None:
        self.size = 0
        self.op = np.empty(256, np.int32)
        self.place = np.empty(256, np.int64)
        self.depth = np.empty(256, np.int32)
        self.kind = np.empty(256, np.int16)  # a place in `dtypes`
        self.zero = np.empty(256, bool)
        self.count = np.empty(256, np.int64)
        self.edges: list[Ids] = []
        self.ops: list[Op] = []
        self.chunks: list[np.ndarray] = []
        self.dtypes: list[DType] = []
        self._scalars: dict[tuple[DType, bytes], int] = {}
        self._kinds: dict[DType, int] = {}

    def _grow(
        self,
        k: int,
        op: int,
        dtype: DType,
        depth: np.ndarray | int = 0,
        zero: np.ndarray | bool = False,
        count: np.ndarray | int = 0,
    ) -> Ids:
        start, stop = self.size, self.size + k
        if stop > len(self.op):
            room = max(2 * len(self.op), stop)
            for name in ("op", "place", "depth", "kind", "zero", "count"):
                column = getattr(self, name)
                grown = np.empty(room, column.dtype)
                grown[:start] = column[:start]
                setattr(self, name, grown)
        kind = self._kinds.get(dtype)
        if kind is None:
            kind = self._kinds[dtype] = len(self.dtypes)
            self.dtypes.append(dtype)
        ids = np.arange(start, stop)
        self.op[start:stop] = op
        self.place[start:stop] = ids - start
        self.depth[start:stop] = depth
        self.kind[start:stop] = kind
        self.zero[start:stop] = zero
        self.count[start:stop] = count
        self.size = stop
        return ids

    def leaf(self, what: int, shape: Sequence[int], dtype: DType) -> Ids:
        """Nodes whose values come from outside."""
        return self._grow(int(np.prod(shape, dtype=int)), what, dtype).reshape(shape)

    def constant(self, value: np.ndarray) -> Ids:
        """Nodes of known values; equal scalars are one node."""
        if value.size != 1:
            return self._chunk(value)
        key = (value.dtype, value.tobytes())
        if key not in self._scalars:
            self._scalars[key] = int(self._chunk(value).item())
        return np.full(value.shape, self._scalars[key])

    def _chunk(self, value: np.ndarray) -> Ids:
        flat = value.ravel()
        number = CONSTANT - len(self.chunks)
        self.chunks.append(flat)
        return self._grow(
            flat.size, number, value.dtype, zero=flat == 0 if flat.dtype.kind != "V" else True
        ).reshape(value.shape)

    def is_constant(self, ids: Ids) -> np.ndarray:
        return np.asarray(self.op[ids] <= CONSTANT)

    def value(self, ids: Ids) -> np.ndarray:
        """The values of constant nodes, which must be of one dtype."""
        dtype = self.dtypes[self.kind[ids.flat[0]]] if ids.size else float
        out = np.empty(ids.shape, dtype)
        numbers = self.op[ids]
        for number in np.unique(numbers).tolist():
            here = numbers == number
            out[here] = self.chunks[CONSTANT - number][self.place[ids[here]]]
        return out

    def floats(self, ids: Ids) -> np.ndarray:
        """The values of real constants, of any dtypes, as float64."""
        out = np.empty(len(ids))
        order = np.argsort(self.op[ids], kind="stable")
        numbers = self.op[ids][order]
        for group in np.split(order, np.flatnonzero(np.diff(numbers)) + 1):
            if group.size:
                out[group] = self.chunks[CONSTANT - self.op[ids[group[0]]]][self.place[ids[group]]]
        return out

    def junction(self, rows: Ids) -> Ids:
        """One node for each row, which depends on all nodes of the row and has no value of its own."""
        if rows.shape[1] == 1:
            return rows[:, 0]
        depth = self.depth[rows].max(1, initial=0) + 1
        self.edges.append(rows.ravel())
        return self._grow(len(rows), JUNCTION, None, depth, count=rows.shape[1])

    def junctions(self, counts: np.ndarray, members: Ids) -> Ids:
        """As `junction`, with `counts[i]` of the `members` for the i-th node."""
        depth = np.zeros(len(counts), np.int64)
        some = counts > 0
        if members.size:
            starts = (np.cumsum(counts) - counts)[some]
            depth[some] = np.maximum.reduceat(self.depth[members], starts)
        self.edges.append(members)
        return self._grow(len(counts), JUNCTION, None, depth + 1, count=counts)

    def results(
        self, op: Callable[[tuple[Ids, ...]], Op], operands: Sequence[Ids], dtype: DType
    ) -> Ids:
        """The results of an operation by rows, which depend on all operands of their rows."""
        table = np.stack(operands, 1) if operands[0].ndim == 1 else np.concatenate(operands, 1)
        depth = self.depth[table].max(1, initial=0) + 1
        self.edges.append(table.ravel())
        ids = self._grow(len(table), len(self.ops), dtype, depth, count=table.shape[1])
        self.ops.append(op((ids,)))
        return ids

    def whole(
        self,
        op: Callable[[tuple[Ids, ...]], Op],
        operands: Sequence[Ids],
        sources: Sequence[Ids],
        shapes: Sequence[tuple[int, ...]],
        dtypes: Sequence[DType],
    ) -> list[Ids]:
        """The results of an operation that is computed as a whole.

        `sources[i]` has a row of nodes for each element of the i-th result: what it depends on, with
        `NONE` to fill up.
        """
        # Deeper than every operand, also those that no result depends on: it is computed after them.
        depth = 1 + max(
            (int(self.depth[o[o >= 0]].max()) for o in (*operands, *sources) if (o >= 0).any()),
            default=0,
        )
        outputs = []
        place = 0
        for rows, shape, dtype in zip(sources, shapes, dtypes, strict=True):
            there = rows >= 0
            self.edges.append(rows[there])
            ids = self._grow(len(rows), len(self.ops), dtype, depth, count=there.sum(1))
            self.place[ids] += place
            place += len(ids)
            outputs.append(ids.reshape(shape))
        self.ops.append(op(tuple(outputs)))
        return outputs
