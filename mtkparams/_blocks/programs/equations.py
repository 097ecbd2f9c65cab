"""Blocks evaluated by programs of their own, one for all blocks that compute the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, PyTree

from ..order.blocks import Block
from ..solve.implicit import Residual
from ..solve.newton import Equations
from ..solve.schedule import Kind, bucket, schedule
from ..solve.sweep import Blocks, Plan
from ..solve.triangular import Factors, Parts
from ..structure import Structure
from ..trace.graph import Graph
from ..trace.nodes import DType
from .cut import Cut, cut
from .evaluate import Evaluator, Values
from .member import Member, most, pack, switch, unpack
from .program import Inputs

# A program that runs at so many levels gets a Newton iteration to itself: the choice between
# programs costs less than to compile another iteration, but it costs that each time.
_OFTEN = 48


class ProgramPlan(Plan):
    """The programs of all blocks, and where they read and write."""

    def __init__(self, structure: Structure):
        graph, blocks = structure.graph, structure.parts.blocks
        self.graph = graph
        cuts = cut(structure)
        keys, shapes = _kinds(cuts, blocks)
        fine = [id(c.program) for c in cuts]
        plan = schedule(len(graph.unknowns), blocks, keys, shapes, fine)
        self.affine = tuple(bool(blocks[kind.blocks[0, 0]].affine) for kind in plan.kinds)
        self.members = [_members(graph, kind, cuts, blocks) for kind in plan.kinds]
        # What no block computes but some read as if one did lies behind all blocks.
        read = np.unique(np.array([node for c in cuts for node in c.read], int))
        self.tail = read[structure.owner[read] < 0]
        self.schedule = plan.with_tail(self.tail.size)
        place = np.zeros(graph.size, int)
        place[graph.unknowns] = plan.place_of
        place[self.tail] = plan.length + np.arange(self.tail.size)
        for b, share in enumerate(cuts):
            if share.caches:
                place[list(share.caches)] = plan.cache_places(b)[: len(share.caches)]
        for members in self.members:
            for member in members:
                member.read = place[member.read_nodes].astype(np.int32)
        nodes = [n for members in self.members for m in members for n in m.nodes()]
        self.fixed = Evaluator(
            graph, np.unique(np.concatenate([*nodes, self.tail])), structure.owner >= 0
        )
        places = np.concatenate([kind.places.ravel() for kind in plan.kinds])
        self.order = np.argsort(places, kind="stable")
        self.caches = np.array(
            [p for b, c in enumerate(cuts) for p in plan.cache_places(b)[: len(c.caches)]], int
        )

    @property
    def cost(self) -> int:
        """About how many operations the compiler will see."""
        total = 0
        for members, affine in zip(self.members, self.affine, strict=True):
            total += 60 if affine else 200
            total += sum(m.program.cost * (1 if affine else 2) + 20 for m in members)
        return total

    def equations(
        self, fn: Residual, args: PyTree, guess: Array, sized: bool = False
    ) -> ProgramEquations:
        del fn
        return ProgramEquations(self, args, guess, sized)


def _kinds(
    cuts: Sequence[Cut], blocks: Sequence[Block]
) -> tuple[list[Hashable], list[tuple[int, int]]]:
    """For each block its kind, and the shape that blocks of that kind are padded to."""
    levels: dict[int, set[int]] = {}
    for c, block in zip(cuts, blocks, strict=True):
        levels.setdefault(id(c.program), set()).add(block.level)
    keys: list[Hashable] = []
    shapes: dict[Hashable, tuple[int, int]] = {}
    for c, block in zip(cuts, blocks, strict=True):
        often = len(levels[id(c.program)]) >= _OFTEN
        key = (bool(block.affine), id(c.program) if often else bucket(c.program.size))
        size, extra = shapes.get(key, (0, 0))
        shapes[key] = (max(size, c.program.size), max(extra, len(c.caches)))
        keys.append(key)
    return keys, [shapes[key] for key in keys]


def _members(
    graph: Graph, kind: Kind, cuts: Sequence[Cut], blocks: Sequence[Block]
) -> list[Member]:
    by_program: dict[int, list[int]] = {}
    for step, b in enumerate(kind.blocks[:, 0].tolist()):
        by_program.setdefault(id(cuts[b].program), []).append(step)
    members = []
    for steps in by_program.values():
        block = blocks[kind.blocks[steps[0], 0]]
        coefficient = float(block.coefficient) if block.explicit else None
        members.append(Member(graph, kind, np.array(steps), cuts, coefficient))
    return members


class ProgramEquations(Blocks):
    all_together = False

    def __init__(self, plan: ProgramPlan, args: PyTree, guess: Array, sized: bool):
        self.plan = plan
        self.values: Values = plan.fixed.evaluate(args, guess)
        # How large the terms of fixed values are, where somebody asks for those of equations.
        self.value_sizes = plan.fixed.sizes(args, guess) if sized else None

    def tables(self, k: int) -> PyTree:
        """For each step which program runs, what it reads, and fixed values that vary, by dtype."""
        kind, members = self.plan.schedule.kinds[k], self.plan.members[k]
        n_read = max(m.program.n_read for m in members)
        read = np.zeros((kind.steps, n_read, kind.width), np.int32)
        which = np.zeros(kind.steps, np.int32)
        for number, member in enumerate(members):
            read[member.steps, : member.program.n_read] = member.read
            which[member.steps] = number
        counted = most([self._dtypes(m) for m in members])
        order = np.argsort(np.concatenate([m.steps for m in members]))

        def varying(values: Values) -> dict[str, Array]:
            parts = [
                pack([values.fetch(g) for g in m.varying], counted, (len(m.steps), kind.width))
                for m in members
            ]
            return {name: _joined([part[name] for part in parts], order) for name in counted}

        fixed = varying(self.values)
        sized = None if self.value_sizes is None else varying(self.value_sizes)
        return {"which": which, "read": read, "fixed": fixed, "fixed_sizes": sized}

    def tail(self, dtype: DTypeLike) -> Array:
        kinds = self.plan.graph.kind[self.plan.tail]
        values = jnp.zeros(kinds.size, dtype)
        for kind in np.unique(kinds):
            places = np.flatnonzero(kinds == kind)
            values = values.at[places].set(self.values.fetch(self.plan.tail[places]).astype(dtype))
        return values

    def block(self, k: int, places: dict[str, Array], table: PyTree, carried: Array) -> Equations:
        del places
        kind, members = self.plan.schedule.kinds[k], self.plan.members[k]
        inputs = plain = [self._inputs_at(m, table, carried) for m in members]
        nothing = list(jnp.zeros((kind.size, kind.width), carried.dtype))
        # What an iteration would only repeat is computed before it, by the one program that runs.
        hoist = [
            lambda m=m, i=i: m.program.with_hoisted(nothing[: m.program.size], i).hoisted or ()
            for m, i in zip(members, inputs, strict=True)
        ]
        if len(members) == 1:
            inputs = [inputs[0]._replace(hoisted=hoist[0]())]
        else:
            dtypes = [[h.dtype for h in jax.eval_shape(h)] for h in hoist]
            counted = most(dtypes)
            packed = switch(
                table["which"], [lambda h=h: pack(h(), counted, (kind.width,)) for h in hoist]
            )
            inputs = [
                i._replace(hoisted=unpack(packed, d)) for i, d in zip(inputs, dtypes, strict=True)
            ]

        def chosen(evaluate: Callable[[int], PyTree]) -> PyTree:
            return switch(table["which"], [lambda n=n: evaluate(n) for n in range(len(members))])

        def sizes(n: int, x: Array) -> Array:
            sized = self._sizes_at(members[n], table, carried)
            return members[n].sizes(x, plain[n], sized)

        return Equations(
            lambda x: chosen(lambda n: members[n].residual_and_jacobian(x, inputs[n])),
            lambda x: chosen(lambda n: members[n].residual(x, inputs[n])),
            lambda x: chosen(lambda n: sizes(n, x)),
        )

    def caches(self, k: int, table: PyTree, carried: Array, x: Array) -> Array:
        members = self.plan.members[k]
        return switch(
            table["which"],
            [lambda m=m: m.caches(x, self._inputs_at(m, table, carried)) for m in members],
        )

    def residual(self, z: Array) -> Array:
        plan = self.plan.schedule
        parts = []
        for k, kind in enumerate(plan.kinds):
            values = self._each(k, z, lambda m, x, i: m.everything(x, i))
            caches = z[kind.places[:, kind.size :]]
            rows = jnp.concatenate([values[:, : kind.size], caches - values[:, kind.size :]], 1)
            real = (kind.blocks < plan.n_blocks)[:, None]
            parts.append(jnp.where(real, rows, z[kind.places]).ravel())
        blocks = jnp.concatenate(parts)[self.plan.order]
        return jnp.concatenate([blocks, z[blocks.size :] - self.tail(z.dtype)])

    def largest(self, z: Array) -> Array:
        plan = self.plan.schedule
        largest = jnp.zeros(plan.n_slots, z.dtype)
        for k, kind in enumerate(plan.kinds):
            rows = self._each(k, z, lambda m, x, i: m.residual(x, i))
            largest = largest.at[kind.slots].set(jnp.max(jnp.abs(rows), 1))
        return largest

    def factors(self, z: Array, usable: Bool[Array, " slots"]) -> Factors:
        plan = self.plan.schedule
        parts = []
        for k, kind in enumerate(plan.kinds):
            slopes = self._each(k, z, lambda m, x, i: m.slopes(x, i), padded=True)
            diagonal, beside = slopes[:, :, : kind.size], slopes[:, :, kind.size :]
            beside = jnp.concatenate([beside[:, : kind.size], -beside[:, kind.size :]], 1)
            diagonal = jnp.moveaxis(diagonal, 0, 2)
            caches = diagonal[kind.size :] if kind.extra else None
            read = np.zeros((kind.steps, beside.shape[2], kind.width), np.int32)
            for member in self.plan.members[k]:
                read[member.steps, : member.program.n_read] = member.read
            source = np.moveaxis(read, 1, -1)[:, None]
            parts.append(Parts(diagonal[: kind.size], caches, jnp.moveaxis(beside, 2, -1), source))
        return Factors(plan, parts, usable)

    def _dtypes(self, member: Member) -> list[DType]:
        return [member.dtype(g) for g in member.varying]

    def _inputs_at(self, member: Member, table: PyTree, carried: Array) -> Inputs:
        """Inputs of a program at one step."""
        varying = unpack(table["fixed"], self._dtypes(member))
        return member.inputs(self.values, carried[table["read"]], varying, member.kind.width)

    def _sizes_at(self, member: Member, table: PyTree, carried: Array) -> Inputs:
        """How large the terms of those inputs are."""
        assert self.value_sizes is not None
        varying = unpack(table["fixed_sizes"], self._dtypes(member))
        read = jnp.abs(carried[table["read"]])
        return member.inputs(self.value_sizes, read, varying, member.kind.width)

    def _each(
        self,
        k: int,
        z: Array,
        evaluate: Callable[[Member, Array, Inputs], Array],
        padded: bool = False,
    ) -> Array:
        """Something of all blocks of a kind, with the steps first: `(steps, ..., width)`.

        **Arguments:**

        - `padded`: the last axis but one ends with what is read, and is padded.
        """
        kind, members = self.plan.schedule.kinds[k], self.plan.members[k]
        n_read = max(m.program.n_read for m in members)
        parts = []
        for member in members:
            count = len(member.steps)
            flat = lambda x: jnp.moveaxis(x, 1, 0).reshape(x.shape[1], x.shape[0] * x.shape[2])
            x = flat(z[kind.places[member.steps, : kind.size]])
            varying = [self.values.fetch(g).ravel() for g in member.varying]
            read = flat(z[member.read])
            inputs = member.inputs(self.values, read, varying, count * kind.width)
            values = evaluate(member, x, inputs)
            if padded:
                values = jnp.pad(values, ((0, 0), (0, n_read - member.program.n_read), (0, 0)))
            parts.append(jnp.moveaxis(values.reshape(*values.shape[:-1], count, kind.width), -2, 0))
        return _joined(parts, np.argsort(np.concatenate([m.steps for m in members])))


def _joined(parts: Sequence[Array], order: np.ndarray) -> Array:
    """Parts one after the other, in another order."""
    whole = parts[0] if len(parts) == 1 else jnp.concatenate(parts)
    return whole if (order == np.arange(order.size)).all() else whole[order]
