"""The blocks of a plan by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from .plan import Plan


@dataclasses.dataclass(frozen=True)
class NamedBlock:
    """One block: what it solves, and how.

    **Attributes:**

    - `equations`, `unknowns`: names, each of one entry.
    - `columns`: the numbers of the unknowns.
    - `kind`: `"explicit"` (an assignment), `"affine"` (one linear solve), `"nonlinear"`,
      `"least squares"` or `"all at once"`.
    - `reads`: the earlier blocks whose unknowns it reads.
    """

    equations: tuple[str, ...]
    unknowns: tuple[str, ...]
    columns: tuple[int, ...]
    kind: str
    reads: tuple[int, ...]


def listing(plan: Plan, whole: bool = False) -> tuple[NamedBlock, ...]:
    """The blocks in solving order; one where all equations are solved at once."""
    if plan.structure is None:
        return ()
    if whole or not plan.structure.parts.is_square:
        kind = "all at once" if plan.structure.parts.is_square else "least squares"
        equations = named(plan.equations, plan.rows)
        return (NamedBlock(equations, plan.unknowns, tuple(range(len(plan.unknowns))), kind, ()),)
    return tuple(
        NamedBlock(
            named(plan.equations, plan.rows[list(block.equations)]),
            named(plan.unknowns, block.unknowns),
            block.unknowns,
            "explicit" if block.explicit else "affine" if block.affine else "nonlinear",
            block.reads,
        )
        for block in plan.structure.blocks
    )


def named(names: tuple[str, ...], at: Iterable[int] | np.ndarray) -> tuple[str, ...]:
    """The names at the given numbers."""
    return tuple(names[int(i)] for i in at)


def short(names: tuple[str, ...]) -> str:
    """The first few names of a block."""
    return ", ".join(names[:3]) + (f", +{len(names) - 3}" if len(names) > 3 else "")
