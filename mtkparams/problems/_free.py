"""What of the start is found: its slot gets its guess."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..errors import MissingGuessError
from ..initialization import Conditions
from ..model import SOLVE, Parameter
from ..model._declare import parameters
from ..parameters import Caches, MTKParameters
from ..parameters._index import part_of
from ..parameters._names import split_index
from ._values import in_role


def settle(
    declared: Mapping[str, Parameter],
    entries: Mapping[str, Any],
    system: Mapping[str, Parameter],
    algebraic: Callable[[], tuple[str, ...]],
    masks: Mapping[str, np.ndarray] | None = None,
) -> tuple[MTKParameters, Conditions]:
    """Parameters with a guess in each slot that is found, and which ones those are.

    **Arguments:**

    - `declared`: with values; without one, an initial value is found, and so is `mtk.SOLVE`.
    - `entries`: values of single entries, which are then given.
    - `system`: the declarations of the system, with its own guesses.
    - `algebraic`: the unknowns without a derivative, asked for where a guess is missing.
    - `masks`: for names that were found in part only, in which.
    """
    free = [name for name, d in declared.items() if _is_free(name, d)]
    missing = [name for name in free if declared[name].guess is None]
    _refuse_missing(missing, algebraic)
    free = [name for name in free if name not in missing]  # no value: `parameters` says so
    filled = {name: _filled(name, d) if name in free else d for name, d in declared.items()}
    rules = {name: filled[name].bind for name in free if filled[name].bind is not None}
    if rules:
        found = parameters(filled, entries)
        for name in rules:
            filled[name] = dataclasses.replace(declared[name], default=found[name])
    for name, d in filled.items():
        if d.bind is None:
            # A guess is a value of the problem, not of its static part.
            own = system[name].guess if name in system else None
            filled[name] = dataclasses.replace(d, guess=None if callable(own) else own)
    p = parameters(filled, entries)
    found = {n: np.broadcast_to((masks or {}).get(n, True), p[n].shape).copy() for n in free}
    for entry in entries:
        base = (split_index(entry) or (entry,))[0]
        if base in found:
            found[base].flat[positions(p, entry)] = False
    p = _with_room(p, sum(int(mask.sum()) for mask in found.values()))
    return p, Conditions.of(found, {n: r for n, r in rules.items() if r is not None})


def _with_room(p: MTKParameters, size: int) -> MTKParameters:
    """`p` with a cache for what is found, so that initialization changes no structure."""
    if not size:
        return p
    return p.with_buffers({**p.buffers, Caches: (jnp.zeros(size, p.initials.dtype),)})


def positions(p: MTKParameters, name: str) -> np.ndarray:
    """The flat positions that `name`, such as `"Initial(x)[1]"`, has in its array."""
    target = p.index.find(name)
    place = target.entry.leaves[0].place
    return part_of(target, place.shape if place is not None else ()).ravel()


def _is_free(name: str, declared: Parameter) -> bool:
    if declared.bind is not None:
        return False
    return declared.default is SOLVE or (declared.default is None and name.startswith("Initial("))


def _filled(name: str, declared: Parameter) -> Parameter:
    guess = declared.guess
    if callable(guess) and not hasattr(guess, "shape"):
        return Parameter(bind=guess, unit=declared.unit, description=declared.description)
    return dataclasses.replace(declared, default=in_role(name, 0.0, guess))


def _refuse_missing(missing: list[str], algebraic: Callable[[], tuple[str, ...]]) -> None:
    if not missing:
        return
    parameters = [name for name in missing if not name.startswith("Initial(")]
    without_derivative = algebraic() if len(parameters) < len(missing) else ()
    unknowns = [n for n in without_derivative if f"Initial({n})" in missing]
    if parameters:
        raise MissingGuessError(
            f"No guess for {', '.join(map(repr, parameters))}, which mtk.SOLVE says to find. Give "
            f"guesses={{{parameters[0]!r}: value}} to the problem, or mtk.Parameter(mtk.SOLVE, guess=value)."
        )
    if unknowns:
        raise MissingGuessError(
            f"No guess for {', '.join(map(repr, unknowns))}, which the algebraic equations determine. "
            f"Give mtk.Unknown(guess=value), or guesses={{{unknowns[0]!r}: value}} to the problem: the "
            "point where the search starts, never a condition. A value in its place would be one."
        )
