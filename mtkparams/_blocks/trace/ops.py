"""Operations: how result nodes are computed, in a form that works for any subset of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core

from .jaxprs import ClosedJaxpr, aval
from .nodes import DType, Ids, Nodes, Op


def elementwise(
    nodes: Nodes,
    primitive: core.Primitive,
    params: dict[str, Any],
    operands: Sequence[Ids],
    dtype: DType,
) -> Ids:
    """Results of an elementwise primitive on 1-D operands of one length."""

    def bind(*values: Array) -> tuple[Array, ...]:
        return (primitive.bind(*values, **params),)

    key = ("elementwise", primitive, _frozen(params), _dtypes(nodes, operands))

    def op(outputs: tuple[Ids, ...]) -> Op:
        return Op("elementwise", primitive, params, tuple(operands), outputs, key, bind)

    return nodes.results(op, operands, dtype)


def total(nodes: Nodes, rows: Ids, dtype: DType) -> Ids:
    """The sum of each row of a table of nodes."""
    if rows.shape[1] == 1:
        return rows[:, 0]
    primitive = core.primitives.reduce_sum_p
    key = ("sum", primitive, (), _dtypes(nodes, [rows]))

    def bind(value: Array) -> tuple[Array, ...]:
        return (jnp.sum(value, axis=-1, dtype=dtype),)

    def op(outputs: tuple[Ids, ...]) -> Op:
        return Op("sum", primitive, {}, (rows,), outputs, key, bind)

    return nodes.results(op, [rows], dtype)


def dot(
    nodes: Nodes,
    primitive: core.Primitive,
    params: dict[str, Any],
    left: Ids,
    right: Ids,
    dtype: DType,
) -> Ids:
    """The scalar product of each row of one table with the same row of another."""
    dtypes = _dtypes(nodes, [left, right])
    plain = set(dtypes) == {dtype}
    params = {"precision": params.get("precision")}
    key = ("dot", primitive, _frozen(params), dtypes, dtype)

    def bind(x: Array, y: Array) -> tuple[Array, ...]:
        if plain:
            # Rows are short and there are many: XLA fuses this, and calls a library for the other.
            return (jnp.sum(x * y, -1, dtype=dtype),)
        dimensions = (((1,), (1,)), ((0,), (0,)))
        return (jax.lax.dot_general(x, y, dimensions, preferred_element_type=dtype, **params),)

    def op(outputs: tuple[Ids, ...]) -> Op:
        return Op("dot", primitive, params, (left, right), outputs, key, bind)

    return nodes.results(op, [left, right], dtype)


def reduce(
    nodes: Nodes, primitive: core.Primitive, params: dict[str, Any], rows: Ids, dtype: DType
) -> Ids:
    """A reduction of each row of a table of nodes by a primitive that has `axes`."""
    params = {**params, "axes": (1,)}
    return by_rows(
        nodes, primitive, _frozen(params), lambda v: primitive.bind(v, **params), rows, dtype
    )


def by_rows(
    nodes: Nodes,
    primitive: core.Primitive,
    how: Hashable,
    run: Callable[[Array], Array],
    rows: Ids,
    dtype: DType,
) -> Ids:
    """A function of each row of a table of nodes; `how` tells functions of one primitive apart."""
    key = ("reduce", primitive, how, _dtypes(nodes, [rows]))

    def bind(value: Array) -> tuple[Array, ...]:
        return (run(value),)

    def op(outputs: tuple[Ids, ...]) -> Op:
        return Op("reduce", primitive, {}, (rows,), outputs, key, bind)

    return nodes.results(op, [rows], dtype)


def whole(
    nodes: Nodes, eqn: core.JaxprEqn, operands: Sequence[Ids], sources: Sequence[Ids]
) -> list[Ids]:
    """Results of an equation that is computed as a whole; see `Nodes.whole`."""
    run = alone(eqn)

    def bind(*values: Array) -> tuple[Array, ...]:
        return tuple(run(*values))

    key = ("whole", eqn.primitive, _frozen(eqn.params), tuple(v.aval for v in eqn.invars))

    def op(outputs: tuple[Ids, ...]) -> Op:
        return Op(
            "whole", eqn.primitive, dict(eqn.params), tuple(operands), outputs, key, bind, eqn
        )

    avals = [aval(v) for v in eqn.outvars]
    rows = [s.reshape(len(s), -1) if s.ndim > 1 else s[:, None] for s in sources]
    return nodes.whole(op, operands, rows, [a.shape for a in avals], [a.dtype for a in avals])


def alone(eqn: core.JaxprEqn) -> Callable[..., list[Any]]:
    """A function that computes one equation, with its own rules of differentiation."""
    invars: list[Any] = [core.Var(v.aval) for v in eqn.invars]
    jaxpr = core.Jaxpr(
        constvars=(),
        invars=invars,
        outvars=list(eqn.outvars),
        eqns=[eqn.replace(invars=invars)],
        effects=eqn.effects,
        debug_info=_debug_info(),
    )
    return core.jaxpr_as_fun(ClosedJaxpr(jaxpr, ()))


@functools.cache
def _debug_info() -> core.DebugInfo:
    # A jaxpr wants to know where it came from; that of any traced function serves.
    return jax.make_jaxpr(lambda: 0)().jaxpr.debug_info


def _dtypes(nodes: Nodes, operands: Sequence[Ids]) -> tuple[DType, ...]:
    return tuple(nodes.dtypes[nodes.kind[o.flat[0]]] if o.size else None for o in operands)


def _frozen(params: Mapping[str, Any]) -> Hashable:
    """Parameters as something to compare: by value where they can be, else by identity."""

    def freeze(value: object) -> Hashable:
        try:
            hash(value)
        except TypeError:
            if isinstance(value, list | tuple):
                return (type(value), tuple(freeze(v) for v in value))
            return _Same(value)
        return value

    return tuple((name, freeze(value)) for name, value in sorted(params.items()))


class _Same:
    """Compares by identity, and keeps its object alive so that no other can take its address."""

    __slots__ = ("value",)

    def __init__(self, value: object):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)
