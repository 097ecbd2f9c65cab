"""Reading unknowns, observed values and parameters by name at one instant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array

from ..errors import KindError, UnknownNameError, unknown_name
from ..model import Model
from ..parameters import Initial, MTKParameters
from ..parameters._names import plain


def read_at(model: Model, t: Any, y: Array, p: MTKParameters, spec: Any) -> Any:
    """The values that `spec` names at time `t`, in the structure of `spec`.

    **Arguments:**

    - `y`: the differential unknowns, shape `(differential,)`.
    - `spec`: a name, a function `f(t, u, p)`, or lists, tuples and dictionaries of those.
    """
    now = model.instant(t, y, p)

    def read(spec: Any) -> Any:
        if isinstance(spec, str | Initial):
            name = plain(spec)
            if name == "t" and "t" not in p and "t" not in model.states:
                return t
            if name in model.states:
                return now.u[name]
            if spec in p:
                return now.p[name]
            return _unknown(model, p, name)
        if isinstance(spec, tuple) and hasattr(spec, "_fields"):
            return type(spec)(*map(read, spec))
        if isinstance(spec, list | tuple):
            return type(spec)(map(read, spec))
        if isinstance(spec, Mapping):
            return {key: read(inner) for key, inner in spec.items()}
        if callable(spec):
            return spec(now.t, now.u, now.p)
        raise KindError(
            "Names are strings, mtk.Initial(...), functions f(t, u, p), or lists, tuples and "
            f"dictionaries of those; got {spec!r}."
        )

    return read(spec)


def _unknown(model: Model, p: MTKParameters, name: str) -> Any:
    for index in (model.states, p.index):
        try:
            index.find(name)
        except UnknownNameError as error:
            if name.split("[")[0] in index.entries:  # the name is right, its index is not
                raise error
    raise unknown_name(name, [*model.states, *p.names()], "the unknowns, observed and parameters")


def depends_on_time(model: Model, p: MTKParameters, spec: Any) -> bool:
    """Whether what `spec` names has a value at each time, rather than one for the whole solve."""
    if isinstance(spec, str | Initial):
        return plain(spec) in model.states or (plain(spec) == "t" and "t" not in p)
    return callable(spec)
