"""Problems and solutions as sources of names and of values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx

from ..errors import KindError
from ..indexing._provider import Names, names_of, parameters_of, read_all, written
from ..indexing._spec import Spec, is_eager
from ..parameters import MTKParameters
from ..parameters._fresh import own_copy
from ..parameters._holder import Held, held
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
    return Held(holder.p, names.stored, lambda p: eqx.tree_at(fields, holder, (p, t0, t1)))


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
def _(provider: Any, values: Mapping[str, Any]) -> Any:
    raise KindError(
        "A solution is what came out of its values, and has no others. Set them in the problem, "
        "with mtk.remake(problem, {...}), and solve it again."
    )
