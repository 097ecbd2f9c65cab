"""A solution in text."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ..._text import counted, text_table

_ROWS = 20


def show(solution: Any) -> str:
    """What `print(solution)` shows: how it ended, and each quantity's start, end and extremes."""
    names = solution.names()
    if any(isinstance(x, Tracer) for x in jax.tree.leaves((solution.ts, solution.ys, solution.p))):
        return repr(solution)
    lines = [["", "unit", "start", "end", "least", "greatest"]]
    for name in names[:_ROWS]:
        lines += _rows(solution, name)
    more = [f"and {len(names) - _ROWS} more"] if len(names) > _ROWS else []
    return "\n".join([_header(solution), *text_table(lines), *more])


def _rows(solution: Any, name: str) -> list[list[str]]:
    entry = solution.model.states.entries[name]
    values = np.asarray(solution[name])
    depth = solution.ts.ndim - 1
    ends = [np.take(values, i, axis=depth) for i in (0, -1)]
    shown = [_number(end) for end in ends]
    numbers = values.size and values.dtype.kind in "biuf"
    extremes = (
        [_number(np.nanmin(values)), _number(np.nanmax(values))]
        if numbers and np.isfinite(values).any()
        else ["", ""]
    )
    return [[name, entry.about.unit or "", *shown, *extremes]]


def _number(value: Any) -> str:
    if np.ndim(value) == 0:
        return f"{value:.5g}"
    flat = np.ravel(value)
    text = ", ".join(f"{x:.4g}" for x in flat[:3])
    return f"[{text}{', ...' if flat.size > 3 else ''}]"


def _header(solution: Any) -> str:
    ts = np.asarray(solution.ts)
    members = f"{counted(ts[..., 0].size, 'member')}, " if ts.ndim > 1 else ""
    times = f"t = {ts.min():g} .. {ts.max():g}, " if ts.size else ""
    return f"Solution: {members}{times}{counted(ts.shape[-1], 'time')}{_ended(solution)}"


def _ended(solution: Any) -> str:
    arrived = np.asarray(solution.succeeded)
    if arrived.ndim:
        return f", {int(arrived.sum())} arrived"
    return ", arrived" if arrived else ", failed"
