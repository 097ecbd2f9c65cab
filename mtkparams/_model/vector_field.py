"""A vector field `f(t, y, args)` that somebody has already, as the derivatives of a system."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from .._parameters import Initial, View, plain
from .._text import counted, listed, quoted
from ..errors import DeclarationError, KindError, ShapeError


@dataclasses.dataclass(frozen=True, eq=False)
class VectorField:
    """`f(t, y, args)` called with what it expects, and its result under the names of unknowns.

    - `unknowns`: their names. Without `state` they are, in this order, the entries of one vector
      `y`; one unknown alone is `y` itself.
    - `state`: the structure of `y`, with a name for each array in it.
    - `args`: a function of the parameters, or a structure with names in it.
    """

    f: Callable[[Any, Any, Any], Any]
    unknowns: tuple[str, ...]
    state: Any
    args: Any

    def __call__(self, t: ArrayLike, u: View, p: View) -> dict[str, Any]:
        if self.state is not None:
            y = jax.tree.map(lambda name: u[name], self.state)
            return self._named(self.f(t, y, self._args(p)), u)
        values = [jnp.asarray(u[name]) for name in self.unknowns]
        if len(values) == 1:
            (name,) = self.unknowns
            return {name: self._like(name, self.f(t, values[0], self._args(p)), values[0])}
        return self._split(self.f(t, _joined(values), self._args(p)), values)

    def _args(self, p: View) -> Any:
        if self.args is None:
            return p
        if callable(self.args):
            return self.args(p)
        return jax.tree.map(
            lambda leaf: p[leaf] if isinstance(leaf, str | Initial) else leaf, self.args
        )

    def _split(self, out: PyTree, values: list[Array]) -> dict[str, Any]:
        sizes = [value.size for value in values]
        size = sum(sizes)
        if not hasattr(out, "shape") or out.shape != (size,):
            raise ShapeError(
                f"The vector field returned {_kind(out)}, and its state is one vector of {counted(size, 'entry')}: "
                f"{listed(self.unknowns)}. Give state= where it works on another structure."
            )
        if size == len(values) and not any(value.ndim for value in values):
            return {name: out[i] for i, name in enumerate(self.unknowns)}
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        return {
            name: out[start : start + value.size].reshape(value.shape)
            for name, start, value in zip(self.unknowns, starts, values, strict=True)
        }

    def _named(self, out: PyTree, u: View) -> dict[str, Any]:
        names, structure = jax.tree.flatten(self.state)
        leaves, returned = jax.tree.flatten(out)
        if structure != returned:
            raise ShapeError(
                f"The vector field returned {returned}, and its state is {structure}. It returns the time "
                "derivative of its state, in the same structure."
            )
        return {
            name: self._like(name, leaf, jnp.asarray(u[name]))
            for name, leaf in zip(names, leaves, strict=True)
        }

    def _like(self, name: str, out: PyTree, value: Array) -> Any:
        if jnp.shape(out) != value.shape:
            raise ShapeError(
                f"The vector field returned {_kind(out)} for {name!r}, which has shape {value.shape}."
            )
        return out


def vector_field(
    f: object, unknowns: Mapping[Any, Any], state: PyTree, args: PyTree
) -> VectorField:
    """What `System.from_vector_field` says, as the derivatives of a system."""
    f = getattr(f, "vector_field", f)  # a diffrax.ODETerm
    if not callable(f):
        raise KindError(
            f"A vector field is a function f(t, y, args), got {type(f).__name__} {f!r}."
        )
    names = tuple(plain(name) for name in unknowns)
    if not names:
        raise DeclarationError("unknowns= names the state of the vector field; it is empty.")
    if state is not None:
        held = jax.tree.leaves(state)
        wrong = [name for name in held if not isinstance(name, str)]
        if wrong:
            raise KindError(f"state= has the name of an unknown for each array, got {wrong[0]!r}.")
        if sorted(held) != sorted(names):
            raise DeclarationError(
                f"state= has the names {quoted(held) or 'of nothing'}, and unknowns= "
                f"{quoted(names)}. Each unknown has one place in the state."
            )
    return VectorField(f, names, state, args)


def _joined(values: list[Array]) -> Array:
    if all(value.ndim == 0 for value in values):
        return jnp.stack(values)
    return jnp.concatenate([value.ravel() for value in values])


def _kind(out: PyTree) -> str:
    if hasattr(out, "shape"):
        return f"an array of shape {tuple(out.shape)}"
    return f"a {type(out).__name__}"
