"""SciMLStructures: a flat vector out of an object, and a whole object back from a vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from jaxtyping import Array

from .._text import quoted
from ..errors import PortionError
from .buffers.reader import is_absent
from .buffers.selection import Selection, What, select
from .buffers.vector import Values, gather, scatter
from .lens import lens_of
from .names.names import Portion, Tunable
from .object import MTKParameters

T = TypeVar("T")


def hasportion(portion: Portion, p: object) -> bool:
    """Whether `p` has any entries in `portion`.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"k": 0.5})
        >>> mtk.hasportion(mtk.Tunable, p), mtk.hasportion(mtk.Discrete, p)
        (True, False)
    """
    whole = lens_of(p).p
    buffers = whole.buffers
    return select(portion, whole.index, buffers).size > 0 and not any(
        map(is_absent, buffers[portion])
    )


def canonicalize(
    what: What, p: T
) -> tuple[
    Array | Any, Callable[[Values], T] | Any, bool | Any
]:  # `Any`: or else every caller checks for `None`
    """One vector of a portion or of a list of names, the way back, and whether it aliases `p`.

    **Arguments:**

    - `what`: a portion (`mtk.Tunable`), a name, or a list of names and portions. A list may mix
      portions and pick a subset: that is how parameters are frozen and unfrozen at run time.
    - `p`: the object, or a problem, where an unknown's name means its initial value.

    **Returns:** `(vector, repack, aliases)`. The vector has shape `(entries,)`, in declaration order
    or in that of the list; `mtk.labels` names its entries. `repack(vector)` is `mtk.replace` and
    gives a whole object (or problem) with buffers of its own; it stays good when `p` is donated. `aliases` is
    always `False`: the vector is a buffer of its own. For a portion that `p` does not have,
    `(None, None, None)`.

    **Raises:** `UnknownNameError`, `OverlapError`, `BoundParameterError`, `KindError`.

    The laws are those of SciMLStructures.jl: `repack(vector) == p`, and `repack(v)` equals
    `replace(what, p, v)`.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.5, "tau": [1.0, 2.0]})
        >>> vector, repack, aliases = mtk.canonicalize(["tau", "alpha"], p)
        >>> vector.tolist(), repack(2 * vector)["alpha"].item()
        ([1.0, 2.0, 0.5], 1.0)
    """
    lens = lens_of(p)
    whole, what = lens.p, lens.what(what)
    buffers = whole.buffers
    selection = select(what, whole.index, buffers)
    if isinstance(what, Portion) and not hasportion(what, whole):
        return None, None, None
    # A template of its own: the caller may donate `p` and go on with `repack`.
    template = whole.with_buffers(buffers)
    repack = lambda vector: lens.put(_replace(selection, template, vector))
    return gather(selection, buffers), repack, False


def replace(what: What, p: T, vector: object) -> T:
    """A new object (or problem) with `vector` in a portion or under a list of names.

    **Arguments:**

    - `what`: as for `mtk.canonicalize`.
    - `p`: the object, or problem, that gives everything else.
    - `vector`: the new values, shape `(entries,)`; a batch has leading axes in front.

    All buffers of the result are its own and its caches have the dtype of the new tunables.

    **Raises:** `ShapeError` for a vector of another length, `KindError` for one of another kind
    (integers for floats, complex for real), `PortionError` for a portion that `p` does not have.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.5, "beta": 2.0})
        >>> mtk.replace(mtk.Tunable, p, [3.0, 4.0])["beta"].item()
        4.0
    """
    lens = lens_of(p)
    whole, what = lens.p, lens.what(what)
    if isinstance(what, Portion) and not hasportion(what, whole):
        have = quoted(q for q in Portion if hasportion(q, whole)) or "none"
        raise PortionError(f"{what!r} is absent from this object; it has {have}.")
    return lens.put(_replace(select(what, whole.index, whole.buffers), whole, vector))


def _replace(selection: Selection, p: MTKParameters, vector: object) -> MTKParameters:
    keep_precision = selection.whole is None
    return p.with_buffers(scatter(selection, p.buffers, vector, keep_precision))


def labels(p: object, what: What = Tunable) -> tuple[str, ...]:
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
    lens = lens_of(p)
    return select(lens.what(what), lens.p.index, lens.p.buffers).labels()
