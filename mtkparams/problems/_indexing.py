"""Problems and solutions as sources of names and of values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx

from ..errors import DeclarationError, KindError
from ..indexing._provider import Names, names_of, parameters_of, read_all, written
from ..indexing._spec import Spec, is_eager
from ..parameters import MTKParameters
from ..parameters._fresh import own_copy
from ..parameters._holder import Held, held
from ..parameters._names import plain, split_index
from ._ensemble import Ensemble
from ._initialize import Initialization
from ._problem import ODEProblem
from ._remake import remake
from ._solution import Solution, read_some


@names_of.register(ODEProblem)
def _(source: Any) -> Names:
    return Names(source.p, source.model.states, lambda spec: source[spec], source.t0)


@parameters_of.register(ODEProblem)
def _(provider: Any) -> tuple[MTKParameters, Any]:
    return provider.p, provider.t0


@read_all.register(ODEProblem)
def _(provider: Any, spec: Any, at: Any) -> Any:
    if at is not None:
        raise KindError("A problem has values at its start alone; a solution has several times.")
    return _at_start(provider, Spec(spec)) if is_eager(provider) else provider[spec]


@eqx.filter_jit
def _at_start(problem: ODEProblem, spec: Spec) -> Any:
    return problem[spec.value]


@written.register(ODEProblem)
def _(provider: Any, values: Mapping[str, Any]) -> Any:
    return remake(provider, values)


@held.register(ODEProblem)
def _(holder: Any) -> Held:
    # Copies: the caller may donate the problem and go on with a repack.
    t0, t1 = own_copy(holder.t0), own_copy(holder.t1)
    names = Names(holder.p, holder.model.states)
    fields = lambda q: (q.p, q.t0, q.t1)
    free = holder.conditions.free

    def stored(name: Any) -> str:
        found = names.stored(name)
        base = (split_index(found) or (found,))[0]
        if found != plain(name) and base in free:
            raise DeclarationError(
                f"{plain(name)!r} is not given: it is found at the start, and its place holds a guess. "
                "Give it a value with mtk.remake, or leave it out; the guess itself is "
                f"mtk.Initial({plain(name)!r})."
            )
        return found

    return Held(holder.p, stored, lambda p: eqx.tree_at(fields, holder, (p, t0, t1)))


@names_of.register(Initialization)
def _(source: Any) -> Names:
    return names_of(source.problem)


@parameters_of.register(Initialization)
def _(provider: Any) -> tuple[MTKParameters, Any]:
    return parameters_of(provider.problem)


@read_all.register(Initialization)
def _(provider: Any, spec: Any, at: Any) -> Any:
    return read_all(provider.problem, spec, at)


@names_of.register(Ensemble)
def _(source: Any) -> Names:
    return names_of(source._solution())


@parameters_of.register(Ensemble)
def _(provider: Any) -> tuple[MTKParameters, Any]:
    return parameters_of(provider._solution())


@read_all.register(Ensemble)
def _(provider: Any, spec: Any, at: Any) -> Any:
    return read_all(provider._solution(), spec, at)


@names_of.register(Solution)
def _(source: Any) -> Names:
    return Names(source.p, source.model.states, lambda spec: source[spec])


@parameters_of.register(Solution)
def _(provider: Any) -> tuple[MTKParameters, Any]:
    return provider.p, Names(provider.p).t


@read_all.register(Solution)
def _(provider: Any, spec: Any, at: Any) -> Any:
    return provider[spec] if at is None else read_some(provider, at, spec)


@written.register(Solution)
@written.register(Ensemble)
@written.register(Initialization)
def _(provider: Any, values: Mapping[str, Any]) -> Any:
    raise KindError(
        f"{type(provider).__name__}: what came out of its values has no others. Set them in the "
        "problem, with mtk.remake(problem, {...}), and run it again."
    )
