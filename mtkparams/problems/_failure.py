"""A solve that did not arrive: an error, or NaN in every value and every derivative.

Masking values alone is not enough. `where(arrived, y, nan)` has the derivative zero where the solve
failed, and zero is a number that an optimizer believes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..errors import SolveError
from ..model import Model
from ._phases import Outcome
from ._problem import ODEProblem

_ADVICE = (
    "The solve did not arrive within max_steps={max_steps} steps{where}. It may be stiff (try "
    "diffrax.Kvaerno5()), tolerances too tight, or the solution may blow up.",
    "The step size went to zero{where}: the solution blows up or its derivative is not finite there. "
    "Check the equations and the values of the parameters.",
    "The solve failed in the nonlinear or linear solver of an implicit step{where}. Try a smaller dt0, "
    "another solver, or look for values that are not finite.",
)


_ABSENT = object()


def _bad(outcome: Outcome) -> Array:
    return ~diffrax.is_okay(outcome.result)


def raise_failure(outcome: Outcome, model: Model, max_steps: int | None) -> Outcome:
    """`outcome`, or an error with the reason, now or when a traced program runs."""
    bad = _bad(outcome)
    results = diffrax.RESULTS
    kind = jnp.where(
        outcome.result == results.max_steps_reached,
        0,
        jnp.where(outcome.result == results.dt_min_reached, 1, 2),
    )
    where = f" (unknowns {', '.join(model.differential[:6])})"
    texts = [text.format(max_steps=max_steps, where=where) for text in _ADVICE]
    if not isinstance(bad, jax.core.Tracer):
        if bad.any():
            raise SolveError(texts[int(kind.ravel()[jnp.argmax(bad.ravel())])])
        return outcome
    ys = eqx.branched_error_if(outcome.ys, bad, kind, texts)
    return eqx.tree_at(lambda o: o.ys, outcome, ys)


def honest(
    integrate: Callable[[ODEProblem, Array], Outcome],
    problem: ODEProblem,
    adjoint: Any,
    implicit: bool,
) -> Outcome:
    """The outcome of a solve with NaN values and NaN derivatives where it failed.

    **Arguments:**

    - `integrate`: the solve of a problem; where its second argument is false it does nothing.
    - `implicit`: an implicit solver takes part. Its derivative raises on values that are not finite,
      so the failed solves must not be differentiated at all.
    """
    if isinstance(adjoint, diffrax.ForwardMode | diffrax.DirectAdjoint):
        return _forward(integrate, problem, implicit)
    return _reverse(integrate, problem)


def _forward(
    integrate: Callable[[ODEProblem, Array], Outcome], problem: ODEProblem, implicit: bool
) -> Outcome:
    if not implicit:
        outcome = integrate(problem, jnp.array(True))
        bad = _bad(outcome)
    else:
        outcome = integrate(jax.tree.map(jax.lax.stop_gradient, problem), jnp.array(True))
        bad = _bad(outcome)
        again = integrate(problem, ~bad)
        slope = lambda x, y: x + (y - jax.lax.stop_gradient(y)) if eqx.is_inexact_array(x) else x
        outcome = eqx.tree_at(lambda o: o.ys, outcome, slope(outcome.ys, again.ys))
    inputs = [x for x in jax.tree.leaves(problem) if eqx.is_inexact_array(x)]
    poison = _poison(bad, inputs)
    found = _nan_where(bad, (outcome.ys, outcome.interpolation))
    found = jax.tree.map(
        lambda x: x + poison.astype(x.dtype) if eqx.is_inexact_array(x) else x, found
    )
    return eqx.tree_at(lambda o: (o.ys, o.interpolation), outcome, found, is_leaf=_none)


@jax.custom_jvp
def _poison(bad: Array, inputs: list[Array]) -> Array:
    """Zero, with a derivative of NaN with respect to every input where `bad`."""
    del inputs
    return jnp.zeros(bad.shape)


@_poison.defjvp
def _(primals: Any, tangents: Any) -> Any:
    bad, inputs = primals
    total = sum(jnp.sum(t).astype(float) for t in tangents[1])
    return _poison(bad, inputs), jnp.where(bad, jnp.nan, 0.0) * total


def _reverse(integrate: Callable[[ODEProblem, Array], Outcome], problem: ODEProblem) -> Outcome:
    """By hand, so that a failed member of a batch does not spoil what the others share with it."""

    def values(problem: ODEProblem, alive: Array) -> tuple[Any, Any]:
        outcome = integrate(problem, alive)
        rest = eqx.tree_at(lambda o: (o.ys, o.interpolation), outcome, (None, None), is_leaf=_none)
        return (outcome.ys, outcome.interpolation), rest

    def masked(found: tuple[Any, Any], rest: Outcome) -> Outcome:
        ys, interpolation = _nan_where(_bad(rest), found)
        return eqx.tree_at(
            lambda o: (o.ys, o.interpolation), rest, (ys, interpolation), is_leaf=_none
        )

    @eqx.filter_custom_vjp
    def solved(problem: ODEProblem) -> Outcome:
        return masked(*values(problem, jnp.array(True)))

    def forward(perturbed: Any, problem: ODEProblem) -> Any:
        del perturbed
        found, rest = values(problem, jnp.array(True))
        bad = _bad(rest)
        # Once more, for the derivative, without the failed solves: the backward pass of an implicit
        # solver raises on values that are not finite, also where nobody asks for its result.
        _, pullback, _ = eqx.filter_vjp(lambda q: values(q, ~bad), problem, has_aux=True)
        return masked(found, rest), (pullback, bad, found)

    def backward(residuals: Any, cotangent: Any, perturbed: Any, problem: ODEProblem) -> Any:
        del perturbed, problem
        pullback, bad, found = residuals
        asked = jnp.zeros((), bool)
        for c in jax.tree.leaves((cotangent.ys, cotangent.interpolation)):
            asked = asked | jnp.any(c != 0)
        inexact = eqx.filter(found, eqx.is_inexact_array)
        clean = jax.tree.map(
            lambda x, c: jnp.zeros_like(x) if c is _ABSENT else jnp.where(bad, jnp.zeros_like(c), c),
            inexact,
            _like(inexact, (cotangent.ys, cotangent.interpolation)),
        )
        (gradient,) = pullback(clean)
        wrong = jnp.where(asked, jnp.nan, 0.0)
        return jax.tree.map(lambda g: jnp.where(bad, wrong.astype(g.dtype), g), gradient)

    solved.def_fwd(forward)
    solved.def_bwd(backward)
    return solved(problem)


def _none(x: Any) -> bool:
    return x is None


def _like(tree: Any, cotangent: Any) -> Any:
    """`cotangent` with `None` for each leaf of `tree` that it has no entry for."""
    leaves, structure = jax.tree.flatten(tree)
    del leaves
    flat = structure.flatten_up_to(cotangent)
    return structure.unflatten([_ABSENT if c is None else c for c in flat])


def _nan_where(bad: Array, tree: Any) -> Any:
    return jax.tree.map(
        lambda x: jnp.where(bad, jnp.nan, x) if eqx.is_inexact_array(x) else x, tree
    )
