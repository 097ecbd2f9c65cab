"""A system and everything nested in it, as one flat list of names and equations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from .._parameters import Initial
from ..errors import DeclarationError, unknown_name
from .parameter import Parameter
from .scope import at_start, scoped_binding
from .unknowns import Unknown

# `f(t, u, p)`, as in diffrax; `u` and `p` are views.
Equation: TypeAlias = Callable[[Any, Any, Any], Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Equations:
    """One system's functions, with the prefix under which its names stand in the whole."""

    prefix: str
    derivatives: Equation | None
    residuals: Equation | None
    initial_equations: Equation | None
    own: tuple[str, ...]

    @property
    def who(self) -> str:
        return f"system {self.prefix[:-1]!r}" if self.prefix else "the outermost system"


@dataclasses.dataclass(frozen=True, eq=False)
class Flat:
    """All of a system: parameters, unknowns with shapes, observed, and equations in their scopes."""

    parameters: Mapping[str, Parameter]
    unknowns: Mapping[str, Unknown]
    observed: Mapping[str, tuple[str, Equation]]
    equations: tuple[Equations, ...]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: _shape(name, unknown) for name, unknown in self.unknowns.items()}

    def declarations(self) -> dict[str, Parameter]:
        """Parameters, then `Initial(...)` of each unknown."""
        return {
            **self.parameters,
            **{str(Initial(name)): _initial(unknown) for name, unknown in self.unknowns.items()},
        }


def flatten(system: Any) -> Flat:
    """The names of a system and of all systems nested in it, with their prefixes.

    `system` is an `mtk.System`; it is not named as a type, since it uses this itself.
    """
    parameters: dict[str, Parameter] = {}
    unknowns: dict[str, Unknown] = {}
    observed: dict[str, tuple[str, Equation]] = {}
    equations: list[Equations] = []
    _collect(system, "", parameters, unknowns, observed, equations)
    names = tuple(unknowns)
    scoped = {name: _scoped_unknown(name, unknown, names) for name, unknown in unknowns.items()}
    return Flat(parameters, scoped, observed, tuple(equations))


def _scoped_unknown(name: str, unknown: Unknown, names: tuple[str, ...]) -> Unknown:
    changes = {
        field: at_start(value, _prefix_of(name), names)
        for field in ("initial", "guess")
        if callable(value := getattr(unknown, field))
    }
    return dataclasses.replace(unknown, **changes) if changes else unknown


def _prefix_of(name: str) -> str:
    return name[: name.rfind(".") + 1]


def _collect(
    system: Any,
    prefix: str,
    parameters: dict[str, Parameter],
    unknowns: dict[str, Unknown],
    observed: dict[str, tuple[str, Equation]],
    equations: list[Equations],
) -> None:
    scoped = {
        prefix + name: _scoped(declared, prefix) for name, declared in system.parameters.items()
    }
    redeclared = {
        n: d for n, d in scoped.items() if n[len(prefix) :].split(".")[0] in system.systems
    }
    parameters.update({n: d for n, d in scoped.items() if n not in redeclared})
    unknowns.update({prefix + name: unknown for name, unknown in system.unknowns.items()})
    observed.update({prefix + name: (prefix, f) for name, f in system.observed.items()})
    for name, child in system.systems.items():
        _collect(child, f"{prefix}{name}.", parameters, unknowns, observed, equations)
    for name, declared in redeclared.items():
        if name not in parameters:
            raise unknown_name(name, parameters, "the parameters of the nested systems")
        parameters[name] = declared
    equations.append(
        Equations(
            prefix,
            system.derivatives,
            system.residuals,
            system.initial_equations,
            tuple(prefix + name for name in system.unknowns),
        )
    )


def _scoped(declared: Parameter, prefix: str) -> Parameter:
    if declared.bind is None:
        return declared
    return dataclasses.replace(declared, bind=scoped_binding(declared.bind, prefix))


def _initial(unknown: Unknown) -> Parameter:
    shared: dict[str, Any] = {"unit": unknown.unit, "description": unknown.description}
    if callable(unknown.initial):
        bind: Callable[[Any], Any] = unknown.initial
        return Parameter(bind=bind, **shared)
    return Parameter(
        unknown.initial, bounds=unknown.bounds, scale=unknown.scale, guess=unknown.guess, **shared
    )


def _shape(name: str, unknown: Unknown) -> tuple[int, ...]:
    values = [v for v in (unknown.initial, unknown.guess) if v is not None and not callable(v)]
    shapes = {np.shape(v) if not hasattr(v, "shape") else tuple(jnp.shape(v)) for v in values}
    if unknown.shape is not None:
        shapes.add(tuple(unknown.shape))
    if len(shapes) > 1:
        raise DeclarationError(
            f"The unknown {name!r} has an initial value, guess and shape= of different shapes: "
            f"{', '.join(map(str, sorted(shapes)))}."
        )
    return shapes.pop() if shapes else ()
