"""A solve that did not arrive: an error, or NaN in every value and every derivative.

Masking values alone is not enough. `where(arrived, y, nan)` has the derivative zero where the solve
failed, and zero is a number that an optimizer believes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array

from .._model import Model
from ..errors import SolveError
from .integrate.constraint import Constraint
from .integrate.phases import Outcome, Settings
from .problem import ODEProblem

Integrate: TypeAlias = Callable[[Any, Array], Outcome]

_ADVICE = (
    "The solve did not arrive within max_steps={max_steps} steps{where}. It may be stiff (try "
    "diffrax.Kvaerno5()), tolerances too tight, or the solution may blow up.",
    "The step size went to zero{where}: the solution blows up or its derivative is not finite there. "
    "Check the equations and the values of the parameters.",
    "The solve failed in the nonlinear or linear solver of an implicit step{where}. Try a smaller dt0, "
    "another solver, or look for values that are not finite.",
)

_ADVICE_ALGEBRAIC = (
    "The solve failed in a nonlinear solve{where}: of the algebraic equations, at the start (mtk.initialize "
    "says more) or later, or of an implicit step. Try other guesses, a smaller dt0 or another solver."
)

_LOST = (
    "The algebraic equations for {names} have no solution{when} that goes on from the one before: they "
    "are singular there (a fold, where two solutions meet and end) or left what they are defined for. "
    "Check the values of the parameters, and which solution the initial values and guesses choose."
)

# Each makes a text of the compiled program.
_BLOCKS_IN_TEXTS = 16

_ABSENT = object()


def _bad(outcome: Outcome) -> Array:
    return ~diffrax.is_okay(outcome.result)


def kind_of(result: Any) -> Array:
    """Which text of `advice` belongs to each failed `result`."""
    results = diffrax.RESULTS
    return jnp.where(
        result == results.max_steps_reached, 0, jnp.where(result == results.dt_min_reached, 1, 2)
    )


def advice(model: Model, max_steps: int | None) -> list[str]:
    """The texts for the kinds of failure."""
    where = f" (unknowns {', '.join(model.differential[:6])})"
    texts = [*_ADVICE[:2], _ADVICE_ALGEBRAIC] if model.algebraic else _ADVICE
    return [text.format(max_steps=max_steps, where=where) for text in texts]


def raise_failure(outcome: Outcome, problem: ODEProblem, settings: Settings) -> Outcome:
    """`outcome`, or an error with the reason, now or when a traced program runs."""
    bad = _bad(outcome)
    kind = kind_of(outcome.result)
    texts = advice(problem.model, settings.max_steps)
    traced = isinstance(bad, Tracer)
    if settings.constraint is not None and (traced or bad.any()):
        kind, texts = _of_constraint(outcome, problem, settings.constraint, bad, kind, texts)
    if not traced:
        if bad.any():
            raise SolveError(texts[int(kind)])
        return outcome
    # A factor, and not a check of the values: so who needs only their derivative, or only the
    # interpolation, meets the error as well.
    one = eqx.branched_error_if(jnp.ones(()), bad, kind, texts)
    found = jax.tree.map(
        lambda x: x * one.astype(x.dtype) if eqx.is_inexact_array(x) else x,
        (outcome.ys, outcome.interpolation),
    )
    return _with_found(outcome, found)


def _of_constraint(
    outcome: Outcome,
    problem: ODEProblem,
    constraint: Constraint,
    bad: Array,
    kind: Array,
    texts: list[str],
) -> tuple[Array, list[str]]:
    """`kind` and `texts`, with what to say where a block of algebraic equations lost its solution."""
    t, y = outcome.last
    ahead = jax.lax.stop_gradient(problem.t1 - problem.t0) * 1e-6
    p = jax.lax.stop_gradient(problem.p)
    named = constraint.blocks[:_BLOCKS_IN_TEXTS]
    number = len(constraint.blocks)
    look = jax.jit(constraint.lost)
    lost = jax.lax.cond(bad, look, lambda *_: jnp.array(number), t, y, p, ahead)
    when = "" if isinstance(t, Tracer) else f" after t = {float(t):.9g}"
    texts = texts + [_LOST.format(names=", ".join(map(repr, names)), when=when) for names in named]
    if number > len(named):
        others = "one of the later blocks"
        texts = [*texts, _LOST.format(names=others, when=when)]
    last = len(texts) - 1
    return jnp.where(lost < number, jnp.minimum(3 + lost, last), kind), texts


def honest(integrate: Integrate, inputs: Any, adjoint: Any, implicit: bool) -> Outcome:
    """The outcome of a solve with NaN values and NaN derivatives where it failed.

    **Arguments:**

    - `integrate`: the solve; where its second argument is false it does nothing.
    - `inputs`: its first argument, with everything in it that can be differentiated.
    - `implicit`: an implicit solver takes part. Its derivative raises on values that are not finite,
      so the failed solves must not be differentiated at all.
    """
    if isinstance(adjoint, diffrax.ForwardMode | diffrax.DirectAdjoint):
        return _forward(integrate, inputs, implicit)
    return _reverse(integrate, inputs, implicit)


def _forward(integrate: Integrate, inputs: Any, implicit: bool) -> Outcome:
    if not implicit:
        outcome = integrate(inputs, jnp.array(True))
        bad = _bad(outcome)
        found = (outcome.ys, outcome.interpolation)
    else:
        constant = lambda x: jax.lax.stop_gradient(x) if eqx.is_inexact_array(x) else x
        outcome = integrate(jax.tree.map(constant, inputs), jnp.array(True))
        bad = _bad(outcome)
        again = integrate(inputs, ~bad)
        found = jax.tree.map(
            lambda x, y: _with_slope(x, y) if eqx.is_inexact_array(x) else x,
            (outcome.ys, outcome.interpolation),
            (again.ys, again.interpolation),
        )
    poison = _poison(bad, [x for x in jax.tree.leaves(inputs) if eqx.is_inexact_array(x)])
    found = jax.tree.map(
        lambda x: x + poison.astype(x.dtype) if eqx.is_inexact_array(x) else x,
        _nan_where(bad, found),
    )
    return _with_found(outcome, found)


@jax.custom_jvp
def _with_slope(value: Array, other: Array) -> Array:
    """`value`, with the derivative of `other`. Both may be infinite: unused room is."""
    del other
    return value


@_with_slope.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return _with_slope(*primals), tangents[1]


@jax.custom_jvp
def _poison(bad: Array, inputs: list[Array]) -> Array:
    """Zero, with a derivative of NaN with respect to every input where `bad`."""
    del inputs
    # Made of `bad`, so that under `vmap` it has a batch where its derivative has one. Zeros have none,
    # and a derivative taken around a compiled function then meets two shapes.
    return jnp.where(bad, 0.0, 0.0)


@_poison.defjvp
def _(primals: Any, tangents: Any) -> Any:
    bad, inputs = primals
    total = sum(jnp.sum(t).real.astype(float) for t in tangents[1])
    return _poison(bad, inputs), jnp.where(bad, jnp.nan, 0.0) * total


def _reverse(integrate: Integrate, inputs: Any, implicit: bool) -> Outcome:
    """By hand, so that a failed member of a batch does not spoil what the others share with it."""

    def values(inputs: Any, alive: Array) -> tuple[Any, Any]:
        outcome = integrate(inputs, alive)
        return (outcome.ys, outcome.interpolation), _with_found(outcome, (None, None))

    def masked(found: tuple[Any, Any], rest: Outcome) -> Outcome:
        return _with_found(rest, _nan_where(_bad(rest), found))

    @eqx.filter_custom_vjp
    def solved(inputs: Any) -> Outcome:
        return masked(*values(inputs, jnp.array(True)))

    def forward(perturbed: Any, inputs: Any) -> Any:
        # Only with respect to what anybody differentiates, which is seldom all of the inputs.
        moved, still = eqx.partition(inputs, perturbed)
        differentiated = lambda alive: eqx.filter_vjp(
            lambda q: values(eqx.combine(q, still), alive), moved, has_aux=True
        )
        if implicit:
            # Once more, for the derivative, without the failed solves: the backward pass of an
            # implicit solver raises on values that are not finite, also where nobody asks for it.
            found, rest = values(inputs, jnp.array(True))
            _, pullback, _ = differentiated(~_bad(rest))
        else:
            found, pullback, rest = differentiated(jnp.array(True))
        bad = _bad(rest)
        return masked(found, rest), (pullback, bad, found)

    def backward(residuals: Any, cotangent: Any, perturbed: Any, inputs: Any) -> Any:
        del perturbed, inputs
        pullback, bad, found = residuals
        asked = jnp.zeros((), bool)
        for c in jax.tree.leaves((cotangent.ys, cotangent.interpolation)):
            asked = asked | jnp.any(c != 0)
        inexact = eqx.filter(found, eqx.is_inexact_array)
        clean = jax.tree.map(
            lambda x, c: (
                jnp.zeros_like(x) if c is _ABSENT else jnp.where(bad, jnp.zeros_like(c), c)
            ),
            inexact,
            _like(inexact, (cotangent.ys, cotangent.interpolation)),
        )
        (gradient,) = pullback(clean)
        wrong = jnp.where(asked, jnp.nan, 0.0)
        return jax.tree.map(lambda g: jnp.where(bad, wrong.astype(g.dtype), g), gradient)

    solved.def_fwd(forward)
    solved.def_bwd(backward)
    return solved(inputs)


def _with_found(outcome: Outcome, found: tuple[Any, Any]) -> Outcome:
    return eqx.tree_at(lambda o: (o.ys, o.interpolation), outcome, found, is_leaf=_none)


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
