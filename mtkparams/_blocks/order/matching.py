"""Equations matched with unknowns, and what is over- or under-determined."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph

from ..trace.nodes import Sparse


@dataclasses.dataclass(frozen=True)
class Part:
    """Equations and unknowns that hang together and do not match, ascending."""

    equations: tuple[int, ...]
    unknowns: tuple[int, ...]


def match(pattern: Sparse) -> np.ndarray:
    """For each equation the unknown that it is matched with, or -1; as many pairs as there can be."""
    m, n = pattern.shape
    if not m or not n or not pattern.nnz:
        return np.full(m, -1)
    return csgraph.maximum_bipartite_matching(pattern, perm_type="column").astype(np.int64)


def over_and_under(
    pattern: Sparse, matched: np.ndarray
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """The over- and the under-determined parts (Dulmage and Mendelsohn, 1958).

    Over-determined is what alternating paths reach from an equation without a partner,
    under-determined what they reach from an unknown without one. Neither depends on which of the
    largest matchings was found.
    """
    m, n = pattern.shape
    pairs = np.flatnonzero(matched >= 0)
    row, column = np.repeat(np.arange(m), np.diff(pattern.indptr)), pattern.indices
    lonely = np.setdiff1d(np.arange(n), matched[pairs])
    # An alternating path leaves an equation along any entry, and an unknown along its match only; numbers
    # are those of equations, then unknowns, and last a source from which all paths start.
    over = _reached(
        (np.flatnonzero(matched < 0), m + n),
        [(row, m + column), (m + matched[pairs], pairs)],
        m + n,
    )
    under = _reached((m + lonely, m + n), [(m + column, row), (pairs, m + matched[pairs])], m + n)
    return _parts(pattern, over), _parts(pattern, under)


def _reached(
    start: tuple[np.ndarray, int], edges: list[tuple[np.ndarray, np.ndarray]], size: int
) -> np.ndarray:
    starts, source = start
    tail = np.concatenate([np.full(len(starts), source), *(e[0] for e in edges)])
    head = np.concatenate([starts, *(e[1] for e in edges)])
    graph = sp.csr_array((np.ones(len(tail)), (tail, head)), shape=(size + 1, size + 1))
    order = csgraph.breadth_first_order(graph, source, return_predecessors=False)
    reached = np.zeros(size + 1, bool)
    reached[order] = True
    return reached[:size]


def _parts(pattern: Sparse, inside: np.ndarray) -> tuple[Part, ...]:
    """The chosen equations and unknowns, one part for each connected group, by first equation."""
    m, n = pattern.shape
    if not inside.any():
        return ()
    row = np.repeat(np.arange(m), np.diff(pattern.indptr))
    column = m + pattern.indices
    both = inside[row] & inside[column]
    graph = sp.csr_array((np.ones(both.sum()), (row[both], column[both])), shape=(m + n, m + n))
    _, label = csgraph.connected_components(graph, directed=False)
    members = np.flatnonzero(inside)
    order = np.argsort(label[members], kind="stable")
    cuts = np.flatnonzero(np.diff(label[members][order])) + 1
    groups = np.split(members[order], cuts)
    groups.sort(key=lambda g: int(g[0]))
    return tuple(Part(tuple(g[g < m].tolist()), tuple((g[g >= m] - m).tolist())) for g in groups)
