"""A flattened system made ready to run: places for unknowns, one function for the right-hand side."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, PyTree

from .._interned import Interned
from .._parameters import (
    BoundValues,
    Entry,
    Index,
    Initial,
    Initials,
    Leaf,
    Metadata,
    MTKParameters,
    Name,
    Place,
    Reader,
    View,
    fingerprint,
    plain,
    shared_view,
    within,
)
from .._text import counted, listed
from ..errors import DeclarationError, KindError, ShapeError, unknown_name
from .flatten import Equation, Equations, Flat
from .parameter import Parameter


@dataclasses.dataclass(frozen=True, eq=False)
class Instant:
    """What an observed value may read: the time, the unknowns and the parameters."""

    t: Any
    u: View
    p: View

    def inside(self, prefix: str) -> Instant:
        """The same as a nested system sees it, with relative names."""
        return Instant(self.t, within(self.u, prefix), within(self.p, prefix)) if prefix else self


class Model(Interned):
    """Equations and names without values: static, interned, compared by identity.

    **Attributes:**

    - `declarations`: parameters and initial values, without their defaults.
    - `states`: the index of the unknowns; differential ones fill its first buffer, algebraic ones
      its second. Observed values are its dependent entries.
    - `differential`, `algebraic`: the names of either.

    A vector `y` of unknowns has the differential ones first, then the algebraic ones, each in
    declaration order: shape `(sum(sizes),)`.
    """

    __slots__ = ("algebraic", "declarations", "differential", "equations", "states")

    declarations: Mapping[str, Parameter]
    states: Index
    differential: tuple[str, ...]
    algebraic: tuple[str, ...]
    equations: tuple[Equations, ...]

    @staticmethod
    def of(flat: Flat, differential: tuple[str, ...]) -> Model:
        """The one model of these equations."""
        declarations = {n: _without_value(d) for n, d in flat.declarations().items()}
        key = (
            tuple((n, _key(d)) for n, d in declarations.items()),
            tuple((n, shape) for n, shape in flat.shapes().items()),
            differential,
            tuple((n, prefix, fingerprint(f)) for n, (prefix, f) in flat.observed.items()),
            tuple(_key(equations) for equations in flat.equations),
        )
        return Model._interned(
            key,
            lambda: {
                "declarations": declarations,
                "differential": differential,
                "algebraic": tuple(n for n in flat.unknowns if n not in differential),
                "equations": flat.equations,
                "states": _states(flat, differential),
            },
        )

    def __repr__(self) -> str:
        return f"<model of {counted(len(self.states.entries), 'name')}>"

    @property
    def sizes(self) -> tuple[int, int]:
        """How many entries of a vector of unknowns are differential, and how many algebraic."""
        differential, algebraic = self.states.widths[Initials]
        return differential, algebraic

    @property
    def unknowns(self) -> tuple[str, ...]:
        """All unknowns, in the order of a vector of them."""
        return (*self.differential, *self.algebraic)

    def split(self, y: Array) -> tuple[Array, Array]:
        """The differential and the algebraic part of a vector of unknowns."""
        size, algebraic = self.sizes
        return (y, y[..., :0]) if not algebraic else (y[..., :size], y[..., size:])

    def instant(self, t: ArrayLike, y: Array, p: MTKParameters) -> Instant:
        """The views of one instant: `y` holds all unknowns, shape `(sum(sizes),)`.

        `u["D(x)"]` is the derivative of `x` as the equations give it.
        """
        now = self._instant(t, y, p, _no_rate)
        return self._instant(t, y, p, lambda name: self._rate(now, name))

    def _instant(
        self, t: ArrayLike, y: Array, p: MTKParameters, rate: Callable[[str], Any]
    ) -> Instant:
        reader = Reader(self.states, {Initials: self.split(y)})
        p_view = shared_view(p)

        def at(bound: BoundValues) -> Instant:
            def get(name: Name) -> Any:
                text = plain(name)
                if text.startswith("D(") and text.endswith(")"):
                    return rate(text[2:-1])
                return reader.name(name, bound)

            return Instant(t, View(self.states, get), p_view)

        return at(BoundValues(at))

    def start(self, p: MTKParameters) -> Array:
        """All unknowns at the start, from the initial values in `p`."""
        values = p[[Initial(name) for name in self.unknowns]]
        for name, value in zip(self.unknowns, values, strict=True):
            place = self.states.entries[name].leaves[0].place
            if place is not None and jnp.ndim(value) > len(place.shape):
                raise KindError(
                    f"The initial value of {name!r} has shape {jnp.shape(value)}, and the unknown "
                    f"{place.shape}: this is a batch. Use jax.vmap, or mtk.solve_ensemble."
                )
        return join(values, p.initials.dtype)

    def derivative(self, t: ArrayLike, y: Array, p: MTKParameters) -> Array:
        """`dy/dt` of the differential unknowns, shape `(differential,)`."""
        parts = self.rates(t, y, p)
        return join([parts[name] for name in self.differential], y.dtype)

    def rates(self, t: ArrayLike, y: Array, p: MTKParameters) -> dict[str, Any]:
        """The derivative of each differential unknown by name."""
        return self._derivatives(self._instant(t, y, p, _no_rate))

    def _derivatives(self, now: Instant) -> dict[str, Any]:
        parts: dict[str, Any] = {}
        for equations in self.equations:
            parts.update(derivatives_of(equations, now, self.states))
        return parts

    def _rate(self, now: Instant, name: str) -> Any:
        if name not in self.differential:
            raise unknown_name(name, self.differential, "the unknowns with a derivative")
        return self._derivatives(now)[name]

    def residuals(self, t: ArrayLike, y: Array, p: MTKParameters) -> dict[str, Any]:
        """What is zero at a solution, by the full name of each algebraic equation."""
        now = self._instant(t, y, p, _no_rate)
        return _residuals([(e, e.residuals) for e in self.equations], now, "residuals")

    def initial_residuals(self, t: ArrayLike, y: Array, p: MTKParameters) -> dict[str, Any]:
        """What is zero at the start only, by the full name of each initial equation."""
        now = self.instant(t, y, p)
        functions = [(e, e.initial_equations) for e in self.equations]
        return _residuals(functions, now, "initial equations")


def _no_rate(name: str) -> Any:
    raise DeclarationError(
        f"'D({name})' is read where derivatives are computed. Initial equations and solutions have it; "
        "in the equations themselves write out the right-hand side, or give it a name in observed=."
    )


def _residuals(
    functions: list[tuple[Equations, Equation | None]], now: Instant, what: str
) -> dict[str, Any]:
    residuals: dict[str, Any] = {}
    for equations, f in functions:
        if f is None:
            continue
        here = now.inside(equations.prefix)
        out = f(here.t, here.u, here.p)
        if not isinstance(out, Mapping):
            raise DeclarationError(
                f"The {what} of {equations.who} are a dictionary {{equation: value}}, got "
                f"{type(out).__name__}."
            )
        residuals.update({equations.prefix + str(name): value for name, value in out.items()})
    return residuals


def derivatives_of(equations: Equations, now: Instant, states: Index) -> dict[str, Any]:
    """What one system's `derivatives` returns, under full names."""
    if equations.derivatives is None:
        return {}
    prefix = equations.prefix
    here = now.inside(prefix)
    out = equations.derivatives(here.t, here.u, here.p)
    where = f"the derivatives of system {prefix[:-1]!r}" if prefix else "the derivatives"
    if isinstance(out, Mapping):
        derivatives = {prefix + str(name): value for name, value in out.items()}
        for name, value in derivatives.items():
            _check_name(name, states, where)
            _check_shape(name, value, states)
        return derivatives
    return _from_array(out, equations.own, states, where)


