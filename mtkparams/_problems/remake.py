"""A problem from a problem."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx

from .._initialization import Conditions
from .._model import SOLVE, Parameter, check_start
from .._parameters import MTKParameters, batch_by_name, fresh, split_index, stored_name, unknown_of
from ..errors import KindError, UnknownNameError, unknown_name
from .nonlinear import NonlinearProblem, apart
from .problem import ODEProblem, times
from .values import UNSET, given_and_found, positions, put_guesses, put_values

# A problem of either kind.
P = TypeVar("P", ODEProblem, NonlinearProblem)


def remake(
    problem: P,
    values: Mapping[Any, Any] | None = None,
    *,
    tspan: tuple[Any, Any] | None = None,
    p: MTKParameters | None = None,
    guesses: Mapping[Any, Any] | None = None,
) -> P:
    """A problem with some values changed; dependent values follow, the old problem stays as it is.

    **Arguments:**

    - `problem`: an `mtk.ODEProblem` or `mtk.NonlinearProblem`.
    - `values`: by name, as for `mtk.ODEProblem`. New numbers never recompile anything, and may be
      traced. A function in place of a number, or a number in place of a function, changes what is
      static; so do `mtk.UNSET`, which takes a value away, and a value for what was to be found.
    - `tspan`: a new time span.
    - `p`: a parameter object of the same names to take instead of the problem's, before `values`.
    - `guesses`: by name, where the search starts for what is not given; never recompiles either.

    **Raises:** as `mtk.ODEProblem`.

    !!! Example

        >>> import mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ... )
        >>> problem = mtk.ODEProblem(decay, {}, (0.0, 2.0))
        >>> mtk.remake(problem, {"x": 3.0, "k": 0.1})["x"].item()
        3.0
    """
    if not isinstance(problem, ODEProblem | NonlinearProblem):
        raise KindError(
            f"remake takes an mtk.ODEProblem or mtk.NonlinearProblem, got {type(problem).__name__}."
        )
    if p is not None:
        problem = _with(problem, p=_checked(p, problem))
    if values or guesses:
        problem = _with_values(problem, values or {}, guesses or {})
    if tspan is not None:
        if not isinstance(problem, ODEProblem):
            raise KindError("A nonlinear problem has no time span.")
        t0, t1 = times(tspan, problem.p)
        problem = _with(problem, t0=t0, t1=t1)
    # With buffers of its own throughout: either problem may be donated.
    return fresh(problem)


def _with(problem: P, **fields: object) -> P:
    names = tuple(fields)
    return eqx.tree_at(
        lambda q: tuple(getattr(q, n) for n in names), problem, tuple(fields[n] for n in names)
    )


def _checked(p: MTKParameters, problem: ODEProblem | NonlinearProblem) -> MTKParameters:
    if not isinstance(p, MTKParameters):
        raise KindError(f"p= is an MTKParameters, got {type(p).__name__}.")
    if p.index is not problem.p.index:
        raise KindError(
            "p= has other names or roles than the problem's parameters. Make it from problem.p with "
            "set, replace or a repack."
        )
    return p


def _with_values(problem: P, values: Mapping[Any, Any], guesses: Mapping[Any, Any]) -> P:
    unknowns = problem.model.unknowns
    if isinstance(problem, NonlinearProblem) and problem.question == "root":
        values, started = apart(values, unknowns)
        guesses = {**started, **guesses}
    started = {stored_name(key, unknowns): guess for key, guess in guesses.items()}
    # Guesses that go into a slot first, so that rules see them.
    direct = {n: v for n, v in started.items() if _is_guess(problem, n, v)}
    if direct:
        problem = _with(problem, p=problem.p.set(direct))
    rest = {key: v for key, v in guesses.items() if stored_name(key, unknowns) not in direct}
    stored = {stored_name(key, unknowns): value for key, value in values.items()}
    if (
        not rest
        and not problem.conditions.rules
        and len(stored) == len(values)
        and all(_is_value(problem, n, v) for n, v in stored.items())
    ):
        return _with(problem, p=_set(problem, stored)) if stored else problem
    declared = put_guesses(_declarations(problem), unknowns, rest)
    declared, entries = put_values(
        declared, unknowns, problem.model.states.bound, values, problem.model.declarations
    )
    masks = {n: mask for n, mask in problem.conditions.free.items() if n not in stored}
    system = problem.model.declarations
    p, conditions = given_and_found(
        declared, entries, system, lambda: problem.model.algebraic, masks
    )
    check_start(problem.model, p)
    return _replace_static(problem, p, conditions)


def _set(problem: ODEProblem | NonlinearProblem, values: Mapping[str, Any]) -> MTKParameters:
    try:
        return problem.p.set(values)
    except UnknownNameError as error:
        # Among parameters alone no unknown is near to a misspelt one.
        if error.name is None or error.name in problem.p:
            raise
        known = [n for n in problem.p if unknown_of(n) is None]
        raise unknown_name(
            str(error.name), [*known, *problem.model.unknowns], "the parameters and unknowns"
        ) from None


def _is_value(problem: ODEProblem | NonlinearProblem, name: str, value: object) -> bool:
    """Whether a value goes into an existing place that was given: then nothing static changes."""
    entries = problem.p.index.entries
    base = (split_index(name) or (name,))[0]
    entry = entries.get(name) or entries.get(base)
    if entry is None:
        # An array inside a pytree, or a name that `set` reports; `put_values` knows observed ones.
        return base not in problem.model.states.bound
    if value is UNSET or value is SOLVE or value is None or entry.bind is not None:
        return False
    mask = problem.conditions.free.get(entry.name)
    if mask is not None and mask.flat[positions(problem.p, name)].any():
        return False
    return not (callable(value) and entry.is_array and not hasattr(value, "shape"))


def _is_guess(problem: ODEProblem | NonlinearProblem, name: str, value: object) -> bool:
    """Whether a guess goes into the slot of something that is found."""
    base = name if name in problem.conditions.free else (split_index(name) or (name,))[0]
    mask = problem.conditions.free.get(base)
    if mask is None or base in problem.conditions.rules:
        return False
    if callable(value) and not hasattr(value, "shape"):
        return False
    return bool(mask.flat[positions(problem.p, name)].all())


def _declarations(problem: ODEProblem | NonlinearProblem) -> dict[str, Parameter]:
    """The declarations of a problem with its present values as defaults, or as guesses."""
    p, declared, conditions = problem.p, {}, problem.conditions
    for name, declaration in problem.model.declarations.items():
        entry = p.index.entries[name]
        about: dict[str, Any] = {"unit": declaration.unit, "description": declaration.description}
        if entry.bind is not None and declaration.bind is not None:
            declared[name] = declaration
        elif entry.bind is not None:  # a rule that the problem was given
            declared[name] = Parameter(bind=entry.bind, **about)
        elif name in conditions.free:
            declaration = Parameter(**about) if declaration.bind is not None else declaration
            missing = None if unknown_of(name) is not None else SOLVE
            guess = conditions.rules.get(name, p[name])
            declared[name] = dataclasses.replace(declaration, default=missing, guess=guess)
        elif declaration.bind is not None:
            declared[name] = Parameter(p[name], **about)
        else:
            declared[name] = dataclasses.replace(declaration, default=p[name])
            if unknown_of(name) is not None and declaration.guess is None:
                declared[name] = dataclasses.replace(declared[name], guess=p[name])
    return declared


def _replace_static(problem: P, p: MTKParameters, conditions: Conditions) -> P:
    new = object.__new__(type(problem))
    for field in dataclasses.fields(problem):
        object.__setattr__(new, field.name, getattr(problem, field.name))
    object.__setattr__(new, "p", p)
    object.__setattr__(new, "conditions", conditions)
    return new


T = TypeVar("T")


def batch(p: T, values: Mapping[Any, Any]) -> T:
    """`p` with one value for each member under the given names, and everything else shared.

    **Arguments:**

    - `p`: a parameter object or a problem.
    - `values`: for each name an array with the members in front, all of one length. For a pytree
      such as a network, its structure with the members in front of each array.

    The buffers that hold these names get a leading axis, the others stay as they are:
    `mtk.in_axes` tells `jax.vmap` which. Inside of `vmap`, `p.set` and `mtk.remake` do the same
    for one member at a time, without an array for its neighbors in the buffer.

    **Raises:** as `p.set`; `ShapeError` for values without members in front, or with different
    numbers of them.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.5, "beta": 2.0})
        >>> many = mtk.batch(p, {"alpha": [0.1, 0.2]})
        >>> many["alpha"].tolist(), many["beta"].tolist()
        ([0.1, 0.2], [2.0, 2.0])
    """
    if isinstance(p, MTKParameters):
        return batch_by_name(p, values)
    if isinstance(p, ODEProblem | NonlinearProblem):
        unknowns = tuple(n for n, e in p.model.states.entries.items() if e.bind is None)
        stored = {stored_name(name, unknowns): value for name, value in values.items()}
        return remake(p, p=batch_by_name(p.p, stored))
    raise KindError(f"batch takes a parameter object or a problem, got {type(p).__name__}.")
