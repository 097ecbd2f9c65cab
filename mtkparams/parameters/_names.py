"""What may be a name, and how a name with an index in brackets is read."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from typing import TypeAlias

from ..errors import DeclarationError, UnknownNameError

Item: TypeAlias = "int | slice"


@dataclasses.dataclass(frozen=True)
class Initial:
    """The name of the initial value of an unknown, which is a parameter of the Initials portion.

    **Arguments:**

    - `name`: the unknown, or an entry of it: `"x"`, `"tank.h"`, `"x[1]"`.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"k": 0.5, mtk.Initial("x"): 2.0})
        >>> float(p[mtk.Initial("x")]), float(p["Initial(x)"])
        (2.0, 2.0)
    """

    name: str

    def __str__(self) -> str:
        base, brackets = _split_brackets(self.name)
        return f"Initial({base}){brackets}"


Name: TypeAlias = "str | Initial"

_TRAILING = re.compile(r"^(?P<base>.*?)(?P<brackets>\[[^\[\]]*\])$", re.DOTALL)
_INTEGER = re.compile(r"^[+-]?\d+$")


def _split_brackets(name: str) -> tuple[str, str]:
    found = _TRAILING.match(name)
    return (found["base"], found["brackets"]) if found else (name, "")


def plain(name: object) -> str:
    """The text of a name; `Initial("x")` becomes `"Initial(x)"`."""
    if isinstance(name, Initial):
        return plain(str(name))
    if isinstance(name, str):
        # As Python does with attributes: else `p.view.µ` would not find what `p["µ"]` finds.
        return name if name.isascii() else unicodedata.normalize("NFKC", name)
    raise UnknownNameError(
        f"A name is a string or mtk.Initial(...), got {name!r} of type {type(name).__name__}."
    )


def check_declarable(name: str) -> None:
    """Raises `DeclarationError` where `name` could not be written in brackets or after a dot."""
    inner = (
        name[len("Initial(") : -1] if name.startswith("Initial(") and name.endswith(")") else name
    )
    bad = [part for part in inner.split(".") if not part.isidentifier()]
    if bad:
        raise DeclarationError(
            f"{name!r} cannot be a name: {bad[0]!r} is not an identifier. Use letters, digits and "
            "_, with dots between namespaces; give array entries as one array under one name."
        )


def split_index(name: str) -> tuple[str, tuple[Item, ...]] | None:
    """`"f[1,2:4]"` as `("f", (1, slice(2, 4)))`; `None` for a name without a trailing bracket."""
    base, brackets = _split_brackets(name)
    if not brackets:
        return None
    return base, tuple(_item(text.strip(), name) for text in brackets[1:-1].split(","))


def _item(text: str, name: str) -> Item:
    if _INTEGER.match(text):
        return int(text)
    parts = [part.strip() for part in text.split(":")]
    if len(parts) in (2, 3) and all(part == "" or _INTEGER.match(part) for part in parts):
        return slice(*(int(part) if part else None for part in parts))
    raise UnknownNameError(
        f"Cannot read the index in {name!r}: {text!r} is neither an integer nor a slice such as 0:2."
    )
