"""Values by name, placed among the declarations of a system."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._initialization import Conditions
from .._model import SOLVE, Flat, Parameter, System, at_start, flatten, parameters
from .._parameters import (
    Caches,
    Initial,
    MTKParameters,
    part_of,
    plain,
    split_index,
    stored_name,
    unknown_of,
)
from ..errors import (
    BoundParameterError,
    DeclarationError,
    KindError,
    MissingGuessError,
    OverlapError,
    unknown_name,
)


class _Unset:
    """The value that takes a value away."""

    def __repr__(self) -> str:
        return "mtk.UNSET"


UNSET = _Unset()


def place_values(
    system: System, values: Mapping[Any, Any], guesses: Mapping[str, Any]
) -> tuple[Flat, dict[str, Parameter], dict[str, Any]]:
    """The flat system, its declarations with `values` put in, and values of single entries."""
    flat = flatten(system)
    unknowns = tuple(flat.unknowns)
    declared = put_guesses(flat.declarations(), unknowns, guesses)
    declared, entries = put_values(declared, unknowns, tuple(flat.observed), values)
    return flat, declared, entries


def put_guesses(
    declared: Mapping[str, Parameter], unknowns: tuple[str, ...], guesses: Mapping[str, Any]
) -> dict[str, Parameter]:
    """Declarations with `guesses` for unknowns and parameters put in."""
    declared = dict(declared)
    for key, guess in guesses.items():
        name = stored_name(key, unknowns)
        if name not in declared:
            parameters = [n for n in declared if unknown_of(n) is None]
            raise unknown_name(plain(key), [*unknowns, *parameters], "the unknowns and parameters")
        if declared[name].bind is None:
            rule = _is_rule(guess, declared[name])
            guess = at_start(guess, "", unknowns) if rule else guess
            declared[name] = dataclasses.replace(declared[name], guess=guess)
    return declared


def put_values(
    declared: Mapping[str, Parameter],
    unknowns: tuple[str, ...],
    observed: tuple[str, ...],
    values: Mapping[Any, Any],
    system: Mapping[str, Parameter] | None = None,
) -> tuple[dict[str, Parameter], dict[str, Any]]:
    """Declarations with `values` put in, and values of single entries.

    `system` are the declarations of the system, where `declared` has rules of a problem among them:
    those may be replaced, the system's own bindings may not.
    """
    if not isinstance(values, Mapping):
        raise KindError(f"Values are a dictionary by name, got {type(values).__name__}.")
    declared, entries = dict(declared), {}
    placed = set()
    for key, value in values.items():
        name = stored_name(key, unknowns)
        if name in placed:
            raise OverlapError(f"{plain(key)!r} is given twice, as an unknown and as its Initial.")
        placed.add(name)
        if name in declared:
            bound = declared if system is None else system
            if bound[name].bind is not None and unknown_of(name) is None:
                raise BoundParameterError(
                    f"{name!r} is a dependent parameter (bind=): its value follows from what it "
                    "reads. Give a value to that."
                )
            declared[name] = _with(name, declared[name], value, unknowns)
            continue
        base = (split_index(name) or (name, ()))[0]
        if base in observed:
            raise DeclarationError(
                f"{plain(key)!r} is an observed value and cannot be given. Give what it reads."
            )
        inside = [known for known in declared if name.startswith(known)]
        if base not in declared and not inside:
            parameters = [n for n in declared if unknown_of(n) is None]
            raise unknown_name(plain(key), [*parameters, *unknowns], "the parameters and unknowns")
        entries[name] = value
    return declared, entries


def _with(name: str, declared: Parameter, value: Any, unknowns: tuple[str, ...]) -> Parameter:
    about: dict[str, Any] = {"unit": declared.unit, "description": declared.description}
    is_unknown = unknown_of(name) is not None
    if value is UNSET or value is None or (value is SOLVE and is_unknown):
        if declared.bind is not None:
            return Parameter(None, **about)
        return dataclasses.replace(declared, default=None)
    if value is SOLVE:
        return _to_solve_for(name, declared, about)
    if _is_rule(value, declared):
        return Parameter(bind=at_start(value, "", unknowns), **about)
    if declared.bind is not None:
        return Parameter(value, **about)
    role = 0.0 if declared.default is SOLVE else declared.default
    return dataclasses.replace(declared, default=in_role(name, role, value))


def _to_solve_for(name: str, declared: Parameter, about: Mapping[str, Any]) -> Parameter:
    if declared.bind is not None:
        return Parameter(SOLVE, **about)
    if declared.default is SOLVE:
        return declared
    if declared.default is not None and not _is_of(declared.default, np.floating):
        raise KindError(
            f"{name!r} is mtk.SOLVE, which only floats can be; it holds {declared.default!r}."
        )
    guess = declared.default if declared.guess is None else declared.guess
    return dataclasses.replace(declared, default=SOLVE, guess=guess)


def in_role(name: str, default: Any, value: Any) -> Any:
    """`value`, made a float where the default is one: giving a value does not change a role."""
    if not _is_of(default, np.floating):
        return value
    if isinstance(value, str | bytes):
        raise KindError(f"{name!r} is a number, got the text {value!r}.")
    if not _is_of(value, np.integer):
        return value
    if hasattr(value, "dtype"):
        return value.astype(jnp.result_type(float))
    return jax.tree.map(float, value)


def _is_of(value: Any, kind: Any) -> bool:
    if isinstance(value, list | tuple):
        leaves = jax.tree.leaves(value)
        return bool(leaves) and all(_is_of(leaf, kind) for leaf in leaves)
    if isinstance(value, int | float) or hasattr(value, "dtype"):
        return bool(jnp.issubdtype(jnp.result_type(value), kind))
    return False


def _is_rule(value: Any, declared: Parameter) -> bool:
    """Whether a function is given for a number, and not as the new value of a function."""
    return callable(value) and not callable(declared.default) and not hasattr(value, "shape")


def given_and_found(
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
        evaluated = parameters(filled, entries)
        for name in rules:
            filled[name] = dataclasses.replace(declared[name], default=evaluated[name])
    for name, d in filled.items():
        if d.bind is None:
            # A guess is a value of the problem, not of its static part.
            guess = system[name].guess if name in system else None
            filled[name] = dataclasses.replace(d, guess=None if callable(guess) else guess)
    p = parameters(filled, entries)
    free_entries = {n: np.broadcast_to((masks or {}).get(n, True), p[n].shape).copy() for n in free}
    for entry in entries:
        base = (split_index(entry) or (entry,))[0]
        if base in free_entries:
            free_entries[base].flat[positions(p, entry)] = False
    p = _with_room(p, sum(int(mask.sum()) for mask in free_entries.values()))
    return p, Conditions.of(free_entries, {n: r for n, r in rules.items() if r is not None})


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
    return declared.default is SOLVE or (declared.default is None and unknown_of(name) is not None)


def _filled(name: str, declared: Parameter) -> Parameter:
    guess = declared.guess
    if callable(guess) and not hasattr(guess, "shape"):
        return Parameter(bind=guess, unit=declared.unit, description=declared.description)
    return dataclasses.replace(declared, default=in_role(name, 0.0, guess))


def _refuse_missing(missing: list[str], algebraic: Callable[[], tuple[str, ...]]) -> None:
    if not missing:
        return
    parameters = [name for name in missing if unknown_of(name) is None]
    without_derivative = algebraic() if len(parameters) < len(missing) else ()
    unknowns = [n for n in without_derivative if str(Initial(n)) in missing]
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
