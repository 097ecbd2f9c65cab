"""Functions of a nested system, seen from the whole: each keeps its own relative names.

What these return is a closure over the function and plain text, so that equal declarations are
recognized as equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..errors import BoundParameterError
from ..parameters import Initial, View
from ..parameters._names import Name, plain
from ..parameters._view import within
from ..parameters._views import renamed


def scoped_binding(f: Callable[[Any], Any], prefix: str) -> Callable[[View], Any]:
    """A binding of a nested system, called with the view of its own parameters."""
    if not prefix:
        return f
    return lambda view: f(within(view, prefix))


def at_start(
    f: Callable[[Any], Any], prefix: str, unknowns: tuple[str, ...]
) -> Callable[[View], Any]:
    """A function for a start value: its view also has the initial values of the `unknowns`."""

    def bind(view: View) -> Any:
        return f(within(renamed(view, {name: f"Initial({name})" for name in unknowns}), prefix))

    return bind


def refuse_unknowns(name: Name, unknowns: Iterable[str]) -> None:
    if plain(name) in unknowns:
        raise BoundParameterError(
            f"A binding reads {plain(name)!r}, which is an unknown and changes in time. Make it an "
            f"observed value, or read its initial value {str(Initial(plain(name)))!r}."
        )
