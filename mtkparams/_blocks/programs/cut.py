"""Cuts the graph of a residual into the programs of its blocks.

Every operation belongs to the last block whose unknowns it depends on. If it costs something and
other blocks need it, its block computes it and leaves it behind for them; if it is cheap, each of them
computes it for itself, once, before it iterates. Operations that depend on no unknown run once,
before the first block.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..structure import Structure
from ..trace.graph import Graph
from ..trace.nodes import JUNCTION, DType, Op
from ..trace.rules.control import sequences_of
from .program import Element, Part, Program, Ref, Row, Step, Where, Whole

# Recomputing this many operations costs no more than keeping their result.
_CHEAP = 16
_ENDLESS = 1e9


@dataclasses.dataclass(frozen=True, eq=False)
class Cut:
    """One block's share of the graph.

    **Attributes:**

    - `program`: the same object for all blocks that compute the same.
    - `read`: nodes that it reads while blocks are solved: those of earlier blocks, and others where
      another block of the same program has one of an earlier block in that place.
    - `fixed`: nodes that depend on no unknown.
    - `arrays`: arrays of nodes that it takes as they stand: such as depend on no unknown, and fillers
      for the places that do not matter to it.
    - `caches`: the nodes that it leaves behind.
    """

    program: Program
    read: tuple[int, ...]
    fixed: tuple[int, ...]
    arrays: tuple[np.ndarray, ...]
    caches: tuple[int, ...]


class _Cutter:
    def __init__(self, structure: Structure):
        graph = structure.graph
        self.structure, self.graph = structure, graph
        self.needed = _needed(graph)
        self.owner_array = structure.owner
        self.op = graph.op.tolist()
        self.place = graph.place.tolist()
        self.kind = graph.kind.tolist()
        self.owner = structure.owner.tolist()
        self.ptr = graph.ptr.tolist()
        self.edges = graph.edges.tolist()
        self.key_numbers: dict[Hashable, int] = {}
        self.op_key = [
            self.key_numbers.setdefault(op.key, len(self.key_numbers)) for op in graph.ops
        ]
        self.is_whole = np.array([op.kind == "whole" for op in graph.ops] or [False], bool)
        # Whole operations, by the block that needs some of their results.
        self.results: dict[tuple[int, int], list[int]] = {}
        whole = self.needed & (graph.op >= 0)
        whole[whole] = self.is_whole[graph.op[whole]]
        for node in np.nonzero(whole)[0].tolist():
            self.results.setdefault((self.op[node], self.owner[node]), []).append(node)
        self.caches: list[list[int]] = [[] for _ in structure.blocks]
        dear = _costs(graph, structure.owner, self.is_whole) > _CHEAP
        fits = _fits(graph)
        foreign = _foreign(graph, structure.owner, self.needed, dear & ~fits)
        is_cached = foreign & dear & fits
        self.is_cached = is_cached.tolist()
        # Most blocks are like others: what they share is made once, and known by its number.
        self.steps: list[Step] = []
        self.step_numbers: dict[Hashable, int] = {}
        self.step_refs: list[Ref] = []
        for node in np.nonzero(is_cached)[0].tolist():
            self.caches[self.owner[node]].append(node)

    def operands(self, node: int) -> list[int]:
        return self.edges[self.ptr[node] : self.ptr[node + 1]]

    def step(self, key: Hashable, make: Callable[[], Step]) -> int:
        """The number of a step, by what makes it equal to others."""
        number = self.step_numbers.setdefault(key, len(self.steps))
        if number == len(self.steps):
            self.steps.append(make())
        return number

    def step_ref(self, place: int) -> Ref:
        """What stands for the result of a block's step."""
        while place >= len(self.step_refs):
            self.step_refs.append((Where.STEP, len(self.step_refs)))
        return self.step_refs[place]

    def matter(self, nodes: list[int]) -> set[int]:
        """What results of a whole operation depend on, directly."""
        reached: set[int] = set()
        stack = [o for node in nodes for o in self.operands(node)]
        while stack:
            node = stack.pop()
            if node in reached:
                continue
            reached.add(node)
            if self.op[node] == JUNCTION:
                stack.extend(self.operands(node))
        return {node for node in reached if self.op[node] != JUNCTION}


