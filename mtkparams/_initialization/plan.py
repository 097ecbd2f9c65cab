"""The equations that determine what is found, their structure, and what is left over."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._blocks import Structure, analyze
from .._model import Model, join
from .._parameters import Caches, Initial, MTKParameters
from ..errors import DeclarationError
from .conditions import Conditions
from .slots import Slots, entry_names, shown

# What is asked: a start; the algebraic unknowns alone; whether a start is one; a root of the
# residuals; a steady state.
Question: TypeAlias = Literal["start", "algebraic", "check", "root", "steady"]


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """What is found and how: static, one for each model, question and set of conditions.

    **Attributes:**

    - `slots`: places in the parameters that are found.
    - `unknowns`, `equations`: the names of the entries of the two vectors.
    - `rows`: the equations that read something that is found; `left_over` are the others, which
      can only be checked.
    - `structure`: of those `rows`.
    """

    model: Model
    question: Question
    slots: Slots
    unknowns: tuple[str, ...]
    equations: tuple[str, ...]
    rows: np.ndarray
    left_over: np.ndarray
    structure: Structure | None

    def guess(self, p: MTKParameters) -> Float[Array, " n"]:
        """Where the search starts."""
        v = self.slots.read(p)
        return jnp.concatenate([self.model.start(p), v]) if self._has_own_states else v

    def split(self, v: Array, p: MTKParameters) -> tuple[Array, MTKParameters]:
        """All unknowns and the parameters, where `v` is what was found."""
        if self._has_own_states:
            size = sum(self.model.sizes)
            return v[:size], self.slots.write(p, v[size:])
        p = self.slots.write(p, v)
        return self.model.start(p), p

    def determining(self, v: Array, args: tuple[Any, MTKParameters]) -> Array:
        """What is zero at the solution: the `rows`, as a function of what is found."""
        t, p = args
        return self._residual(t, *self.split(v, p), self.rows)

    def remaining(self, y: Array, args: tuple[Any, MTKParameters]) -> Array:
        """The equations that read nothing that is found, as a function of all unknowns."""
        t, p = args
        return self._residual(t, y, p, self.left_over)

    @property
    def _has_own_states(self) -> bool:
        # A steady state is no initial value: what reads `Initial(x)` still means the start.
        return self.question in ("root", "steady")

    def _residual(self, t: Any, y: Array, p: MTKParameters, rows: np.ndarray) -> Array:
        values = join([*evaluate(self.model, self.question, t, y, p).values()], y.dtype)
        return values if rows.size == values.size else values[rows]


def evaluate(
    model: Model, question: Question, t: Any, y: Array, p: MTKParameters
) -> dict[str, Any]:
    """What is zero at the answer to a question, by the name of each equation."""
    residuals = dict(model.residuals(t, y, p))
    if question == "steady":
        rates = model.rates(t, y, p)
        return {**{f"D({name})": rates[name] for name in model.differential}, **residuals}
    if question != "algebraic":
        at_start = model.initial_residuals(t, y, p)
        residuals.update({_apart(name, residuals): value for name, value in at_start.items()})
    return residuals


def _apart(name: str, taken: Mapping[str, Any]) -> str:
    return f"{name} (at the start)" if name in taken else name


def plan(
    model: Model, conditions: Conditions, question: Question, t: Array, p: MTKParameters
) -> Plan:
    """The plan for a question; worked out once for each shape and dtype of the parameters."""
    args = (t, without_caches(p))
    leaves, treedef = jax.tree.flatten(args)
    key = (model, question, treedef, tuple((x.shape, x.dtype) for x in leaves))
    known = conditions.memo
    if key not in known:
        types = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves]
        known[key] = _new_plan(model, conditions, question, treedef.unflatten(types))
    return known[key]


def without_caches(p: MTKParameters) -> MTKParameters:
    """`p` without what earlier solves left: equations never read it, and nor do derivatives."""
    return p.from_buffers({**p.buffers, Caches: ()})


def _new_plan(model: Model, conditions: Conditions, question: Question, args: Any) -> Plan:
    t, p = args
    slots = Slots.of(p.index, _asked(model, conditions, question, p))
    states = [f for name in model.unknowns for f in entry_names(name, _shape(model, name))]
    unknowns = (*states, *slots.names) if question in ("root", "steady") else slots.names
    y = jax.ShapeDtypeStruct((sum(model.sizes),), p.initials.dtype)
    names, shapes = _shapes_of(model, question, t, y, p)
    equations = tuple(f for n, s in zip(names, shapes, strict=True) for f in entry_names(n, s))
    every = np.arange(len(equations))
    first = Plan(model, question, slots, unknowns, equations, every, every[:0], None)
    if not unknowns or not equations:
        return dataclasses.replace(first, rows=every[:0], left_over=every)
    v = jax.ShapeDtypeStruct((len(unknowns),), p.initials.dtype)
    structure = analyze(first.determining, v, args)
    reads = np.diff(structure.incidence.indptr) > 0
    if reads.all():
        return dataclasses.replace(first, structure=structure)
    fewer = dataclasses.replace(first, rows=every[reads], left_over=every[~reads])
    structure = analyze(fewer.determining, v, args) if reads.any() else None
    return dataclasses.replace(fewer, structure=structure)


def _shapes_of(
    model: Model, question: Question, t: Any, y: Any, p: Any
) -> tuple[list[str], list[tuple[int, ...]]]:
    """The names of the equations and the shape of each, in the order in which they are written."""
    names: list[str] = []

    def values(t: Any, y: Any, p: Any) -> list[Array]:
        residuals = evaluate(model, question, t, y, p)
        names.extend(residuals)  # a dictionary would come back sorted
        return [jnp.asarray(value) for value in residuals.values()]

    shapes = [x.shape for x in jax.eval_shape(values, t, y, p)]
    return names, shapes


def _asked(
    model: Model, conditions: Conditions, question: Question, p: MTKParameters
) -> Mapping[str, np.ndarray]:
    """The slots that a question asks for."""
    if question == "start":
        return conditions.free
    if question == "algebraic":
        for n in model.algebraic:
            if p.index.entries[str(Initial(n))].bind is not None:
                raise DeclarationError(
                    f"The start of {n!r} is dependent on other values, so mtk.BrownFullBasicInit cannot "
                    "find it. Take the function away with mtk.UNSET, or use mtk.OverrideInit."
                )
        return {str(Initial(n)): np.ones(_shape(model, n), bool) for n in model.algebraic}
    if question == "root":
        return {n: mask for n, mask in conditions.free.items() if n == shown(n)}
    return {}


def _shape(model: Model, name: str) -> tuple[int, ...]:
    place = model.states.entries[name].leaves[0].place
    assert place is not None
    return place.shape
