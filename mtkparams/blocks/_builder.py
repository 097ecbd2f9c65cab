"""From the equations of a jaxpr to the nodes of an element graph, equation by equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.core import Tracer
from jax.extend.core import Jaxpr, JaxprEqn, Literal

from ._movement import MOVEMENT
from ._nodes import CLOSED, Ids, Nodes, Sparse
from ._primitives import FOLDED, INLINED
from ._sets import dependence, ranges

Rule = Callable[["Builder", JaxprEqn, list[Ids]], list[Ids]]

# Done in numpy, where JAX would compile a program for each shape. Only where the two agree on
# every dtype: numpy's division of integers, for one, rounds the other way.
_IN_NUMPY: Mapping[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "select_n": lambda which, *cases: (
        np.where(which, cases[1], cases[0]) if len(cases) == 2 else np.choose(which, cases)
    ),
}


class Builder:
    """Nodes, the rules that make them, and the names of primitives that were taken to be dense."""

    def __init__(
        self,
        rules: Mapping[str, Rule],
        otherwise: Rule,
        names: Names | None = None,
        slopes: bool = True,
    ):
        self.nodes = Nodes()
        self.rules = rules
        self.otherwise = otherwise
        self.names = Names() if names is None else names
        # Whether rules of differentiation count. Inside of such a rule they do not: what is asked there
        # is what its values depend on, and rules that call their own function would have no end.
        self.slopes = slopes
        self.closed: list[tuple[Ids, Any]] = []

    def run(self, jaxpr: Jaxpr, consts: Sequence[Ids], arguments: Sequence[Ids]) -> list[Ids]:
        """The nodes of a jaxpr's results, from those of its arguments."""
        held: dict[Any, Ids] = {}

        def read(v: Any) -> Ids:
            if isinstance(v, Literal):
                return self.nodes.constant(np.asarray(v.val, getattr(v.aval, "dtype", None)))
            return held[v]

        held.update(zip(jaxpr.constvars, consts, strict=True))
        held.update(zip(jaxpr.invars, arguments, strict=True))
        for eqn in _live(jaxpr):
            results = self.equation(eqn, [read(v) for v in eqn.invars])
            held.update(zip(eqn.outvars, results, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def run_closed(self, closed: Any, arguments: Sequence[Ids]) -> list[Ids]:
        """As `run`, with the constants that the jaxpr brings along."""
        # jax 0.12 has one class where 0.10 has two, and some calls hold a jaxpr without constants.
        consts = getattr(closed, "consts", None) or ()
        jaxpr = getattr(closed, "jaxpr", closed)
        return self.run(jaxpr, [self.constant(c) for c in consts], arguments)

    def constant(self, value: Any) -> Ids:
        """Nodes of a value that a program closes over: known, unless it is itself being traced."""
        opaque = isinstance(value, Tracer) or jnp.issubdtype(
            jnp.result_type(value), jax.dtypes.extended
        )
        if opaque:
            ids = self.nodes.leaf(CLOSED, jnp.shape(value), value.dtype)
            self.closed.append((ids, value))
            return ids
        with jax.ensure_compile_time_eval():
            return self.nodes.constant(np.asarray(value))

    def equation(self, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
        """The nodes of one equation's results."""
        name = eqn.primitive.name
        if name in MOVEMENT:
            return MOVEMENT[name](eqn, operands)
        if name in INLINED:
            inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
            return self.run_closed(inner, operands)
        if name in FOLDED and all(self.nodes.is_constant(o).all() for o in operands):
            return self._fold(eqn, operands)
        rule = self.rules.get(name)
        if rule is not None:
            return rule(self, eqn, operands)
        self.names.unknown.add(name)
        return self.otherwise(self, eqn, operands)

    def _fold(self, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
        values = [self.nodes.value(o) for o in operands]
        name = eqn.primitive.name
        avals: list[Any] = [v.aval for v in eqn.outvars]
        if name in _IN_NUMPY:
            with np.errstate(all="ignore"):
                found = [_IN_NUMPY[name](*values)]
        else:
            with jax.ensure_compile_time_eval():
                arrays = [jnp.asarray(v) for v in values]
                found = eqn.primitive.bind(*arrays, **eqn.params)
                found = found if eqn.primitive.multiple_results else [found]
        return [
            self.nodes.constant(np.asarray(f).astype(a.dtype).reshape(a.shape))
            for f, a in zip(found, avals, strict=True)
        ]

    def inner(
        self,
        operands: Sequence[Ids],
        run: Callable[[Builder, list[Ids]], list[Ids]],
        slopes: bool = True,
    ) -> list[Ids]:
        """What the results of `run` depend on, for programs that are computed as a whole.

        `run` builds the program in a graph of its own, from leaves and from the constants among the
        operands. For each element of each result there is one node here, on which it depends, or `NONE`.
        """
        sub = Builder(self.rules, self.otherwise, self.names, self.slopes and slopes)
        places, leaves = self._leaves(sub, operands)
        outer = [o[~self.nodes.is_constant(o)] for o in operands]
        results = run(sub, places)
        sets = dependence(sub.nodes, np.concatenate([*leaves, np.empty(0, np.int64)]))
        members = np.concatenate([*outer, np.empty(0, np.int64)])
        numbers, inverse = np.unique(
            np.concatenate([sets.of[r].ravel() for r in results]), return_inverse=True
        )
        counts = sets.ptr[numbers + 1] - sets.ptr[numbers]
        found = np.full(len(numbers), -1)
        one = counts == 1
        found[one] = members[sets.members[sets.ptr[numbers[one]]]]
        more = counts > 1
        if more.any():
            places_of = ranges(sets.ptr[numbers[more]], counts[more])
            found[more] = self.nodes.junctions(counts[more], members[sets.members[places_of]])
        cuts = np.cumsum([r.size for r in results])[:-1]
        return np.split(found[inverse], cuts)

    def relation(
        self,
        operands: Sequence[Ids],
        run: Callable[[Builder, list[Ids]], list[Ids]],
        slopes: bool = True,
    ) -> Sparse:
        """Which elements of the results of `run` depend on which elements of the operands.

        As `inner`, as a matrix: rows and columns are all elements, one array after the other.
        """
        sub = Builder(self.rules, self.otherwise, self.names, self.slopes and slopes)
        places, leaves = self._leaves(sub, operands)
        results = run(sub, places)
        columns = np.concatenate([*map(np.ravel, places), np.empty(0, np.int64)])
        columns = np.flatnonzero(np.isin(columns, np.concatenate([*leaves, np.empty(0, int)])))
        sets = dependence(sub.nodes, np.concatenate([*leaves, np.empty(0, np.int64)]))
        numbers = np.concatenate([sets.of[r].ravel() for r in results])
        counts, members = sets.rows(numbers)
        ptr = np.concatenate([[0], np.cumsum(counts)])
        shape = (len(numbers), sum(o.size for o in operands))
        return sp.csr_array((np.ones(len(members), bool), columns[members], ptr), shape=shape)

    def _leaves(self, sub: Builder, operands: Sequence[Ids]) -> tuple[list[Ids], list[Ids]]:
        """Operands as nodes of `sub`: constants as such, the others as leaves (given once more)."""
        places: list[Ids] = []
        leaves: list[Ids] = []
        for operand in operands:
            dtype = self.nodes.dtypes[self.nodes.kind[operand.flat[0]]] if operand.size else float
            known = self.nodes.is_constant(operand)
            ids = np.empty(operand.shape, np.int64)
            if known.any():
                ids[known] = sub.nodes.constant(self.nodes.value(operand[known])).ravel()
            ids[~known] = sub.nodes.leaf(CLOSED, (int((~known).sum()),), dtype)
            leaves.append(ids[~known])
            places.append(ids)
        return places, leaves


def _live(jaxpr: Jaxpr) -> list[JaxprEqn]:
    """The equations that the results need."""
    needed = {v for v in jaxpr.outvars if not isinstance(v, Literal)}
    live = []
    for eqn in reversed(jaxpr.eqns):
        if not needed.isdisjoint(eqn.outvars):
            live.append(eqn)
            needed.update(v for v in eqn.invars if not isinstance(v, Literal))
    return live[::-1]


class Names:
    """Primitives taken to be dense: those of no table, and all."""

    def __init__(self) -> None:
        self.unknown: set[str] = set()
        self.dense: set[str] = set()
