"""How a solve, or many of them, ended: in words, and as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..._initialization import Report
from ..._parameters import plain
from ..._results import NAMES, RESULTS, number, succeeded
from ..._text import counted

# As many failed members are described.
_SHOWN = 3


class SolveReport:
    """A printable account of how a solve ended, or each member of a batch of them.

    **Attributes:**

    - `counts`: how many members ended with each of the `mtk.RESULTS`, by its name; of one solve, one.
    - `failed`: the numbers of the members that failed.
    - `steps`: how many steps were taken, and rejected, by all members; empty where nobody counted.
    """

    def __init__(
        self,
        result: RESULTS,
        stats: Mapping[str, Any],
        values: Mapping[Any, Any] | None = None,
        start: Report | None = None,
    ):
        kinds = number(result)
        self.counts: dict[str, int] = {}
        self.failed: tuple[int, ...] = ()
        self.steps: dict[str, int] = {}
        self._is_known = not any(isinstance(x, Tracer) for x in jax.tree.leaves((kinds, stats)))
        self._is_batch = kinds.ndim > 0
        if not self._is_known:
            return
        places = np.ravel(kinds)
        numbers, counts = np.unique(places, return_counts=True)
        self.counts = {NAMES[n]: int(c) for n, c in zip(numbers, counts, strict=True)}
        self.failed = tuple(np.flatnonzero(~np.ravel(succeeded(result))).tolist())
        for name, key in (("taken", "num_steps"), ("rejected", "num_rejected_steps")):
            if key in stats:
                self.steps[name] = int(np.sum(stats[key]))
        self._start = start
        self._members = described(np.array(self.failed, int), values or {})

    def __str__(self) -> str:
        if not self._is_known:
            return "Solve, traced: how it ended is not known yet."
        texts = [f"{name}: {_text(name)}" for name in self.counts]
        if not self._is_batch:
            lines = [f"Solve: {texts[0]}"]
        else:
            size = sum(self.counts.values())
            lines = [f"Solve: {counted(size, 'member')}, {len(self.failed)} failed"]
            lines += [
                f"{count} {text}" for count, text in zip(self.counts.values(), texts, strict=True)
            ]
            lines += [f"Failed: {self._members}"] if self.failed else []
        if "taken" in self.steps:
            rejected = f", {self.steps['rejected']} rejected" if "rejected" in self.steps else ""
            lines.append(f"{counted(self.steps['taken'], 'step')}{rejected}")
        lines += [str(self._start)] if self._start is not None else []
        return "\n".join(lines)

    __repr__ = __str__


def _text(name: str) -> str:
    return RESULTS[getattr(RESULTS, name)]


def described(members: np.ndarray, values: Mapping[Any, Any]) -> str:
    """The first few members by their numbers, with the values that each has alone."""
    shown = []
    for i in members[:_SHOWN]:
        numbers = ", ".join(
            f"{plain(name)}={float(value[i]):.6g}"
            for name, value in values.items()
            if jnp.ndim(value) == 1 and jnp.issubdtype(value.dtype, jnp.number)
        )
        shown.append(f"{i} ({numbers})" if numbers else f"{i}")
    return ", ".join(shown) + (", ..." if len(members) > _SHOWN else "")
