"""Problems and solutions as sources of names and of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx

from .._lookup import Names, Spec, is_eager, names_of, parameters_of, read_all, written
from .._parameters import Initial, Lens, MTKParameters, Name, lens_of, own_copy, plain, split_index
from ..errors import DeclarationError, KindError
from .initialize import Initialization
from .nonlinear import NonlinearProblem, NonlinearSolution
from .problem import ODEProblem
from .remake import P, remake
from .solution.ensemble import EnsembleSolution
from .solution.solution import Solution, read_some


@names_of.register(ODEProblem)
def _(source: ODEProblem) -> Names:
    return Names(source.p, source.model.states, lambda spec: source[spec], source.t0)


@parameters_of.register(ODEProblem)
def _(provider: ODEProblem) -> tuple[MTKParameters, Any]:
    return provider.p, provider.t0


@read_all.register(ODEProblem)
def _(provider: ODEProblem, spec: object, at: object) -> Any:
    if at is not None:
        raise KindError("A problem has values at its start alone; a solution has several times.")
    return _start(provider, spec)


def _start(provider: ODEProblem | NonlinearProblem | NonlinearSolution, spec: object) -> Any:
    asked = Spec(spec)
    if is_eager(provider) and asked.is_settled:
        return _at_start(provider, asked)
    return provider[spec]


@eqx.filter_jit
def _at_start(provider: ODEProblem | NonlinearProblem | NonlinearSolution, spec: Spec) -> Any:
    return provider[spec.value]


@written.register(ODEProblem)
@written.register(NonlinearProblem)
def _(provider: P, values: Mapping[str, Any]) -> P:
    return remake(provider, values)


@lens_of.register(ODEProblem)
def _(holder: ODEProblem) -> Lens:
    # Copies: the caller may donate the problem and go on with a repack.
    t0, t1 = own_copy(holder.t0), own_copy(holder.t1)
    fields = lambda q: (q.p, q.t0, q.t1)
    put = lambda p: eqx.tree_at(fields, holder, (p, t0, t1))
    return Lens(holder.p, _given(holder, set(holder.conditions.free)), put)


def _given(holder: ODEProblem | NonlinearProblem, found: set[str]) -> Callable[[Name], str]:
    """The name of the parameter that holds what a name means, or an error where that is `found`."""
    names = Names(holder.p, holder.model.states)

    def stored(name: Name) -> str:
        place = names.stored(name)
        base = (split_index(place) or (place,))[0]
        if place != plain(name) and base in found:
            raise DeclarationError(
                f"{plain(name)!r} is not given but found, and its place holds a guess. Give it a value "
                f"with mtk.remake, or leave it out; the guess itself is mtk.Initial({plain(name)!r})."
            )
        return place

    return stored


@names_of.register(NonlinearProblem)
@names_of.register(NonlinearSolution)
def _(source: NonlinearProblem | NonlinearSolution) -> Names:
    return Names(source.p, source.model.states, lambda spec: source[spec], source.t)


@parameters_of.register(NonlinearProblem)
@parameters_of.register(NonlinearSolution)
def _(provider: NonlinearProblem | NonlinearSolution) -> tuple[MTKParameters, Any]:
    return provider.p, provider.t


@read_all.register(NonlinearProblem)
@read_all.register(NonlinearSolution)
def _(provider: NonlinearProblem | NonlinearSolution, spec: object, at: object) -> Any:
    if at is not None:
        raise KindError(
            "A nonlinear problem has no times; a solution of an ODEProblem has several."
        )
    return _start(provider, spec)


@lens_of.register(NonlinearProblem)
def _(holder: NonlinearProblem) -> Lens:
    t = own_copy(holder.t)
    put = lambda p: eqx.tree_at(lambda q: (q.p, q.t), holder, (p, t))
    return Lens(holder.p, _given(holder, {str(Initial(n)) for n in holder.model.unknowns}), put)


@names_of.register(Initialization)
def _(source: Initialization) -> Names:
    return names_of(source.problem)


@parameters_of.register(Initialization)
def _(provider: Initialization) -> tuple[MTKParameters, Any]:
    return parameters_of(provider.problem)


@read_all.register(Initialization)
def _(provider: Initialization, spec: object, at: object) -> Any:
    return read_all(provider.problem, spec, at)


@names_of.register(EnsembleSolution)
def _(source: EnsembleSolution) -> Names:
    return names_of(source._solution())


@parameters_of.register(EnsembleSolution)
def _(provider: EnsembleSolution) -> tuple[MTKParameters, Any]:
    return parameters_of(provider._solution())


@read_all.register(EnsembleSolution)
def _(provider: EnsembleSolution, spec: object, at: object) -> Any:
    return read_all(provider._solution(), spec, at)


@names_of.register(Solution)
def _(source: Solution) -> Names:
    return Names(source.p, source.model.states, lambda spec: source[spec])


@parameters_of.register(Solution)
def _(provider: Solution) -> tuple[MTKParameters, Any]:
    return provider.p, Names(provider.p).t


@read_all.register(Solution)
def _(provider: Solution, spec: object, at: object) -> Any:
    return provider[spec] if at is None else read_some(provider, at, spec)


@written.register(Solution)
@written.register(EnsembleSolution)
@written.register(Initialization)
@written.register(NonlinearSolution)
def _(
    provider: Solution | EnsembleSolution | Initialization | NonlinearSolution,
    values: Mapping[str, Any],
) -> Any:
    raise KindError(
        f"{type(provider).__name__}: what came out of its values has no others. Set them in the "
        "problem, with mtk.remake(problem, {...}), and run it again."
    )
