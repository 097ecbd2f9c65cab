"""Which equations are assignments: the unknown with a constant factor, and what is known."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from ..trace.dependence import ranges
from ..trace.graph import Graph
from ..trace.nodes import CONSTANT, Op
from .degrees import levels

# How a constant factor passes through a node.
_SUM, _DIFFERENCE, _OPPOSITE, _SAME, _PRODUCT, _QUOTIENT, _LOST = range(7)

_RULES = {
    "add": _SUM,
    "add_any": _SUM,
    "sub": _DIFFERENCE,
    "neg": _OPPOSITE,
    "convert_element_type": _SAME,
    "mul": _PRODUCT,
    "div": _QUOTIENT,
}


def factors(graph: Graph, owner: np.ndarray, degree: np.ndarray, single: np.ndarray) -> np.ndarray:
    """For each node of degree one in the only unknown of its owner: the factor of that unknown.

    NaN where it is no constant, and for all other nodes.

    **Arguments:**

    - `owner`, `degree`: of each node, as `owners` and `degrees` give them.
    - `single`: for each block whether it has one unknown only.
    """
    value = _values(graph)
    factor = np.full(graph.size, np.nan)
    mine = (degree == 1) & (owner >= 0)
    mine[mine] = single[owner[mine]]
    factor[graph.unknowns] = np.where(mine[graph.unknowns], 1.0, np.nan)
    of_op = np.array([_rule(op) for op in graph.ops], np.int8)
    for nodes, starts, counts in levels(graph):
        computed = mine[nodes] & (graph.op[nodes] >= 0)
        if not computed.any():
            continue
        nodes, starts, counts = nodes[computed], starts[computed], counts[computed]
        rules = of_op[graph.op[nodes]]
        for rule in np.unique(rules).tolist():
            here = rules == rule
            factor[nodes[here]] = _factor(
                rule, graph, owner, degree, factor, value, nodes[here], starts[here], counts[here]
            )
    return factor


def _rule(op: Op) -> int:
    if op.kind == "elementwise":
        return _RULES.get(op.primitive.name, _LOST)
    return {"sum": _SUM, "dot": _PRODUCT}.get(op.kind, _LOST)


def _values(graph: Graph) -> np.ndarray:
    """The values of real constants, NaN for all other nodes."""
    values = np.full(graph.size, np.nan)
    floats = np.array(
        [d is not None and jnp.issubdtype(d, jnp.floating) for d in graph.dtypes], bool
    )
    known = np.flatnonzero((graph.op <= CONSTANT) & floats[graph.kind])
    values[known] = graph.nodes.floats(known)
    return values


def _factor(
    rule: int,
    graph: Graph,
    owner: np.ndarray,
    degree: np.ndarray,
    factor: np.ndarray,
    value: np.ndarray,
    nodes: np.ndarray,
    starts: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray:
    heads = np.cumsum(counts) - counts
    operands = graph.edges[ranges(starts, counts)]
    moves = (owner[operands] == np.repeat(owner[nodes], counts)) & (degree[operands] > 0)
    f = np.where(moves, factor[operands], 0.0)
    v = value[operands]
    with np.errstate(all="ignore"):
        if rule == _SUM:
            return np.add.reduceat(f, heads)
        if rule == _DIFFERENCE:
            return f[heads] - f[heads + 1]
        if rule == _OPPOSITE:
            return -f[heads]
        if rule == _SAME:
            return f[heads]
        if rule == _QUOTIENT:
            return f[heads] / v[heads + 1]
        if rule == _PRODUCT:
            width = counts // 2
            left, right = ranges(heads, width), ranges(heads + width, width)
            # A factor of zero stands for "does not move": what it is multiplied by may be anything.
            terms = np.where(f[left] == 0.0, 0.0, f[left] * v[right])
            terms += np.where(f[right] == 0.0, 0.0, f[right] * v[left])
            return np.add.reduceat(terms, np.cumsum(width) - width)
    return np.full(len(nodes), np.nan)
