"""Which entry of a residual depends on which unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from ._graph import Graph, element_graph
from ._nodes import Sparse
from ._sets import dependence


def incidence(fn: Callable[[Any, Any], Any], u: Any, args: Any) -> Sparse:
    """Which entry of `fn(u, args)` depends on which entry of `u`, as a matrix of booleans `(m, n)`.

    The pattern of the Jacobian lies in it, whatever the values of `u` and `args`. Branches that
    `where` or `lax.cond` would not take count as well, and so does what a traced index might reach;
    what is multiplied by a constant zero does not. What passes through `stop_gradient` counts: the
    value depends on it, so that it has to be known first.

    **Arguments:** as for `analyse`.
    """
    return graph_incidence(element_graph(fn, u, args))


def graph_incidence(graph: Graph) -> Sparse:
    """The incidence of a graph's residual."""
    sets = dependence(graph.nodes, graph.unknowns)
    counts, members = sets.rows(sets.of[graph.residual])
    ptr = np.concatenate([[0], np.cumsum(counts)])
    shape = (len(graph.residual), len(graph.unknowns))
    return sp.csr_array((np.ones(len(members), bool), members, ptr), shape=shape)
