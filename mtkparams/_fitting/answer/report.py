"""The report of a fit: as text, as a table of rich, and in HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ..._text import counted, html_cell, html_table, number, ruled, text_table
from .format import pair, percent, seconds, statistic
from .summary import Row, Summary

if TYPE_CHECKING:
    from rich.console import RenderableType

_HEADER = ("name", "value", "± error", "", "start", "bounds", "unit", "")
_NUMBERS = (1, 2, 3, 4)  # columns that are aligned to the right


class Report:
    """What a fit found, and how far to trust it. `print(report)`, or let a notebook show it.

    **Attributes:**

    - `summary`: everything that it says, as data.
    - `least`: correlations below this size are left out.
    """

    def __init__(self, summary: Summary, least: float = 0.5):
        self.summary = summary
        self.least = least

    def __str__(self) -> str:
        """The report in plain text."""
        s = self.summary
        cells, numbers = _table(s)
        right = {i for i, is_number in enumerate(numbers) if is_number}
        lines = [s.title, *_how(s), "", *ruled(text_table(cells, right)), ""]
        lines += text_table([(name, statistic(x)) for name, x in s.statistics])
        pairs = self._pairs()
        if pairs:
            lines += ["", f"correlations of at least {self.least:g}"]
            lines += [f"  {line}" for line in text_table(pairs)]
        if s.notes:
            lines += ["", "notes", *(f"  - {note}" for note in s.notes)]
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The report for a notebook."""
        s = self.summary
        (header, *cells), numbers = _table(s)
        parts = [
            f"<p><b>{escape(s.title)}</b><br>{escape('; '.join(_how(s)))}</p>",
            html_table(header, [_html_row(row, numbers) for row in cells]),
            _html_pairs("statistics", [(name, statistic(x)) for name, x in s.statistics]),
        ]
        pairs = self._pairs()
        if pairs:
            parts.append(_html_pairs(f"correlations of at least {self.least:g}", pairs))
        if s.notes:
            parts.append("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in s.notes) + "</ul>")
        return "<div>" + "\n".join(parts) + "</div>"

    def __rich__(self) -> RenderableType:
        """The report as tables of rich, which `rich.print(report)` asks for."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        s = self.summary
        (header, *cells), numbers = _table(s)
        table = Table()
        for name, is_number in zip(header, numbers, strict=True):
            table.add_column(name, justify="right" if is_number else "left", no_wrap=True)
        for row, texts in zip(s.rows, cells, strict=True):
            style = "dim" if row.note in ("fixed", "dependent") else "yellow" if row.note else ""
            table.add_row(*map(Text, texts), style=style)
        parts: list[RenderableType] = [
            Text(s.title, style="bold"),
            Text("; ".join(_how(s)), style="" if s.succeeded else "red"),
            table,
            _rich_pairs([(name, statistic(x)) for name, x in s.statistics]),
        ]
        if self._pairs():
            parts.append(Text(f"correlations of at least {self.least:g}"))
            parts.append(_rich_pairs(self._pairs()))
        parts += [Text(f"- {note}", style="yellow") for note in s.notes]
        return Group(*parts)

    def _pairs(self) -> list[tuple[str, str]]:
        return [
            (f"{a}, {b}", f"{x:+.4f}")
            for a, b, x in self.summary.correlations
            if abs(x) >= self.least
        ]


def _how(s: Summary) -> list[str]:
    counts = dict(s.counts)
    failed = f" ({counts['failed evaluations']} failed)" if counts["failed evaluations"] else ""
    starts = []
    if "starts" in counts:
        gone = f", {counts['failed starts']} failed" if counts["failed starts"] else ""
        starts.append(
            f"the best of {counts['starts']} starts, {counts['starts at the best']} of which ended there"
            + gone
        )
    return [
        s.message,
        *starts,
        f"{counted(counts['steps'], 'step')}, {counted(counts['evaluations'], 'evaluation')}{failed}, "
        f"{seconds(counts['seconds'])}",
    ]


def _cells(row: Row) -> tuple[str, ...]:
    value, error = pair(row.value, row.error)
    start = number(row.start)
    error = f"± {error}" if error else ""
    part = percent(row.value, row.error)
    return (row.name, value, error, part, start, row.bounds, row.unit, row.note)


def _table(s: Summary) -> tuple[list[tuple[str, ...]], list[bool]]:
    """A header and the rows, without columns in which nothing stands; and which hold numbers."""
    cells = [_cells(row) for row in s.rows]
    filled = [i for i in range(len(_HEADER)) if any(row[i] for row in cells)]
    rows = [tuple(row[i] for i in filled) for row in (_HEADER, *cells)]
    return rows, [i in _NUMBERS for i in filled]


def _html_row(cells: tuple[str, ...], numbers: list[bool]) -> list[str]:
    sides = ("right" if is_number else "left" for is_number in numbers)
    return [
        html_cell(text, f"text-align: {side}; white-space: nowrap")
        for text, side in zip(cells, sides, strict=True)
    ]


def _html_pairs(title: str, pairs: list[tuple[str, str]]) -> str:
    table = html_table((), [(html_cell(a), html_cell(b, "text-align: right")) for a, b in pairs])
    return f"<details open><summary>{escape(title)}</summary>{table}</details>"


def _rich_pairs(pairs: list[tuple[str, str]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    table.add_column(justify="left")
    table.add_column(justify="right")
    for a, b in pairs:
        table.add_row(Text(a), Text(b))
    return table
