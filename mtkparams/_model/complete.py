"""Is a system whole: does every unknown have one equation, and does every equation evaluate."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._parameters import Initial, MTKParameters, check_bindings, unknown_of
from .._text import quoted
from ..errors import DeclarationError, ShapeError, UnknownNameError
from .declare import build
from .flatten import Equations, Flat, flatten
from .model import Model, derivatives_of
from .parameter import Parameter
from .scope import refuse_unknown
from .solve_for import SOLVE


def check_system(system: Any) -> None:
    """Raises where a system is not whole, as far as its declared values let it be traced."""
    flat = flatten(system)
    values = flat.parameters.values()
    if all(d.default is not None or d.bind is not None for d in values):
        p = stand_in(flat.declarations(), flat.shapes())
        check_parameters(flat, p)
        model_of(flat, p, outermost=False)


def check_parameters(flat: Flat, p: MTKParameters) -> None:
    """Raises where a dependent parameter does not evaluate, or reads an unknown."""
    try:
        check_bindings(p)
    except UnknownNameError as error:
        refuse_unknown(str(error.name), flat.unknowns, error)
        raise


def model_of(flat: Flat, p: MTKParameters, outermost: bool = True) -> Model:
    """The model of a flattened system, or an error that names the unknown or the equation.

    Where it is not the `outermost` one yet, external unknowns may still be without an equation.
    """
    probe = Model.of(flat, tuple(flat.unknowns))
    giver: dict[str, str] = {}
    for equations in flat.equations:
        for name in _names(probe, equations, p):
            if name in giver:
                raise DeclarationError(
                    f"The derivative of {name!r} is given twice: by {giver[name]} and by "
                    f"{equations.who}."
                )
            giver[name] = equations.who
    residuals = _count(probe, p)
    missing = tuple(name for name in flat.unknowns if name not in giver)
    _check_counts(flat, missing, residuals, outermost)
    external = () if outermost else tuple(n for n in missing if flat.unknowns[n].external)
    model = Model.of(flat, tuple(n for n in flat.unknowns if n in giver or n in external))
    check_start(model, p)
    _check_evaluates(model, p, outermost)
    return model


def stand_in(
    declarations: Mapping[str, Parameter], shapes: Mapping[str, tuple[int, ...]]
) -> MTKParameters:
    """Parameters to trace equations with: ones where no value is declared."""
    filled = {}
    for name, declared in declarations.items():
        if declared.bind is None and (declared.default is None or declared.default is SOLVE):
            guess: Any = None if callable(declared.guess) else declared.guess
            unknown = unknown_of(name)
            if unknown is not None:
                shape = shapes.get(unknown, ())
            else:
                shape = () if guess is None else np.shape(guess)
            # With the precision of a guess that has one: 32 bits do not mix with 64.
            dtype = getattr(guess, "dtype", None)
            real = dtype is not None and jnp.issubdtype(dtype, jnp.floating)
            ones = jnp.ones(shape, dtype if real else None)
            plain = Parameter(ones, tunable=declared.tunable, discrete=declared.discrete)
            filled[name] = dataclasses.replace(plain, dtype=declared.dtype)
        else:
            filled[name] = declared
    return build(filled)


def _names(model: Model, equations: Equations, p: MTKParameters) -> tuple[str, ...]:
    def evaluate(p: MTKParameters) -> dict[str, Any]:
        t, y = _start(model, p)
        out = derivatives_of(equations, model.instant(t, y, p), model.states)
        return {name: jnp.asarray(value) for name, value in out.items()}

    return tuple(eqx.filter_eval_shape(evaluate, p))


def _count(model: Model, p: MTKParameters) -> int:
    def evaluate(p: MTKParameters) -> dict[str, Any]:
        t, y = _start(model, p)
        return {name: jnp.asarray(v) for name, v in model.residuals(t, y, p).items()}

    return sum(value.size for value in eqx.filter_eval_shape(evaluate, p).values())


def _start(model: Model, p: MTKParameters) -> tuple[Any, Any]:
    dtype = p.initials.dtype
    return jnp.zeros((), dtype), jnp.zeros(sum(model.sizes), dtype)


def _check_counts(flat: Flat, missing: tuple[str, ...], residuals: int, outermost: bool) -> None:
    shapes = flat.shapes()
    late = () if outermost else tuple(n for n in missing if flat.unknowns[n].external)
    open_ones = [n for n in missing if n not in late]
    entries = sum(math.prod(shapes[n]) for n in missing)
    if residuals == 0 and open_ones:
        names = quoted(open_ones)
        outside = [n for n in open_ones if flat.unknowns[n].external]
        cure = (
            "It is external: nest this system in one that gives its derivative."
            if outside
            else "Give a derivative or a residual, or mark it mtk.Unknown(..., external=True) where a "
            "parent system gives it."
        )
        raise DeclarationError(f"No equation for {names}. {cure}")
    if residuals and residuals != entries and not late:
        more = "more" if residuals > entries else "fewer"
        raise DeclarationError(
            f"There are {more} residuals ({residuals}) than unknowns without a derivative "
            f"({entries}: {quoted(missing) or 'none'})."
        )


def check_start(model: Model, p: MTKParameters) -> None:
    """Raises where an initial value has another shape than its unknown."""
    names = [*model.differential, *model.algebraic]
    values = eqx.filter_eval_shape(lambda p: [jnp.asarray(p[Initial(n)]) for n in names], p)
    for name, value in zip(names, values, strict=True):
        place = model.states.entries[name].leaves[0].place
        assert place is not None
        if value.shape != place.shape:
            raise ShapeError(
                f"The initial value of {name!r} has shape {value.shape}, the unknown has "
                f"{place.shape}. mtk.Unknown(..., shape=) declares another one."
            )


def _check_evaluates(model: Model, p: MTKParameters, outermost: bool) -> None:
    def evaluate(p: MTKParameters) -> Any:
        t, y = _start(model, p)
        u = model.instant(t, y, p).u
        # Initial equations may read derivatives that a parent system has yet to give.
        at_start = model.initial_residuals(t, y, p) if outermost else {}
        return [jnp.asarray(u[name]) for name in model.states.bound], [
            jnp.asarray(value) for value in at_start.values()
        ]

    eqx.filter_eval_shape(evaluate, p)
