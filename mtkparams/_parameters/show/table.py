"""An object as a table in plain text, and in one line."""

from __future__ import annotations

import shutil
from textwrap import wrap
from typing import Any

from ..._text import column_widths, counted, cut, text_table
from ..buffers.reader import ParameterObject
from ..names.names import PORTIONS, VECTORS
from .contents import is_array
from .short import short_object
from .shown import Shown

# Where a line is too long columns give way, in this order, down to these widths.
_GIVE_WAY = (
    ("portion", 16),
    ("description", 24),
    ("portion", 10),
    ("description", 12),
    ("value", 18),
    ("bounds", 8),
    ("unit", 6),
    ("name", 12),
)


def table(p: ParameterObject) -> str:
    """What `print(p)` shows: a header, and a row for each of the first names."""
    columns = shutil.get_terminal_size((100, 24)).columns
    shown = Shown(p)
    header = wrap(shown.header, max(columns, 20), subsequent_indent="  ")
    lines = [*header, *_laid_out(shown.cells, columns), *([shown.rest] if shown.rest else [])]
    return "\n".join(cut(line.rstrip(), columns) for line in lines)


def _laid_out(cells: dict[str, list[str]], columns: int) -> list[str]:
    if not cells:
        return []
    lines = [list(cells), *zip(*cells.values(), strict=True)]
    widths = dict(zip(cells, column_widths(lines), strict=True))
    for column, least in _GIVE_WAY:
        too_long = sum(widths.values()) + 2 * (len(widths) - 1) - columns
        if column in widths and too_long > 0:
            widths[column] = max(min(widths[column], least), widths[column] - too_long)
    return text_table(lines, widths=list(widths.values()))


def short(p: object) -> str:
    """What `repr(p)` shows: one line with the type of each buffer, safe in any error message."""
    parts = []
    for portion in PORTIONS:
        buffers: Any = getattr(p, portion.value, ())
        if type(buffers) is not tuple:
            empty = portion in VECTORS and is_array(buffers) and tuple(buffers.shape[-1:]) == (0,)
            text = "" if empty else cut(short_object(buffers), 60)
        else:
            text = ", ".join(cut(short_object(b), 60) for b in buffers)
            text = f"({text}{',' * (len(buffers) == 1)})" if buffers else ""
        parts += [f"{portion.value}={text}"] if text else []
    count = len(p.index.entries) if isinstance(p, ParameterObject) else 0
    if count:
        parts.append(counted(count, "name"))
    return f"MTKParameters({', '.join(parts)})"