class _Draft:
    """The program of one block, as it is found."""

    def __init__(self, cutter: _Cutter, k: int):
        self.c, self.k = cutter, k
        block = cutter.structure.blocks[k]
        self.unknowns = {
            node: i for i, node in enumerate(cutter.graph.unknowns[list(block.unknowns)].tolist())
        }
        self.roots = cutter.graph.residual[list(block.equations)].tolist()
        self.refs: dict[int, Ref] = {}
        # By number and owner: another block's operation is run again where its results cannot be left.
        self.calls: dict[tuple[int, int], int] = {}
        self.mattering: dict[tuple[int, int], dict[int, None]] = {}
        self.steps: list[int] = []
        self.outside: list[int] = []
        self.arrays: list[np.ndarray] = []
        self.caches = cutter.caches[k]
        self.residual = tuple(self.ref(node) for node in self.roots)
        self.cache_refs = tuple(self.ref(node) for node in self.caches)

    @property
    def key(self) -> Hashable:
        """Equal for blocks that compute the same, from whatever places."""
        kinds = tuple(self.c.kind[node] for node in self.outside)
        arrays = tuple(a.tobytes() for a in self.arrays)
        return (
            len(self.unknowns),
            tuple(self.steps),
            self.residual,
            self.cache_refs,
            kinds,
            arrays,
        )

    def ref(self, root: int) -> Ref:
        """The value of a node, with all steps that it takes."""
        refs, c = self.refs, self.c
        stack = [root]
        while stack:
            node = stack[-1]
            if node in refs:
                stack.pop()
                continue
            if node in self.unknowns:
                refs[node] = (Where.UNKNOWN, self.unknowns[node])
            # What depends on no unknown, or what an earlier block has: an unknown, or a cache.
            elif c.owner[node] < 0 or (
                c.owner[node] != self.k and (c.op[node] < 0 or c.is_cached[node])
            ):
                refs[node] = (Where.READ, len(self.outside))
                self.outside.append(node)
            else:
                number = c.op[node]
                op = c.graph.ops[number]
                if op.kind == "whole":
                    operands = list(self.matter(number, op, c.owner[node]))
                else:
                    operands = c.operands(node)
                # Operands first: the node stays on the stack, and comes again when they have their places.
                missing = [o for o in operands if o not in refs]
                if missing:
                    stack.extend(reversed(missing))
                    continue
                if op.kind == "whole":
                    refs[node] = self.element(number, op, node)
                else:
                    operand_refs = tuple([refs[o] for o in operands])
                    key = (c.op_key[number], operand_refs)
                    refs[node] = self.append(key, functools.partial(Row, op, operand_refs))
            stack.pop()
        return refs[root]

    def append(self, key: Hashable, make: Callable[[], Step]) -> Ref:
        self.steps.append(self.c.step(key, make))
        return self.c.step_ref(len(self.steps) - 1)

    def matter(self, number: int, op: Op, owner: int) -> dict[int, None]:
        """The elements of a whole operation's operands that matter to its results in a block.

        They are in the operands' order.
        """
        if (number, owner) not in self.mattering:
            self.mattering[number, owner] = self.find_matter(number, op, owner)
        return self.mattering[number, owner]

    def find_matter(self, number: int, op: Op, owner: int) -> dict[int, None]:
        wanted = self.c.matter(self.c.results[number, owner])
        return dict.fromkeys(
            node
            for operand in op.operands
            if not self.as_array(operand)
            for node in operand.ravel().tolist()
            if node in wanted
        )

    def as_array(self, operand: np.ndarray) -> bool:
        """Whether an operand is given as it stands."""
        return operand.size == 0 or bool((self.c.owner_array[operand] < 0).all())

    def array(self, nodes: np.ndarray) -> int:
        """The number of an array of nodes that is taken as it stands."""
        self.arrays.append(nodes)
        return len(self.arrays) - 1

    def element(self, number: int, op: Op, node: int) -> Ref:
        owner = self.c.owner[node]
        if (number, owner) not in self.calls:
            matter = self.matter(number, op, owner)
            operands: list[Any] = []
            sequences = sequences_of(op.whole_equation)
            for i, operand in enumerate(op.operands):
                if self.as_array(operand) or not any(n in matter for n in operand.ravel().tolist()):
                    operands.append(self.array(operand))
                    continue
                nodes = (
                    operand.reshape(len(operand), -1) if i in sequences else operand.reshape(1, -1)
                )
                places = _nearest(nodes, matter)
                refs = tuple(self.refs[nodes.flat[n]] for n in places.values())
                rest = None if len(places) == operand.size else self.array(operand)
                operands.append(Part(tuple(places), refs, rest))
            key = (self.c.op_key[number], tuple(operands))
            make = functools.partial(Whole, op, tuple(operands))
            self.calls[number, owner] = self.append(key, make)[1]
        call = self.calls[number, owner]
        element = Element(call, *_within([o.size for o in op.outputs], self.c.place[node]))
        return self.append((-1, *element), lambda: element)


