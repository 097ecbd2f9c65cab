"""A batch of problems or of parameter objects, from arrays of values by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ..errors import KindError
from ..parameters import MTKParameters
from ..parameters._axes import batch_by_name
from ._nonlinear import NonlinearProblem
from ._problem import ODEProblem
from ._remake import remake
from ._values import stored_name

T = TypeVar("T")


def batch(p: T, values: Mapping[Any, Any]) -> T:
    """`p` with one value for each member under the given names, and everything else shared.

    **Arguments:**

    - `p`: a parameter object or a problem.
    - `values`: for each name an array with the members in front, all of one length. For a pytree
      such as a network, its structure with the members in front of each array.

    The buffers that hold these names get a leading axis, the others stay as they are:
    `mtk.in_axes` tells `jax.vmap` which. Inside of `vmap`, `p.set` and `mtk.remake` do the same
    for one member at a time, without an array for its neighbours in the buffer.

    **Raises:** as `p.set`; `ShapeError` for values without members in front, or with different
    numbers of them.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.5, "beta": 2.0})
        >>> many = mtk.batch(p, {"alpha": [0.1, 0.2]})
        >>> many["alpha"].tolist(), many["beta"].tolist()
        ([0.1, 0.2], [2.0, 2.0])
    """
    if isinstance(p, MTKParameters):
        return batch_by_name(p, values)
    if isinstance(p, ODEProblem | NonlinearProblem):
        unknowns = tuple(n for n, e in p.model.states.entries.items() if e.bind is None)
        stored = {stored_name(name, unknowns): value for name, value in values.items()}
        return remake(p, p=batch_by_name(p.p, stored))
    raise KindError(f"batch takes a parameter object or a problem, got {type(p).__name__}.")
