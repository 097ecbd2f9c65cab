"""An initialization that found no start: an error that names the block, now or in a traced program."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..errors import InitializationError
from .find import Start
from .judge import listed
from .listing import Listed, named
from .plan import Plan

# One text for each block goes into a compiled program; of more blocks only the kind of failure.
_TEXTS = 200
_FAILED, _SINGULAR, _INCONSISTENT = range(3)

_ADVICE = {
    "start": "Other guesses may do (guesses={{{first!r}: ...}}), and so may other values.",
    "algebraic": "Other values of the algebraic unknowns to start from may do.",
    "root": "Other guesses may do (guesses={{{first!r}: ...}}), and so may other values.",
    "steady": "Other initial values to start from may do; or there is no steady state.",
}
_WHY_SINGULAR = {
    "start": (
        "Two roots meet there, or the equations do not determine {unknowns}. Give other values, or "
        "another equation."
    ),
    "steady": (
        "A conserved quantity makes it so: then the steady state depends on where the system started. "
        "Replace one of the equations by the conservation law."
    ),
}
# Lines have one root or none: only one that says what others say, to rounding, is singular.
_WHY_AFFINE = "The equations do not determine {unknowns}. Give other values, or another equation."


def raise_failure(start: Start) -> Start:
    """`start`, or an `InitializationError` if it is not whole."""
    bad = ~start.is_whole
    if not isinstance(bad, Tracer):
        if bad.any():
            raise InitializationError(_with_values(start))
        return start
    texts, number = _texts(start), _number(start)
    # A factor, and not a check of the values: so who needs only their derivative meets it as well.
    one = eqx.branched_error_if(jnp.ones(()), bad, number, texts)
    scaled = lambda x: x * one.astype(x.dtype) if eqx.is_inexact_array(x) else x
    return eqx.tree_at(
        lambda s: (s.p, s.y), start, (jax.tree.map(scaled, start.p), scaled(start.y))
    )


def _number(start: Start) -> jax.Array:
    """Which of the texts applies."""
    blocks = start.status.shape[-1]
    inconsistent = 2 * blocks if blocks <= _TEXTS else _INCONSISTENT
    guilty = (start.status == 1) | (start.status == 3)
    if not blocks:
        return jnp.array(inconsistent)
    first = jnp.argmax(guilty, axis=-1)
    kind = jnp.where(jnp.take(start.status, first) == 3, _SINGULAR, _FAILED)
    number = 2 * first + kind if blocks <= _TEXTS else kind
    return jnp.where(jnp.any(guilty, axis=-1), number, inconsistent)


def _texts(start: Start) -> list[str]:
    plan, blocks = start.plan, start.blocks
    if len(blocks) > _TEXTS:
        return [
            "A block of the initialization did not converge; mtk.initialize outside of jit says which.",
            "A block of the initialization is singular; mtk.initialize outside of jit says which.",
            _inconsistent(plan, named(plan.equations, plan.left_over)),
        ]
    texts = [_text(plan, n, block, kind) for n, block in enumerate(blocks) for kind in (0, 1)]
    return [*texts, _inconsistent(plan, named(plan.equations, plan.left_over))]


def _text(plan: Plan, number: int, listing: Listed, kind: int) -> str:
    equations, unknowns = listing.equations, listing.unknowns
    what = "The initialization" if plan.question in ("start", "algebraic") else "The solve"
    block = f"block {number} (equations {listed(equations)}; unknowns {listed(unknowns)})"
    if kind == _FAILED and len(equations) > len(unknowns):
        return (
            f"{what} found no values that fulfil all of {listed(equations)}: these are more equations "
            f"than the unknowns in them ({listed(unknowns)}). Take a value away with mtk.UNSET, or "
            "correct what they read."
        )
    if kind == _FAILED and listing.kind != "affine":
        advice = _ADVICE[plan.question].format(first=unknowns[0])
        return f"{what} did not converge in {block}. {advice}"
    why = _WHY_SINGULAR.get(
        plan.question, _WHY_AFFINE if kind == _FAILED else _WHY_SINGULAR["start"]
    )
    found = (
        "found a root with a singular Jacobian" if kind == _SINGULAR else "met a singular matrix"
    )
    sense = ", where a derivative has no meaning" if kind == _SINGULAR else ""
    return f"{what} {found} in {block}{sense}. {why.format(unknowns=listed(unknowns))}"


def _inconsistent(plan: Plan, equations: tuple[str, ...]) -> str:
    cure = (
        "Change what they read, or find it with mtk.OverrideInit()."
        if plan.question == "check"
        else "Take one of the values that they read away with mtk.UNSET, so that it is found, or correct it."
    )
    return f"The values given contradict {listed(equations)}. {cure}"


def _with_values(start: Start) -> str:
    """The text of a failure that is no tracer, of the first bad member where there are several."""
    one = first_bad(start)
    plan, blocks = one.plan, one.blocks
    status = np.asarray(one.status)
    guilty = np.nonzero((status == 1) | (status == 3))[0]
    if not guilty.size:
        ratio = np.asarray(one.violation)
        worst = named(plan.equations, plan.left_over[ratio > 1])
        return _inconsistent(plan, worst)
    block = int(guilty[0])
    own = blocks[block]
    text = _text(plan, block, own, _SINGULAR if status[block] == 3 else _FAILED)
    values = [f"{plan.unknowns[i]} = {float(one.guess[i]):g}" for i in own.columns[:6]]
    found = f" It started from {', '.join(values)} and left a residual of {float(one.residual[block]):.3g}."
    waiting = np.nonzero(status == 2)[0].tolist()
    rest = [name for b in waiting for name in blocks[b].unknowns]
    more = f" Not solved because of that: {listed(rest)}." if rest else ""
    rest = [name for b in np.nonzero(status == 4)[0].tolist() for name in blocks[b].unknowns]
    more += f" Without a derivative because of that: {listed(rest)}." if rest else ""
    return text + found + more


def first_bad(start: Start) -> Start:
    """The first member of a batch that is not whole."""
    bad = np.asarray(~start.is_whole)
    at = np.unravel_index(int(np.argmax(bad)), bad.shape)
    return jax.tree.map(lambda x: x[at], start) if bad.ndim else start
