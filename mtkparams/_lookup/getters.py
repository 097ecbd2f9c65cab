"""Reading by name: looked up once, then a pure function."""

from __future__ import annotations

from typing import Any

from jaxtyping import PyTree

from .._parameters import Piece, Selection, plain, refuse_overlaps
from ..errors import KindError, OverlapError
from .batched import BatchedGetter, BatchedInterface, BatchedSetter, refuse_spec
from .provider import Names, names_of, read_all, read_parameters, written
from .spec import Spec, leaves_of, matched


class Getter:
    """A function of whatever has values, equal to others that read the same."""

    __slots__ = ("__weakref__", "spec", "unknowns")

    def __init__(self, spec: Spec, unknowns: bool):
        self.spec = spec
        self.unknowns = unknowns

    def __call__(self, provider: object, at: Any = None) -> Any:
        if self.unknowns:
            return read_all(provider, self.spec.value, at)
        if at is not None:
            raise KindError(
                "A getter of parameters takes no times; mtk.getsym makes one that does."
            )
        return read_parameters(provider, self.spec.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Getter) and (self.spec, self.unknowns) == (
            other.spec,
            other.unknowns,
        )

    def __hash__(self) -> int:
        return hash((self.spec, self.unknowns))

    def __repr__(self) -> str:
        return f"<getter of {self.spec!r}>"


def getp(source: object, spec: PyTree = None) -> Any:
    """A pure function that reads parameters from whatever has values.

    **Arguments:**

    - `source`: where the names are looked up, now: an `mtk.System`, a problem, a parameter object or
      a solution; or an `mtk.BatchedInterface`, without a `spec`.
    - `spec`: a name (`"k"`, `"tau[1]"`, `mtk.Initial("x")`), an expression of parameters, `f(p)` or
      `f(t, u, p)`, or lists, tuples, named tuples and dictionaries of those.

    **Returns:** a function of a parameter object, a problem, a solution, a gradient of one of those or
    a batch, with the values in the structure of `spec`. It is equal to any other getter of the same
    names, holds no values, and works inside `jit`, `grad` and `vmap`.

    **Raises:** at once, and not in a trace: `UnknownNameError` with the nearest names, `KindError` for
    a name that is no parameter, and what an expression raises.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"a": 1.0, "b": 2.0})
        >>> get = mtk.getp(p, ("a", {"sum": lambda p: p.a + p.b}))
        >>> a, more = get(p.set({"a": 3.0}))
        >>> float(a), float(more["sum"])
        (3.0, 5.0)
    """
    return _getter(source, spec, unknowns=False)


def getsym(source: object, spec: PyTree = None) -> Any:
    """A pure function that reads anything by name: parameters, unknowns, observed values, `"t"`.

    **Arguments:**

    - `source`: where the names are looked up, now: an `mtk.System`, a problem, a parameter object or
      a solution; or an `mtk.BatchedInterface`, without a `spec`.
    - `spec`: as for `mtk.getp`, and also unknowns, their derivatives (`"D(x)"`), observed values, the
      time `"t"`, and expressions `f(t, u, p)` of all of them.

    **Returns:** a function `get(provider)`. A problem gives the values at its start; a solution gives
    series with the times in front, and `get(solution, at)` those at a time index: an integer, a
    slice, a list or a mask. All observed values and expressions of one `spec` are one compiled call,
    in which what they share is computed once.

    **Raises:** as `mtk.getp`.

    !!! Example

        >>> import mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ...     observed={"rate": lambda t, u, p: p.k * u.x},
        ... )
        >>> get = mtk.getsym(decay, ["x", "rate"])
        >>> [float(v) for v in get(mtk.ODEProblem(decay, {"x": 3.0}))]
        [3.0, 1.5]
    """
    return _getter(source, spec, unknowns=True)


