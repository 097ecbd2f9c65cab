"""Declared bounds as vectors. They are data of the index: no leaf, so nothing can move them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import KindError
from ._dtypes import family
from ._holder import held
from ._portions import Tunable
from ._reader import Buffers
from ._selection import Piece, Selection, What, select
from ._vector import vector_dtype


def bounds(p: Any, what: What = Tunable) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds of each entry of `mtk.canonicalize(what, p)[0]`, in its order.

    **Arguments:**

    - `p`: the object, or a problem, where an unknown's name means its initial value.
    - `what`: a portion, a name, or a list of both.

    **Returns:** two arrays of shape `(entries,)` in the dtype of the vector, with infinities where
    nothing is declared. They suit `scipy.optimize.Bounds` and `optax.projections.projection_box`.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"k": mtk.Parameter(0.5, bounds=(0.0, 1.0)), "x": 2.0})
        >>> lower, upper = mtk.bounds(p)
        >>> lower.tolist(), upper.tolist()
        ([0.0, -inf], [1.0, inf])
    """
    holder = held(p)
    p = holder.p
    selection = select(holder.what(what), p.index, p.buffers)
    dtype = float_dtype(selection, p.buffers)
    lower, upper = limits(selection)
    return lower.astype(dtype), upper.astype(dtype)


def limits(selection: Selection) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of each entry of a selection, in double precision."""
    ends = []
    for nothing, side in ((-np.inf, "lower"), (np.inf, "upper")):
        parts = []
        for piece in selection.pieces:
            about = piece.target.entry.about if piece.target else None
            bound = of_piece(getattr(about, side, None), piece)
            parts.append(np.full(piece.positions.size, nothing) if bound is None else bound.ravel())
        ends.append(np.concatenate(parts) if parts else np.zeros(0))
    return ends[0], ends[1]


def of_piece(bound: np.ndarray | None, piece: Piece) -> np.ndarray | None:
    """The bound of the entries that a piece picks out of its parameter, in the piece's shape."""
    if bound is None:
        return None
    if bound.ndim == 0:
        return np.broadcast_to(bound, piece.shape)
    return bound.ravel()[piece.positions - piece.place.start].reshape(piece.shape)


def float_dtype(selection: Selection, buffers: Buffers) -> np.dtype:
    """The dtype of a selection's vector, which must hold floats to have bounds or coordinates."""
    if not selection.pieces:
        return np.dtype(float)
    for piece in selection.pieces:
        portion, number = piece.at
        buffer = buffers[portion][number]
        if buffer is not None and family(buffer.dtype) != "f":
            raise KindError(
                f"{piece.label!r} holds {buffer.dtype.name}, and bounds and free coordinates are those "
                "of floats. Leave it out of the list, or declare it as a float."
            )
    return vector_dtype(selection, buffers)
