"""What holds a parameter object: a problem can stand where the object itself can."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import KindError
from .buffers.selection import What
from .names.names import Initial, Name, Portion
from .object import MTKParameters


@dataclasses.dataclass(frozen=True, eq=False)
class Lens:
    """The object that a holder has, and the way back.

    - `stored`: the name in `p` of what the holder calls so: the unknown `"x"` of a problem is
      `"Initial(x)"`.
    - `put`: the holder with another object in place of `p`.
    """

    p: MTKParameters
    stored: Callable[[Name], Name]
    put: Callable[[MTKParameters], Any]

    def what(self, what: What) -> What:
        """A portion, a name or a list of both, with the names of `p`."""
        if isinstance(what, Portion):
            return what
        if isinstance(what, str | Initial):
            return self.stored(what)
        if not isinstance(what, Iterable):
            return what  # for the error of `select`
        return [item if isinstance(item, Portion) else self.stored(item) for item in what]


@functools.singledispatch
def lens_of(holder: object) -> Lens:
    """The parameter object of `holder`; other chapters register their classes here."""
    raise KindError(
        f"This takes a parameter object or a problem, got {type(holder).__name__}. "
        "mtk.parameters({...}) makes a parameter object."
    )


@lens_of.register(MTKParameters)
def _(holder: Any) -> Lens:
    return Lens(holder, lambda name: name, lambda p: p)
