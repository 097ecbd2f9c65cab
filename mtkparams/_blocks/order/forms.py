"""Every node as a form in the unknowns of its block: of which degree, and with which constant factor.

From operands to results, as one would by hand: a sum has the largest degree of its terms and the sum of
their factors, a product the sum of the degrees. It tells which equations are affine in the unknowns of
their block, and which are mere assignments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from ..trace.graph import Graph
from ..trace.levels import Level, ranges
from ..trace.nodes import CONSTANT, Op
from ..trace.primitives import LINEAR, LINEAR_WHOLE


class Forms(NamedTuple):
    """What is known of each node.

    **Attributes:**

    - `degree`: in the unknowns of its block: 0, 1, or 2 for anything not affine.
    - `factor`: where the block has one unknown and the degree is 1, the factor of that unknown; NaN where
      that is no constant, and for all other nodes.
    """

    degree: np.ndarray
    factor: np.ndarray


def owners(graph: Graph, block_of: np.ndarray) -> np.ndarray:
    """For each node the last block whose unknowns it depends on, -1 if none.

    **Arguments:**

    - `block_of`: for each unknown the number of its block, -1 if it has none.
    """
    owner = np.full(graph.size, -1)
    owner[graph.unknowns] = block_of
    for level in graph.levels:
        owner[level.nodes] = level.reduce(np.maximum, owner[level.operands])
    return owner


def forms(graph: Graph, owner: np.ndarray, single: np.ndarray) -> Forms:
    """The form of each node in the unknowns of its owner.

    **Arguments:**

    - `owner`: of each node, as `owners` gives it.
    - `single`: for each block whether it has one unknown only.
    """
    rules, rule_of = _rules(graph)
    value = _values(graph)
    degree = np.zeros(graph.size, np.int8)
    factor = np.full(graph.size, np.nan)
    owned = graph.unknowns[owner[graph.unknowns] >= 0]
    degree[owned] = 1
    factor[owned] = np.where(single[owner[owned]], 1.0, np.nan)
    for whole in graph.levels:
        numbers = rule_of[whole.nodes]
        for number in np.unique(numbers).tolist():
            level = whole.only(numbers == number)
            # What earlier blocks compute is as good as a constant here: of no degree.
            inside = owner[level.operands] == level.repeat(owner[level.nodes])
            d = np.where(inside, degree[level.operands], 0)
            f = np.where(d > 0, factor[level.operands], 0.0)
            with np.errstate(all="ignore"):
                form = rules[number](_Operands(level, d, f, value[level.operands]))
            degree[level.nodes] = form.degree
            factor[level.nodes] = np.where(form.degree == 1, form.factor, np.nan)
    return Forms(degree, factor)


class _Operands(NamedTuple):
    """The operands of one level, one entry each: their forms, and what constants are worth (else NaN).

    A factor of zero stands for an operand of no degree.
    """

    level: Level
    degree: np.ndarray
    factor: np.ndarray
    value: np.ndarray

    @property
    def largest(self) -> np.ndarray:
        return self.level.reduce(np.maximum, self.degree)

    @property
    def first(self) -> np.ndarray:
        """Where the first operand of each node is; the second of two comes next."""
        return self.level.heads


_Rule: TypeAlias = Callable[[_Operands], Forms]


def _lost(degree: np.ndarray) -> Forms:
    return Forms(degree, np.full(len(degree), np.nan))


def _linear(x: _Operands) -> Forms:
    """Something linear in all operands, of which nobody asks for a factor."""
    return _lost(x.largest)


def _nonlinear(x: _Operands) -> Forms:
    return _lost(np.where(x.largest > 0, 2, 0))


def _sum(x: _Operands) -> Forms:
    return Forms(x.largest, x.level.reduce(np.add, x.factor))


def _difference(x: _Operands) -> Forms:
    return Forms(x.largest, x.factor[x.first] - x.factor[x.first + 1])


def _opposite(x: _Operands) -> Forms:
    return Forms(x.largest, -x.factor[x.first])


def _same(x: _Operands) -> Forms:
    return Forms(x.largest, x.factor[x.first])


def _product(x: _Operands) -> Forms:
    """A product, or a sum of products: first all left factors, then all right ones."""
    width = x.level.counts // 2
    left, right = ranges(x.first, width), ranges(x.first + width, width)
    heads = np.cumsum(width) - width
    degree = np.maximum.reduceat(x.degree[left] + x.degree[right], heads)
    # What an operand of no degree is multiplied by may be anything.
    terms = np.where(x.factor[left] == 0.0, 0.0, x.factor[left] * x.value[right])
    terms += np.where(x.factor[right] == 0.0, 0.0, x.factor[right] * x.value[left])
    return Forms(np.minimum(degree, 2), np.add.reduceat(terms, heads))


def _quotient(x: _Operands) -> Forms:
    below = x.first + 1
    degree = np.where(x.degree[below] > 0, 2, x.degree[x.first])
    return Forms(degree, x.factor[x.first] / x.value[below])


def _choice(x: _Operands) -> Forms:
    """One of several operands, by the first."""
    return _lost(np.where(x.degree[x.first] > 0, 2, x.largest))


_ELEMENTWISE: dict[str, _Rule] = {
    **dict.fromkeys(LINEAR, _linear),
    "add": _sum,
    "add_any": _sum,
    "sub": _difference,
    "neg": _opposite,
    "mul": _product,
    "div": _quotient,
    "select_n": _choice,
}


def _rule(op: Op) -> _Rule:
    name = op.primitive.name
    if op.kind == "elementwise":
        if name == "convert_element_type":
            # To integers it is a staircase.
            return _same if np.issubdtype(op.params["new_dtype"], np.inexact) else _nonlinear
        return _ELEMENTWISE.get(name, _nonlinear)
    if op.kind == "whole" and name in LINEAR_WHOLE:
        return _linear
    return {"sum": _sum, "dot": _product}.get(op.kind, _nonlinear)


def _rules(graph: Graph) -> tuple[list[_Rule], np.ndarray]:
    """The rules that there are, and the number of each node's."""
    of_op = [_rule(op) for op in graph.ops]
    rules = list(dict.fromkeys([_linear, *of_op]))
    # Junctions only say what depends on what; `_linear` hands that on.
    number = np.array([*map(rules.index, of_op), rules.index(_linear)])
    return rules, number[np.where(graph.op >= 0, graph.op, len(graph.ops))]


def _values(graph: Graph) -> np.ndarray:
    """The values of real constants, NaN for all other nodes."""
    values = np.full(graph.size, np.nan)
    floats = np.array(
        [d is not None and jnp.issubdtype(d, jnp.floating) for d in graph.dtypes], bool
    )
    known = np.flatnonzero((graph.op <= CONSTANT) & floats[graph.kind])
    values[known] = graph.nodes.floats(known)
    return values
