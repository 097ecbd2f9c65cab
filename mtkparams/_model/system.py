"""A system of equations as a modeler writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import PyTree

from .._parameters import Initial, check_declarable, plain
from .._text import counted
from ..errors import DeclarationError, KindError
from .complete import check_system
from .flatten import Equation
from .parameter import Parameter
from .unknowns import Unknown
from .vector_field import vector_field


class System:
    """Equations with named parameters and unknowns; `mtk.ODEProblem` gives it values and a time span.

    **Main arguments:**

    - `parameters`: for each name an `mtk.Parameter` or its default. A dotted name redeclares a
      parameter of a nested system.
    - `unknowns`: for each name an `mtk.Unknown` or its initial value.
    - `derivatives`: `f(t, u, p)` (for an `f(t, y, args)` see `from_vector_field`), which returns `{name: du/dt}`, or one array for all unknowns in
      their order. `u` and `p` are views: `u.x`, `p.tank.k`, `p["tank.k"]`; `u` also has the
      observed values. Any JAX function is a model.
    - `observed`: for each name a function `f(t, u, p)` of unknowns, parameters, other observed.

    **Other arguments:**

    - `residuals`: `f(t, u, p)`, which returns `{equation: value}`; each value is zero at a solution.
    - `initial_equations`: as `residuals`, at the start only.
    - `systems`: nested systems by name. Their names get the prefix `name.`; the equations of this
      system reach into them (`u.tank.h`), and may give the derivatives of their `external` unknowns.

    **Raises:** `DeclarationError` naming the equation or unknown: a name of two kinds, an unknown
    without an equation or with two, a derivative of something unknown, a shape that is not the
    unknown's; `BoundParameterError` for a binding that reads an unknown.

    !!! Example

        >>> import mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ...     observed={"rate": lambda t, u, p: p.k * u.x},
        ... )
        >>> decay.names()
        ('k', 'x', 'rate')
    """

    __slots__ = (
        "__weakref__",
        "derivatives",
        "initial_equations",
        "observed",
        "parameters",
        "residuals",
        "systems",
        "unknowns",
    )

    def __init__(
        self,
        *,
        parameters: Mapping[str, Any] | None = None,
        unknowns: Mapping[str, Any] | None = None,
        derivatives: Equation | None = None,
        residuals: Equation | None = None,
        observed: Mapping[str, Equation] | None = None,
        initial_equations: Equation | None = None,
        systems: Mapping[str, System] | None = None,
    ):
        put = lambda name, value: object.__setattr__(self, name, value)
        put("systems", dict(systems or {}))
        put("parameters", {_name(n): _parameter(d) for n, d in _items(parameters, "parameters")})
        put("unknowns", {_name(n): _unknown(d) for n, d in _items(unknowns, "unknowns")})
        put("observed", {_name(n): _function(f, n) for n, f in _items(observed, "observed")})
        for what, f in (
            ("derivatives", derivatives),
            ("residuals", residuals),
            ("initial_equations", initial_equations),
        ):
            put(what, None if f is None else _function(f, what))
        for name, child in self.systems.items():
            _name(name)
            if "." in name:
                raise DeclarationError(f"{name!r}: the name of a nested system has no dots.")
            if not isinstance(child, System):
                raise KindError(f"systems[{name!r}] is a mtk.System, got {type(child).__name__}.")
        _refuse_two_kinds(self)
        check_system(self)

    @classmethod
    def from_vector_field(
        cls,
        f: object,
        *,
        unknowns: Mapping[str, Any],
        parameters: Mapping[str, Any] | None = None,
        state: PyTree = None,
        args: PyTree = None,
        observed: Mapping[str, Equation] | None = None,
    ) -> System:
        """A system from a vector field `f(t, y, args)` written for diffrax, which stays as it is.

        **Arguments:**

        - `f`: the function, or a `diffrax.ODETerm` of it.
        - `unknowns`: names for the state, with initial values. In this order they are the entries of
          one vector `y`; one unknown alone is `y` itself, of whatever shape.
        - `state`: where `y` is no vector: its structure with a name in each place, such as
          `{"pos": "x", "vel": "v"}` or `("x", "v")`.
        - `parameters`, `observed`: as for `mtk.System`.
        - `args`: what `f` gets: a function of the parameters, `lambda p: (p.a, p.b)`; or a structure
          with names in it, `("a", "b")` or `{"rate": "a"}`, in which all else stays as it is. By
          default the view of the parameters.

        **Raises:** as `mtk.System`; `DeclarationError` for a state of other names than the unknowns,
        `ShapeError` for a result that is not like the state.

        !!! Example

            >>> import mtkparams as mtk
            >>> def field(t, y, args):
            ...     alpha, beta = args
            ...     return -alpha * y + beta
            >>> system = mtk.System.from_vector_field(
            ...     field, unknowns={"x": 1.0}, parameters={"a": 2.0, "b": 0.5}, args=("a", "b")
            ... )
            >>> mtk.ODEProblem(system)["D(x)"].item()
            -1.5
        """
        return cls(
            parameters=parameters,
            unknowns=unknowns,
            derivatives=vector_field(f, unknowns, state, args),
            observed=observed,
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"A system is never changed; declare another one. ({name!r} was set.)")

    def names(self) -> tuple[str, ...]:
        """All names: parameters, unknowns and observed values, of nested systems too."""
        declared = (*self.parameters, *self.unknowns, *self.observed)
        nested = (f"{n}.{inner}" for n, child in self.systems.items() for inner in child.names())
        return tuple(dict.fromkeys((*declared, *nested)))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.names()

    def __repr__(self) -> str:
        counts = (
            (len(self.parameters), "parameter"),
            (len(self.unknowns), "unknown"),
            (len(self.observed), "observed value"),
            (len(self.systems), "nested system"),
        )
        return f"System({', '.join(counted(n, what) for n, what in counts if n)})"


def _items(mapping: Mapping[Any, Any] | None, what: str) -> Sequence[tuple[Any, Any]]:
    if mapping is None:
        return ()
    if not isinstance(mapping, Mapping):
        raise KindError(f"{what}= is a dictionary by name, got {type(mapping).__name__}.")
    return tuple(mapping.items())


def _name(key: object) -> str:
    if isinstance(key, Initial):
        raise DeclarationError(
            f"{plain(key)!r} is declared with its unknown: unknowns={{{key.name!r}: value}}."
        )
    name = plain(key)
    check_declarable(name)
    return name


def _parameter(value: object) -> Parameter:
    if isinstance(value, Unknown):
        raise DeclarationError(
            "An mtk.Unknown was given among the parameters; move it to unknowns=."
        )
    return value if isinstance(value, Parameter) else Parameter(value)


def _unknown(value: object) -> Unknown:
    if isinstance(value, Parameter):
        raise DeclarationError("An mtk.Parameter was given among the unknowns; use mtk.Unknown.")
    return value if isinstance(value, Unknown) else Unknown(value)


def _function(f: object, name: object) -> Equation:
    if not callable(f):
        raise KindError(f"{name!r} is a function f(t, u, p), got {type(f).__name__} {f!r}.")
    return f


def _refuse_two_kinds(system: System) -> None:
    kinds = {
        "parameter": system.parameters,
        "unknown": system.unknowns,
        "observed value": system.observed,
    }
    seen: dict[str, str] = {}
    for kind, names in kinds.items():
        for name in names:
            if name in seen:
                raise DeclarationError(f"{name!r} is both a {seen[name]} and a {kind}. Rename one.")
            if name in system.systems:
                raise DeclarationError(
                    f"{name!r} is both a {kind} and a nested system. Rename one."
                )
            seen[name] = kind
