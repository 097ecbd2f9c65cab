"""A system without time: its equations are zero, or its unknowns at rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._initialization import (
    Conditions,
    OverrideInit,
    Report,
    RootOptions,
    Start,
    find_answer,
    raise_failure,
)
from .._model import Model, Parameter, System, flatten, model_of, read_at
from .._parameters import Initial, MTKParameters, own_copy, stored_name, unknown_of
from .._results import RESULTS, succeeded
from ..errors import DeclarationError, KindError
from .each import depth_of, of_each_member
from .initialize import initialize, without_parameters
from .problem import ODEProblem
from .values import given_and_found, put_guesses, put_values


class NonlinearProblem(eqx.Module):
    """A system of algebraic equations and the values of its parameters; `mtk.solve` solves it.

    An unknown has no initial value here: what is declared or given for it says where the search
    starts, as a guess does, and is never a condition. Parameters that are `mtk.SOLVE` are found too.

    **Attributes:**

    - `p`: the parameters; where the search starts is in its Initials portion.
    - `t`: the time that equations may read.
    - `model`, `conditions`: the equations, and what is found; static.
    - `question`: `"root"`, or `"steady"` for a steady state; static.

    !!! Example

        >>> import mtkparams as mtk
        >>> system = mtk.System(
        ...     parameters={"p1": 4.0, "p2": 3.0},
        ...     unknowns={"u1": mtk.Unknown(guess=1.0), "u2": mtk.Unknown(guess=1.0)},
        ...     residuals=lambda t, u, p: {"one": u.u1**2 - p.p1, "two": u.u2 - u.u1 * p.p2},
        ... )
        >>> solution = mtk.solve(mtk.NonlinearProblem(system))
        >>> float(solution["u1"]), float(solution["u2"])
        (2.0, 6.0)
    """

    p: MTKParameters
    t: Float[Array, "..."]  # noqa: UP037, dots in quotes are any axes
    model: Model = eqx.field(static=True)
    conditions: Conditions = eqx.field(static=True)
    question: Literal["root", "steady"] = eqx.field(static=True)

    def __init__(
        self,
        system: System,
        values: Mapping[Any, Any] | None = None,
        *,
        guesses: Mapping[str, Any] | None = None,
        t: Any = 0.0,
    ):
        """**Arguments:**

        - `system`: residuals, one for each entry of an unknown, and no derivatives.
        - `values`: by name, as for `mtk.ODEProblem`; for an unknown the same as its guess.
        - `guesses`: by name, where the search starts.
        - `t`: the time, if the equations read it.

        **Raises:** as `mtk.ODEProblem`.
        """
        if not isinstance(system, System):
            raise KindError(f"NonlinearProblem takes an mtk.System, got {type(system).__name__}.")
        flat = flatten(system)
        unknowns = tuple(flat.unknowns)
        values, started = apart(values or {}, unknowns)
        searched = {name: _searched(name, d) for name, d in flat.declarations().items()}
        declared = put_guesses(searched, unknowns, {**started, **(guesses or {})})
        declared, entries = put_values(declared, unknowns, tuple(flat.observed), values)
        self.p, self.conditions = given_and_found(
            declared, entries, flat.declarations(), lambda: unknowns
        )
        self.model = model_of(flat, self.p)
        if self.model.differential:
            raise DeclarationError(
                f"{', '.join(map(repr, self.model.differential))} have derivatives. For a steady state, "
                "where these are zero, use mtk.NonlinearProblem.steady(mtk.ODEProblem(system, ...))."
            )
        self.t = jnp.asarray(t).astype(self.p.initials.dtype)
        self.question = "root"

    @staticmethod
    def steady(problem: ODEProblem) -> NonlinearProblem:
        """The steady state of a problem: all its derivatives are zero.

        The search starts from the initial values. Parameters that are `mtk.SOLVE` are found at the
        start first. Where a quantity is conserved there is no one steady state, and the solve fails
        as singular.

        **Arguments:**

        - `problem`: an `mtk.ODEProblem`.
        """
        if not isinstance(problem, ODEProblem):
            raise KindError(
                f"A steady state is of an mtk.ODEProblem, got {type(problem).__name__}."
            )
        if any(unknown_of(name) is None for name in problem.conditions.free):
            problem = initialize(problem).problem
        new = object.__new__(NonlinearProblem)
        fields = (problem.p, problem.t0, problem.model, problem.conditions, "steady")
        for field, value in zip(dataclasses.fields(new), fields, strict=True):
            object.__setattr__(new, field.name, value)
        return new

    def __getitem__(self, spec: object) -> Any:
        """Values where the search starts, by name: parameters, unknowns, observed, functions."""
        depth = depth_of(self)
        if depth:
            return of_each_member(self, spec, depth)
        return read_at(self.model, self.t, self.model.start(self.p), self.p, spec)

    def __contains__(self, name: object) -> bool:
        return name in self.p or name in self.model.states

    def names(self) -> tuple[str, ...]:
        """All names: parameters, unknowns and observed values."""
        parameters = (name for name in self.p.names() if unknown_of(name) is None)
        return (*parameters, *self.model.states.names())

    def __repr__(self) -> str:
        return f"NonlinearProblem({self.question}, {self.p!r})"


class NonlinearSolution(eqx.Module):
    """What solving a nonlinear problem gives, read by name.

    **Attributes:**

    - `p`: the parameters, with those that were found.
    - `t`: the time that equations read.
    - `found`: status, iterations and residual of each block as arrays, in the order of `report`.
    - `result`: how it ended, of `mtk.RESULTS`.
    """

    p: MTKParameters
    t: Float[Array, "..."]  # noqa: UP037
    found: Start
    result: RESULTS

    @property
    def succeeded(self) -> Bool[Array, "*batch"]:
        """Whether the equations are fulfilled, for each member of a batch."""
        return succeeded(self.result)

    @property
    def model(self) -> Model:
        return self.found.plan.model

    @property
    def u(self) -> dict[str, Any]:
        """The unknowns by name."""
        return {name: self[name] for name in self.model.unknowns}

    def report(self) -> Report:
        """A table of the blocks in solving order: print it, or read its `blocks`."""
        return Report(self.found)

    def __getitem__(self, spec: object) -> Any:
        """Values by name: unknowns, observed, parameters, functions `f(t, u, p)`, and lists of those."""
        if self.found.y.ndim > 1:  # a batch
            return jax.vmap(lambda member: member[spec])(self)
        return read_at(self.model, self.t, self.found.y, self.p, spec)

    def __contains__(self, name: object) -> bool:
        return name in self.p or name in self.model.states

    def __repr__(self) -> str:
        return f"NonlinearSolution({', '.join(self.model.unknowns)})"


def solve_nonlinear(
    problem: NonlinearProblem, throw: bool, options: RootOptions
) -> NonlinearSolution:
    """What `mtk.solve` gives for a nonlinear problem, `None` among the options being a default."""
    asked: Any = {name: value for name, value in options.items() if value is not None}
    answer = find_answer(
        problem.model,
        problem.conditions,
        problem.question,
        problem.t,
        problem.p,
        OverrideInit(**asked),
    )
    answer = raise_failure(answer) if throw else answer
    t = own_copy(problem.t)
    return NonlinearSolution(answer.p, t, without_parameters(answer), answer.result)


def apart(
    values: Mapping[Any, Any], unknowns: tuple[str, ...]
) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Values of parameters, and those of unknowns, from which a search starts."""
    names = {str(Initial(name)): name for name in unknowns}
    stored = {key: stored_name(key, unknowns) for key in values}
    return (
        {key: value for key, value in values.items() if stored[key] not in names},
        {names[stored[key]]: v for key, v in values.items() if stored[key] in names},
    )


def _searched(name: str, declared: Parameter) -> Parameter:
    """A declaration whose initial value, if it has one, is where the search starts."""
    if unknown_of(name) is None:
        return declared
    start = declared.default if declared.guess is None else declared.guess
    start = declared.bind if start is None else start
    about: dict[str, Any] = {"unit": declared.unit, "description": declared.description}
    return Parameter(None, guess=start, **about)
