"""Options that a call does not have: an error with the nearest one that it has."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from ..errors import unknown_option


def check_names(call: Callable[..., object], options: Iterable[str], known: type) -> None:
    """Raises for an option that a call does not have, with the nearest one that it has.

    **Arguments:**

    - `call`: the function that the user called.
    - `known`: a `TypedDict` of options that it has beside those in its signature.
    """
    unknown = [name for name in options if name not in known.__annotations__]
    if not unknown:
        return
    parameters = inspect.signature(call).parameters.values()
    written = [q.name for q in parameters if q.kind is q.KEYWORD_ONLY]
    names = [*known.__annotations__, *written]
    raise unknown_option(f"mtk.{call.__name__}", unknown[0], names)
