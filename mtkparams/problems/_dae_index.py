"""Are the algebraic equations of a system such that they give its algebraic unknowns."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..blocks import Part, analyse
from ..errors import HigherIndexError
from ..model import Model
from ..parameters import MTKParameters
from ._dae import Constraint


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
    structure = analyse(whole.residual, z, (t, x, p))
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
        found = model.residuals(t, jnp.zeros(sum(model.sizes), p.initials.dtype), p)
        names.extend(found)
        return [jnp.asarray(value) for value in found.values()]

    sizes = [value.size for value in jax.eval_shape(evaluate, t, p)]
    equations = _entries(dict(zip(names, sizes, strict=True)))
    unknowns = _names(model)
    left = tuple(dict.fromkeys(equations[i] for part in over for i in part.equations))
    lost = tuple(dict.fromkeys(unknowns[i] for part in under for i in part.unknowns))
    few = lambda names: ", ".join(map(repr, names[:6])) + (", ..." if len(names) > 6 else "")
    return HigherIndexError(
        f"The algebraic equations {few(left)} are more than the algebraic unknowns in them: they constrain "
        f"differential unknowns, and nothing determines {few(lost)}. This is a system of higher index, "
        "and mtk.solve integrates index 1. Replace an equation by its time derivative (as often as it "
        "takes for the missing unknown to appear in it), and give initial values that fulfil both.",
        left,
        lost,
    )


def _names(model: Model) -> list[str]:
    """For each entry of the algebraic unknowns the name that it belongs to."""
    places = {name: model.states.entries[name].leaves[0].place for name in model.algebraic}
    return _entries({name: place.size for name, place in places.items() if place})


def _entries(sizes: dict[str, int]) -> list[str]:
    """For each entry of a vector the name that it belongs to."""
    return list(itertools.chain.from_iterable([name] * size for name, size in sizes.items()))
