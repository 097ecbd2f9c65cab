"""Blocks evaluated by programs of their own, one for all blocks that compute the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from ._cut import Cut, cut
from ._given import Given, Values, constant_value
from ._implicit import Residual
from ._linear_sweep import Factors, Parts
from ._program import Inputs, Program
from ._schedule import Kind, schedule
from ._sweep import Equations, Evaluate

# So few columns of a Jacobian are had one by one, without the products with zero.
_ONE_BY_ONE = 3


class _Shared:
    """A program, and where each block of its kind finds what it reads.

    **Attributes:**

    - `read`: `(steps, n_read, width)`, places in the carried vector.
    - `given`: for each given value a constant; or one node for all blocks; or nodes `(steps, width)`.
    """

    def __init__(self, graph: Any, kind: Kind, cuts: Sequence[Cut], place_of_node: np.ndarray):
        first = cuts[kind.blocks[0, 0]]
        self.program = first.program
        self.arrays = first.arrays
        # Where a step has fewer blocks than there is room for, its first one fills the room.
        blocks = np.where(kind.blocks < len(cuts), kind.blocks, kind.blocks[:, :1])
        shape = (kind.steps, kind.width)
        read = np.array([cuts[b].read for b in blocks.ravel()], int).reshape(*shape, -1)
        self.read = place_of_node[np.moveaxis(read, -1, 1)].astype(np.int32)
        given = np.array([cuts[b].given for b in blocks.ravel()], int).reshape(*shape, -1)
        self.given: list[Any] = []
        for i in range(given.shape[-1]):
            nodes = given[..., i]
            constant = constant_value(graph, nodes.ravel().tolist())
            if constant is not None:
                self.given.append(constant)
            else:
                self.given.append(nodes[0, 0].item() if (nodes == nodes[0, 0]).all() else nodes)


class ProgramPlan:
    """The programs of all blocks, and where they read and write."""

    def __init__(self, structure: Any):
        graph, blocks = structure.graph, structure.parts.blocks
        self.cuts = cuts = cut(structure)
        # Blocks with one program are solved in one way.
        keys = [id(c.program) for c in cuts]
        shapes = [(c.program.size, len(c.left)) for c in cuts]
        plan = schedule(len(graph.unknowns), blocks, keys, shapes)
        alike = [blocks[kind.blocks[0, 0]] for kind in plan.kinds]
        self.affine = tuple(bool(block.affine) for block in alike)
        self.coefficient = tuple(float(b.coefficient) if b.explicit else None for b in alike)
        place_of_node = np.zeros(graph.size, int)
        place_of_node[graph.unknowns] = plan.place_of
        for kind in plan.kinds:
            left = kind.places[:, kind.size :]
            for step, group in enumerate(kind.blocks):
                for w, b in enumerate(group):
                    if b < len(blocks):
                        place_of_node[list(cuts[b].left)] = left[step, :, w]
        # What no block computes but some read as if one did lies behind all blocks.
        read = np.unique(np.array([node for c in cuts for node in c.read], int))
        self.tail = read[structure.owner[read] < 0]
        place_of_node[self.tail] = plan.length + np.arange(self.tail.size)
        self.schedule = plan = plan.with_tail(self.tail.size)
        self.shared = [_Shared(graph, kind, cuts, place_of_node) for kind in plan.kinds]
        nodes = [
            np.unique(np.asarray(g)).ravel()
            for shared in self.shared
            for g in shared.given
            if isinstance(g, int | np.ndarray)
        ]
        nodes.append(self.tail)
        nodes.extend(a.ravel() for shared in self.shared for a in shared.arrays)
        self.given = Given(graph, np.unique(np.concatenate([*nodes, np.zeros(0, int)])))
        self.graph = graph
        places = np.concatenate([kind.places.ravel() for kind in plan.kinds])
        self.order = np.argsort(places, kind="stable")

    @property
    def cost(self) -> int:
        """About how many operations the compiler will see."""
        each = [
            shared.program.cost * (1 if affine else 2) + (20 if affine else 200)
            for shared, affine in zip(self.shared, self.affine, strict=True)
        ]
        return sum(each)

    def equations(self, fn: Residual, args: Any) -> ProgramEquations:
        del fn
        return ProgramEquations(self, args)


class ProgramEquations(Equations):
    def __init__(self, plan: ProgramPlan, args: Any):
        self.plan = plan
        self.values: Values = plan.given.evaluate(args)

    def tables(self, k: int) -> Any:
        shared = self.plan.shared[k]
        given = [self.values.fetch(g) for g in shared.given if isinstance(g, np.ndarray)]
        return {"read": shared.read, "given": given}

    def tail(self, dtype: Any) -> Array:
        return self.values.fetch(self.plan.tail, dtype)

    def block(self, k: int, table: dict[str, Array], own: Any, carried: Array) -> Evaluate:
        del table
        kind = self.plan.schedule.kinds[k]
        program = self.plan.shared[k].program
        inputs = self._inputs(k, carried[own["read"]], own["given"], kind.width)
        coefficient = self.plan.coefficient[k]
        nothing = jnp.zeros((kind.size, kind.width), carried.dtype)
        inputs = program.with_hoisted(list(nothing), inputs)

        def evaluate(x: Array) -> tuple[Array, Array]:
            if coefficient is not None:
                f = jnp.stack(program.evaluate_residual(list(x), inputs))
                return f, jnp.full((1, 1, kind.width), coefficient, x.dtype)
            return _with_jacobian(program, x, inputs)

        return evaluate

    def leave(self, k: int, own: Any, carried: Array, x: Array) -> Array:
        kind = self.plan.schedule.kinds[k]
        inputs = self._inputs(k, carried[own["read"]], own["given"], kind.width)
        left = self.plan.shared[k].program.evaluate_leaves(list(x), inputs)
        return jnp.stack(left).astype(x.dtype)

    def residual(self, z: Array) -> Array:
        """Zero at the solution, place by place."""
        plan = self.plan.schedule
        parts = []
        for k, kind in enumerate(plan.kinds):
            x, inputs = self._everywhere(k, z)
            found = self._all(k, x, inputs)
            left = z[kind.places[:, kind.size :]]
            flat = jnp.moveaxis(left, 1, 0).reshape(kind.extra, kind.steps * kind.width)
            found = jnp.concatenate([found[: kind.size], flat - found[kind.size :]])
            rows = jnp.moveaxis(found.reshape(kind.extent, kind.steps, kind.width), 0, 1)
            real = (kind.blocks < plan.n_blocks)[:, None]
            parts.append(jnp.where(real, rows, z[kind.places]).ravel())
        blocks = jnp.concatenate(parts)[self.plan.order]
        return jnp.concatenate([blocks, z[blocks.size :] - self.tail(z.dtype)])

    def factors(self, z: Array, usable: Bool[Array, " slots"]) -> Factors:
        """Solves with the Jacobian at `z`."""
        plan = self.plan.schedule
        parts = []
        for k, kind in enumerate(plan.kinds):
            x, inputs = self._everywhere(k, z)
            own, other = self._slopes(k, x, inputs)
            shape = (kind.steps, kind.width)
            own = own.reshape(kind.extent, kind.size, *shape)
            other = jnp.concatenate([other[: kind.size], -other[kind.size :]])
            other = other.reshape(kind.extent, self.plan.shared[k].program.n_read, *shape)
            other = jnp.transpose(other, (2, 0, 3, 1))
            leaves = own[kind.size :] if kind.extra else None
            source = np.moveaxis(self.plan.shared[k].read, 1, -1)[:, None]
            parts.append(Parts(own[: kind.size], leaves, other, source))
        return Factors(plan, parts, usable)

    def _inputs(self, k: int, read: Array, varying: Sequence[Array], batch: int) -> Inputs:
        """Inputs of a program; `varying` are the given values that differ between blocks."""
        shared = self.plan.shared[k]
        graph = self.plan.graph
        varying = list(varying)
        given = []
        for g in shared.given:
            if isinstance(g, np.ndarray):
                given.append(varying.pop(0))
            elif isinstance(g, int):
                given.append(jnp.broadcast_to(self.values.fetch(np.array(g)), (batch,)))
            else:
                given.append(jnp.full(batch, g, g.dtype))
        arrays = [
            self.values.array(a, graph.dtypes[graph.kind[a.flat[0]]] if a.size else float)
            for a in shared.arrays
        ]
        return Inputs(list(read), given, arrays)

    def _everywhere(self, k: int, z: Array) -> tuple[Array, Inputs]:
        """The unknowns of all blocks of a kind at all steps, side by side, and their inputs."""
        kind, shared = self.plan.schedule.kinds[k], self.plan.shared[k]
        flat = lambda x, rows: jnp.moveaxis(x, 1, 0).reshape(rows, kind.steps * kind.width)
        x = flat(z[kind.places[:, : kind.size]], kind.size)
        read = flat(z[shared.read], shared.program.n_read)
        varying = [self.values.fetch(g).ravel() for g in shared.given if isinstance(g, np.ndarray)]
        return x, self._inputs(k, read, varying, kind.steps * kind.width)

    def _all(self, k: int, x: Array, inputs: Inputs) -> Array:
        found = self.plan.shared[k].program.evaluate_all(list(x), inputs)
        return jnp.stack([f.astype(x.dtype) for f in found])

    def _slopes(self, k: int, x: Array, inputs: Inputs) -> tuple[Array, Array]:
        """By own unknowns and by what is read: `(extent, size, blocks)`, `(extent, reads, blocks)`."""
        size = x.shape[0]
        read = jnp.stack(inputs.read) if len(inputs.read) else x[:0]

        def both(both: Array) -> Array:
            return self._all(k, both[:size], inputs._replace(read=list(both[size:])))

        joined = jnp.concatenate([x, read])
        n, extent = joined.shape[0], self.plan.schedule.kinds[k].extent
        if extent < n and not self.plan.shared[k].program.has_wholes:
            # Backward: loops may not have that, but rows are fewer than columns here.
            out, pull = jax.vjp(both, joined)
            seeds = jnp.eye(extent, dtype=x.dtype)[:, :, None]
            slopes = jax.vmap(lambda s: pull(jnp.broadcast_to(s, out.shape))[0])(seeds)
        else:
            _, push = jax.linearize(both, joined)
            seeds = jnp.eye(n, dtype=x.dtype)[:, :, None]
            slopes = jax.vmap(lambda s: push(jnp.broadcast_to(s, joined.shape)), out_axes=1)(seeds)
        return slopes[:, :size], slopes[:, size:]


def _with_jacobian(program: Program, x: Array, inputs: Inputs) -> tuple[Array, Array]:
    size = x.shape[0]
    dtype = x.dtype
    f = lambda rows: jnp.stack([v.astype(dtype) for v in program.evaluate_residual(rows, inputs)])
    if size > _ONE_BY_ONE:
        value, push = jax.linearize(lambda x: f(list(x)), x)
        seeds = jnp.eye(size, dtype=dtype)[:, :, None]
        column = lambda s: push(jnp.broadcast_to(s, x.shape))
        return value, jax.vmap(column, out_axes=1)(seeds)
    rows = list(x)
    columns = []
    value = x
    for j in range(size):
        own = lambda xj, j=j: f([*rows[:j], xj, *rows[j + 1 :]])
        value, column = jax.jvp(own, (rows[j],), (jnp.ones_like(rows[j]),))
        columns.append(column)
    return value, jnp.stack(columns, 1)
