"""A system with values and a time span."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from .._initialization import Conditions
from .._model import Model, System, model_of, read_at, stand_in
from .._parameters import Initial, MTKParameters, unknown_of
from ..errors import DeclarationError, KindError
from .each import depth_of, of_each_member
from .values import given_and_found, place_values


class ODEProblem(eqx.Module):
    """A system, the values of its parameters and initial values, and a time span.

    A Module: its values are leaves, its equations are static. So it goes through `jit`, `grad` and
    `vmap`, and problems of one system share what is compiled for them.

    **Attributes:**

    - `p`: the parameters; initial values are in its Initials portion under `mtk.Initial(name)`.
    - `t0`, `t1`: the time span.
    - `model`: the equations and names; static.
    - `conditions`: which values at the start are found rather than given; static.

    !!! Example

        >>> import mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ... )
        >>> problem = mtk.ODEProblem(decay, {"x": 3.0}, (0.0, 2.0))
        >>> problem["x"].item(), problem["k"].item()
        (3.0, 0.5)
    """

    p: MTKParameters
    t0: Float[Array, "..."]  # noqa: UP037, dots in quotes are any axes
    t1: Float[Array, "..."]  # noqa: UP037
    model: Model = eqx.field(static=True)
    conditions: Conditions = eqx.field(static=True)

    def __init__(
        self,
        system: System,
        values: Mapping[Any, Any] | None = None,
        tspan: tuple[Any, Any] = (0.0, 1.0),
        *,
        guesses: Mapping[str, Any] | None = None,
    ):
        """**Arguments:**

        - `system`: the equations.
        - `values`: by name, for parameters, unknowns (`"x"` or `mtk.Initial("x")`) and single entries
          (`"x[1]"`). A function of the others, `lambda p: p.k * p.x`, makes a value dependent: it is
          evaluated anew whenever they change. `mtk.UNSET` takes a declared value away: then the
          equations must determine it. A value for an algebraic unknown is a condition as well.
          `mtk.SOLVE` for a parameter: find it.
        - `tspan`: start and end; the end may lie before the start.
        - `guesses`: by name, where the search starts for what is not given.

        **Raises:** `UnknownNameError`, `MissingValueError`, `MissingGuessError`, `BoundParameterError`, `CycleError`,
        `ShapeError`, `KindError`, `NonFiniteError`, `OutOfBoundsError`.
        """
        if not isinstance(system, System):
            raise KindError(f"ODEProblem takes an mtk.System, got {type(system).__name__}.")
        flat, declared, entries = place_values(system, values or {}, guesses or {})
        algebraic = lambda: model_of(flat, stand_in(declared, flat.shapes())).algebraic
        self.p, self.conditions = given_and_found(declared, entries, flat.declarations(), algebraic)
        self.model = model_of(flat, self.p)
        self.t0, self.t1 = times(tspan, self.p)

    def __getitem__(self, spec: object) -> Any:
        """Values at the start by name: parameters, unknowns, observed, or `lambda t, u, p: ...`.

        Of a batch of problems the members are in front.
        """
        depth = depth_of(self)
        if depth:
            return of_each_member(self, spec, depth)
        return read_at(self.model, self.t0, self.model.start(self.p), self.p, spec)

    def __contains__(self, name: object) -> bool:
        return name in self.p or name in self.model.states

    @property
    def u0(self) -> dict[str, Any]:
        """The initial values by name; for what is not given and not found yet, the guess."""
        return {name: self.p[Initial(name)] for name in self.model.unknowns}

    def names(self) -> tuple[str, ...]:
        """All names: parameters, unknowns and observed values."""
        parameters = (name for name in self.p.names() if unknown_of(name) is None)
        return (*parameters, *self.model.states.names())

    def __repr__(self) -> str:
        return f"ODEProblem(t = {_time(self.t0)} .. {_time(self.t1)}, {self.p!r})"

    def __str__(self) -> str:
        return f"ODEProblem, t = {_time(self.t0)} .. {_time(self.t1)}\n{self.p}"


def times(tspan: Any, p: MTKParameters) -> tuple[Array, Array]:
    """Start and end as arrays in the dtype of the initial values."""
    try:
        t0, t1 = tspan
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"tspan= is a pair (start, end), got {tspan!r}.") from error
    dtype = p.initials.dtype
    start, end = (jnp.asarray(t).astype(dtype) for t in (t0, t1))
    if start.ndim or end.ndim:
        raise DeclarationError(
            f"tspan= is a pair of numbers, got shapes {start.shape}, {end.shape}."
        )
    return start, end


def _time(t: Any) -> str:
    return "traced" if isinstance(t, Tracer) else f"{t}" if jnp.ndim(t) else f"{float(t):g}"
