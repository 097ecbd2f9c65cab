"""An object as a table in HTML, for notebooks."""

from __future__ import annotations

from html import escape

from ..._text import html_cell, html_table
from ..buffers.reader import ParameterObject
from .shown import Shown

# Points stay in one column: the value is text in which each character has the same width.
_STYLES = {
    "name": "font-weight: bold",
    "value": "font-family: monospace; white-space: pre",
    "description": "max-width: 24em; overflow: hidden; text-overflow: ellipsis",
}
# Where the pointer shows the whole description.
_TITLED = ("name", "description")


def html(p: ParameterObject) -> str:
    """What a notebook shows: the header, and a table with the columns of `print(p)`."""
    shown = Shown(p)
    lines = ["<div>", f"<p>{escape(shown.header)}</p>"]
    if shown.cells:
        columns = list(shown.cells)
        texts = zip(*shown.cells.values(), strict=True)
        lines.append(
            html_table(columns, (_row(dict(zip(columns, row, strict=True))) for row in texts))
        )
    lines += [f"<p>{escape(shown.rest)}</p>"] if shown.rest else []
    return "\n".join([*lines, "</div>"])


def _row(texts: dict[str, str]) -> list[str]:
    style = "text-align: left; white-space: nowrap"
    styles = {column: f"{style}; {more}" for column, more in _STYLES.items()}
    tips: dict[str, str] = dict.fromkeys(_TITLED, texts.get("description", ""))
    return [html_cell(text, styles.get(c, style), tips.get(c, "")) for c, text in texts.items()]
