"""Functions with rules of differentiation of their own: what the values depend on, and what the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import numpy as np
import scipy.sparse as sp
from jax import Array
from jax.extend.core import JaxprEqn

from .. import ops
from ..builder import Builder, Rule
from ..jaxprs import Atom, Closed, aval
from ..nodes import CLOSED, NONE, Ids
from .control import flat, joined
from .lines import dense


def custom_jvp(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """The function's own dependences, and those that only its derivative rule has.

    The rule of `sinc` at zero, for one, has a slope where the function itself is a constant.
    """
    return _with_forward_rule(b, eqn, operands, eqn.params["call_jaxpr"])


def hi_primitive(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """A primitive that says what it does in terms of others (jax 0.12)."""
    call = _traced(b, eqn, _expanded)
    return _dense(b, eqn, operands) if call is None else _with_forward_rule(b, eqn, operands, call)


def _expanded(eqn: JaxprEqn) -> Closed:
    primitive = eqn.params["_prim"]

    def run(*flat: Array) -> list[Array]:
        return jax.tree.leaves(primitive.expand(*jax.tree.unflatten(primitive.in_tree, flat)))

    return jax.make_jaxpr(run)(*(_struct(v) for v in eqn.invars))


def _with_forward_rule(b: Builder, eqn: JaxprEqn, operands: list[Ids], call: Closed) -> list[Ids]:
    values = b.inner(operands, lambda sub, x: sub.run_closed(call, x), call)
    if not b.slopes or not any(_moves(v) for v in eqn.outvars):
        return ops.whole(b.nodes, eqn, operands, values)
    moving = [i for i, v in enumerate(eqn.invars) if _moves(v)]
    rule = _traced(b, eqn, _forward)
    if rule is None:
        return _dense(b, eqn, operands)
    slopes = b.inner(
        [*operands, *(_still(b, operands[i]) for i in moving)],
        lambda sub, x: sub.run_closed(rule, x),
        rule,
        slopes=False,
    )
    sources = [np.stack(pair, 1) for pair in zip(values, slopes, strict=True)]
    return ops.whole(b.nodes, eqn, operands, sources)


def _forward(eqn: JaxprEqn) -> Closed:
    run = ops.alone(eqn)
    moving = [i for i, v in enumerate(eqn.invars) if _moves(v)]

    def tangent(primals: list[Array], moved: list[Array]) -> list[Array]:
        def f(*free: Array) -> list[Array]:
            full = list(primals)
            for i, x in zip(moving, free, strict=True):
                full[i] = x
            return run(*full)

        return jax.jvp(f, tuple(primals[i] for i in moving), tuple(moved))[1]

    shapes = [_struct(v) for v in eqn.invars]
    return jax.make_jaxpr(tangent)(shapes, [shapes[i] for i in moving])


def _traced(b: Builder, eqn: JaxprEqn, trace: Callable[[JaxprEqn], Closed]) -> Closed | None:
    """The program of a rule of differentiation, or None: some are made only to raise an error."""
    key = (id(eqn), trace)
    if key not in b.shared.rules:
        try:
            rule = trace(eqn)
        except Exception:  # whatever a user's rule raises; without it all that is left is "dense"
            rule = None
        # The equation is kept, so that no other can take its number.
        b.shared.rules[key] = (eqn, rule)
    return b.shared.rules[key][1]


def _dense(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    b.shared.dense.add(eqn.primitive.name)
    return dense(b, eqn, operands)


def _still(b: Builder, operand: Ids) -> Ids:
    """Tangents: constants have none."""
    if not operand.size:
        return operand
    zero = b.nodes.constant(np.zeros((), b.nodes.dtypes[b.nodes.kind[operand.flat[0]]]))
    return np.where(b.nodes.is_constant(operand), zero, operand)


def _moves(atom: Atom) -> bool:
    return jax.numpy.issubdtype(aval(atom).dtype, np.inexact)


def _struct(atom: Atom) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval(atom).shape, aval(atom).dtype)


def custom_vjp(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """As `custom_jvp`, with a rule that goes from the results to the operands."""
    call = eqn.params["call_jaxpr" if "call_jaxpr" in eqn.params else "fun_jaxpr"]
    values = b.inner(operands, lambda sub, x: sub.run_closed(call, x), call)
    if not b.slopes:
        return ops.whole(b.nodes, eqn, operands, values)
    moving = [i for i, v in enumerate(eqn.invars) if _moves(v)]
    seen = [i for i, v in enumerate(eqn.outvars) if _moves(v)]
    pulled = [_struct(eqn.outvars[i]) for i in seen]
    rule = _traced(b, eqn, _backward)
    if rule is None:
        return _dense(b, eqn, operands)
    pulls = [_fresh_like(b, s) for s in pulled]
    relation = b.relation([*operands, *pulls], lambda sub, x: sub.run_closed(rule, x), slopes=False)
    relation = relation.astype(np.int32)
    size = sum(o.size for o in operands)
    # Operand i has a slope in result o where the i-th cotangent reads the o-th.
    slopes = relation[:, size:].T.tocsr()
    reach = sp.hstack([slopes, slopes @ relation[:, :size]]).tocsr()
    columns = flat([*(operands[i] for i in moving), *operands])
    joined_slopes = joined(b, reach, columns)
    cuts = np.cumsum([p.size for p in pulls])
    by_result = iter(np.split(joined_slopes, cuts[:-1]) if pulls else [])
    sources = [
        np.stack([v, next(by_result) if i in seen else np.full(len(v), NONE)], 1)
        for i, v in enumerate(values)
    ]
    return ops.whole(b.nodes, eqn, operands, sources)


def _backward(eqn: JaxprEqn) -> Closed:
    run = ops.alone(eqn)
    moving = [i for i, v in enumerate(eqn.invars) if _moves(v)]
    seen = [i for i, v in enumerate(eqn.outvars) if _moves(v)]

    def cotangent(primals: list[Array], pulled: list[Array]) -> tuple[Array, ...]:
        def f(*free: Array) -> list[Array]:
            full = list(primals)
            for i, x in zip(moving, free, strict=True):
                full[i] = x
            results = run(*full)
            return [results[i] for i in seen]

        return jax.vjp(f, *(primals[i] for i in moving))[1](pulled)

    shapes = [_struct(v) for v in eqn.invars]
    pulled = [_struct(eqn.outvars[i]) for i in seen]
    return jax.make_jaxpr(cotangent)(shapes, pulled)


def _fresh_like(b: Builder, struct: jax.ShapeDtypeStruct) -> Ids:
    return b.nodes.leaf(CLOSED, struct.shape, struct.dtype)


CUSTOM: Mapping[str, Rule] = {
    "call_hi_primitive": hi_primitive,
    "custom_jvp_call": custom_jvp,
    "custom_vjp_call": custom_vjp,
    "custom_vjp_call_jaxpr": custom_vjp,
}
