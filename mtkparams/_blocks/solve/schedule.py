"""In which steps blocks are solved, and where each block's unknowns lie meanwhile.

Blocks of one kind at one level go side by side in one step. The vector that a sweep carries holds
the unknowns step after step, so a step writes one contiguous piece of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np

from ..order.blocks import Block

# Narrow steps waste nothing on padding, wide ones need fewer of them: one step costs about as much
# as this many of its unknowns.
_STEP_IN_UNKNOWNS = 150
# Longest pattern of kinds that is looked for, and how many pieces of program may be compiled twice.
_PERIOD, _REPEATED = 24, 2


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """Blocks that one piece of program solves; arrays have the steps in their first axis.

    **Attributes:**

    - `size`, `extra`, `width`: unknowns of a block, what else it leaves behind, blocks in a step.
    - `blocks`: `(steps, width)`, block numbers; where a step has fewer, the number of blocks.
    - `rows`, `columns`: `(steps, size, width)`, equations and unknowns; padding is their number.
    - `before`: `(steps, width, any)`, slots of the blocks read, padded with one that is never spoilt.
    - `start`, `start_slot`: `(steps,)`, where the unknowns and the blocks of a step begin.
    """

    key: Hashable
    size: int
    extra: int
    width: int
    blocks: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    before: np.ndarray
    start: np.ndarray
    start_slot: np.ndarray

    @property
    def extent(self) -> int:
        """Entries that a block has in the carried vector."""
        return self.size + self.extra

    @property
    def steps(self) -> int:
        return len(self.start)

    @property
    def places(self) -> np.ndarray:
        """`(steps, extent, width)`, where each entry of each block lies in the carried vector."""
        inside = np.arange(self.extent * self.width).reshape(self.extent, self.width)
        return self.start[:, None, None] + inside

    @property
    def slots(self) -> np.ndarray:
        """`(steps, width)`, the slot of each block."""
        return self.start_slot[:, None] + np.arange(self.width)


@dataclasses.dataclass(frozen=True)
class Run:
    """Kinds that take turns, `repeats` times; `first[i]` is the first step of `kinds[i]`.

    A kind that takes several turns in one round is listed as often.
    """

    kinds: tuple[int, ...]
    first: tuple[int, ...]
    strides: tuple[int, ...]
    repeats: int


@dataclasses.dataclass(frozen=True, eq=False)
class Schedule:
    """All steps of a sweep.

    **Attributes:**

    - `order`: kind and step of each step, in order; used where `runs` is None.
    - `length`: of the carried vector. It holds step after step, for each block its unknowns and then
      what else it leaves behind, entry by entry with the blocks of the step side by side.
    - `place_of`: the place of each unknown in it.
    - `unknown_at`: the unknown at each place, their number where there is none. Room in a step that no
      block fills is as its first block, so that equations are evaluated where they make sense.
    - `row_of`: the equation at each place, their number where there is none.
    - `slot_of`: the slot of each block in the carried verdicts, of which there are `n_slots`.
    - `slot_at`: the slot of the block at each place.
    - `real`: which slots have a block.
    """

    n: int
    n_blocks: int
    kinds: tuple[Kind, ...]
    runs: tuple[Run, ...] | None
    order: tuple[tuple[int, int], ...]
    length: int
    place_of: np.ndarray
    unknown_at: np.ndarray
    row_of: np.ndarray
    slot_of: np.ndarray
    slot_at: np.ndarray
    real: np.ndarray
    n_slots: int

    def cache_places(self, block: int) -> np.ndarray:
        """Where what a block leaves behind lies."""
        slot = self.slot_of[block]
        for kind in self.kinds:
            step = int(np.searchsorted(kind.start_slot, slot, side="right")) - 1
            if step >= 0 and slot < kind.start_slot[step] + kind.width:
                row = kind.size + np.arange(kind.extra)
                return kind.start[step] + row * kind.width + slot - kind.start_slot[step]
        raise IndexError(block)

    def with_tail(self, size: int) -> Schedule:
        """The same with some places at the end that belong to no block."""
        more = np.full(size, 1)
        return dataclasses.replace(
            self,
            length=self.length + size,
            unknown_at=np.concatenate([self.unknown_at, self.n * more]),
            row_of=np.concatenate([self.row_of, self.n * more]),
            slot_at=np.concatenate([self.slot_at, self.n_slots * more]),
        )


def schedule(
    n: int,
    blocks: Sequence[Block],
    keys: Sequence[Hashable],
    shapes: Sequence[tuple[int, int]],
    fine: Sequence[Hashable] | None = None,
) -> Schedule:
    """Steps for `blocks`; those of equal key are of one kind, padded to the kind's size.

    **Arguments:**

    - `n`: the number of unknowns.
    - `blocks`: as `decompose` gives them.
    - `keys`: the kind of each block.
    - `shapes`: for each block its padded size, and how much else it leaves behind; the same for
      blocks of one kind.
    - `fine`: blocks of one kind but different here do not go into one step.
    """
    kinds = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    kind_of = np.array([kinds[key] for key in keys], int)
    level = np.array([block.level for block in blocks], int)
    parts = {key: number for number, key in enumerate(dict.fromkeys(fine or keys))}
    part_of = np.array([parts[key] for key in fine or keys], int)
    shape_of = np.zeros((len(kinds), 2), int)
    shape_of[kind_of] = np.array(shapes, int).reshape(-1, 2)
    extent = shape_of.sum(1)
    members = np.lexsort((np.arange(len(blocks)), part_of, kind_of, level))
    together = np.stack([level, kind_of, part_of])[:, members]
    cuts = np.nonzero((np.diff(together) != 0).any(0))[0] + 1
    groups = [group for group in np.split(members, cuts) if group.size]
    widths = [
        _width(np.array([g.size for g in groups if kind_of[g[0]] == k]), int(extent[k]))
        for k in range(len(kinds))
    ]

    steps: list[list[list[int]]] = [[] for _ in kinds]
    order: list[tuple[int, int]] = []
    for group in groups:
        k = int(kind_of[group[0]])
        for first in range(0, group.size, widths[k]):
            order.append((k, len(steps[k])))
            steps[k].append(group[first : first + widths[k]].tolist())

    start = [np.zeros(len(of_kind), int) for of_kind in steps]
    start_slot = [np.zeros(len(of_kind), int) for of_kind in steps]
    place = slot = 0
    for k, step in order:
        start[k][step], start_slot[k][step] = place, slot
        place += int(extent[k]) * widths[k]
        slot += widths[k]
    slot_of = np.zeros(len(blocks), int)
    for k, of_kind in enumerate(steps):
        for step, group in enumerate(of_kind):
            slot_of[group] = start_slot[k][step] + np.arange(len(group))

    reads = _needed_reads([block.reads for block in blocks])
    made = [
        _kind(
            key,
            n,
            int(shape_of[k, 0]),
            int(shape_of[k, 1]),
            widths[k],
            steps[k],
            blocks,
            reads,
            slot_of,
            slot,
            start[k],
            start_slot[k],
        )
        for key, k in kinds.items()
    ]
    place_of, unknown_at, row_of = np.zeros(n, int), np.full(place, n), np.full(place, n)
    slot_at, real = np.zeros(place, int), np.zeros(slot, bool)
    for kind in made:
        unknowns = kind.places[:, : kind.size]
        there = kind.columns < n
        place_of[kind.columns[there]] = unknowns[there]
        empty = (kind.blocks == len(blocks))[:, None]
        unknown_at[unknowns] = np.where(empty, kind.columns[:, :, :1], kind.columns)
        row_of[unknowns] = kind.rows
        slot_at[kind.places] = kind.slots[:, None]
        real[kind.slots] = kind.blocks < len(blocks)
    return Schedule(
        n, len(blocks), tuple(made), _runs(order), tuple(order), place, place_of,
        unknown_at, row_of, slot_of, slot_at, real, slot,
    )  # fmt: skip


def bucket(size: int) -> int:
    """A padded size: few, so that few programs do, and none much larger than what is in it."""
    for padded in (1, 3, 6, 10):
        if size <= padded:
            return padded
    return size if size > 64 else -(-size // 8) * 8


def _kind(
    key: Hashable, n: int, size: int, extra: int, width: int, steps: list[list[int]], blocks: Sequence[Block],
    reads: list[tuple[int, ...]], slot_of: np.ndarray, n_slots: int, start: np.ndarray, start_slot: np.ndarray,
) -> Kind:  # fmt: skip
    shape = (len(steps), size, width)
    numbers = np.full((len(steps), width), len(blocks))
    rows, columns = np.full(shape, n), np.full(shape, n)
    most = max((len(reads[b]) for group in steps for b in group), default=0)
    before = np.full((len(steps), width, most), n_slots)
    for step, group in enumerate(steps):
        numbers[step, : len(group)] = group
        for w, b in enumerate(group):
            block = blocks[b]
            rows[step, : len(block.equations), w] = block.equations
            columns[step, : len(block.unknowns), w] = block.unknowns
            before[step, w, : len(reads[b])] = slot_of[list(reads[b])]
    return Kind(key, size, extra, width, numbers, rows, columns, before, start, start_slot)


def _width(counts: np.ndarray, size: int) -> int:
    """How many blocks of a kind go side by side: the cheapest for groups of these sizes."""
    candidates = np.unique(np.concatenate([counts, 2 ** np.arange(16)]))
    candidates = candidates[candidates <= counts.max()]
    cost = [np.sum(-(-counts // w)) * (_STEP_IN_UNKNOWNS + w * size) for w in candidates]
    return int(candidates[int(np.argmin(cost))])


def _needed_reads(reads: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Without those that another of a block's reads reads itself: a failure arrives anyway."""
    read_by = [set(r) for r in reads]
    return [
        tuple(r)
        if len(r) < 2 or len(r) > 64
        else tuple(sorted(set(r).difference(*(read_by[b] for b in r))))
        for r in reads
    ]


def _runs(order: Sequence[tuple[int, int]]) -> tuple[Run, ...] | None:
    """`order` as repeated patterns, or None where that would be too many pieces of program."""
    kinds = np.array([k for k, _ in order], int)
    runs: list[Run] = []
    at = pieces = 0
    while at < len(order):
        period, repeats = 1, 1
        for p in range(1, min(_PERIOD, len(order) - at) + 1):
            tail = kinds[at:]
            same = tail[p:] == tail[:-p]
            whole = (int(np.argmin(same)) if not same.all() else same.size) // p + 1
            if whole > 1 and whole * p > period * repeats:
                period, repeats = p, whole
        chosen = order[at : at + period]
        turns = [k for k, _ in chosen]
        runs.append(
            Run(
                tuple(turns),
                tuple(s for _, s in chosen),
                tuple(turns.count(k) for k in turns),
                repeats,
            )
        )
        at += period * repeats
        pieces += period
    # Each piece is compiled by itself, and a choice between kinds compiles each of them once.
    return tuple(runs) if pieces <= len(set(kinds.tolist())) + _REPEATED else None
