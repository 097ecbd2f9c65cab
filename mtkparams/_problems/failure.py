"""A solve that did not arrive: an error, or NaN in every value and every derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Int, PyTree

from .._failure import constant, nan_values_where, no_slope_where, raise_where
from .._model import Model
from .._results import NAMES, number, succeeded
from ..errors import SolveError
from .integrate.constraint import Constraint
from .integrate.phases import Outcome, Settings
from .problem import ODEProblem

# From everything that can be differentiated, and whether there is anything to do at all.
Integrate: TypeAlias = Callable[[Any, Any], Outcome]

_STEP_FAILED = (
    "The solve failed in the nonlinear or linear solver of an implicit step{where}. Try a smaller dt0, "
    "another solver, or look for values that are not finite."
)
_ALGEBRAIC_FAILED = (
    "The solve failed in a nonlinear solve{where}: of the algebraic equations, at the start (mtk.initialize "
    "says more) or later, or of an implicit step. Try other guesses, a smaller dt0 or another solver."
)
_ADVICE = {
    "max_steps_reached": (
        "The solve did not arrive within max_steps={max_steps} steps{where}. It may be stiff (try "
        "diffrax.Kvaerno5()), tolerances too tight, or the solution may blow up."
    ),
    "dt_min_reached": (
        "The step size went to zero{where}: the solution blows up or its derivative is not finite there. "
        "Check the equations and the values of the parameters."
    ),
    "no_consistent_start": (
        "No consistent initial values were found{where}. Other guesses may do, and so may other "
        "values; mtk.initialize tells for one member which equations failed."
    ),
}

_LOST = (
    "The algebraic equations for {names} have no solution{when} that goes on from the one before: they "
    "are singular there (a fold, where two solutions meet and end) or left what they are defined for. "
    "Check the values of the parameters, and which solution the initial values and guesses choose."
)

# Each makes a text of the compiled program.
_BLOCKS_IN_TEXTS = 16

_ABSENT = object()


def advice(model: Model, max_steps: int | None) -> list[str]:
    """What to say about each of the `RESULTS`, in their order."""
    differential = f" (unknowns {', '.join(model.differential[:6])})"
    unknowns = f" (unknowns {', '.join((model.algebraic or model.differential)[:6])})"
    other = _ALGEBRAIC_FAILED if model.algebraic else _STEP_FAILED
    return [
        _ADVICE.get(name, other).format(
            max_steps=max_steps,
            where=unknowns if name == "no_consistent_start" else differential,
        )
        for name in NAMES
    ]


def raise_failure(outcome: Outcome, problem: ODEProblem, settings: Settings) -> Outcome:
    """`outcome`, or an error with the reason, now or when a traced program runs."""
    failed = ~succeeded(outcome.result)

    def texts() -> tuple[Int[Array, ""], list[str]]:
        texts = advice(problem.model, settings.max_steps)
        kind = number(outcome.result)
        if settings.constraint is None:
            return kind, texts
        return _of_constraint(outcome, problem, settings.constraint, failed, kind, texts)

    def error() -> SolveError:
        kind, messages = texts()
        return SolveError(messages[int(kind)])

    return _with_values(outcome, raise_where(failed, _values(outcome), error, texts))


def _of_constraint(
    outcome: Outcome,
    problem: ODEProblem,
    constraint: Constraint,
    failed: Bool[Array, ""],
    kind: Int[Array, ""],
    texts: list[str],
) -> tuple[Int[Array, ""], list[str]]:
    """`kind` and `texts`, with what to say where a block of algebraic equations lost its solution."""
    t, y = outcome.last
    ahead = jax.lax.stop_gradient(problem.t1 - problem.t0) * 1e-6
    named = constraint.blocks[:_BLOCKS_IN_TEXTS]
    blocks = len(constraint.blocks)
    look = jax.jit(constraint.lost)
    lost = jax.lax.cond(
        failed, look, lambda *_: jnp.array(blocks), t, y, constant(problem.p), ahead
    )
    when = "" if isinstance(t, Tracer) else f" after t = {float(t):.9g}"
    first = len(texts)
    texts = texts + [_LOST.format(names=", ".join(map(repr, names)), when=when) for names in named]
    if blocks > len(named):
        others = "one of the later blocks"
        texts = [*texts, _LOST.format(names=others, when=when)]
    last = len(texts) - 1
    return jnp.where(lost < blocks, jnp.minimum(first + lost, last), kind), texts


def nan_where_failed(
    integrate: Integrate, inputs: PyTree, adjoint: diffrax.AbstractAdjoint, implicit: bool
) -> Outcome:
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


def _forward(integrate: Integrate, inputs: PyTree, implicit: bool) -> Outcome:
    if not implicit:
        outcome = integrate(inputs, jnp.array(True))
        values = _values(outcome)
    else:
        outcome = integrate(constant(inputs), jnp.array(True))
        again = integrate(inputs, succeeded(outcome.result))
        values = jax.tree.map(
            lambda x, y: _with_slope(x, y) if eqx.is_inexact_array(x) else x,
            _values(outcome),
            _values(again),
        )
    failed = ~succeeded(outcome.result)
    numbers = [x for x in jax.tree.leaves(inputs) if eqx.is_inexact_array(x)]
    no_slope = no_slope_where(failed, numbers)
    values = jax.tree.map(
        lambda x: x + no_slope.astype(x.dtype) if eqx.is_inexact_array(x) else x,
        nan_values_where(failed, values),
    )
    return _with_values(outcome, values)


@jax.custom_jvp
def _with_slope(value: Array, other: Array) -> Array:
    """`value`, with the derivative of `other`. Both may be infinite: unused room is."""
    del other
    return value


@_with_slope.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return _with_slope(*primals), tangents[1]


def _reverse(integrate: Integrate, inputs: PyTree, implicit: bool) -> Outcome:
    """By hand, so that a failed member of a batch does not spoil what the others share with it."""

    def parts(inputs: PyTree, alive: Bool[Array, ""]) -> tuple[PyTree, Outcome]:
        outcome = integrate(inputs, alive)
        return _values(outcome), _with_values(outcome, (None, None))

    def masked(values: PyTree, rest: Outcome) -> Outcome:
        return _with_values(rest, nan_values_where(~succeeded(rest.result), values))

    @eqx.filter_custom_vjp
    def solved(inputs: PyTree) -> Outcome:
        return masked(*parts(inputs, jnp.array(True)))

    def forward(perturbed: Any, inputs: PyTree) -> Any:
        # Only with respect to what anybody differentiates, which is seldom all of the inputs.
        moved, still = eqx.partition(inputs, perturbed)
        differentiated = lambda alive: eqx.filter_vjp(
            lambda q: parts(eqx.combine(q, still), alive), moved, has_aux=True
        )
        if implicit:
            # Once more, for the derivative, without the failed solves: the backward pass of an
            # implicit solver raises on values that are not finite, also where nobody asks for it.
            values, rest = parts(inputs, jnp.array(True))
            _, pullback, _ = differentiated(succeeded(rest.result))
        else:
            values, pullback, rest = differentiated(jnp.array(True))
        failed = ~succeeded(rest.result)
        return masked(values, rest), (pullback, failed, values)

    def backward(residuals: Any, cotangent: Any, perturbed: Any, inputs: PyTree) -> Any:
        del perturbed, inputs
        pullback, failed, values = residuals
        asked = jnp.zeros((), bool)
        for c in jax.tree.leaves((cotangent.ys, cotangent.interpolation)):
            asked = asked | jnp.any(c != 0)
        inexact = eqx.filter(values, eqx.is_inexact_array)
        clean = jax.tree.map(
            lambda x, c: (
                jnp.zeros_like(x) if c is _ABSENT else jnp.where(failed, jnp.zeros_like(c), c)
            ),
            inexact,
            _like(inexact, (cotangent.ys, cotangent.interpolation)),
        )
        (gradient,) = pullback(clean)
        slope = jnp.where(asked, jnp.nan, 0.0)
        return jax.tree.map(lambda g: jnp.where(failed, slope.astype(g.dtype), g), gradient)

    solved.def_fwd(forward)
    solved.def_bwd(backward)
    return solved(inputs)


def _values(outcome: Outcome) -> tuple[PyTree, PyTree]:
    """What of an outcome has a derivative."""
    return outcome.ys, outcome.interpolation


def _with_values(outcome: Outcome, values: tuple[PyTree, PyTree]) -> Outcome:
    return eqx.tree_at(_values, outcome, values, is_leaf=lambda x: x is None)


def _like(tree: PyTree, cotangent: PyTree) -> PyTree:
    """`cotangent` with `_ABSENT` for each leaf of `tree` that it has no entry for."""
    structure = jax.tree.structure(tree)
    flat = structure.flatten_up_to(cotangent)
    return structure.unflatten([_ABSENT if c is None else c for c in flat])
