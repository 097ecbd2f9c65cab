"""Two roles. What has names turns them into places; what has values holds something at each place.

A system has names alone. A parameter object, a problem and a solution have both. Each chapter
registers its classes here, so that this one need not know them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
from jaxtyping import PyTree

from .._parameters import Index, MTKParameters, Name, part_of, plain, split_index, stored_name
from ..errors import BoundParameterError, DeclarationError, KindError, unknown_name
from .spec import Absent, absent, call, filled, is_name, leaves_of


@dataclasses.dataclass(frozen=True, eq=False)
class Names:
    """What a source knows of names.

    - `p`: its parameters, or others with the same names.
    - `states`: the index of its unknowns and observed values; `None` where there are none.
    - `read`: the values under a structure of names; it is called on shapes alone.
    - `t`: a time.
    """

    p: MTKParameters
    states: Index | None = None
    read: Callable[[Any], Any] | None = None
    t: Any = Absent("the time")

    def kind(self, name: Name) -> str:
        """`parameter`, `bound`, `unknown`, `observed`, `derivative` or `time`, or the error."""
        text = plain(name)
        if self.states is not None:
            if text in self.states:
                entry = self.states.find(text).entry
                return "unknown" if entry.bind is None else "observed"
            if text == "t" and text not in self.p:
                return "time"
            if text.startswith("D("):
                return "derivative"
        if text in self.p:
            return "parameter" if self.p.index.find(text).entry.bind is None else "bound"
        raise self._unknown(text)

    def _unknown(self, name: str) -> Exception:
        base = (split_index(name) or (name,))[0]
        for index in (self.states, self.p.index):
            if index is not None and (base in index.entries or self.states is None):
                target = index.find(name)  # raises where the name is wrong, and not its index
                if target.leaf is not None and target.leaf.place is not None:
                    part_of(target, target.leaf.place.shape)
        known = [*(self.states or ()), *self.p]
        return unknown_name(name, known, "the unknowns, observed and parameters")

    def stored(self, name: Name) -> str:
        """The parameter that holds what `name` names: of an unknown its initial value."""
        return stored_name(name, self._unknowns)

    @functools.cached_property
    def _unknowns(self) -> frozenset[str]:
        entries = () if self.states is None else self.states.entries.values()
        return frozenset(entry.name for entry in entries if entry.bind is None)

    def settable(self, name: object, unknowns: bool) -> str:
        """The parameter that is set under `name`, or an error that says why none is."""
        if not is_name(name):
            raise KindError(f"Only names can be set; {name!r} is an expression.")
        kind, text = self.kind(name), plain(name)
        if kind == "parameter":
            return text
        if kind == "unknown" and unknowns:
            return self.stored(name)
        if kind == "bound":
            raise BoundParameterError(
                f"{text!r} is a dependent parameter (bind=): its value follows from what it reads. "
                "Set that."
            )
        if kind == "unknown":
            raise KindError(
                f"{text!r} is an unknown, which mtk.setp does not set. mtk.setsym sets its initial "
                f"value, as does the name mtk.Initial({text!r})."
            )
        what = {"observed": "an observed value", "time": "the time", "derivative": "a derivative"}
        raise DeclarationError(f"{text!r} is {what[kind]} and cannot be set. Set what it reads.")

    def check(self, spec: PyTree, parameters_alone: bool) -> None:
        """Raises for names that mean nothing, and for expressions that do not evaluate."""
        leaves = leaves_of(spec)
        for leaf in leaves:
            kind = self.kind(leaf) if is_name(leaf) else ""
            if parameters_alone and kind not in ("", "parameter", "bound"):
                what = {"observed": "an observed value", "time": "the time"}.get(kind, f"a {kind}")
                what = "an unknown" if kind == "unknown" else what
                raise KindError(
                    f"{plain(leaf)!r} is {what}, and mtk.getp reads parameters. Use mtk.getsym."
                )
        read = self.read
        if parameters_alone or read is None:
            read = lambda spec: self.p[of_parameters(spec, self.t)]
        # Shapes tell what names alone do not: an index out of range, a name inside an expression.
        eqx.filter_eval_shape(lambda: read(spec))


def of_parameters(spec: PyTree, t: object) -> Any:
    """`spec` with its expressions as functions of parameters alone."""
    leaves = (leaf if is_name(leaf) else _of_parameters(leaf, t) for leaf in leaves_of(spec))
    return filled(spec, iter(leaves))


def _of_parameters(f: Callable[..., Any], t: object) -> Callable[[Any], Any]:
    unknowns = Absent("unknowns")

    def read(p: Any) -> Any:
        try:
            return call(f, t, unknowns, p)
        except TypeError as error:
            if Absent.__name__ in str(error):  # from a function of JAX
                raise absent("the time" if isinstance(t, Absent) else "unknowns") from error
            raise

    return read


@functools.singledispatch
def names_of(source: object) -> Names:
    """The names of a source."""
    raise KindError(
        "Names are looked up in a system, a problem, a parameter object or a solution; got "
        f"{type(source).__name__}."
    )


@functools.singledispatch
def parameters_of(provider: object) -> tuple[MTKParameters, Any]:
    """The parameters of what has values, and the time at which they are read."""
    raise KindError(
        "Values are read from a problem, a parameter object or a solution; got "
        f"{type(provider).__name__}."
    )


@functools.singledispatch
def read_all(provider: object, spec: PyTree, at: Any) -> Any:
    """The values under a structure of names, where there are several times at some of them."""
    if at is not None:
        raise KindError(f"Only a solution has several times, got {type(provider).__name__}.")
    return read_parameters(provider, spec)


@functools.singledispatch
def written(provider: object, values: Mapping[str, Any]) -> Any:
    """`provider` with other values under the names of parameters."""
    raise KindError(
        f"Values are set in a problem or a parameter object, got {type(provider).__name__}."
    )


@names_of.register(MTKParameters)
def _(source: Any) -> Names:
    return Names(source)


@parameters_of.register(MTKParameters)
def _(provider: Any) -> tuple[MTKParameters, Any]:
    return provider, Absent("the time")


@written.register(MTKParameters)
def _(provider: Any, values: Mapping[str, Any]) -> Any:
    return provider.set(values)


def read_parameters(provider: object, spec: PyTree) -> Any:
    """Parameters, and expressions of them and of the time."""
    p, t = parameters_of(provider)
    return p[of_parameters(spec, t)]
