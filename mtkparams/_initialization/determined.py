"""Whether equations can determine their unknowns at all; if not, which cannot, by name."""

from __future__ import annotations

import warnings

import numpy as np

from .._text import quoted
from ..errors import ExtraEquationsError, ExtraUnknownsError, StructureError, UnderdeterminedWarning
from .listing import named
from .plan import Plan


def check_determined(plan: Plan, fully_determined: bool | None) -> None:
    """Raises where equations cannot determine what is found, and warns where a guess decides.

    **Arguments:**

    - `fully_determined`: as for `mtk.OverrideInit`.
    """
    _refuse_undetermined(plan)
    over, under = surplus(plan), undetermined(plan)
    if over and under:
        raise StructureError(
            f"The equations {quoted(over)} are too many for the unknowns in them, while too few "
            f"determine {quoted(under)}. Drop one of the former, or a value given there; give a value "
            "to one of the latter, or an equation in mtk.System(initial_equations=).",
            over,
            under,
        )
    if fully_determined and (over or plan.left_over.size):
        extra = over or named(plan.equations, plan.left_over)
        raise ExtraEquationsError(
            f"There are more equations ({len(plan.equations)}) than values to find "
            f"({len(plan.unknowns)}): {quoted(extra)} are too many together. Drop one of them, or take "
            "a value away with mtk.UNSET.",
            extra,
        )
    if not under or fully_determined is False:
        return
    text = (
        f"There are fewer equations ({len(plan.rows)}) than values to find ({len(plan.unknowns)}): "
        f"{quoted(under)} are not determined. "
    )
    if fully_determined:
        cure = "Give a value to one of them, or an equation in mtk.System(initial_equations=)."
        raise ExtraUnknownsError(text + cure, (), under)
    warnings.warn(
        text
        + "What is nearest to the guesses is taken, so results and derivatives depend on them.",
        UnderdeterminedWarning,
        stacklevel=2,
    )


def surplus(plan: Plan) -> tuple[str, ...]:
    """The equations of the over-determined parts."""
    return _of_parts(plan, "over")[0]


def undetermined(plan: Plan) -> tuple[str, ...]:
    """The unknowns of the under-determined parts."""
    return _of_parts(plan, "under")[1]


def _of_parts(plan: Plan, which: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if plan.structure is None:
        return (), ()
    parts = getattr(plan.structure.parts, which)
    rows = [int(plan.rows[i]) for part in parts for i in part.equations]
    columns = [i for part in parts for i in part.unknowns]
    return named(plan.equations, rows), named(plan.unknowns, columns)


def _refuse_undetermined(plan: Plan) -> None:
    """Raises for what no equation reads: its guess would come out as its value."""
    read = np.zeros(len(plan.unknowns), bool)
    if plan.structure is not None:
        read[plan.structure.incidence.indices] = True
    lost = named(plan.unknowns, np.nonzero(~read)[0])
    if lost:
        raise ExtraUnknownsError(
            f"Nothing determines {quoted(lost)}: no equation at the start reads "
            f"{'it' if len(lost) == 1 else 'them'}. Give a value, which a guess is not, or an equation "
            "in mtk.System(initial_equations=).",
            (),
            lost,
        )
