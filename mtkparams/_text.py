"""How text is written: counts, names in a message, numbers, tables in text and in HTML."""

from __future__ import annotations

import html
import numbers
import unicodedata
from collections.abc import Container, Iterable, Sequence
from typing import Any

# Names that a message lists before it says how many more there are.
FEW = 6


def counted(count: int | float, noun: str) -> str:
    """A number of things: `1 value`, `3 values`, `2 entries`."""
    if count == 1:
        return f"{count} {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("try") else f"{count} {noun}s"


def listed(texts: Iterable[str], most: int = FEW, between: str = ", ") -> str:
    """The first of `texts` in one line, and how many more there are: `a, b, and 3 more`."""
    texts = list(texts)
    rest = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return between.join([*texts[:most], *rest])


def quoted(names: Iterable[object], most: int = FEW) -> str:
    """The first of `names` as they are written in a program, and how many more there are."""
    return listed(map(repr, names), most)


def number(x: Any, digits: int = 6) -> str:
    """A number in a table or a sentence: so many significant digits, an integer in all of its own."""
    x = x.item() if hasattr(x, "item") else x
    if isinstance(x, numbers.Integral):
        return str(x)
    if isinstance(x, numbers.Complex) and not isinstance(x, numbers.Real):
        return f"{complex(x):.{digits}g}"
    return f"{float(x):.{digits}g}"


def one_line(text: object) -> str:
    """Text in one line, without characters that would move the cursor."""
    words = " ".join(str(text).split())
    return "".join(c if c.isprintable() else "?" for c in words)


def width(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def cut(text: str, columns: int) -> str:
    """`text` in at most so many columns, with `…` for what is left out."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return text + "…" if columns > 0 else ""


def shortened(value: object, columns: int = 40) -> str:
    """`value` as a program would write it, in so many columns, for a message."""
    return cut(repr(value), columns)


def padded(text: str, columns: int, right: bool = False) -> str:
    """`text` in exactly so many columns, or in its own where it needs more."""
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


def column_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """How many columns of a terminal the widest text of each column takes."""
    return [max(map(width, column)) for column in zip(*rows, strict=True)]


def text_table(
    rows: Sequence[Sequence[str]],
    right: Container[int] = (),
    widths: Sequence[int] | None = None,
) -> list[str]:
    """One line for each row, its texts below one another, two blanks apart.

    **Arguments:**

    - `rows`: texts, as many in each row; a header is a row like the others.
    - `right`: the numbers of the columns that end, rather than begin, below one another.
    - `widths`: of each column; longer texts are cut. By default that of its widest text.
    """
    widths = column_widths(rows) if widths is None else widths
    cells = (
        (padded(cut(text, w), w, i in right) for i, (text, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )  # fmt: skip
    return ["  ".join(line).rstrip() for line in cells]


def ruled(lines: Sequence[str]) -> list[str]:
    """The lines of a table with rules above and below its header, which is the first, and its end."""
    rule = "-" * max(map(width, lines))
    return [rule, lines[0], rule, *lines[1:], rule]


def html_cell(text: str, style: str = "text-align: left", tip: str = "") -> str:
    """A cell of a table in HTML; `tip` is what the pointer shows over it."""
    title = f' title="{html.escape(tip)}"' if tip else ""
    return f'<td style="{style}"{title}>{html.escape(text)}</td>'


def html_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in HTML: texts of a header, which may be empty, and rows of cells by `html_cell`."""
    head = "".join(f'<th style="text-align: left">{html.escape(text)}</th>' for text in header)
    lines = ["<table>", *([f"<thead><tr>{head}</tr></thead>"] if head else []), "<tbody>"]
    lines += [f"<tr>{''.join(cells)}</tr>" for cells in rows]
    return "\n".join([*lines, "</tbody>", "</table>"])
