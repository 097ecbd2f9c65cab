"""The vector that a fit wants from a table of names, and a table from the vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Array

from .._parameters import (
    Initial,
    Lens,
    Portion,
    Selection,
    Tunable,
    Values,
    What,
    by_stored_name,
    canonicalize,
    hasportion,
    lens_of,
    replace,
    select,
)
from ..errors import KindError, PortionError


def pack(
    source: object,
    what: What | Mapping[Any, Any] = Tunable,
    values: Mapping[Any, Any] | None = None,
) -> Array:
    """One vector of values by name, in a fixed order: what an optimizer or a sampler works on.

    **Arguments:**

    - `source`: a parameter object or a problem. In a problem the name of an unknown means its initial
      value.
    - `what`: a portion, a name, a list of both; or a dictionary `{name: value}`, which is a list and
      its values.
    - `values`: by name, in any order, in place of those of the source.

    **Returns:** the vector, shape `(entries,)`. `mtk.labels(source, what)` names its entries,
    `mtk.bounds(source, what)` gives the bounds of each, `mtk.unpack(source, vector, what)` is the table again,
    and `mtk.replace(what, source, vector)` the object or problem with these values.

    **Raises:** `UnknownNameError`, `OverlapError`, `BoundParameterError`; `KindError` for a value that
    has no place in the vector.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.5, "tau": [1.0, 2.0], "n": 3})
        >>> mtk.pack(p, mtk.Tunable, {"tau[1]": 7.0}).tolist()
        [0.5, 1.0, 7.0]
        >>> mtk.pack(p, {"tau": [4.0, 5.0], "alpha": 6.0}).tolist()
        [4.0, 5.0, 6.0]
    """
    if isinstance(what, Mapping):
        values, what = {**what, **(values or {})}, list(what)
    lens = lens_of(source)
    names = lens.what(what)
    p = lens.p
    if values:
        stored = by_stored_name(values, lens.stored)
        _check_inside(lens, names, stored)
        p = p.set(stored)
    if isinstance(names, Portion) and not hasportion(names, p):
        raise PortionError(f"{names!r} is absent from this object: there is no vector of it.")
    return canonicalize(names, p)[0]


def unpack(
    source: object, vector: Values, what: What | Mapping[Any, Any] = Tunable
) -> dict[Any, Any]:
    """The table of a vector: `{name: value}`, with the names that `what` has.

    **Arguments:**

    - `source`: the parameter object or the problem that has the declarations.
    - `vector`: shape `(entries,)`, or with the axes of a batch in front.
    - `what`: as for `mtk.pack`; of a portion all its names.

    **Raises:** as `mtk.replace`.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.5, "tau": [1.0, 2.0]})
        >>> table = mtk.unpack(p, [0.1, 0.2, 0.3])
        >>> float(table["alpha"]), [round(float(x), 2) for x in table["tau"]]
        (0.1, [0.2, 0.3])
    """
    lens = lens_of(source)
    listed = [what] if isinstance(what, str | Initial | Portion) else list(what)
    new = replace(lens.what(what if isinstance(what, Portion) else listed), lens.p, vector)
    table: dict[Any, Any] = {}
    for item in listed:
        if isinstance(item, Portion):
            table.update({name: new[name] for name in new.names(item)})
        else:
            table[item] = new[lens.stored(item)]
    return table


def _check_inside(lens: Lens, names: What, stored: Mapping[str, Any]) -> None:
    index, buffers = lens.p.index, lens.p.buffers
    inside = select(names, index, buffers)
    for name in stored:
        if not _holds(inside, select(name, index, buffers)):
            raise KindError(
                f"{name!r} was given a value and is not in this vector. Add it to the list of names, "
                f"or set it in the object: p.set({{{name!r}: ...}})."
            )


def _holds(whole: Selection, part: Selection) -> bool:
    return all(
        at in whole.by_place and bool(np.isin(positions, whole.by_place[at][0]).all())
        for at, (positions, _) in part.by_place.items()
    )
