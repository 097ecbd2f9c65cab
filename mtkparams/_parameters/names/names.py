"""What may be a name, and how a name with an index in brackets is read."""

from __future__ import annotations

import dataclasses
import enum
import re
import unicodedata
from collections.abc import Callable, Container, Mapping
from typing import Any, TypeAlias, TypeVar

from ...errors import DeclarationError, OverlapError, UnknownNameError

T = TypeVar("T")

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
# As `Initial.__str__` writes it.
_INITIAL = re.compile(r"^Initial\((?P<unknown>.*)\)(?P<brackets>\[[^\[\]]*\])?$", re.DOTALL)


def _split_brackets(name: str) -> tuple[str, str]:
    match = _TRAILING.match(name)
    return (match["base"], match["brackets"]) if match else (name, "")


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


def unknown_of(name: str) -> str | None:
    """The unknown whose initial value `name` is: `"Initial(x)"` is that of `"x"`.

    `None` for every other name. With an index in brackets it is an entry of the unknown. This is the
    only place that reads such names, as `str(Initial("x"))` is the only one that writes them.
    """
    match = _INITIAL.match(name)
    return None if match is None else match["unknown"] + (match["brackets"] or "")


def stored_name(name: Name, unknowns: Container[str]) -> str:
    """The name of the parameter that holds what `name` means: of an unknown its initial value."""
    text = plain(name)
    split = split_index(text)
    base = text if split is None else split[0]
    return str(Initial(text)) if base in unknowns else text


def by_stored_name(
    values: Mapping[Any, T], stored: Callable[[Any], Name] | None = None, verb: str = "given"
) -> dict[str, T]:
    """A user's dictionary under the names of parameters, or an error where it names one twice.

    **Arguments:**

    - `values`: by names as a user writes them.
    - `stored`: the parameter that a name means, by default that of the same name.
    - `verb`: what the dictionary does with a name, for the error.
    """
    named: dict[str, T] = {}
    for key, value in values.items():
        name = plain(key if stored is None else stored(key))
        if name in named:
            raise OverlapError(f"{name!r} is {verb} twice, in two spellings. Keep one of them.")
        named[name] = value
    return named


def check_declarable(name: str) -> None:
    """Raises `DeclarationError` where `name` could not be written in brackets or after a dot."""
    unknown = unknown_of(name)
    parts = (name if unknown is None else unknown).split(".")
    wrong = [part for part in parts if not part.isidentifier()]
    if wrong:
        raise DeclarationError(
            f"{name!r} cannot be a name: {wrong[0]!r} is not an identifier. Use letters, digits and "
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


class Portion(enum.Enum):
    """A parameter's role: who may change it, and when.

    - `Tunable`: what a fit may change; constant during a solve.
    - `Initials`: the values of unknowns at the start; used before time stepping only.
    - `Discrete`: what events change during a solve.
    - `Constants`: numbers that nothing changes.
    - `Nonnumeric`: strings, functions, Modules that are not tuned; their arrays are leaves.
    - `Caches`: what earlier blocks leave for later ones; written before it is read, so that no
      result depends on what was in it before.

    The names are SciMLStructures.jl's, with `Nonnumeric` from ModelingToolkit.

    !!! Example

        >>> import mtkparams as mtk
        >>> mtk.Tunable is mtk.Portion.TUNABLE
        True
    """

    TUNABLE = "tunable"
    INITIALS = "initials"
    DISCRETE = "discrete"
    CONSTANTS = "constants"
    NONNUMERIC = "nonnumeric"
    CACHES = "caches"

    def __repr__(self) -> str:
        return f"mtk.{self.name.title()}"

    def __lt__(self, other: object) -> bool:
        # JAX sorts the keys of a dictionary, and portions may be keys.
        if not isinstance(other, Portion):
            return NotImplemented
        return list(Portion).index(self) < list(Portion).index(other)


Tunable = Portion.TUNABLE
Initials = Portion.INITIALS
Discrete = Portion.DISCRETE
Constants = Portion.CONSTANTS
Nonnumeric = Portion.NONNUMERIC
Caches = Portion.CACHES

PORTIONS = tuple(Portion)
# A portion that is one vector; the others are tuples of buffers, one for each dtype.
VECTORS = (Tunable, Initials)
