"""Which blocks are affine in their own unknowns: degrees, from operands to results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..trace.dependence import ranges
from ..trace.graph import Graph
from ..trace.nodes import Op
from ..trace.primitives import LINEAR, LINEAR_WHOLE

# How degrees pass through a node: the largest of the operands', their sum, and so on.
_LARGEST, _PRODUCT, _QUOTIENT, _CHOICE, _NONLINEAR = range(5)


def owners(graph: Graph, block_of: np.ndarray) -> np.ndarray:
    """For each node the last block whose unknowns it depends on, -1 if none.

    **Arguments:**

    - `block_of`: for each unknown the number of its block, -1 if it has none.
    """
    owner = np.full(graph.size, -1)
    owner[graph.unknowns] = block_of
    for level, starts, counts in levels(graph):
        operands = graph.edges[ranges(starts, counts)]
        owner[level] = np.maximum.reduceat(owner[operands], np.cumsum(counts) - counts)
    return owner


def degrees(graph: Graph, owner: np.ndarray) -> np.ndarray:
    """For each node its degree in the unknowns of its owner: 0, 1, or 2 for anything not affine."""
    rule = _rules(graph)
    degree = np.zeros(graph.size, np.int8)
    degree[graph.unknowns] = owner[graph.unknowns] >= 0
    for nodes, starts, counts in levels(graph):
        for which in np.unique(rule[nodes]).tolist():
            here = rule[nodes] == which
            degree[nodes[here]] = _degree(
                which, graph, owner, degree, nodes[here], starts[here], counts[here]
            )
    return degree


def levels(graph: Graph) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Nodes that depend on something, level by level, with where their edges lie."""
    starts = graph.ptr[:-1]
    counts = np.diff(graph.ptr)
    order = np.argsort(graph.depth, kind="stable")
    order = order[counts[order] > 0]
    cuts = np.flatnonzero(np.diff(graph.depth[order])) + 1
    return [(nodes, starts[nodes], counts[nodes]) for nodes in np.split(order, cuts) if nodes.size]


def _rules(graph: Graph) -> np.ndarray:
    of_op = np.array([_rule(op) for op in graph.ops], np.int8)
    rule = np.full(graph.size, _LARGEST, np.int8)
    computed = graph.op >= 0
    if computed.any():
        rule[computed] = of_op[graph.op[computed]]
    return rule


def _rule(op: Op) -> int:
    name = op.primitive.name
    if op.kind == "sum" or (op.kind == "whole" and name in LINEAR_WHOLE):
        return _LARGEST
    if op.kind == "dot" or (op.kind == "elementwise" and name == "mul"):
        return _PRODUCT
    if op.kind != "elementwise":
        return _NONLINEAR
    if name == "div":
        return _QUOTIENT
    if name == "select_n":
        return _CHOICE
    if name == "convert_element_type":
        # To integers it is a staircase.
        return _LARGEST if np.issubdtype(op.params["new_dtype"], np.inexact) else _NONLINEAR
    return _LARGEST if name in LINEAR else _NONLINEAR


def _degree(
    rule: int,
    graph: Graph,
    owner: np.ndarray,
    degree: np.ndarray,
    nodes: np.ndarray,
    starts: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray:
    heads = np.cumsum(counts) - counts
    operands = graph.edges[ranges(starts, counts)]
    own = owner[operands] == np.repeat(owner[nodes], counts)
    d = np.where(own & (owner[operands] >= 0), degree[operands], 0)
    most = np.maximum.reduceat(d, heads)
    if rule == _LARGEST:
        return most
    if rule == _PRODUCT:
        # Left factors come first, then right ones.
        width = counts // 2
        left = d[ranges(heads, width)]
        right = d[ranges(heads + width, width)]
        return np.minimum(np.maximum.reduceat(left + right, np.cumsum(width) - width), 2)
    if rule == _QUOTIENT:
        return np.where(d[heads + 1] > 0, 2, d[heads])
    if rule == _CHOICE:
        return np.where(d[heads] > 0, 2, most)
    return np.where(most > 0, 2, 0)


def is_affine(degree: np.ndarray, residual: np.ndarray, equations: Sequence[int]) -> bool:
    """Whether none of a block's equations is of a higher degree than one."""
    return bool((degree[residual[list(equations)]] <= 1).all())
