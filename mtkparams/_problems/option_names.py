"""Options that a call does not have: an error with the nearest one that it has."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable

from ..errors import UnknownOptionError


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
    name, call_name = unknown[0], f"mtk.{call.__name__}"
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    cure = f"Did you mean {near[0]}=?" if near else f"It has {', '.join(f'{n}=' for n in names)}."
    raise UnknownOptionError(f"{call_name}(..., {name}=...): there is no option {name!r}. {cure}")
