"""Pieces of text that messages, reports and tables share."""

from __future__ import annotations


def counted(count: int | float, noun: str) -> str:
    """A number of things: `1 value`, `3 values`, `2 entries`."""
    if count == 1:
        return f"{count} {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("try") else f"{count} {noun}s"
