"""From declarations to a parameter object."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .._parameters import (
    PORTIONS,
    VECTORS,
    MTKParameters,
    by_stored_name,
    check_bindings,
    check_declarable,
    plain,
    readers_of,
    split_index,
)
from .._text import listed, quoted
from ..errors import (
    BoundParameterError,
    DeclarationError,
    KindError,
    MissingValueError,
    OverlapError,
    unknown_name,
)
from .layout import lay_out
from .parameter import Parameter
from .solve_for import SOLVE
from .values import take_apart


def parameters(
    declarations: Mapping[Any, Any], values: Mapping[Any, Any] | None = None
) -> MTKParameters:
    """The parameter object of named declarations, without any model.

    **Arguments:**

    - `declarations`: for each name an `mtk.Parameter`, or just its default. Names are dotted
      (`"tank.k"`); `mtk.Initial("x")` names the initial value of an unknown. Floats, arrays of them
      and the weights of an `eqx.Module` become tunable; integers and truth values constants; text
      and functions nonnumeric. Portions keep the order of declaration.
    - `values`: values by name that take the place of defaults, also of single entries (`"tau[1]"`).

    **Raises:** `DeclarationError` (names, contradictions), `MissingValueError`, `CycleError`,
    `NonFiniteError`, `OutOfBoundsError`, `KindError`, `ShapeError`, `OverlapError`,
    `UnknownNameError`.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({
        ...     "alpha": mtk.Parameter(0.55, bounds=(0.0, None), unit="1/year"),
        ...     "gain": mtk.Parameter(bind=lambda p: 2 * p.alpha),
        ...     "order": 3,
        ... })
        >>> p["gain"].item(), p.names(mtk.Tunable), p.names(mtk.Constants)
        (1.1, ('alpha',), ('order',))
    """
    declared = _declared(declarations)
    declared, entries = _given(declared, values or {})
    for name, declaration in declared.items():
        if declaration.default is SOLVE:
            raise DeclarationError(
                f"{name!r} is mtk.SOLVE, to be found by the initialization of a problem; there are no "
                "equations here that could determine it. Give it a value, or declare it in an mtk.System."
            )
    missing = tuple(n for n, d in declared.items() if d.default is None and d.bind is None)
    if missing:
        raise _missing(declared, missing)
    p = build(declared)
    check_bindings(p)
    whole = {plain(name) for name in values or ()}
    return _with_entries(p, declared, entries, whole) if entries else p


def build(declared: Mapping[str, Parameter]) -> MTKParameters:
    """The object of complete declarations; its bindings are not yet checked."""
    taken = {n: take_apart(n, d) for n, d in declared.items() if d.bind is None}
    index, filled = lay_out(declared, taken)
    fields = {q.value: filled[q][0] if q in VECTORS else filled[q] for q in PORTIONS}
    return MTKParameters(**fields, index=index)


def _with_entries(
    p: MTKParameters, declared: Mapping[str, Parameter], entries: Mapping[str, Any], whole: set[str]
) -> MTKParameters:
    """`p` with values of single entries, checked as the whole values are that they are part of."""
    owners = {name: p.index.find(name).entry.name for name in entries}
    for name, owner in owners.items():
        if owner in whole:
            raise OverlapError(
                f"{owner!r} and its entry {name!r} are both given. Keep one of them."
            )
    p = p.set(entries)
    for owner in dict.fromkeys(owners.values()):
        take_apart(owner, dataclasses.replace(declared[owner], default=p[owner], dtype=None))
    return p


def _declared(declarations: Mapping[Any, Any]) -> dict[str, Parameter]:
    if not isinstance(declarations, Mapping):
        raise KindError(
            f"Declarations are a dictionary {{name: value}}, got {type(declarations).__name__}."
        )
    declared: dict[str, Parameter] = {}
    for name, value in by_stored_name(declarations, verb="declared").items():
        check_declarable(name)
        declared[name] = value if isinstance(value, Parameter) else Parameter(value)
    for name in declared:
        parts = name.split(".")
        for depth in range(1, len(parts)):
            prefix = ".".join(parts[:depth])
            if prefix in declared:
                raise DeclarationError(
                    f"{prefix!r} is a parameter and also the namespace of {name!r}. Rename one."
                )
    return declared


def _given(
    declared: dict[str, Parameter], values: Mapping[Any, Any]
) -> tuple[dict[str, Parameter], dict[str, Any]]:
    """Declarations with `values` as their defaults, and what was given for single entries."""
    declared, entries = dict(declared), {}
    for name, value in by_stored_name(values).items():
        split = split_index(name)
        base = name if name in declared or split is None else split[0]
        if base in declared and declared[base].bind is not None:
            raise BoundParameterError(
                f"{base!r} is declared with bind= and takes no value. Give one to what it reads."
            )
        if name in declared:
            declared[name] = dataclasses.replace(declared[name], default=value)
        elif base in declared or any(base.startswith(known) for known in declared):
            entries[name] = value  # a path inside a pytree is resolved once that is laid out
        else:
            raise unknown_name(name, declared, "the declarations")
    return declared, entries


def _missing(declared: Mapping[str, Parameter], missing: tuple[str, ...]) -> MissingValueError:
    # Numbers stand in for what is missing, so that the bindings can be asked what they read.
    stand_in = {
        n: Parameter(0.5, tunable=d.tunable, discrete=d.discrete) if n in missing else d
        for n, d in declared.items()
    }
    waiting = readers_of(build(stand_in))
    lines = []
    for name in missing:
        readers = waiting.get(name, ())
        lines.append(f"{name!r}" + (f" (read by {quoted(readers)})" if readers else ""))
    return MissingValueError(
        f"No value for {listed(lines)}. Give a default in the declaration, or a value in "
        "mtk.parameters(declarations, {name: value})."
    )