def _getter(source: object, spec: PyTree, unknowns: bool) -> Getter | BatchedGetter:
    if isinstance(source, BatchedInterface):
        refuse_spec(spec)
        systems = enumerate(source.sources)
        return BatchedGetter(
            source, tuple(_getter(s, list(source.first_in(i)), unknowns) for i, s in systems)
        )
    names_of(source).check(spec, parameters_alone=not unknowns)
    return Getter(Spec(spec), unknowns)


class Setter:
    """A function of whatever has values and of new ones, equal to others that write the same."""

    __slots__ = ("__weakref__", "names", "spec")

    def __init__(self, spec: Spec, names: tuple[str, ...]):
        self.spec = spec
        self.names = names

    def __call__(self, provider: object, values: PyTree) -> Any:
        new = matched(self.spec.value, values)
        return written(provider, dict(zip(self.names, new, strict=True)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Setter) and (self.spec, self.names) == (other.spec, other.names)

    def __hash__(self) -> int:
        return hash((self.spec, self.names))

    def __repr__(self) -> str:
        return f"<setter of {self.spec!r}>"


def setp(source: object, spec: PyTree = None) -> Any:
    """A pure function that returns an object with other values of parameters.

    **Arguments:**

    - `source`: where the names are looked up, now: an `mtk.System`, a problem or a parameter object;
      or an `mtk.BatchedInterface`, without a `spec`.
    - `spec`: a name (`"k"`, `"tau[1]"`, `mtk.Initial("x")`), or lists, tuples, named tuples and
      dictionaries of those.

    **Returns:** a function `set(provider, values)` of a parameter object or a problem, and of values
    in the structure of `spec`; in place of a list there may be one array. It returns a new object,
    with the dtype rules of `MTKParameters.set`; the old one stays as it is.

    **Raises:** at once: `UnknownNameError` with the nearest names, `BoundParameterError` for a
    dependent parameter, `OverlapError` for an entry named twice, `KindError` for an unknown,
    `DeclarationError` for an observed value.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"a": 1.0, "b": 2.0})
        >>> put = mtk.setp(p, ["b", "a"])
        >>> float(put(p, [5.0, 6.0])["a"]), float(p["a"])
        (6.0, 1.0)
    """
    return _setter(source, spec, unknowns=False)


def setsym(source: object, spec: PyTree = None) -> Any:
    """A pure function that returns an object with other parameters and initial values of unknowns.

    **Arguments:**

    - `source`, `spec`: as for `mtk.setp`; the name of an unknown means its initial value.

    **Returns:** as `mtk.setp`. Observed values cannot be set.

    **Raises:** as `mtk.setp`.

    !!! Example

        >>> import mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ... )
        >>> problem = mtk.setsym(decay, ("x", "k"))(mtk.ODEProblem(decay), (3.0, 0.1))
        >>> float(problem["x"]), float(problem["k"])
        (3.0, 0.1)
    """
    return _setter(source, spec, unknowns=True)


def _setter(source: object, spec: PyTree, unknowns: bool) -> Setter | BatchedSetter:
    if isinstance(source, BatchedInterface):
        refuse_spec(spec)
        systems = enumerate(source.sources)
        return BatchedSetter(
            source, tuple(_setter(s, list(source.of(i)), unknowns) for i, s in systems)
        )
    names = names_of(source)
    stored = tuple(names.settable(leaf, unknowns) for leaf in leaves_of(spec))
    _refuse_overlaps(names, stored)
    return Setter(Spec(spec), stored)


def _refuse_overlaps(names: Names, stored: tuple[str, ...]) -> None:
    for i, name in enumerate(stored):
        if plain(name) in stored[:i]:
            raise OverlapError(f"{name!r} is named twice in one call.")
    targets = [names.p.index.find(name) for name in stored]
    # The parts of a pytree are compared when it is written, with the value that is given.
    pieces = [Piece.of(target) for target in targets if target.leaf is not None]
    refuse_overlaps(Selection(tuple(pieces), None))