def _within(sizes: list[int], place: int) -> tuple[int, int]:
    """Which of several arrays a place in all of them is in, and where there."""
    number = 0
    while place >= sizes[number]:
        place -= sizes[number]
        number += 1
    return number, place


def _nearest(nodes: np.ndarray, matter: Mapping[int, None]) -> dict[int, int]:
    """For each place, if there is one, the nearest place in its column that matters; itself if it does."""
    matters = np.array([n in matter for n in nodes.ravel().tolist()], bool).reshape(nodes.shape)
    steps, width = nodes.shape
    stand_in: dict[int, int] = {}
    for column in np.flatnonzero(matters.any(0)).tolist():
        # A slice of a sequence that does not matter is as the nearest one that does: something that the
        # function of each slice is made for.
        rows = np.flatnonzero(matters[:, column])
        nearest = rows[np.argmin(np.abs(np.arange(steps)[:, None] - rows), axis=1)]
        for row in range(steps):
            stand_in[row * width + column] = int(nearest[row]) * width + column
    return dict(sorted(stand_in.items()))


def _needed(graph: Graph) -> np.ndarray:
    needed = np.zeros(graph.size, bool)
    needed[graph.needed(graph.residual.ravel())] = True
    # Junctions have no value, but say what a whole operation's result depends on.
    junction = graph.op == JUNCTION
    consumer = graph.consumers
    while True:
        more = junction[graph.edges] & needed[consumer] & ~needed[graph.edges]
        if not more.any():
            return needed
        needed[graph.edges[more]] = True


def _costs(graph: Graph, owner: np.ndarray, is_whole: np.ndarray) -> np.ndarray:
    """About how many operations it takes to compute each node from unknowns; whole ones are many."""
    counts = np.diff(graph.ptr)
    computed = (graph.op >= 0) & (owner >= 0)
    cost = np.where(computed, np.maximum(counts - 1, 1), 0).astype(float)
    cost[computed] += np.where(is_whole[graph.op[computed]], _ENDLESS, 0)
    for level in graph.levels:
        below = level.reduce(np.add, cost[level.operands])
        cost[level.nodes] = np.minimum(cost[level.nodes] + below, _ENDLESS)
    return cost


