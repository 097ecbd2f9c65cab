"""Loops, branches and functions with rules of their own: computed as a whole, looked into for what
depends on what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import scipy.sparse as sp
from jax.extend.core import JaxprEqn

from . import _ops
from ._builder import Builder, Rule, mutates
from ._linear import closed
from ._lines import dense
from ._nodes import CLOSED, NONE, Ids, Sparse

# Equations of a loop's body times its length: up to here a loop is followed step by step.
_FOLLOWED = 5_000


def cond(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    index, *rest = operands
    branches = eqn.params["branches"]
    if b.nodes.is_constant(index).all():
        which = int(np.clip(int(b.nodes.value(index)), 0, len(branches) - 1))
        if not mutates(branches[which]):
            return b.run_closed(branches[which], rest)
    found = [b.inner(rest, lambda sub, x, at=at: sub.run_closed(at, x), at) for at in branches]
    choice = int(index)
    sources = [
        np.stack([*each, np.full(len(each[0]), choice)], 1) for each in zip(*found, strict=True)
    ]
    return _ops.whole(b.nodes, eqn, operands, sources)


def scan(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    p = eqn.params
    length, body = p["length"], p["jaxpr"]
    size = max(1, len(getattr(body, "jaxpr", body).eqns))
    if length * size <= _FOLLOWED:
        sources = b.inner(operands, lambda sub, x: _step_by_step(sub, p, x), eqn)
    else:
        sources = _all_steps_alike(b, p, operands)
    return _ops.whole(b.nodes, eqn, operands, sources)


def _counts(p: Mapping[str, Any]) -> tuple[int, int]:
    """How many operands of a scan are constants, and how many are the carry."""
    if "num_consts" in p:
        return p["num_consts"], p["num_carry"]
    fixed, carried, _ = p["ft_in"].unpack()  # jax 0.12
    return len(fixed), len(carried)


def _step_by_step(b: Builder, p: Mapping[str, Any], operands: list[Ids]) -> list[Ids]:
    fixed, carried = _counts(p)
    consts, carry = operands[:fixed], operands[fixed : fixed + carried]
    xs = operands[fixed + carried :]
    length = p["length"]
    steps = range(length - 1, -1, -1) if p["reverse"] else range(length)
    kept: list[list[Ids]] = [[] for _ in range(length)]
    for i in steps:
        results = b.run_closed(p["jaxpr"], [*consts, *carry, *(x[i, ...] for x in xs)])
        carry, kept[i] = results[:carried], results[carried:]
    if not length:
        body = getattr(p["jaxpr"], "jaxpr", p["jaxpr"])
        shapes = [v.aval.shape for v in body.outvars[carried:]]
        return [*carry, *(np.empty((0, *shape), np.int64) for shape in shapes)]
    return [*carry, *(np.stack(y) for y in zip(*kept, strict=True))]


def _all_steps_alike(b: Builder, p: Mapping[str, Any], operands: list[Ids]) -> list[Ids]:
    """A long loop: its carry may depend on anything from any step, results on their own step's slices."""
    (fixed, carried), length = _counts(p), p["length"]
    consts, carry = operands[:fixed], operands[fixed : fixed + carried]
    xs = operands[fixed + carried :]
    # What the body does to a carry and to slices of which nothing is known.
    forgotten = [_fresh(b, o) for o in carry] + [_fresh(b, x[0, ...]) for x in xs]
    relation = b.relation([*consts, *forgotten], lambda sub, o: sub.run_closed(p["jaxpr"], o))
    given = sum(o.size for o in consts)
    state = sum(o.size for o in carry)
    relation = relation.astype(np.int32)
    reach = closed(relation[:state, given : given + state])
    merged = [b.nodes.junction(x.reshape(length, -1).T) for x in xs]
    merged = _flat(merged)
    through = reach @ relation[:state]
    into = sp.hstack([through[:, :given], reach, through[:, given + state :]]).tocsr()
    held = _joined(b, into, _flat([*consts, *carry, merged]))
    # Each step's results read the constants, the carry (of any step), and their own slices.
    slices = [x.reshape(length, -1) for x in xs]
    table = np.concatenate([np.empty((length, 0), np.int64), *slices], 1)
    kept = relation[state:]
    inputs = np.concatenate(
        [np.broadcast_to(_flat([*consts, held]), (length, given + state)), table], 1
    )
    counts = np.tile(np.diff(kept.indptr), length)
    made = b.nodes.junctions(counts, inputs[:, kept.indices].ravel()).reshape(length, -1)
    outs = np.cumsum([o.size for o in carry])
    body = getattr(p["jaxpr"], "jaxpr", p["jaxpr"])
    widths = [int(np.prod(v.aval.shape, dtype=int)) for v in body.outvars[carried:]]
    ends = np.cumsum(widths)
    carries = np.split(held, outs[:-1]) if carried else []
    return [*carries, *(made[:, e - w : e].ravel() for e, w in zip(ends, widths, strict=True))]


