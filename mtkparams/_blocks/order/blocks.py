"""A system of equations split into blocks that can be solved one after the other."""

from __future__ import annotations

import dataclasses
import heapq

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph

from ..trace.nodes import Sparse
from .matching import Part, match, over_and_under


@dataclasses.dataclass(frozen=True)
class Block:
    """Equations that must be solved together, and the unknowns that they determine.

    - `equations`, `unknowns`: numbers, ascending, as many of the one as of the other.
    - `level`: 0 if it reads no other block, else one more than the highest level that it reads.
    - `reads`: the numbers of the earlier blocks whose unknowns its equations read, ascending.
    - `affine`: whether its equations are affine in its own unknowns, whatever the values of earlier
      unknowns and arguments.
    - `explicit`: whether it is one equation `r = c * u - f(earlier)` with a constant `coefficient`
      `c` of 1 or -1: an assignment, that needs no solve. (`coefficient` is 0 otherwise.)
    """

    equations: tuple[int, ...]
    unknowns: tuple[int, ...]
    level: int
    reads: tuple[int, ...]
    affine: bool = False
    explicit: bool = False
    coefficient: float = 0.0


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a system of equations falls into.

    - `blocks`: in solving order, each reads earlier ones only. If the system is not square, these are
      the blocks of what is: they may then also read unknowns of over-determined parts.
    - `over`: groups of more equations than unknowns; `under`: of more unknowns than equations.
    - `matched`: for each equation the unknown that it can be solved for, -1 if it is left over.
    """

    blocks: tuple[Block, ...]
    over: tuple[Part, ...]
    under: tuple[Part, ...]
    matched: tuple[int, ...]

    @property
    def is_square(self) -> bool:
        """Whether every equation has an unknown of its own and every unknown an equation."""
        return not self.over and not self.under


def decompose(incidence: Sparse | np.ndarray) -> Parts:
    """Blocks in solving order, and what is over- or under-determined.

    Blocks are the strongly connected components of the matched equations. They do not depend on the
    matching, nor on the order of equations and unknowns; of the orders in which they can be solved,
    this is the one nearest to the order of the equations.

    **Arguments:**

    - `incidence`: a matrix `(m, n)`, nonzero where equation i depends on unknown j. Stored zeros do
      not count.
    """
    pattern: Sparse = sp.csr_array(incidence, copy=True)
    pattern.sum_duplicates()
    pattern.eliminate_zeros()
    pattern.data = np.ones(pattern.nnz, np.int8)
    matched = match(pattern)
    m, n = pattern.shape
    over: tuple[Part, ...] = ()
    under: tuple[Part, ...] = ()
    if m != n or (matched < 0).any():
        over, under = over_and_under(pattern, matched)
    outside = [e for part in (*over, *under) for e in part.equations]
    equations = np.setdiff1d(np.arange(m), np.asarray(outside, np.int64))
    blocks = _blocks(pattern, matched, equations)
    return Parts(blocks, over, under, tuple(matched.tolist()))


def _blocks(pattern: Sparse, matched: np.ndarray, equations: np.ndarray) -> tuple[Block, ...]:
    """The blocks of equations of which each has its unknown."""
    size = len(equations)
    if not size:
        return ()
    m, n = pattern.shape
    solves = np.full(n, -1)  # for each unknown the (renumbered) equation that determines it
    solves[matched[equations]] = np.arange(size)
    number = np.full(m, -1)
    number[equations] = np.arange(size)
    # An arrow from each equation to those that determine the other unknowns it depends on: circles of
    # arrows must be solved together.
    row = number[np.repeat(np.arange(m), np.diff(pattern.indptr))]
    come = solves[pattern.indices]
    inside = (row >= 0) & (come >= 0)
    row, come = row[inside], come[inside]
    graph = sp.csr_array((np.ones(len(row), np.int8), (row, come)), shape=(size, size))
    count, label = csgraph.connected_components(graph, connection="strong")  # pyright: ignore
    # Which component reads which, each pair once, as one integer.
    reads = np.unique(label[row] * np.int64(count) + label[come])
    reader, source = np.divmod(reads, count)
    apart = reader != source
    reader, source = reader[apart], source[apart]
    first = np.full(count, size)
    np.minimum.at(first, label, np.arange(size))
    # Components in solving order: `rank` says where each one goes.
    order, level = _order(count, reader, source, first)
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    equations_of = np.split(
        equations[np.argsort(rank[label], kind="stable")],
        np.cumsum(np.bincount(rank[label], minlength=count))[:-1],
    )
    by = np.lexsort((rank[source], rank[reader]))
    reads_of = np.split(
        rank[source][by], np.cumsum(np.bincount(rank[reader], minlength=count))[:-1]
    )
    return tuple(
        Block(
            tuple(e.tolist()),
            tuple(np.sort(matched[e]).tolist()),
            int(level[order[k]]),
            tuple(r.tolist()),
        )
        for k, (e, r) in enumerate(zip(equations_of, reads_of, strict=True))
    )


def _order(
    count: int, reader: np.ndarray, source: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """An order in which what is read comes first, by the first equation where there is a choice."""
    # The readers of component k are `readers[ends[k - 1] : ends[k]]`.
    by = np.argsort(source, kind="stable")
    ends = np.cumsum(np.bincount(source, minlength=count)).tolist()
    readers = reader[by].tolist()
    waits = np.bincount(reader, minlength=count).tolist()
    firsts = first.tolist()
    ready = [(firsts[k], k) for k in range(count) if not waits[k]]
    heapq.heapify(ready)
    order: list[int] = []
    level = [0] * count
    while ready:
        _, k = heapq.heappop(ready)
        order.append(k)
        for r in readers[ends[k - 1] if k else 0 : ends[k]]:
            level[r] = max(level[r], level[k] + 1)
            waits[r] -= 1
            if not waits[r]:
                heapq.heappush(ready, (firsts[r], r))
    return np.asarray(order, np.int64), np.asarray(level)
