"""Nodes by depth: what is true of operands is handed on to results, all of one depth at once.

Every pass over a graph, be it for what nodes depend on, for degrees or for costs, is a loop over these levels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .nodes import Ids


class Level(NamedTuple):
    """Nodes of one depth that depend on something.

    **Attributes:**

    - `nodes`: their numbers.
    - `counts`: how many operands each has.
    - `operands`: those of the first node, then those of the second, and so on.
    """

    nodes: Ids
    counts: np.ndarray
    operands: Ids

    @property
    def heads(self) -> np.ndarray:
        """Where the operands of each node begin."""
        return np.cumsum(self.counts) - self.counts

    def reduce(self, ufunc: np.ufunc, values: np.ndarray) -> np.ndarray:
        """One value a node out of one value an operand."""
        return ufunc.reduceat(values, self.heads)

    def repeat(self, values: np.ndarray) -> np.ndarray:
        """One value an operand out of one value a node."""
        return np.repeat(values, self.counts)

    def only(self, mask: np.ndarray) -> Level:
        """Some of the nodes."""
        return Level(self.nodes[mask], self.counts[mask], self.operands[self.repeat(mask)])


def levels(depth: np.ndarray, counts: np.ndarray, edges: Ids) -> list[Level]:
    """All nodes that depend on something, those that are computed first in the first level.

    **Arguments:**

    - `depth`, `counts`: of each node, with the number of its operands.
    - `edges`: the operands, node after node.
    """
    starts = np.cumsum(counts) - counts
    order = np.argsort(depth, kind="stable")
    order = order[counts[order] > 0]
    cuts = np.flatnonzero(np.diff(depth[order])) + 1
    return [
        Level(nodes, counts[nodes], edges[ranges(starts[nodes], counts[nodes])])
        for nodes in np.split(order, cuts)
        if nodes.size
    ]


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`starts[0], starts[0] + 1, ...` (`counts[0]` of them), then those of the next start, and so on."""
    total = int(counts.sum())
    ends = np.cumsum(counts)
    return np.arange(total) + np.repeat(starts - (ends - counts), counts)
