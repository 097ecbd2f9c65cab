"""One solve, or a batch of them under several conditions, read at the times of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from ..._parameters import replace
from ..._problems import ODEProblem, Solution, depends_on_time, remake, solve


class SolveSettings(NamedTuple):
    """How a fit solves; static."""

    solver: Any = "auto"
    rtol: float = 1e-6
    atol: Any = 1e-9
    max_steps: int | None = 100_000
    others: tuple[tuple[str, Any], ...] = ()


class Experiment(eqx.Module):
    """Conditions that one program solves: the same equations, other numbers.

    **Attributes:**

    - `problem`: with the rules that all these conditions have.
    - `changes`: for each name that a condition gives a number, that of every condition.
    - `ts`: the times of the data, shape `(conditions, times)`; a condition with fewer repeats its
      last one.
    - `kept`: which entries of the vector the problem has a place for, `None` for all.
    """

    problem: ODEProblem
    changes: dict[str, Array]
    ts: Array
    free: tuple[Any, ...] = eqx.field(static=True)
    kept: tuple[int, ...] | None = eqx.field(static=True)
    conditions: tuple[str, ...] = eqx.field(static=True)
    settings: SolveSettings = eqx.field(static=True)

    def solutions(self, v: Array, forward: bool) -> Solution:
        """The solution of every condition, a batch unless there is one alone."""
        own = v if self.kept is None else v[np.asarray(self.kept, int)]
        p = replace(self.free, self.problem.p, own) if self.free else self.problem.p
        problem = remake(self.problem, p=p)

        def one(changes: Mapping[str, Array], ts: Array) -> Solution:
            member = remake(problem, changes, tspan=(problem.t0, ts[-1]))
            settings = self.settings
            return solve(
                member,
                settings.solver,
                saveat=ts,
                rtol=settings.rtol,
                atol=dict(settings.atol) if isinstance(settings.atol, tuple) else settings.atol,
                max_steps=settings.max_steps,
                adjoint=diffrax.ForwardMode() if forward else None,
                throw=False,
                **dict(settings.others),
            )

        if len(self.conditions) == 1:
            return one({name: values[0] for name, values in self.changes.items()}, self.ts[0])
        return jax.vmap(one)(self.changes, self.ts)

    def read(self, v: Array, specs: tuple[Any, ...], forward: bool) -> list[Array]:
        """The values of each spec, shapes `(conditions, times, ...)`, or without times."""
        found = self.solutions(v, forward)[list(specs)]
        if len(self.conditions) == 1:
            found = [x[None] for x in found]
        return [x.astype(self.ts.dtype) for x in found]

    def has_times(self, spec: Any) -> bool:
        """Whether what a spec reads has an axis of times."""
        return depends_on_time(self.problem.model, self.problem.p, spec)
