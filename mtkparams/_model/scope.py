"""Functions of a nested system, seen from the whole: each keeps its own relative names.

What these return is a closure over the function and plain text, so that equal declarations are
recognized as equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .._parameters import Initial, View, renamed, within
from ..errors import BoundParameterError


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
        stored = {name: str(Initial(name)) for name in unknowns}
        return f(within(renamed(view, stored), prefix))

    return bind


def refuse_unknown(name: str, unknowns: Iterable[str], error: Exception) -> None:
    """Raises for a binding that read `name`, where that is an unknown and no parameter."""
    if any(unknown == name or unknown.endswith("." + name) for unknown in unknowns):
        raise BoundParameterError(
            f"A dependent parameter reads {name!r}, which is an unknown and changes in time. Make it "
            f"an observed value, or read the initial value, p[{str(Initial(name))!r}]."
        ) from error
