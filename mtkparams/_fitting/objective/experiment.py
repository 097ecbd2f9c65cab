"""One solve, or a batch of them under several conditions, read at the times of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import diffrax
import equinox as eqx
import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._parameters import Initial, replace
from ..._problems import ODEProblem, Solution, SolveOptions, depends_on_time, remake, solve
from ...errors import KindError
from ..options import no_option


class SolveSettings(NamedTuple):
    """How a fit solves; static."""

    solver: diffrax.AbstractSolver | Literal["auto"] = "auto"
    rtol: float | int = 1e-6
    atol: float | int | tuple[tuple[str, ArrayLike], ...] = 1e-9
    max_steps: int | None = 100_000
    others: tuple[tuple[str, Any], ...] = ()


# What is read of a solve: a name, or a function of `t`, `u` and `p`.
Spec: TypeAlias = str | Initial | Callable[..., Any]

# What an objective gives to a solve by itself, and which of its options it takes that from.
_GIVEN = {name: f"give {name}= itself" for name in SolveSettings._fields[:-1]}
_GIVEN |= {"saveat": "give saveat= itself", "adjoint": "mode= decides it"}
_GIVEN |= {"throw": "a solve that fails is never an error here"}


def check_solve_options(names: Iterable[str]) -> None:
    """An error for a name that `mtk.solve` does not know, or that is not for it to know here."""
    known = [name for name in ("solver", *SolveOptions.__annotations__) if name not in _GIVEN]
    for name in names:
        if name in _GIVEN:
            raise KindError(f"{name!r} is none of solve_options=: {_GIVEN[name]}.")
        if name not in known:
            raise no_option("mtk.solve (solve_options=)", name, known)


class Experiment(eqx.Module):
    """Conditions that one program solves: the same equations, other numbers.

    **Attributes:**

    - `problem`: with the rules that all these conditions have.
    - `changes`: for each name that a condition gives a number, that of every condition.
    - `ts`: the times of the data, shape `(conditions, times)`; a condition with fewer repeats its
      last one.
    - `entries`: which entries of the vector the problem has a place for, `None` for all.
    """

    problem: ODEProblem
    changes: dict[str, Array]
    ts: Array
    free: tuple[str, ...] = eqx.field(static=True)
    entries: tuple[int, ...] | None = eqx.field(static=True)
    conditions: tuple[str, ...] = eqx.field(static=True)
    settings: SolveSettings = eqx.field(static=True)

    def solutions(self, v: Array, forward: bool) -> Solution:
        """The solution of every condition, a batch unless there is one alone."""
        known = v if self.entries is None else v[np.asarray(self.entries, int)]
        p = replace(self.free, self.problem.p, known) if self.free else self.problem.p
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

    def read(self, v: Array, specs: tuple[Spec, ...], forward: bool) -> list[Array]:
        """The values of each spec, shapes `(conditions, times, ...)`, or without times."""
        values = self.solutions(v, forward)[list(specs)]
        if len(self.conditions) == 1:
            values = [x[None] for x in values]
        return [x.astype(self.ts.dtype) for x in values]

    def has_times(self, spec: Spec) -> bool:
        """Whether what a spec reads has an axis of times."""
        return depends_on_time(self.problem.model, self.problem.p, spec)
