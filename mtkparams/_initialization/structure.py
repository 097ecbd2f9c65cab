"""What depends on what among the equations of a start, for people to look at."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.sparse as sp

from .._text import counted, quoted, text_table
from .determined import surplus, undetermined
from .listing import NamedBlock, listing, named, short
from .plan import Plan

_ROWS = 60
_TICKS = 40

_TITLES = {
    "start": "Structure of the start",
    "algebraic": "Structure of the algebraic equations",
    "root": "Structure of the equations",
    "steady": "Structure of the steady state",
}


@dataclasses.dataclass(frozen=True, eq=False)
class BlockStructure:
    """The blocks in which values are found, in solving order; printable.

    **Attributes:**

    - `blocks`: of each its `unknowns`, `equations`, `kind` and the blocks that it `reads`.
    - `unknowns`, `equations`: all names, of single entries.
    - `pattern`: a sparse matrix of truth values, equations by unknowns: which reads which.
    - `too_many`, `undetermined`: the equations that are too many together, and the unknowns that too
      few equations determine; none where the structure is sound.
    - `only_checked`: the equations that read nothing that is found.
    - `opaque`: JAX primitives in the equations that count as reading everything, for want of a rule.
    """

    title: str
    blocks: tuple[NamedBlock, ...]
    unknowns: tuple[str, ...]
    equations: tuple[str, ...]
    pattern: sp.csr_array
    too_many: tuple[str, ...]
    undetermined: tuple[str, ...]
    only_checked: tuple[str, ...]
    opaque: tuple[str, ...]

    @staticmethod
    def of(plan: Plan) -> BlockStructure:
        """The structure of a plan."""
        structure, n = plan.structure, len(plan.unknowns)
        pattern = sp.csr_array((0, n), dtype=bool) if structure is None else structure.incidence
        read = np.bincount(pattern.indices, minlength=n) > 0
        lost = named(plan.unknowns, np.nonzero(~read)[0])
        sound = structure is not None and structure.parts.is_square
        return BlockStructure(
            title=_TITLES[plan.question],
            blocks=listing(plan) if sound else (),
            unknowns=plan.unknowns,
            equations=named(plan.equations, plan.rows),
            pattern=pattern,
            too_many=surplus(plan),
            undetermined=tuple(dict.fromkeys((*undetermined(plan), *lost))),
            only_checked=named(plan.equations, plan.left_over),
            opaque=() if structure is None else structure.opaque,
        )

    def __str__(self) -> str:
        sizes = (
            f"{counted(len(self.unknowns), 'unknown')}, {counted(len(self.equations), 'equation')}"
        )
        lines = [f"{self.title}: {sizes}, {counted(len(self.blocks), 'block')}"]
        if self.blocks:
            lines += self._table()
        if self.too_many:
            lines.append(f"Equations that are too many together: {quoted(self.too_many)}.")
        if self.undetermined:
            lines.append(f"Unknowns that too few equations determine: {quoted(self.undetermined)}.")
        if self.only_checked:
            lines.append(f"Equations that are only checked: {quoted(self.only_checked)}.")
        if self.opaque:
            lines.append(f"Taken to depend on everything: {', '.join(self.opaque)}.")
        return "\n".join(lines)

    __repr__ = __str__

    def _table(self) -> list[str]:
        rows = [("block", "unknowns", "equations", "kind", "reads")]
        for number, block in enumerate(self.blocks[:_ROWS]):
            reads = ", ".join(map(str, block.reads))
            names = (short(block.unknowns), short(block.equations))
            rows.append((str(number), *names, block.kind, reads))
        lines = text_table(rows)
        if len(self.blocks) > _ROWS:
            lines.append(f"... and {len(self.blocks) - _ROWS} more blocks")
        return lines

    def plot(self, ax: Any = None) -> Any:
        """The pattern with its blocks on the diagonal, as matplotlib axes.

        **Arguments:**

        - `ax`: axes to draw on; new ones by default.
        """
        import matplotlib.pyplot as plt
        from matplotlib.patches import Rectangle

        rows, columns = self._order()
        if ax is None:
            side = float(np.clip(0.3 * max(len(rows), len(columns)), 3.0, 12.0))
            _, ax = plt.subplots(figsize=(side, side))
        ax.spy(self.pattern[rows][:, columns], markersize=max(1.0, 200 / (len(rows) + 20)))
        at = 0
        for block in self.blocks:
            size = len(block.unknowns)
            corner = (at - 0.5, at - 0.5)
            ax.add_patch(Rectangle(corner, size, size, fill=False, edgecolor="C1", linewidth=1.2))
            at += size
        if len(columns) <= _TICKS:
            ax.set_xticks(range(len(columns)), [self.unknowns[j] for j in columns], rotation=90)
        if len(rows) <= _TICKS:
            ax.set_yticks(range(len(rows)), [self.equations[i] for i in rows])
        ax.set_xlabel("unknowns")
        ax.set_ylabel("equations")
        ax.set_title(self.title)
        return ax

    def _order(self) -> tuple[list[int], list[int]]:
        """Equations and unknowns in solving order, or as declared where there is none."""
        if not self.blocks:
            return list(range(len(self.equations))), list(range(len(self.unknowns)))
        row = {name: i for i, name in enumerate(self.equations)}
        return (
            [row[name] for block in self.blocks for name in block.equations],
            [column for block in self.blocks for column in block.columns],
        )