def _check_name(name: str, states: Index, where: str) -> None:
    entry = states.entries.get(name)
    if entry is None:
        unknowns = [n for n, e in states.entries.items() if e.bind is None]
        error = unknown_name(name, unknowns, "the unknowns")
        raise DeclarationError(f"In {where}: {error}")
    if entry.bind is not None:
        raise DeclarationError(f"In {where}: {name!r} is an observed value and has no derivative.")


def _check_shape(name: str, value: PyTree, states: Index) -> None:
    place = states.entries[name].leaves[0].place
    assert place is not None
    if jnp.shape(value) != place.shape:
        raise ShapeError(
            f"The derivative of {name!r} has shape {jnp.shape(value)}, the unknown has {place.shape}."
        )


def _from_array(out: object, own: tuple[str, ...], states: Index, where: str) -> dict[str, Any]:
    if not isinstance(out, int | float | list | tuple) and not hasattr(out, "shape"):
        raise DeclarationError(
            f"{where[0].upper()}{where[1:]} are a dictionary by name or one array, got "
            f"{type(out).__name__}."
        )
    out = jnp.asarray(out)
    shape = out.shape
    if len(own) == 1:
        _check_shape(own[0], out, states)
        return {own[0]: out}
    places = [states.entries[name].leaves[0].place for name in own]
    if any(place is None or place.shape for place in places) or shape != (len(own),):
        raise ShapeError(
            f"{where} returned an array of shape {shape}. For {counted(len(own), 'unknown')} it is one vector of "
            f"{len(own)} numbers in the order {listed(own)}; otherwise return a dictionary by name."
        )
    return {name: out[i] for i, name in enumerate(own)}


def join(values: list[Any], dtype: DTypeLike) -> Array:
    """Values of several shapes as one vector."""
    arrays = [jnp.asarray(value).astype(dtype) for value in values]
    if not arrays:
        return jnp.zeros(0, dtype)
    if all(array.ndim == 0 for array in arrays):
        return jnp.stack(arrays)
    return jnp.concatenate([array.ravel() for array in arrays])


def _states(flat: Flat, differential: tuple[str, ...]) -> Index:
    starts = [0, 0]
    entries = []
    shapes = flat.shapes()
    for name, unknown in flat.unknowns.items():
        buffer = 0 if name in differential else 1
        place = Place(Initials, buffer, starts[buffer], shapes[name])
        starts[buffer] += math.prod(shapes[name])
        about = Metadata(unit=unknown.unit, description=unknown.description)
        entries.append(Entry(name, Initials, (Leaf("", place),), about=about))
    for name, (prefix, f) in flat.observed.items():
        entries.append(Entry(name, None, bind=_observed(f, prefix)))
    return Index.of(tuple(entries), {Initials: tuple(starts)})


def _observed(f: Callable[..., Any], prefix: str) -> Callable[[Instant], Any]:
    def bind(now: Instant) -> Any:
        here = now.inside(prefix)
        return f(here.t, here.u, here.p)

    return bind


def _without_value(declared: Parameter) -> Parameter:
    return dataclasses.replace(declared, default=None) if declared.bind is None else declared


def _key(declared: Parameter | Equations) -> Hashable:
    return tuple(fingerprint(getattr(declared, f.name)) for f in dataclasses.fields(declared))
