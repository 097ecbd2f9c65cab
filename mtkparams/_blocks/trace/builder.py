"""From the equations of a jaxpr to the nodes of an element graph, equation by equation."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax import Array
from jax.core import Tracer
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jax.typing import ArrayLike

from .dependence import dependence
from .jaxprs import Atom, Closed, aval, called, constants, opened
from .levels import ranges
from .movement import MOVEMENT
from .nodes import CLOSED, NONE, Ids, Nodes, Sparse
from .primitives import FOLDED, INLINED, MUTATING

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
        shared: Shared | None = None,
        slopes: bool = True,
    ):
        self.nodes = Nodes()
        self.rules = rules
        self.otherwise = otherwise
        self.shared = Shared() if shared is None else shared
        # Whether rules of differentiation count. Inside of such a rule they do not: what is asked there
        # is what its values depend on, and rules that call their own function would have no end.
        self.slopes = slopes
        self.closed: list[tuple[Ids, Array]] = []

    def run(self, jaxpr: Jaxpr, consts: Sequence[Ids], arguments: Sequence[Ids]) -> list[Ids]:
        """The nodes of a jaxpr's results, from those of its arguments."""
        if mutates(jaxpr):
            # Only in programs that are computed as a whole: elsewhere it does not come to this.
            hub = self.nodes.junction(_flat([*consts, *arguments])[None])
            return [np.full(aval(v).shape, hub) for v in jaxpr.outvars]
        held: dict[Atom, Ids] = {}

        def read(v: Atom) -> Ids:
            if isinstance(v, Literal):
                return self.nodes.constant(np.asarray(v.val, getattr(v.aval, "dtype", None)))
            return held[v]

        held.update(zip(jaxpr.constvars, consts, strict=True))
        held.update(zip(jaxpr.invars, arguments, strict=True))
        for eqn in _live(jaxpr):
            results = self.equation(eqn, [read(v) for v in eqn.invars])
            held.update(zip(eqn.outvars, results, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def run_closed(self, closed: Closed, arguments: Sequence[Ids]) -> list[Ids]:
        """As `run`, with the constants that the jaxpr brings along."""
        consts = [self.constant(c) for c in constants(closed)]
        return self.run(opened(closed), consts, arguments)

    def constant(self, value: ArrayLike) -> Ids:
        """Nodes of a value that a program closes over: known, unless it is itself being traced."""
        opaque = isinstance(value, Tracer) or jnp.issubdtype(
            jnp.result_type(value), jax.dtypes.extended
        )
        if opaque:
            array = jnp.asarray(value)
            ids = self.nodes.leaf(CLOSED, array.shape, array.dtype)
            self.closed.append((ids, array))
            return ids
        with jax.ensure_compile_time_eval():
            return self.nodes.constant(np.asarray(value))

    def equation(self, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
        """The nodes of one equation's results."""
        name = eqn.primitive.name
        if name in MOVEMENT:
            return MOVEMENT[name](eqn, operands)
        if name in INLINED:
            inner = called(eqn)
            if mutates(inner):
                return self.otherwise(self, eqn, operands)
            return self.run_closed(inner, operands)
        if name in FOLDED and all(self.nodes.is_constant(o).all() for o in operands):
            return self._fold(eqn, operands)
        rule = self.rules.get(name)
        if rule is not None:
            return rule(self, eqn, operands)
        self.shared.unknown.add(name)
        return self.otherwise(self, eqn, operands)

    def _fold(self, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
        values = [self.nodes.value(o) for o in operands]
        name = eqn.primitive.name
        avals = [aval(v) for v in eqn.outvars]
        if name in _IN_NUMPY:
            with np.errstate(all="ignore"):
                results = [_IN_NUMPY[name](*values)]
        else:
            with jax.ensure_compile_time_eval():
                arrays = [jnp.asarray(v) for v in values]
                results = eqn.primitive.bind(*arrays, **eqn.params)
                results = results if eqn.primitive.multiple_results else [results]
        return [
            self.nodes.constant(np.asarray(f).astype(a.dtype).reshape(a.shape))
            for f, a in zip(results, avals, strict=True)
        ]

    def inner(
        self,
        operands: Sequence[Ids],
        run: Callable[[Builder, list[Ids]], list[Ids]],
        about: object,
        slopes: bool = True,
    ) -> list[Ids]:
        """What the results of `run` depend on, for programs that are computed as a whole.

        `run` builds the program in a graph of its own, from leaves and from the constants among the
        operands. For each element of each result there is one node here, on which it depends, or `NONE`.
        A program that was seen before, which is one of the same `about`, is not built again.
        """
        known = [self.nodes.is_constant(o) for o in operands]
        slopes = self.slopes and slopes
        key = (id(about), slopes, *self._seen_as(operands, known))
        if key not in self.shared.memory:
            sub = Builder(self.rules, self.otherwise, self.shared, slopes)
            places, leaves = self._leaves(sub, operands)
            results = run(sub, places)
            sets = dependence(sub.nodes, _flat(leaves))
            numbers, which = np.unique(_flat([sets.of[r] for r in results]), return_inverse=True)
            cuts = np.cumsum([r.size for r in results])[:-1]
            # `about` is kept, so that no other object can take its number.
            self.shared.memory[key] = (about, *sets.rows(numbers), np.split(which, cuts))
        _, counts, places, which = self.shared.memory[key]
        members = _flat([o[~k] for o, k in zip(operands, known, strict=True)])[places]
        sources = np.full(len(counts), NONE)
        single = counts == 1
        starts = np.cumsum(counts) - counts
        sources[single] = members[starts[single]]
        plural = counts > 1
        if plural.any():
            several = members[ranges(starts[plural], counts[plural])]
            sources[plural] = self.nodes.junctions(counts[plural], several)
        return [sources[w] for w in which]

    def _seen_as(self, operands: Sequence[Ids], known: Sequence[np.ndarray]) -> list[Hashable]:
        """All that a program's dependences can differ by: which operands are constants, and which."""
        return [
            (k.tobytes(), self.nodes.value(o[k]).tobytes()) if k.any() else None
            for o, k in zip(operands, known, strict=True)
        ]

    def relation(
        self,
        operands: Sequence[Ids],
        run: Callable[[Builder, list[Ids]], list[Ids]],
        slopes: bool = True,
    ) -> Sparse:
        """Which elements of the results of `run` depend on which elements of the operands.

        As `inner`, as a matrix: rows and columns are all elements, one array after the other.
        """
        sub = Builder(self.rules, self.otherwise, self.shared, self.slopes and slopes)
        places, leaves = self._leaves(sub, operands)
        results = run(sub, places)
        columns = np.flatnonzero(~_flat([self.nodes.is_constant(o) for o in operands]).astype(bool))
        sets = dependence(sub.nodes, _flat(leaves))
        numbers = _flat([sets.of[r] for r in results])
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


def mutates(closed: Closed) -> bool:
    """Whether equations of a program (not of programs in it) read or write mutable arrays."""
    return any(eqn.primitive.name in MUTATING for eqn in opened(closed).eqns)


def _flat(arrays: Sequence[np.ndarray | np.integer]) -> np.ndarray:
    return np.concatenate([*map(np.ravel, arrays), np.empty(0, np.int64)])


def _live(jaxpr: Jaxpr) -> list[JaxprEqn]:
    """The equations that the results need."""
    needed = {v for v in jaxpr.outvars if not isinstance(v, Literal)}
    live = []
    for eqn in reversed(jaxpr.eqns):
        if not needed.isdisjoint(eqn.outvars):
            live.append(eqn)
            needed.update(v for v in eqn.invars if not isinstance(v, Literal))
    return live[::-1]


class Shared:
    """What one analysis keeps in common: primitives taken to be dense (those of no table, and all),
    and the dependences of programs inside of programs."""

    def __init__(self) -> None:
        self.memory: dict[Any, Any] = {}
        self.rules: dict[Any, Any] = {}
        self.unknown: set[str] = set()
        self.dense: set[str] = set()
