"""What an initialization did, block by block."""

from __future__ import annotations

import dataclasses

import numpy as np
from jax.core import Tracer

from .._text import counted, quoted, text_table
from .find import Start
from .listing import NamedBlock, named, short

_STATUS = ("solved", "failed", "waits for a failed one", "singular", "reads a singular one")
# By how bad it is, the least first.
_ORDER = np.array([0, 4, 2, 3, 1])
_ROWS = 40


@dataclasses.dataclass(frozen=True)
class BlockReport:
    """One block: `block` says which equations and unknowns; the rest how its solve went.

    **Attributes:**

    - `status`: `"solved"`, `"failed"` (it did not converge), `"waits for a failed one"`,
      `"singular"` (a root, with a singular Jacobian), or `"reads a singular one"` (a root, without a
      derivative for that reason).
    - `iterations`: evaluations of its equations.
    - `residual`: the largest of its equations at the values found, or where the search ended.
    - `condition`: of its Jacobian there; derivatives lose as many digits.
    """

    number: int
    block: NamedBlock
    status: str
    iterations: int
    residual: float
    condition: float


class Report:
    """A printable table of the blocks of an initialization, and the same as data.

    **Attributes:**

    - `blocks`: a `BlockReport` for each.
    - `violated`: the equations that what is given contradicts.
    - `checked`: the equations that read nothing that was found, and were checked.
    """

    def __init__(self, start: Start):
        arrays = (start.status, start.iterations, start.residual, start.condition, start.violation)
        self._unreadable = any(isinstance(x, Tracer) for x in arrays)
        self._batch = start.status.shape[:-1]
        self._blocks = start.blocks
        plan = start.plan
        self._what = "Solve" if plan.question in ("root", "steady") else "Initialization"
        self.checked = named(plan.equations, plan.left_over)
        self.violated: tuple[str, ...] = ()
        self.blocks: tuple[BlockReport, ...] = ()
        if self._unreadable:
            return
        status, iterations, residual, condition, violation = map(np.asarray, arrays)
        self._succeeded = np.asarray(start.succeeded)
        over = tuple(range(len(self._batch)))
        violated = (violation > 1).any(axis=over) if over else violation > 1
        self.violated = named(plan.equations, plan.left_over[violated])
        # Of a batch the worst: a member that failed must not hide behind one that did not.
        worst = lambda x: x.max(axis=over) if over else x
        status = _ORDER[worst(np.argsort(_ORDER)[status])]
        rows = zip(
            self._blocks, status, worst(iterations), worst(residual), worst(condition), strict=True
        )
        self.blocks = tuple(
            BlockReport(i, b, _STATUS[int(s)], int(n), float(r), float(c))
            for i, (b, s, n, r, c) in enumerate(rows)
        )

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, number: int) -> BlockReport:
        return self.blocks[number]

    def __str__(self) -> str:
        if self._unreadable:
            return f"{self._what} of {counted(len(self._blocks), 'block')}, traced: its values are not known yet."
        lines = [self._headline()]
        if self.blocks:
            lines += _table(self.blocks)
        if self.violated:
            lines.append(f"Contradicted by what is given: {quoted(self.violated)}.")
        return "\n".join(lines)

    __repr__ = __str__

    def _headline(self) -> str:
        unknowns = sum(len(b.unknowns) for b in self._blocks)
        checks = f", {counted(len(self.checked), 'equation')} checked" if self.checked else ""
        text = f"{self._what}: {counted(unknowns, 'value')} in {counted(len(self._blocks), 'block')}{checks}"
        if not self._batch:
            return text
        good = int(self._succeeded.sum())
        return f"{text}; {good} of {self._succeeded.size} members succeeded, the worst of each block is shown"


def _table(blocks: tuple[BlockReport, ...]) -> list[str]:
    head = ("", "unknowns", "equations", "kind", "status", "iterations", "residual", "condition")
    rows = [head, *map(_row, blocks[:_ROWS])]
    lines = text_table(rows)
    failed = [b.number for b in blocks[_ROWS:] if b.status != "solved"]
    if len(blocks) > _ROWS:
        lines.append(f"... and {len(blocks) - _ROWS} more blocks, {len(failed)} of them not solved")
    return lines


def _row(report: BlockReport) -> tuple[str, ...]:
    return (
        str(report.number),
        short(report.block.unknowns),
        short(report.block.equations),
        report.block.kind,
        report.status,
        str(report.iterations),
        f"{report.residual:.1e}",
        f"{report.condition:.1e}",
    )
