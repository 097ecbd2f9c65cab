"""All that is known of each parameter, as data."""

from __future__ import annotations

from typing import Any

from ..errors import KindError
from .object import MTKParameters
from .show.contents import Contents
from .show.rows import places, rows


def describe(p: MTKParameters) -> list[dict[str, Any]]:
    """One dictionary for each declared name, in declaration order, and for each cache.

    **Arguments:**

    - `p`: the object; also a batch, a gradient, an optimizer's state, or traced.

    **Returns:** rows with these keys. `pandas.DataFrame(rows)` makes a table of them.

    - `name`.
    - `value`: a numpy array, a pytree of those, text, or a random key. Where there is no value, its
      type (`jax.ShapeDtypeStruct`); where its buffer was partitioned away, `None`; where the
      binding of a dependent parameter fails, the exception.
    - `unit`, `description`, `scale`, `guess`, `prior`: as declared, or `None`.
    - `portion`: `None` for a dependent parameter.
    - `reads`: the names that a dependent parameter reads, else `()`.
    - `bounds`: `(lower, upper)`, infinite where there is none; `None` where none are declared.
    - `shape`: of one value, without the axes of a batch; `None` for a pytree or text.
    - `dtype`: as text, such as `"float64"`; `None` for text and for mixed pytrees.

    An object from bare buffers has no names: its rows are buffers, `"tunable"`, `"constants[0]"`.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"k": mtk.Parameter(0.5, unit="1/s"), "n": 3})
        >>> [(row["name"], row["value"].item(), row["unit"]) for row in mtk.describe(p)]
        [('k', 0.5, '1/s'), ('n', 3, None)]
    """
    if not isinstance(p, MTKParameters):
        raise KindError(f"mtk.describe takes a parameter object, got {type(p).__name__}.")
    contents = Contents(p, everything=True)
    return rows(contents, places(contents))
