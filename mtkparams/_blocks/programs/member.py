"""Blocks of one kind that share a program: where they find their inputs, and what they evaluate to.

Kinds may hold several programs of similar size. Their values are padded to the largest of the kind:
an unknown too many has the equation that it is zero, and reads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ..solve.schedule import Kind
from ..solve.sizes import sizes
from ..trace.graph import Graph
from ..trace.nodes import DType
from .cut import Cut
from .evaluate import Values, constant_value
from .program import Inputs, Program

# So few columns of a Jacobian are had one by one, without the products with zero.
_ONE_BY_ONE = 3


class Member:
    """A program, and the steps of its kind that run it.

    **Attributes:**

    - `steps`: which steps of the kind.
    - `read`: `(steps, n_read, width)`, places in the carried vector.
    - `fixed`: for each fixed value a constant; or one node for all blocks; or nodes `(steps, width)`.
    - `varying`: the dtypes of those of the last sort.
    - `coefficient`: of the unknown, where the blocks are mere assignments.
    """

    def __init__(
        self,
        graph: Graph,
        kind: Kind,
        steps: np.ndarray,
        cuts: Sequence[Cut],
        coefficient: float | None,
    ):
        numbers = kind.blocks[steps]
        first = cuts[numbers[0, 0]]
        self.graph, self.kind, self.steps = graph, kind, steps
        self.program: Program = first.program
        self.arrays = first.arrays
        self.coefficient = coefficient
        # Where a step has fewer blocks than there is room for, its first one fills the room.
        blocks = np.where(numbers < len(cuts), numbers, numbers[:, :1])
        shape = (len(steps), kind.width)
        read = np.array([cuts[b].read for b in blocks.ravel()], int).reshape(*shape, -1)
        self.read_nodes = np.moveaxis(read, -1, 1)
        self.read = self.read_nodes
        fixed = np.array([cuts[b].fixed for b in blocks.ravel()], int).reshape(*shape, -1)
        self.fixed: list[Any] = []
        for i in range(fixed.shape[-1]):
            nodes = fixed[..., i]
            constant = constant_value(graph, nodes.ravel().tolist())
            if constant is not None:
                self.fixed.append(constant)
            else:
                self.fixed.append(nodes[0, 0].item() if (nodes == nodes[0, 0]).all() else nodes)

    @property
    def varying(self) -> list[np.ndarray]:
        return [g for g in self.fixed if isinstance(g, np.ndarray)]

    def nodes(self) -> list[np.ndarray]:
        """All nodes of fixed values and arrays."""
        nodes = [np.unique(np.asarray(g)) for g in self.fixed if isinstance(g, int | np.ndarray)]
        return nodes + [a.ravel() for a in self.arrays]

    def dtype(self, ids: np.ndarray) -> DType:
        return self.graph.dtypes[self.graph.kind[ids.flat[0]]] if ids.size else np.dtype(float)

    def inputs(self, values: Values, read: Array, varying: Sequence[Array], batch: int) -> Inputs:
        """What the program takes.

        **Arguments:**

        - `read`: what it reads, and perhaps some padding behind.
        - `varying`: the fixed values that differ between blocks.
        """
        varying = list(varying)
        fixed: list[Any] = []
        for g in self.fixed:
            if isinstance(g, np.ndarray):
                fixed.append(varying.pop(0))
            elif isinstance(g, int):
                fixed.append(jnp.broadcast_to(values.fetch(np.array(g)), (batch,)))
            else:
                fixed.append(g)
        arrays = [values.fetch(a, self.dtype(a)) for a in self.arrays]
        return Inputs(list(read[: self.program.n_read]), fixed, arrays)

    def residual_and_jacobian(self, x: Array, inputs: Inputs) -> tuple[Array, Array]:
        """Padded residuals and Jacobians, at padded unknowns."""
        unknowns = x[: self.program.size]
        if self.coefficient is not None:
            value = jnp.stack(self.program.evaluate_residual(list(unknowns), inputs))
            jacobian = jnp.full((1, 1, x.shape[-1]), self.coefficient, x.dtype)
        else:
            value, jacobian = self._with_jacobian(unknowns, inputs)
        more = x.shape[0] - unknowns.shape[0]
        if not more:
            return value, jacobian
        jacobian = jnp.pad(jacobian, ((0, more), (0, more), (0, 0)))
        unit = np.diag(np.arange(x.shape[0]) >= unknowns.shape[0])[:, :, None]
        return jnp.concatenate([value, x[unknowns.shape[0] :]]), jnp.where(unit, 1, jacobian)

    def caches(self, x: Array, inputs: Inputs) -> Array:
        """What the blocks leave behind, padded."""
        values = self.program.evaluate_caches(list(x[: self.program.size]), inputs)
        padding = [jnp.zeros(x.shape[-1], x.dtype)] * (self.kind.extra - len(values))
        return jnp.stack([*(v.astype(x.dtype) for v in values), *padding])

    def residual(self, x: Array, inputs: Inputs) -> Array:
        """Padded residuals."""
        size = self.program.size
        values = self.program.evaluate_residual(list(x[:size]), inputs)
        return jnp.concatenate([jnp.stack([v.astype(x.dtype) for v in values]), x[size:]])

    def sizes(self, x: Array, inputs: Inputs, sized: Inputs) -> Array:
        """How large the terms of the padded residuals are.

        **Arguments:**

        - `sized`: how large those of the inputs are.
        """
        unknowns = x[: self.program.size]
        known = [isinstance(g, np.generic) for g in inputs.fixed]

        def batched(i: Inputs) -> tuple[list[Array], list[Any]]:
            return list(i.read), [g for g, k in zip(i.fixed, known, strict=True) if not k]

        def residual(x: Array, read: list[Array], varying: list[Array], arrays: PyTree) -> Array:
            rest = iter(varying)
            fixed = [g if k else next(rest)[None] for g, k in zip(inputs.fixed, known, strict=True)]
            alone = Inputs([r[None] for r in read], fixed, arrays)
            values = self.program.evaluate_residual([v[None] for v in x], alone)
            return jnp.stack([v.astype(x.dtype)[0] for v in values])

        # One block at a time: what is computed as a whole counts by slopes between what is in it.
        def of_block(x: Array, values: PyTree, bounds: PyTree) -> Array:
            operands, incoming = (x, *values, inputs.arrays), (x, *bounds, sized.arrays)
            return sizes(residual, *operands, incoming=incoming)

        terms = jax.vmap(of_block, -1, -1)(unknowns, batched(inputs), batched(sized))
        return jnp.concatenate([terms, jnp.abs(x[self.program.size :])])

    def everything(self, x: Array, inputs: Inputs) -> Array:
        """Residuals and what the blocks leave behind, padded each."""
        program, kind = self.program, self.kind
        values = program.evaluate_all(list(x[: program.size]), inputs)
        values = jnp.stack([f.astype(x.dtype) for f in values])
        padding = jnp.zeros((kind.extra - len(program.caches), x.shape[-1]), x.dtype)
        residual, caches = values[: program.size], values[program.size :]
        return jnp.concatenate([residual, x[program.size :], caches, padding])

    def slopes(self, x: Array, inputs: Inputs) -> Array:
        """The Jacobian of `everything`, by the padded unknowns and then by what is read, unpadded."""
        size = x.shape[0]
        read = jnp.stack(inputs.read) if len(inputs.read) else x[:0]

        def both(both: Array) -> Array:
            return self.everything(both[:size], inputs._replace(read=list(both[size:])))

        joined = jnp.concatenate([x, read])
        n, extent = joined.shape[0], self.kind.extent
        if extent < n and not self.program.has_wholes:
            # Backward: loops may not have that, but rows are fewer than columns here.
            out, pull = jax.vjp(both, joined)
            seeds = jnp.eye(extent, dtype=x.dtype)[:, :, None]
            return jax.vmap(lambda s: pull(jnp.broadcast_to(s, out.shape))[0])(seeds)
        _, push = jax.linearize(both, joined)
        seeds = jnp.eye(n, dtype=x.dtype)[:, :, None]
        return jax.vmap(lambda s: push(jnp.broadcast_to(s, joined.shape)), out_axes=1)(seeds)

    def _with_jacobian(self, x: Array, inputs: Inputs) -> tuple[Array, Array]:
        size, dtype = x.shape[0], x.dtype

        def f(rows: list[Array]) -> Array:
            values = self.program.evaluate_residual(rows, inputs)
            return jnp.stack([v.astype(dtype) for v in values])

        if size > _ONE_BY_ONE:
            value, push = jax.linearize(lambda x: f(list(x)), x)
            seeds = jnp.eye(size, dtype=dtype)[:, :, None]
            column = lambda s: push(jnp.broadcast_to(s, x.shape))
            return value, jax.vmap(column, out_axes=1)(seeds)
        rows = list(x)
        columns = []
        value = x
        for j in range(size):
            by_one = lambda xj, j=j: f([*rows[:j], xj, *rows[j + 1 :]])
            value, column = jax.jvp(by_one, (rows[j],), (jnp.ones_like(rows[j]),))
            columns.append(column)
        return value, jnp.stack(columns, 1)


Packed = dict[str, Array]
# By the names of dtypes: the dtype, and how many values of it.
Counted = dict[str, tuple[DType, int]]


def pack(values: Sequence[Array], counted: Counted, batch: tuple[int, ...]) -> Packed:
    """Values by dtype, stacked in the last axis but one and padded with zeros to their number."""
    packed = {}
    for name, (dtype, count) in counted.items():
        column = [v for v in values if str(v.dtype) == name]
        column.extend([jnp.zeros(batch, dtype)] * (count - len(column)))
        packed[name] = jnp.stack(column, axis=-2)
    return packed


def unpack(packed: Packed, dtypes: Sequence[DType]) -> list[Array]:
    """The values of these dtypes again, in their order."""
    taken: dict[str, int] = {}
    values = []
    for name in map(str, dtypes):
        values.append(packed[name][taken.get(name, 0)])
        taken[name] = taken.get(name, 0) + 1
    return values


def most(dtypes: Sequence[Sequence[DType]]) -> Counted:
    """For each dtype how many of it the longest of several lists has."""
    named = {str(d): d for each in dtypes for d in each}
    return {
        name: (named[name], max(sum(str(d) == name for d in each) for each in dtypes))
        for name in sorted(named)
    }


def switch(which: Array | None, branches: Sequence[Callable[[], Any]]) -> Any:
    """The chosen one of several computations; without a choice there is one."""
    if len(branches) == 1 or which is None:
        return branches[0]()
    return jax.lax.switch(which, [lambda _, b=b: b() for b in branches], ())
