"""In which steps blocks are solved, and where each block's unknowns lie meanwhile.

Blocks of one kind at one level go side by side in one step. The vector that a sweep carries holds
the unknowns step after step, so a step writes one contiguous piece of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

# Narrow steps waste nothing on padding, wide ones need fewer of them: one step costs about as much
# as this many of its unknowns.
_STEP_IN_UNKNOWNS = 150
# Longest pattern of kinds that is looked for, and how many pieces of program are too many.
_PERIOD, _PIECES = 24, 48


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """Blocks that one piece of program solves; arrays have the steps in their first axis.

    **Attributes:**

    - `size`, `width`: unknowns of a block, blocks in a step.
    - `blocks`: `(steps, width)`, block numbers; where a step has fewer, the number of blocks.
    - `rows`, `columns`: `(steps, size, width)`, equations and unknowns; padding is their number.
    - `before`: `(steps, width, any)`, slots of the blocks read, padded with one that is never spoilt.
    - `start`, `start_slot`: `(steps,)`, where the unknowns and the blocks of a step begin.
    """

    key: Any
    size: int
    width: int
    blocks: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    before: np.ndarray
    start: np.ndarray
    start_slot: np.ndarray


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

    - `unknown_at`: the unknown at each place of the carried vector; padding is their number.
    - `place_of`: the place of each unknown.
    - `row_place`: the place of each equation: that of the unknown with the same number in its block.
    - `slot_of`: the slot of each block in the carried verdicts.
    - `order`: kind and step of each step, in order; used where `runs` is None.
    """

    n: int
    n_blocks: int
    kinds: tuple[Kind, ...]
    runs: tuple[Run, ...] | None
    order: tuple[tuple[int, int], ...]
    unknown_at: np.ndarray
    place_of: np.ndarray
    row_place: np.ndarray
    slot_of: np.ndarray
    n_slots: int


def schedule(
    n: int, blocks: Sequence[Any], keys: Sequence[Hashable], sizes: Sequence[int]
) -> Schedule:
    """Steps for `blocks`; those of equal key are of one kind, padded to the kind's size.

    **Arguments:**

    - `n`: the number of unknowns.
    - `blocks`: as `decompose` gives them.
    - `keys`: the kind of each block.
    - `sizes`: the padded size of each block; the same for blocks of one kind.
    """
    kinds = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    kind_of = np.array([kinds[key] for key in keys], int)
    level = np.array([block.level for block in blocks], int)
    count = np.zeros((level.max(initial=-1) + 1, len(kinds)), int)
    np.add.at(count, (level, kind_of), 1)
    size_of = np.zeros(len(kinds), int)
    size_of[kind_of] = sizes
    widths = [_width(count[:, k], int(size_of[k])) for k in range(len(kinds))]

    steps: list[list[list[int]]] = [[] for _ in kinds]
    order: list[tuple[int, int]] = []
    members = np.lexsort((np.arange(len(blocks)), kind_of, level))
    for group in np.split(
        members, np.nonzero(np.diff(level[members] * len(kinds) + kind_of[members]))[0] + 1
    ):
        if not group.size:
            continue
        k = int(kind_of[group[0]])
        for first in range(0, group.size, widths[k]):
            order.append((k, len(steps[k])))
            steps[k].append(group[first : first + widths[k]].tolist())

    start = [np.zeros(len(own), int) for own in steps]
    start_slot = [np.zeros(len(own), int) for own in steps]
    place = slot = 0
    for k, step in order:
        start[k][step], start_slot[k][step] = place, slot
        place += size_of[k] * widths[k]
        slot += widths[k]
    slot_of = np.zeros(len(blocks), int)
    for k, own in enumerate(steps):
        for step, group in enumerate(own):
            slot_of[group] = start_slot[k][step] + np.arange(len(group))

    reads = _needed_reads([block.reads for block in blocks])
    made = [
        _kind(
            key,
            n,
            int(size_of[k]),
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
    unknown_at, row_at = np.full(place, n), np.full(place, n)
    for kind in made:
        for step, at in enumerate(kind.start):
            piece = slice(at, at + kind.size * kind.width)
            unknown_at[piece] = kind.columns[step].ravel()
            row_at[piece] = kind.rows[step].ravel()
    return Schedule(
        n, len(blocks), tuple(made), _runs(order), tuple(order),
        unknown_at, _inverse(unknown_at, n), _inverse(row_at, n), slot_of, slot,
    )  # fmt: skip


def _kind(
    key: Any, n: int, size: int, width: int, steps: list[list[int]], blocks: Sequence[Any],
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
    return Kind(key, size, width, numbers, rows, columns, before, start, start_slot)


def _width(counts: np.ndarray, size: int) -> int:
    """How many blocks of a kind go side by side: the cheapest for these numbers of them a level."""
    counts = counts[counts > 0]
    candidates = np.unique(np.concatenate([counts, 2 ** np.arange(16)]))
    candidates = candidates[candidates <= counts.max()]
    cost = [np.sum(-(-counts // w)) * (_STEP_IN_UNKNOWNS + w * size) for w in candidates]
    return int(candidates[int(np.argmin(cost))])


def _needed_reads(reads: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Without those that another of a block's reads reads itself: a failure arrives anyway."""
    own = [set(r) for r in reads]
    return [
        tuple(r)
        if len(r) < 2 or len(r) > 64
        else tuple(sorted(set(r).difference(*(own[b] for b in r))))
        for r in reads
    ]


def _inverse(at: np.ndarray, n: int) -> np.ndarray:
    inverse = np.zeros(n, int)
    real = at < n
    inverse[at[real]] = np.nonzero(real)[0]
    return inverse


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
        if pieces > _PIECES:
            return None
    return tuple(runs)
