"""An object as a table in HTML, for notebooks."""

from __future__ import annotations

from html import escape
from typing import Any

from .shown import Shown

# Points stay in one column: the value is text in which each character has the same width.
_STYLES = {
    "name": "font-weight: bold",
    "value": "font-family: monospace; white-space: pre",
    "description": "max-width: 24em; overflow: hidden; text-overflow: ellipsis",
}
# Where the pointer shows the whole description.
_TITLED = ("name", "description")


def html(p: Any) -> str:
    """What a notebook shows: the header, and a table with the columns of `print(p)`."""
    shown = Shown(p)
    lines = ["<div>", f"<p>{escape(shown.header)}</p>"]
    if shown.cells:
        head = "".join(f'<th style="text-align: left">{column}</th>' for column in shown.cells)
        lines += ["<table>", f"<thead><tr>{head}</tr></thead>", "<tbody>"]
        for texts in zip(*shown.cells.values(), strict=True):
            lines.append(f"<tr>{_row(dict(zip(shown.cells, texts, strict=True)))}</tr>")
        lines += ["</tbody>", "</table>"]
    lines += [f"<p>{escape(shown.rest)}</p>"] if shown.rest else []
    return "\n".join([*lines, "</div>"])


def _row(cells: dict[str, str]) -> str:
    return "".join(
        _cell(column, text, cells.get("description", "")) for column, text in cells.items()
    )


def _cell(column: str, text: str, description: str) -> str:
    style = "text-align: left; white-space: nowrap"
    style += f"; {_STYLES[column]}" if column in _STYLES else ""
    title = f' title="{escape(description)}"' if description and column in _TITLED else ""
    return f'<td style="{style}"{title}>{escape(text)}</td>'
