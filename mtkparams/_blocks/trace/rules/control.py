"""Loops and branches: computed as a whole, looked into for what depends on what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from jax.extend.core import JaxprEqn

from .. import ops
from ..builder import Builder, Rule, mutates
from ..jaxprs import aval, opened
from ..nodes import CLOSED, NONE, Ids, Sparse
from .linear import closed
from .lines import batches

# Equations of a loop's body times its length: up to here a loop is followed step by step.
_FOLLOWED = 5_000


def cond(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    index, *rest = operands
    branches = eqn.params["branches"]
    if b.nodes.is_constant(index).all():
        which = int(np.clip(int(b.nodes.value(index)), 0, len(branches) - 1))
        if not mutates(branches[which]):
            return b.run_closed(branches[which], rest)
    outcomes = [b.inner(rest, lambda sub, x, at=at: sub.run_closed(at, x), at) for at in branches]
    choice = int(index)
    sources = [
        np.stack([*each, np.full(len(each[0]), choice)], 1) for each in zip(*outcomes, strict=True)
    ]
    return ops.whole(b.nodes, eqn, operands, sources)


def scan(b: Builder, eqn: JaxprEqn, operands: list[Ids]) -> list[Ids]:
    p = eqn.params
    length, body = p["length"], p["jaxpr"]
    size = max(1, len(opened(body).eqns))
    if length * size <= _FOLLOWED:
        sources = b.inner(operands, lambda sub, x: _step_by_step(sub, p, x), eqn)
    else:
        sources = _all_steps_alike(b, p, operands)
    return ops.whole(b.nodes, eqn, operands, sources)


def counts(p: Mapping[str, Any]) -> tuple[int, int]:
    """How many operands of a scan are constants, and how many are the carry."""
    if "num_consts" in p:
        return p["num_consts"], p["num_carry"]
    fixed, carried, _ = p["ft_in"].unpack()  # jax 0.12
    return len(fixed), len(carried)


def sequences_of(eqn: JaxprEqn) -> range:
    """Which operands a loop takes slice by slice, all with the same function."""
    if eqn.primitive.name != "scan":
        return range(0)
    return range(sum(counts(eqn.params)), len(eqn.invars))


def _step_by_step(b: Builder, p: Mapping[str, Any], operands: list[Ids]) -> list[Ids]:
    fixed, carried = counts(p)
    consts, carry = operands[:fixed], operands[fixed : fixed + carried]
    xs = operands[fixed + carried :]
    length = p["length"]
    steps = range(length - 1, -1, -1) if p["reverse"] else range(length)
    stacked: list[list[Ids]] = [[] for _ in range(length)]
    for i in steps:
        results = b.run_closed(p["jaxpr"], [*consts, *carry, *(x[i, ...] for x in xs)])
        carry, stacked[i] = results[:carried], results[carried:]
    if not length:
        shapes = [aval(v).shape for v in opened(p["jaxpr"]).outvars[carried:]]
        return [*carry, *(np.empty((0, *shape), np.int64) for shape in shapes)]
    return [*carry, *(np.stack(y) for y in zip(*stacked, strict=True))]


def _all_steps_alike(b: Builder, p: Mapping[str, Any], operands: list[Ids]) -> list[Ids]:
    """A long loop: its carry may depend on anything from any step, results on their own step's slices."""
    (fixed, carried), length = counts(p), p["length"]
    consts, carry = operands[:fixed], operands[fixed : fixed + carried]
    xs = operands[fixed + carried :]
    # What the body does to a carry and to slices of which nothing is known.
    forgotten = [_fresh(b, o) for o in carry] + [_fresh(b, x[0, ...]) for x in xs]
    relation = b.relation([*consts, *forgotten], lambda sub, o: sub.run_closed(p["jaxpr"], o))
    n_consts = sum(o.size for o in consts)
    n_carried = sum(o.size for o in carry)
    relation = relation.astype(np.int32)
    # Rows of the relation: results, first the carry. Columns: constants, carry, slices of one step.
    reach = closed(relation[:n_carried, n_consts : n_consts + n_carried])
    slices = [batches(x, x.ndim - 1) for x in xs]
    merged = [b.nodes.junction(x.T) for x in slices]
    merged = flat(merged)
    # What the carry holds after any number of steps: what one step puts there, handed on by others.
    through = reach @ relation[:n_carried]
    into = sp.hstack([through[:, :n_consts], reach, through[:, n_consts + n_carried :]]).tocsr()
    held = joined(b, into, flat([*consts, *carry, merged]))
    # Each step's results read the constants, the carry (of any step), and their own slices.
    table = np.concatenate([np.empty((length, 0), np.int64), *slices], 1)
    outputs = relation[n_carried:]
    inputs = np.concatenate(
        [np.broadcast_to(flat([*consts, held]), (length, n_consts + n_carried)), table], 1
    )
    each = np.tile(np.diff(outputs.indptr), length)
    made = b.nodes.junctions(each, inputs[:, outputs.indices].ravel())
    made = made.reshape(length, outputs.shape[0])
    outs = np.cumsum([o.size for o in carry])
    outvars = opened(p["jaxpr"]).outvars[carried:]
    widths = [int(np.prod(aval(v).shape, dtype=int)) for v in outvars]
    ends = np.cumsum(widths)
    carries = np.split(held, outs[:-1]) if carried else []
    return [*carries, *(made[:, e - w : e].ravel() for e, w in zip(ends, widths, strict=True))]


def _fresh(b: Builder, like: Ids) -> Ids:
    dtype = b.nodes.dtypes[b.nodes.kind[like.flat[0]]] if like.size else float
    return b.nodes.leaf(CLOSED, like.shape, dtype)


def flat(arrays: list[Ids]) -> Ids:
    return np.concatenate([*(a.ravel() for a in arrays), np.empty(0, np.int64)])


def joined(b: Builder, relation: Sparse, columns: Ids) -> Ids:
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
    n_consts = sum(o.size for o in consts)
    reach = closed(body[:, n_consts:])
    held = joined(
        b, sp.hstack([reach @ body[:, :n_consts], reach]).tocsr(), flat([*consts, *carry])
    )
    decides = joined(b, test, flat([*test_consts, held]))
    inner = opened(p["body_jaxpr"])
    same = [
        o is i for o, i in zip(inner.outvars, inner.invars[fixed:], strict=True)
    ]  # carried along untouched, however many steps there are
    tested = opened(p["cond_jaxpr"])
    asked = tuple(int(k) for k in aval(tested.outvars[0]).shape)  # under vmap one answer a member
    sources = []
    start = 0
    for o, untouched in zip(carry, same, strict=True):
        reached = held[start : start + o.size]
        start += o.size
        if untouched:
            test_too = np.full(o.size, NONE)
        else:
            test_too = _over_batch(b, decides, asked, o.shape)
        sources.append(np.stack([reached, test_too], 1))
    return ops.whole(b.nodes, eqn, operands, sources)


def _over_batch(b: Builder, decides: Ids, asked: tuple[int, ...], shape: tuple[int, ...]) -> Ids:
    """For each element of a carry the answers that decide on it: those of its own member."""
    if shape[: len(asked)] == asked:
        wide = decides.reshape(asked + (1,) * (len(shape) - len(asked)))
        return np.broadcast_to(wide, shape).ravel()
    return np.full(int(np.prod(shape, dtype=int)), b.nodes.junction(decides[None])[0])


CONTROL: Mapping[str, Rule] = {
    "cond": cond,
    "scan": scan,
    "while": while_,
}
