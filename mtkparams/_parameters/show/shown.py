"""What there is to show of an object, in text or in HTML."""

from __future__ import annotations

import re

from ..._text import one_line
from ..buffers.reader import ParameterObject
from ..names.names import PORTIONS, Nonnumeric, Portion
from .contents import Contents, is_deleted
from .rows import Row, is_left_out, places, rows
from .short import is_number, short_bounds, short_value

COLUMNS = ("name", "value", "unit", "portion", "bounds", "description")
ROWS = 60


class Shown:
    """The texts of an object's table.

    - `header`: how many numbers of each portion.
    - `cells`: texts by column, without the columns that are empty everywhere.
    - `rest`: how many names are left out, and how to see them; or empty.
    """

    header: str
    cells: dict[str, list[str]]
    rest: str

    def __init__(self, p: ParameterObject):
        contents = Contents(p, everything=False)
        present = [where for where in places(contents) if not is_left_out(contents, where)]
        described = rows(contents, present[:ROWS])
        cells = {column: [_cell(row, column) for row in described] for column in COLUMNS}
        cells["value"] = _aligned(cells["value"], [is_number(row["value"]) for row in described])
        more = len(present) - len(described)
        self.header = _header(contents)
        self.cells = {column: texts for column, texts in cells.items() if any(texts)}
        self.rest = f"… {more} more; mtk.describe(p) gives all of them." if more else ""


def _cell(row: Row, column: str) -> str:
    value = row[column]
    if column == "value":
        return short_value(value, row["shape"])
    if column == "bounds":
        return short_bounds(value)
    if column == "portion":
        return _portion(value, row["reads"])
    return "" if value is None else one_line(value)


def _portion(portion: Portion | None, reads: tuple[str, ...]) -> str:
    if portion is not None:
        return portion.value
    few = [*reads[:3], "…"] if len(reads) > 3 else reads
    return f"bound ({', '.join(few)})" if few else "bound"


def _aligned(texts: list[str], numbers: list[bool]) -> list[str]:
    """The numbers among `texts` moved to the right, so that their points are in one column."""
    pairs = list(zip(texts, numbers, strict=True))
    most = max((_point(text) for text, number in pairs if number), default=0)
    return [" " * (most - _point(text)) + text if number else text for text, number in pairs]


def _point(text: str) -> int:
    return len(re.split("[.e]", text)[0])


# What a header calls one and several of a portion.
_ONE = {"initials": "initial", "constants": "constant", "caches": "cache"}


def _header(contents: Contents) -> str:
    present, absent = _counts(contents)
    text, names = "MTKParameters", len(contents.p.index.entries)
    if names and not contents.fits:
        text += f" by buffer (these do not fit its {names} names)"
    elif contents.lead:
        text += f", batch of {'x'.join(map(str, contents.lead))}"
    elif contents.leads - {()}:
        text += ", in part a batch"
    if any(map(is_deleted, contents.all())):
        text += ", donated"
    text += f": {_listed(present) or 'nothing'}"
    return f"{text}; without {_listed(absent)}" if any(absent.values()) else text


def _listed(counts: dict[str, int]) -> str:
    named = (
        (count, _ONE.get(what, what) if count == 1 else what) for what, count in counts.items()
    )
    return ", ".join(f"{count} {what}" for count, what in named if count)


def _counts(contents: Contents) -> tuple[dict[str, int], dict[str, int]]:
    """How many numbers of each portion are there and are not; of Nonnumeric how many names."""
    index = contents.p.index
    counts: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for portion in PORTIONS:
        present, absent = 0, 0
        if portion is Nonnumeric and contents.fits:
            names = [index.entries[name] for name in index.names(portion)]
            absent = sum(is_left_out(contents, entry) for entry in names)
            present = len(names) - absent
        else:
            for number, buffer in enumerate(contents.buffers[portion]):
                size = contents.width(portion, number)
                absent += size if buffer is None else 0
                present += 0 if buffer is None else size
        counts[0][portion.value], counts[1][portion.value] = present, absent
    bound = [index.entries[name] for name in index.bound] if contents.fits else []
    gone = bool(bound) and is_left_out(contents, bound[0])
    counts[gone]["bound"] = len(bound)
    return counts
