"""How large the terms of an equation are, by absolute values only: what rounding can do to it.

With every value goes a size, at least its absolute value: that of a sum is the sum of the sizes, that of
a product or of a function the sum of its slopes times the sizes that come in, all of them positive. So
terms that cancel in the value do not cancel here, and a residual is known to within its size times the
precision, times a small factor (Wilkinson's running error analysis, Rounding Errors in Algebraic
Processes, 1963). A loop counts as one function, by the slopes from what goes in to what comes out: step
by step, sizes would grow where the loop itself forgets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import JaxprEqn, Literal
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from ..trace.jaxprs import Atom, Closed, called, constants, opened
from ..trace.movement import MOVEMENT
from ..trace.ops import alone
from ..trace.primitives import ELEMENTWISE, INLINED
from ..trace.rules.control import counts

# A value that is no real or complex number has no size.
Size: TypeAlias = Array | None
Rule: TypeAlias = Callable[[JaxprEqn, list[Any], list[Size]], tuple[list[Any], list[Size]]]

# Numbers that go into a loop or a factorization, above which its slopes are not worth their price,
# and its results count with their own absolute values.
_MOST_SLOPES = 512
# What JAX raises where there is no forward derivative: there are rules for some operands only.
_NO_SLOPE = (NotImplementedError, TypeError, ValueError)


def sizes(fn: Callable[..., Any], *operands: PyTree, incoming: PyTree = None) -> PyTree:
    """The size of each number that `fn(*operands)` gives, in the same tree; other arrays as they are.

    **Arguments:**

    - `fn`: a JAX function of trees of arrays.
    - `incoming`: the sizes of the operands, in the same trees; without them their absolute values.
    """
    flat, treedef = jax.tree.flatten(operands)
    traced, shape = jax.make_jaxpr(lambda flat: fn(*treedef.unflatten(flat)), return_shape=True)(
        flat
    )
    bounds = flat if incoming is None else treedef.flatten_up_to(incoming)
    magnitudes = [_magnitude(x) for x in bounds]
    results, outgoing = _run_closed(traced, flat, magnitudes)
    outputs = [r if s is None else s for r, s in zip(results, outgoing, strict=True)]
    return lax.stop_gradient(jax.tree.structure(shape).unflatten(outputs))


def _run_closed(
    closed: Closed, values: Sequence[Any], incoming: Sequence[Size]
) -> tuple[list[Any], list[Size]]:
    jaxpr = opened(closed)
    held: dict[Atom, tuple[ArrayLike, Size]] = {}

    def read(v: Atom) -> tuple[ArrayLike, Size]:
        if isinstance(v, Literal):
            value = np.asarray(v.val, getattr(v.aval, "dtype", None))
            return value, _magnitude(value)
        return held[v]

    for v, c in zip(jaxpr.constvars, constants(closed), strict=True):
        held[v] = (c, _magnitude(c))
    held.update(zip(jaxpr.invars, zip(values, incoming, strict=True), strict=True))
    for eqn in jaxpr.eqns:
        operands = [read(v) for v in eqn.invars]
        results, outgoing = _equation(eqn, [v for v, _ in operands], [s for _, s in operands])
        held.update(zip(eqn.outvars, zip(results, outgoing, strict=True), strict=True))
    both = [read(v) for v in jaxpr.outvars]
    return [v for v, _ in both], [s for _, s in both]


def _equation(
    eqn: JaxprEqn, values: list[Any], incoming: list[Size]
) -> tuple[list[Any], list[Size]]:
    name = eqn.primitive.name
    rule = _RULES.get(name, _as_one)
    if name in INLINED:
        return _run_closed(called(eqn), values, incoming)
    if any(jnp.iscomplexobj(v) for v in values) and rule not in (_picked, _elementwise):
        rule = _bare
    results, outgoing = rule(eqn, values, incoming)
    return results, [_at_least(r, s) for r, s in zip(results, outgoing, strict=True)]


def _at_least(value: ArrayLike, size: Size) -> Size:
    least = _magnitude(value)
    if least is None or size is None:
        return least
    # Sizes that went through an operation on complex numbers come out as such.
    size = jnp.abs(size).astype(least.dtype)
    # Where a slope is infinite there is nothing that sizes could be weighed with.
    return jnp.where(jnp.isfinite(size), jnp.maximum(size, least), least)


def _magnitude(value: ArrayLike) -> Size:
    return jnp.abs(value) if _has_size(value) else None


def _has_size(value: ArrayLike) -> bool:
    return jnp.issubdtype(jnp.result_type(value), jnp.inexact)


def _filled(values: Sequence[Any], incoming: Sequence[Size]) -> list[Any]:
    """Sizes in the place of values, zero for what has none."""
    return [jnp.zeros_like(v) if s is None else s for v, s in zip(values, incoming, strict=True)]


def _bare(eqn: JaxprEqn, values: list[Any], incoming: list[Size]) -> tuple[list[Any], list[Size]]:
    """Results that count with their own absolute values."""
    del incoming
    results = alone(eqn)(*values)
    return results, [None] * len(results)


def _picked(eqn: JaxprEqn, values: list[Any], incoming: list[Size]) -> tuple[list[Any], list[Size]]:
    """Elements moved about, added up, or compared: sizes go the same way. Indices are as they are."""
    run = alone(eqn)
    sized = [v if s is None else s for v, s in zip(values, incoming, strict=True)]
    results = run(*values)
    outgoing = run(*sized)
    return results, [s if _has_size(r) else None for r, s in zip(results, outgoing, strict=True)]


def _multiplied(
    eqn: JaxprEqn, values: list[Any], incoming: list[Size]
) -> tuple[list[Any], list[Size]]:
    """Sums of products: of absolute values all terms of the derivative are positive."""
    run = alone(eqn)
    moving = [i for i, s in enumerate(incoming) if s is not None]
    magnitude = [v if s is None else jnp.abs(v) for v, s in zip(values, incoming, strict=True)]

    def of_moving(*chosen: Any) -> list[Any]:
        full = list(magnitude)
        for i, x in zip(moving, chosen, strict=True):
            full[i] = x
        return run(*full)

    if not moving:
        return _bare(eqn, values, incoming)
    tangents = tuple(jnp.asarray(incoming[i]) for i in moving)
    _, outgoing = jax.jvp(of_moving, tuple(jnp.asarray(magnitude[i]) for i in moving), tangents)
    return run(*values), list(outgoing)


def _added(eqn: JaxprEqn, values: list[Any], incoming: list[Size]) -> tuple[list[Any], list[Size]]:
    x, y = _filled(values, incoming)
    return alone(eqn)(*values), [x + y]


def _chosen(eqn: JaxprEqn, values: list[Any], incoming: list[Size]) -> tuple[list[Any], list[Size]]:
    """A choice between operands: the size of what is chosen."""
    run = alone(eqn)
    if all(s is None for s in incoming[1:]):
        return _bare(eqn, values, incoming)
    return run(*values), run(values[0], *_filled(values[1:], incoming[1:]))


def _elementwise(
    eqn: JaxprEqn, values: list[Any], incoming: list[Size]
) -> tuple[list[Any], list[Size]]:
    """The slope by each operand times what comes in there."""
    run = alone(eqn)
    results = run(*values)
    if not _has_size(results[0]):
        return results, [None]
    total: Any = 0
    for i, size in enumerate(incoming):
        if size is None:
            continue
        by_one = lambda x, i=i: run(*values[:i], x, *values[i + 1 :])[0]
        x = jnp.asarray(values[i])
        slope = _slope(by_one, x)
        if slope is None:
            continue
        term = jnp.abs(slope) * size
        total = total + jnp.where(jnp.isfinite(term), term, 0)
    return results, [jnp.broadcast_to(total, results[0].shape)]


def _slope(f: Callable[[Array], Array], x: Array) -> Array | None:
    try:
        return jax.jvp(f, (x,), (jnp.ones_like(x),))[1]
    except _NO_SLOPE:
        return None


def _as_one(eqn: JaxprEqn, values: list[Any], incoming: list[Size]) -> tuple[list[Any], list[Size]]:
    """Something that is computed as a whole: by its slopes from each element to each."""
    run = alone(eqn)
    results = run(*values)
    moving = [i for i, s in enumerate(incoming) if s is not None]
    seen = [i for i, r in enumerate(results) if _has_size(r)]
    count = sum(jnp.size(values[i]) for i in moving)
    outgoing: list[Size] = [None] * len(results)
    if not seen or not 0 < count <= _MOST_SLOPES:
        return results, outgoing

    def of_moving(*chosen: Any) -> list[Any]:
        full = list(values)
        for i, x in zip(moving, chosen, strict=True):
            full[i] = x
        outputs = run(*full)
        return [outputs[i] for i in seen]

    try:
        primals = tuple(jnp.asarray(values[i]) for i in moving)
        slopes = jax.jacfwd(of_moving, tuple(range(len(moving))))(*primals)
    except _NO_SLOPE:
        return results, outgoing
    for place, of_one in zip(seen, slopes, strict=True):
        bounds = [jnp.asarray(incoming[i]) for i in moving]
        terms = [
            jnp.tensordot(jnp.abs(slope), bound, bound.ndim)
            for slope, bound in zip(of_one, bounds, strict=True)
        ]
        outgoing[place] = sum(terms[1:], terms[0])
    return results, outgoing


def _called(eqn: JaxprEqn, values: list[Any], incoming: list[Size]) -> tuple[list[Any], list[Size]]:
    """A function with a rule of differentiation of its own: by what it does, if that is known."""
    inner = eqn.params.get("call_jaxpr", eqn.params.get("fun_jaxpr"))
    if inner is None or not _is_known(inner):
        return _as_one(eqn, values, incoming)
    return _run_closed(inner, values, incoming)


def _is_known(closed: Closed) -> bool:
    """Whether a program has only operations that there are rules for."""
    for eqn in opened(closed).eqns:
        name = eqn.primitive.name
        if name in INLINED or name == "custom_jvp_call":
            if not _is_known(called(eqn)):
                return False
        elif name not in _RULES:
            return False
    return True


def _cond(eqn: JaxprEqn, values: list[Any], incoming: list[Size]) -> tuple[list[Any], list[Size]]:
    which, *rest = values
    results: list[Any] = []

    def branch(closed: Closed) -> Callable[..., Any]:
        def run(rest: list[Any], sized: list[Size]) -> Any:
            outputs, outgoing = _run_closed(closed, rest, sized)
            return outputs, [
                _magnitude(f) if s is None else s for f, s in zip(outputs, outgoing, strict=True)
            ]

        return run

    branches = [branch(b) for b in eqn.params["branches"]]
    results, outgoing = lax.switch(jnp.asarray(which, jnp.int32), branches, rest, incoming[1:])
    return list(results), list(outgoing)


def _scan(eqn: JaxprEqn, values: list[Any], incoming: list[Size]) -> tuple[list[Any], list[Size]]:
    """A map, step by step; a loop that hands something real from step to step, as one function."""
    p = eqn.params
    fixed, carried = counts(p)
    if any(s is not None for s in incoming[fixed : fixed + carried]):
        return _as_one(eqn, values, incoming)
    consts, held = values[:fixed], incoming[:fixed]

    def step(carry: list[Any], x: tuple[list[Any], list[Size]]) -> Any:
        slices, sized = x
        outputs, outgoing = _run_closed(
            p["jaxpr"], [*consts, *carry, *slices], [*held, *[None] * carried, *sized]
        )
        return outputs[:carried], (outputs[carried:], outgoing[carried:])

    xs = (values[fixed + carried :], incoming[fixed + carried :])
    carry, (stacked, outgoing) = lax.scan(
        step, values[fixed : fixed + carried], xs, p["length"], reverse=p["reverse"]
    )
    return [*carry, *stacked], [*[None] * carried, *outgoing]


def _sort(eqn: JaxprEqn, values: list[Any], incoming: list[Size]) -> tuple[list[Any], list[Size]]:
    p = eqn.params
    keys = p["num_keys"]
    sized = _filled(values, incoming)
    both = lax.sort((*values, *sized), dimension=p["dimension"], num_keys=keys, is_stable=True)
    results, outgoing = list(both[: len(values)]), list(both[len(values) :])
    return results, [s if _has_size(r) else None for r, s in zip(results, outgoing, strict=True)]


# Operations that take sizes as they take values: they move elements, add them up, or take the largest.
_PICKING = """dynamic_slice dynamic_update_slice gather scatter scatter-add reduce_sum cumsum
    reduce_window_sum reduce_max cummax reduce_window_max add_any convert_element_type stop_gradient
    reduce_precision""".split()

_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(MOVEMENT, _picked),
    **dict.fromkeys(_PICKING, _picked),
    **dict.fromkeys(
        "mul dot_general conv_general_dilated reduce_prod cumprod".split(), _multiplied
    ),
    **dict.fromkeys("add sub".split(), _added),
    "select_n": _chosen,
    "cond": _cond,
    "scan": _scan,
    "sort": _sort,
    "custom_jvp_call": _called,
    "custom_vjp_call": _called,
    "custom_vjp_call_jaxpr": _called,
    "iota": _bare,
}
