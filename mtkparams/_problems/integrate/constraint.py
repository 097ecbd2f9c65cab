"""Algebraic unknowns as functions of time and the differential unknowns, near a guess."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from ..._blocks import Found, Part, Settings, Structure, analyze, solve_blocks, solve_whole
from ..._model import Model, join
from ..._parameters import MTKParameters
from ..._text import quoted
from ...errors import HigherIndexError


@dataclasses.dataclass(frozen=True, eq=False)
class Constraint:
    """The algebraic equations of a model; static, compared by identity.

    **Attributes:**

    - `structure`: their blocks, solved one after the other; without it they are solved as a whole.
    - `blocks`: the names of the unknowns of each block, in solving order.
    - `branches`: which algebraic unknowns may have several solutions to choose from.
    """

    model: Model
    structure: Structure | None
    blocks: tuple[tuple[str, ...], ...]
    branches: np.ndarray

    def residual(self, z: Array, args: tuple[Any, Array, MTKParameters]) -> Array:
        """What is zero, from the algebraic unknowns and time, differential unknowns, parameters."""
        t, x, p = args
        return join(list(self.model.residuals(t, jnp.concatenate([x, z]), p).values()), z.dtype)

    def found(self, t: Any, y: Array, p: MTKParameters, doubt: bool = False) -> Found:
        """The algebraic unknowns and how they were found, from those in `y` as a guess.

        **Arguments:**

        - `doubt`: the verdict is that of an initialization, for what is handed on: a root whose slope is
          lost in rounding counts as none.
        """
        settings = Settings(doubt=doubt)
        x, guess = self.model.split(y)
        guess, args = jax.lax.stop_gradient(guess), (t, x, p)
        if self.structure is None:
            return solve_whole(self.residual, guess, args, settings)
        return solve_blocks(self.structure, self.residual, guess, args, settings)

    def resolve(
        self, t: Any, y: Array, p: MTKParameters, doubt: bool = False
    ) -> tuple[Array, Bool[Array, ""]]:
        """`y` with its algebraic part solved, and whether that worked; the algebraic part is a guess.

        Where it did not work that part is NaN. No derivative goes through the guess.
        """
        roots = self.found(t, y, p, doubt)
        x, _ = self.model.split(y)
        return jnp.concatenate([x, roots.u]), jnp.all(roots.status == 0)

    def field(self, t: Any, y: Array, args: tuple[MTKParameters, Array]) -> Array:
        """The derivative of all unknowns, that of the algebraic ones zero.

        **Arguments:**

        - `args`: the parameters, and unknowns where everything can be evaluated. Where the equations
          have no solution those are evaluated there and the result is NaN, so that the step is
          rejected. Evaluated at NaN, they would leave NaN in the derivative of a solve that did
          arrive: a factor of zero does not remove it.
        """
        p, safe = args
        resolved, solved = self.resolve(t, y, p)
        rate = self.model.derivative(t, jnp.where(solved, resolved, safe), p)
        rate = jnp.where(solved, rate, jnp.nan)
        return jnp.concatenate([rate, jnp.zeros_like(safe[rate.size :])])

    def followed(self, t: Any, y: Array, p: MTKParameters) -> tuple[Array, Bool[Array, ""], Array]:
        """The algebraic unknowns, whether they were found, and their derivative by time."""
        size = self.model.sizes[0]

        def algebraic(t: Array, x: Array) -> tuple[Array, Array]:
            resolved, solved = self.resolve(t, jnp.concatenate([x, y[size:]]), p)
            return resolved[size:], solved

        z, along, solved = jax.linearize(algebraic, t, y[:size], has_aux=True)
        now = jnp.concatenate([y[:size], jnp.where(solved, z, y[size:])])
        slope = along(jnp.ones_like(t), self.model.derivative(t, now, p))
        return z, solved, jnp.where(jnp.isfinite(slope), slope, jnp.zeros_like(slope))

    @functools.partial(jax.jit, static_argnums=0)
    def saved(self, ts: Array, ys: Array, p: MTKParameters) -> tuple[Array, Bool[Array, ""]]:
        """Unknowns at save times with their algebraic part solved, and whether all of that worked.

        Unused room, at infinite times, stays as it is.
        """
        used = jnp.isfinite(ts)
        first = (ts[0], ys[0])

        def at_time(t: Array, y: Array, used: Array) -> tuple[Array, Array]:
            resolved, solved = self.resolve(
                jnp.where(used, t, first[0]), jnp.where(used, y, first[1]), p, doubt=True
            )
            return jnp.where(used, resolved, y), solved | ~used

        resolved, solved = jax.vmap(at_time)(ts, ys, used)
        return resolved, jnp.all(solved)

    def lost(self, t: Array, y: Array, p: MTKParameters, ahead: Array) -> Array:
        """The first block without a solution soon after `t`, or the number of blocks.

        **Arguments:**

        - `y`: unknowns at `t`, where all blocks have one.
        - `ahead`: how far to look at most; negative where time runs backwards.
        """
        size = self.model.sizes[0]
        rate = self.model.derivative(t, y, p)

        def at(length: Array) -> Array:
            x = y[:size] + length * rate
            status = self.found(t + length, jnp.concatenate([x, y[size:]]), p).status
            # Unknowns that are not finite are no fault of the constraint.
            return (status != 0) & jnp.all(jnp.isfinite(x))

        lost = jnp.any(jax.vmap(at)(ahead * jnp.array([1e-4, 1e-2, 1.0], ahead.dtype)), axis=0)
        return jnp.argmax(jnp.append(lost, True))

    def event(self, event: diffrax.Event | None) -> diffrax.Event | None:
        """An event whose conditions see solved algebraic unknowns, and the parameters as `args`."""
        if event is None:
            return None
        solved = jax.tree.map(lambda f: _WithSolved(self, f), event.cond_fn, is_leaf=callable)
        return eqx.tree_at(lambda e: e.cond_fn, event, solved)

    def saveat(self, saveat: diffrax.SaveAt) -> diffrax.SaveAt:
        """`saveat` with functions `fn(t, y, args)` that see solved algebraic unknowns as well."""

        def with_solved(sub: Any) -> Any:
            if not isinstance(sub, diffrax.SubSaveAt) or saves_unknowns(sub):
                return sub
            return eqx.tree_at(lambda s: s.fn, sub, _WithSolved(self, sub.fn))

        return jax.tree.map(with_solved, saveat, is_leaf=lambda x: isinstance(x, diffrax.SubSaveAt))


@dataclasses.dataclass(frozen=True)
class _WithSolved:
    """A function of time, unknowns and parameters that is called with solved algebraic unknowns."""

    constraint: Constraint
    f: Any

    def __call__(self, t: Any, y: Array, args: tuple[MTKParameters, Array], **more: Any) -> Any:
        return self.f(t, self.constraint.resolve(t, y, args[0])[0], args[0], **more)


def saves_unknowns(sub: diffrax.SubSaveAt) -> bool:
    """Whether the unknowns themselves are saved, and not a function of them."""
    return sub.fn is _plain.fn


_plain = diffrax.SubSaveAt(t1=True)


class Resolved(eqx.Module):
    """An interpolation whose algebraic unknowns are solved at each time it is asked for."""

    interpolation: diffrax.DenseInterpolation
    p: MTKParameters
    constraint: Constraint = eqx.field(static=True)

    def evaluate(self, t: Array) -> Array:
        """All unknowns at time `t`."""
        return _resolved(self, t)


@eqx.filter_jit
def _resolved(dense: Resolved, t: Array) -> Array:
    resolved, _ = dense.constraint.resolve(t, dense.interpolation.evaluate(t), dense.p, doubt=True)
    return resolved


def constraint_of(model: Model, t: Any, p: MTKParameters, blocks: bool = True) -> Constraint | None:
    """How the algebraic unknowns of a model are found; worked out once for parameters of one shape.

    **Raises:** `HigherIndexError` where the equations cannot give them, whatever the values are.
    """
    if not model.algebraic:
        return None
    leaves, treedef = jax.tree.flatten((p, t))
    shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
    return _constraint(model, treedef, shapes, p.initials.dtype, blocks)


@functools.lru_cache(maxsize=256)
def _constraint(
    model: Model, treedef: Any, shapes: tuple[Any, ...], dtype: Any, blocks: bool
) -> Constraint:
    p, t = treedef.unflatten([jax.ShapeDtypeStruct(*shape) for shape in shapes])
    algebraic = model.sizes[1]
    x, z = (jax.ShapeDtypeStruct((n,), dtype) for n in model.sizes)
    names = tuple(_names(model))
    whole = Constraint(model, None, (model.algebraic,), np.ones(algebraic, bool))
    structure = analyze(whole.residual, z, (t, x, p))
    if not structure.parts.is_square:
        raise _higher_index(model, structure.parts.over, structure.parts.under, t, p)
    branches = np.zeros(algebraic, bool)
    for block in structure.blocks:
        branches[list(block.unknowns)] = not block.affine
    if not blocks:
        return Constraint(model, None, (model.algebraic,), branches)
    unknowns = tuple(
        tuple(dict.fromkeys(names[i] for i in block.unknowns)) for block in structure.blocks
    )
    return Constraint(model, structure, unknowns, branches)


def _higher_index(
    model: Model, over: tuple[Part, ...], under: tuple[Part, ...], t: Any, p: Any
) -> HigherIndexError:
    names: list[str] = []

    def evaluate(t: Any, p: Any) -> list[Any]:
        residuals = model.residuals(t, jnp.zeros(sum(model.sizes), p.initials.dtype), p)
        names.extend(residuals)
        return [jnp.asarray(value) for value in residuals.values()]

    sizes = [value.size for value in jax.eval_shape(evaluate, t, p)]
    equations = _entries(dict(zip(names, sizes, strict=True)))
    unknowns = _names(model)
    surplus = tuple(dict.fromkeys(equations[i] for part in over for i in part.equations))
    lost = tuple(dict.fromkeys(unknowns[i] for part in under for i in part.unknowns))
    return HigherIndexError(
        f"The algebraic equations {quoted(surplus)} are more than the algebraic unknowns in them: they constrain "
        f"differential unknowns, and nothing determines {quoted(lost)}. This is a system of higher index, "
        "and mtk.solve integrates index 1. Replace an equation by its time derivative (as often as it "
        "takes for the missing unknown to appear in it), and give initial values that fulfil both.",
        surplus,
        lost,
    )


def _names(model: Model) -> list[str]:
    """For each entry of the algebraic unknowns the name that it belongs to."""
    places = {name: model.states.entries[name].leaves[0].place for name in model.algebraic}
    return _entries({name: place.size for name, place in places.items() if place})


def _entries(sizes: dict[str, int]) -> list[str]:
    """For each entry of a vector the name that it belongs to."""
    return list(itertools.chain.from_iterable([name] * size for name, size in sizes.items()))
