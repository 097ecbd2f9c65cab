"""A name for every entry of a vector."""

from __future__ import annotations

from ._mtkparameters import MTKParameters
from ._portions import Tunable
from ._selection import What, select


def labels(p: MTKParameters, what: What = Tunable) -> tuple[str, ...]:
    """The name of each entry of `mtk.canonicalize(what, p)[0]`, in its order.

    **Arguments:**

    - `p`: the object.
    - `what`: a portion, a name, or a list of both.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.5, "tau": [1.0, 2.0]})
        >>> mtk.labels(p)
        ('alpha', 'tau[0]', 'tau[1]')
    """
    return select(what, p.index, p.buffers).labels()
