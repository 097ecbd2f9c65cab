"""Which of some leaf nodes every node of a graph depends on, as sets that nodes share.

Most nodes have the set of one of their operands, so that a set is stored once, with a number, and
nodes hold numbers. New sets are made level by level of depth, all of one level in one go.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.sparse as sp

from .levels import Level, levels, ranges
from .nodes import Ids, Nodes

# Members of sets to be united at one time, above which they are not put side by side.
_LONG = 5_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class Sets:
    """`members[ptr[s]:ptr[s + 1]]` is set `s`, ascending; set 0 is empty; node `i` has `of[i]`."""

    of: np.ndarray
    ptr: np.ndarray
    members: np.ndarray

    def rows(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sizes and members of several sets, one after the other."""
        counts = self.ptr[numbers + 1] - self.ptr[numbers]
        return counts, self.members[ranges(self.ptr[numbers], counts)]


def dependence(nodes: Nodes, leaves: Ids) -> Sets:
    """The set of `leaves` (by their place in `leaves`) that each node depends on."""
    edges = np.concatenate([*nodes.edges, np.empty(0, np.int64)])
    of = np.zeros(nodes.size, np.int64)
    of[leaves] = np.arange(1, len(leaves) + 1)
    store = _Store(len(leaves))
    for level in levels(nodes.depth[: nodes.size], nodes.count[: nodes.size], edges):
        of[level.nodes] = _level(of, level, store)
    return Sets(of, store.ptr[: store.n + 1], store.members[: store.ptr[store.n]])


def _level(of: np.ndarray, level: Level, store: _Store) -> np.ndarray:
    """The sets of one level's nodes, new ones added to the store."""
    sets = of[level.operands]
    most = level.reduce(np.maximum, sets)
    # The empty set adds nothing: the largest number stands in for it.
    filled = np.where(sets == 0, level.repeat(most), sets)
    least = level.reduce(np.minimum, filled)
    if (most == least).all():
        return most
    # One set is handed on as it is, pairs of sets are united once each, and more than two row by row.
    result = most.copy()
    between = (filled != level.repeat(most)) & (filled != level.repeat(least))
    several = level.reduce(np.add, between) > 0
    two = (most != least) & ~several
    if two.any():
        pairs, inverse = np.unique(
            least[two] * np.int64(store.n + 1) + most[two], return_inverse=True
        )
        numbers = np.stack(np.divmod(pairs, store.n + 1), 1).ravel()
        result[two] = store.add(np.full(len(pairs), 2), numbers)[inverse]
    if several.any():
        result[several] = store.add(level.counts[several], filled[level.repeat(several)])
    return result


class _Store:
    """Sets in arrays that grow: set 0 is empty, sets 1..n hold one leaf each, unions follow.

    No set is there twice: layers of dense equations would else make sets of sets of equal sets.
    """

    def __init__(self, leaves: int) -> None:
        self.n = leaves + 1
        self.width = max(leaves, 1)
        self.ptr = np.concatenate([[0, 0], np.arange(1, leaves + 1)]).astype(np.int64)
        self.members = np.arange(leaves, dtype=np.int32)
        # A set is found again by the sum of its members' random numbers, and then compared.
        self.draw = np.random.default_rng(0).integers(0, 2**63, leaves, np.uint64)
        self.sums: dict[int, int] = {0: 0}
        self.sums.update(zip(self.draw.tolist(), range(1, leaves + 1), strict=True))

    def add(self, counts: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """The unions of sets: the i-th of the next `counts[i]` of the set `numbers`."""
        sizes, members = self._unions(counts, numbers)
        ends = np.cumsum(sizes)
        # The sums of the first i draws; differences of them are right although they overflow.
        running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(self.draw[members])])
        sums = (running[ends] - running[ends - sizes]).tolist()
        sets = np.empty(len(counts), np.int64)
        fresh: list[int] = []
        for i, total in enumerate(sums):
            sets[i] = self.sums.setdefault(total, self.n + len(fresh))
            if sets[i] == self.n + len(fresh):
                fresh.append(i)
        new = np.asarray(fresh, np.int64)
        self._append(sizes[new], members[ranges(ends[new] - sizes[new], sizes[new])])
        self._check(sets, sizes, members)
        return sets

    def _unions(self, counts: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        owner = np.repeat(np.arange(len(counts)), counts)
        keys = np.unique(owner * np.int64(self.n) + numbers)
        owner, numbers = np.divmod(keys, self.n)
        sizes = self.ptr[numbers + 1] - self.ptr[numbers]
        if int(sizes.sum()) > _LONG:
            return self._product(len(counts), owner, numbers, sizes)
        members = self.members[ranges(self.ptr[numbers], sizes)]
        keys = np.unique(np.repeat(owner, sizes) * np.int64(self.width) + members)
        owner, members = np.divmod(keys, self.width)
        return np.bincount(owner, minlength=len(counts)), members

    def _product(
        self, count: int, owner: np.ndarray, numbers: np.ndarray, sizes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same without all members side by side: a product of sparse matrices."""
        used, column = np.unique(numbers, return_inverse=True)
        each = self.ptr[used + 1] - self.ptr[used]
        held = self.members[ranges(self.ptr[used], each)]
        shape = (len(used), self.width)
        ptr = np.concatenate([[0], np.cumsum(each)])
        sets: Any = sp.csr_array((np.ones(len(held), bool), held, ptr), shape=shape)
        ones = np.ones(len(owner), bool)
        unions = sp.csr_array((ones, (owner, column)), shape=(count, len(used))) @ sets
        unions.sort_indices()
        return np.diff(unions.indptr).astype(np.int64), unions.indices.astype(np.int64)

    def _append(self, sizes: np.ndarray, members: np.ndarray) -> None:
        end = int(self.ptr[self.n])
        self.ptr = _room(self.ptr, self.n + 1, self.n + 1 + len(sizes))
        self.ptr[self.n + 1 : self.n + 1 + len(sizes)] = end + np.cumsum(sizes)
        self.members = _room(self.members, end, end + len(members))
        self.members[end : end + len(members)] = members
        self.n += len(sizes)

    def _check(self, sets: np.ndarray, sizes: np.ndarray, members: np.ndarray) -> None:
        """Equal sums must be equal sets. That they are not is one chance in 2**63, not none."""
        there = self.ptr[sets + 1] - self.ptr[sets]
        same = (there == sizes).all()
        if not same or (self.members[ranges(self.ptr[sets], there)] != members).any():
            raise RuntimeError(
                "Two sets of unknowns have the same sum of random numbers. Please report it."
            )


def _room(array: np.ndarray, used: int, needed: int) -> np.ndarray:
    if needed <= len(array):
        return array
    grown = np.empty(max(2 * len(array), needed), array.dtype)
    grown[:used] = array[:used]
    return grown