def _fresh(b: Builder, like: Ids) -> Ids:
    dtype = b.nodes.dtypes[b.nodes.kind[like.flat[0]]] if like.size else float
    return b.nodes.leaf(CLOSED, like.shape, dtype)


def _flat(arrays: list[Ids]) -> Ids:
    return np.concatenate([*(a.ravel() for a in arrays), np.empty(0, np.int64)])


def _joined(b: Builder, relation: Sparse, columns: Ids) -> Ids:
    return b.nodes.junctions(np.diff(relation.indptr), columns[relation.indices])


def while_(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """Any number of steps, none included; how many is for the condition to say."""
    p = eqn.params
    tests, fixed = p["cond_nconsts"], p["body_nconsts"]
    test_consts, consts = operands[:tests], operands[tests : tests + fixed]
    carry = operands[tests + fixed :]
    forgotten = [_fresh(b, o) for o in carry]
    body = b.relation([*consts, *forgotten], lambda sub, o: sub.run_closed(p["body_jaxpr"], o))
    test = b.relation([*test_consts, *forgotten], lambda sub, o: sub.run_closed(p["cond_jaxpr"], o))
    body, test = body.astype(np.int32), test.astype(np.int32)
    given = sum(o.size for o in consts)
    reach = closed(body[:, given:])
    held = _joined(b, sp.hstack([reach @ body[:, :given], reach]).tocsr(), _flat([*consts, *carry]))
    decides = _joined(b, test, _flat([*test_consts, held]))
    inner = getattr(p["body_jaxpr"], "jaxpr", p["body_jaxpr"])
    same = [
        o is i for o, i in zip(inner.outvars, inner.invars[fixed:], strict=True)
    ]  # carried along untouched, however many steps there are
    sources = []
    start = 0
    for o, untouched in zip(carry, same, strict=True):
        own = held[start : start + o.size]
        start += o.size
        test_too = np.full(o.size, NONE if untouched else decides[0])
        sources.append(np.stack([own, test_too], 1))
    return _ops.whole(b.nodes, eqn, operands, sources)


def custom_jvp(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """The function's own dependences, and those that only its derivative rule has.

    The rule of `sinc` at zero, for one, has a slope where the function itself is a constant.
    """
    return _with_forward_rule(b, eqn, operands, eqn.params["call_jaxpr"])


def hi_primitive(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """A primitive that says what it does in terms of others (jax 0.12)."""
    call = _traced(b, eqn, _expanded)
    return _dense(b, eqn, operands) if call is None else _with_forward_rule(b, eqn, operands, call)


def _expanded(eqn: JaxprEqn) -> Any:
    primitive = eqn.params["_prim"]

    def run(*flat: Any) -> Any:
        return jax.tree.leaves(primitive.expand(*jax.tree.unflatten(primitive.in_tree, flat)))

    return jax.make_jaxpr(run)(*(_struct(v.aval) for v in eqn.invars))


def _with_forward_rule(b: Builder, eqn: JaxprEqn, operands: list[Ids], call: Any) -> list[Ids]:
    values = b.inner(operands, lambda sub, x: sub.run_closed(call, x), call)
    if not b.slopes or not any(_moves(v.aval) for v in eqn.outvars):
        return _ops.whole(b.nodes, eqn, operands, values)
    moving = [i for i, v in enumerate(eqn.invars) if _moves(v.aval)]
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
    return _ops.whole(b.nodes, eqn, operands, sources)


def _forward(eqn: JaxprEqn) -> Any:
    run = _ops.alone(eqn)
    moving = [i for i, v in enumerate(eqn.invars) if _moves(v.aval)]

    def tangent(primals: list[Any], moved: list[Any]) -> Any:
        def f(*free: Any) -> Any:
            full = list(primals)
            for i, x in zip(moving, free, strict=True):
                full[i] = x
            return run(*full)

        return jax.jvp(f, tuple(primals[i] for i in moving), tuple(moved))[1]

    shapes = [_struct(v.aval) for v in eqn.invars]
    return jax.make_jaxpr(tangent)(shapes, [shapes[i] for i in moving])


def _traced(b: Builder, eqn: JaxprEqn, trace: Callable[[JaxprEqn], Any]) -> Any:
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


def _moves(aval: Any) -> bool:
    return jax.numpy.issubdtype(aval.dtype, np.inexact)


def _struct(aval: Any) -> Any:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def custom_vjp(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    """As `custom_jvp`, with a rule that goes from the results to the operands."""
    call = eqn.params.get("call_jaxpr", eqn.params.get("fun_jaxpr"))
    values = b.inner(operands, lambda sub, x: sub.run_closed(call, x), call)
    if not b.slopes:
        return _ops.whole(b.nodes, eqn, operands, values)
    moving = [i for i, v in enumerate(eqn.invars) if _moves(v.aval)]
    seen = [i for i, v in enumerate(eqn.outvars) if _moves(v.aval)]
    pulled = [_struct(eqn.outvars[i].aval) for i in seen]
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
    columns = _flat([*(operands[i] for i in moving), *operands])
    joined = _joined(b, reach, columns)
    cuts = np.cumsum([p.size for p in pulls])
    found = iter(np.split(joined, cuts[:-1]) if pulls else [])
    sources = [
        np.stack([v, next(found) if i in seen else np.full(len(v), NONE)], 1)
        for i, v in enumerate(values)
    ]
    return _ops.whole(b.nodes, eqn, operands, sources)


def _backward(eqn: JaxprEqn) -> Any:
    run = _ops.alone(eqn)
    moving = [i for i, v in enumerate(eqn.invars) if _moves(v.aval)]
    seen = [i for i, v in enumerate(eqn.outvars) if _moves(v.aval)]

    def cotangent(primals: list[Any], pulled: list[Any]) -> Any:
        def f(*free: Any) -> Any:
            full = list(primals)
            for i, x in zip(moving, free, strict=True):
                full[i] = x
            results = run(*full)
            return [results[i] for i in seen]

        return jax.vjp(f, *(primals[i] for i in moving))[1](pulled)

    shapes = [_struct(v.aval) for v in eqn.invars]
    pulled = [_struct(eqn.outvars[i].aval) for i in seen]
    return jax.make_jaxpr(cotangent)(shapes, pulled)


def _fresh_like(b: Builder, struct: Any) -> Ids:
    return b.nodes.leaf(CLOSED, struct.shape, struct.dtype)


CONTROL: Mapping[str, Rule] = {
    "call_hi_primitive": hi_primitive,
    "cond": cond,
    "custom_jvp_call": custom_jvp,
    "custom_vjp_call": custom_vjp,
    "custom_vjp_call_jaxpr": custom_vjp,
    "scan": scan,
    "while": while_,
}