def _fits(graph: Graph) -> np.ndarray:
    """Which nodes have values that a vector of the unknowns' dtype can hold, each exactly."""
    room = jnp.finfo(graph.dtypes[graph.kind[graph.unknowns[0]]])

    def fits(dtype: DType) -> bool:
        if not isinstance(dtype, np.dtype):  # a junction's, or a random key's
            return False
        if jnp.issubdtype(dtype, jnp.floating):
            limits = jnp.finfo(dtype)
            return limits.nmant <= room.nmant and limits.nexp <= room.nexp
        if jnp.issubdtype(dtype, jnp.integer):
            return jnp.iinfo(dtype).bits <= room.nmant + 1
        return dtype == np.dtype(bool)

    return np.array([fits(dtype) for dtype in graph.dtypes])[graph.kind]


def _foreign(graph: Graph, owner: np.ndarray, needed: np.ndarray, again: np.ndarray) -> np.ndarray:
    """Which computed nodes are needed by a block that is not their own.

    **Arguments:**

    - `again`: nodes that such a block computes again, so that it needs what they are computed from.
    """
    consumer, operand = graph.consumers, graph.edges
    live = needed[consumer] & needed[operand]
    consumer, operand = consumer[live], operand[live]
    handed = (graph.op == JUNCTION) | again
    foreign = np.zeros(graph.size, bool)
    while True:
        # Another block reads it, or what hands it on (a junction, something computed again) is read so.
        beyond = (owner[consumer] != owner[operand]) | (handed[consumer] & foreign[consumer])
        now = foreign.copy()
        now[operand[beyond]] = True
        if (now == foreign).all():
            break
        foreign = now
    return foreign & (graph.op >= 0) & (owner >= 0)


def cut(structure: Structure) -> list[Cut]:
    """The share of each block."""
    cutter = _Cutter(structure)
    drafts = [_Draft(cutter, k) for k in range(len(structure.blocks))]
    alike: dict[Hashable, list[int]] = {}
    for k, (draft, block) in enumerate(zip(drafts, structure.blocks, strict=True)):
        # Solved in another way: another program.
        solved = (bool(block.affine), str(block.coefficient))
        alike.setdefault((draft.key, solved), []).append(k)
    cuts: list[Any] = [None] * len(drafts)
    for members in alike.values():
        outside = np.array([drafts[k].outside for k in members], int).reshape(len(members), -1)
        is_read = np.asarray((structure.owner[outside] >= 0).any(0))
        program = _program(drafts[members[0]], is_read)
        for k, nodes in zip(members, outside, strict=True):
            read, fixed = tuple(nodes[is_read].tolist()), tuple(nodes[~is_read].tolist())
            cuts[k] = Cut(program, read, fixed, tuple(drafts[k].arrays), tuple(drafts[k].caches))
    return cuts


def _program(draft: _Draft, is_read: np.ndarray) -> Program:
    """The program of a block, with what comes from outside parted into read and fixed."""
    graph = draft.c.graph
    numbers = np.where(is_read, np.cumsum(is_read), np.cumsum(~is_read)) - 1
    into = [
        (Where.READ if read else Where.FIXED, n)
        for read, n in zip(is_read.tolist(), numbers.tolist(), strict=True)
    ]

    def parted(ref: Ref) -> Ref:
        return into[ref[1]] if ref[0] == Where.READ else ref

    def step(step: Step) -> Step:
        if isinstance(step, Row):
            return Row(step.op, tuple(parted(r) for r in step.operands))
        if isinstance(step, Element):
            return step
        return Whole(
            step.op,
            tuple(
                o if isinstance(o, int) else o._replace(refs=tuple(parted(r) for r in o.refs))
                for o in step.operands
            ),
        )

    return Program(
        size=len(draft.unknowns),
        steps=tuple(step(draft.c.steps[n]) for n in draft.steps),
        residual=tuple(parted(r) for r in draft.residual),
        caches=tuple(parted(r) for r in draft.cache_refs),
        read_dtypes=tuple(
            graph.dtypes[graph.kind[n]] for n in np.array(draft.outside, int)[is_read]
        ),
        n_fixed=int((~is_read).sum()),
    )
