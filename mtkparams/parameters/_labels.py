"""A name for every entry of a vector."""

from __future__ import annotations

from typing import Any

from ._holder import held
from ._portions import Tunable
from ._selection import What, select


def labels(p: Any, what: What = Tunable) -> tuple[str, ...]:
    """The name of each entry of `mtk.canonicalize(what, p)[0]`, in its order.

    **Arguments:**

    - `p`: the object, or a problem.
    - `what`: a portion, a name, or a list of both.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.5, "tau": [1.0, 2.0]})
        >>> mtk.labels(p)
        ('alpha', 'tau[0]', 'tau[1]')
    """
    holder = held(p)
    return select(holder.what(what), holder.p.index, holder.p.buffers).labels()
