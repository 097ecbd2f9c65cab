"""An initialization that found no start: an error that names the block, now or in a traced program."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._failure import raise_where
from .._text import quoted
from ..errors import InitializationError
from .find import Start
from .listing import NamedBlock, named
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
    """`start`, or an `InitializationError` if nothing consistent was found."""
    p, y = raise_where(
        ~start.succeeded,
        (start.p, start.y),
        lambda: InitializationError(_with_values(start)),
        lambda: (_number(start), _texts(start)),
    )
    return eqx.tree_at(lambda s: (s.p, s.y), start, (p, y))


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


def _text(plan: Plan, number: int, listing: NamedBlock, kind: int) -> str:
    equations, unknowns = listing.equations, listing.unknowns
    what = "The initialization" if plan.question in ("start", "algebraic") else "The solve"
    block = f"block {number} (equations {quoted(equations)}; unknowns {quoted(unknowns)})"
    if kind == _FAILED and len(equations) > len(unknowns):
        return (
            f"{what} found no values that fulfil all of {quoted(equations)}: these are more equations "
            f"than the unknowns in them ({quoted(unknowns)}). Take a value away with mtk.UNSET, or "
            "correct what they read."
        )
    if kind == _FAILED and listing.kind != "affine":
        advice = _ADVICE[plan.question].format(first=unknowns[0])
        return f"{what} did not converge in {block}. {advice}"
    why = _WHY_SINGULAR.get(
        plan.question, _WHY_AFFINE if kind == _FAILED else _WHY_SINGULAR["start"]
    )
    cause = (
        "found a root with a singular Jacobian" if kind == _SINGULAR else "met a singular matrix"
    )
    sense = ", where a derivative has no meaning" if kind == _SINGULAR else ""
    return f"{what} {cause} in {block}{sense}. {why.format(unknowns=quoted(unknowns))}"


def _inconsistent(plan: Plan, equations: tuple[str, ...]) -> str:
    cure = (
        "Change what they read, or find it with mtk.OverrideInit()."
        if plan.question == "check"
        else "Take one of the values that they read away with mtk.UNSET, so that it is found, or correct it."
    )
    return f"The values given contradict {quoted(equations)}. {cure}"


def _with_values(start: Start) -> str:
    """The text of a failure that is no tracer, of the first bad member where there are several."""
    member = first_failed(start)
    plan, blocks = member.plan, member.blocks
    status = np.asarray(member.status)
    guilty = np.nonzero((status == 1) | (status == 3))[0]
    if not guilty.size:
        ratio = np.asarray(member.violation)
        worst = named(plan.equations, plan.left_over[ratio > 1])
        return _inconsistent(plan, worst)
    number = int(guilty[0])
    block = blocks[number]
    text = _text(plan, number, block, _SINGULAR if status[number] == 3 else _FAILED)
    values = [f"{plan.unknowns[i]} = {float(member.guess[i]):g}" for i in block.columns[:6]]
    residual = float(member.residual[number])
    text += f" It started from {', '.join(values)} and left a residual of {residual:.3g}."
    waiting = np.nonzero(status == 2)[0].tolist()
    rest = [name for b in waiting for name in blocks[b].unknowns]
    text += f" Not solved because of that: {quoted(rest)}." if rest else ""
    rest = [name for b in np.nonzero(status == 4)[0].tolist() for name in blocks[b].unknowns]
    text += f" Without a derivative because of that: {quoted(rest)}." if rest else ""
    return text


def first_failed(start: Start) -> Start:
    """The first member of a batch that has no consistent start."""
    failed = np.asarray(~start.succeeded)
    at = np.unravel_index(int(np.argmax(failed)), failed.shape)
    return jax.tree.map(lambda x: x[at], start) if failed.ndim else start
