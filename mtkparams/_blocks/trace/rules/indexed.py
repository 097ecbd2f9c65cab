"""Gather and scatter: the element of the operand that each element of the slices stands for.

In numpy, though JAX could move the numbers itself: it would compile a program for each shape, and an
analysis that meets many shapes would wait for nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jax import lax
from jax.extend.core import JaxprEqn

from ..nodes import NONE, Ids


def gather_places(eqn: JaxprEqn, operand: Ids, indices: np.ndarray) -> np.ndarray:
    """The place in the flattened operand that each element of a gather comes from; `NONE`: a filler."""
    # A broken promise is clipped, too.
    clips = eqn.params["mode"] != lax.GatherScatterMode.FILL_OR_DROP
    numbers = eqn.params["dimension_numbers"]
    return _places(operand.shape, indices, eqn.params["slice_sizes"], numbers, clips)


def scatter_places(eqn: JaxprEqn, operand: Ids, indices: np.ndarray, updates: Ids) -> np.ndarray:
    """The place in the flattened operand that each element of the updates goes to; `NONE`: nowhere.

    A scatter writes where the gather of the same dimension numbers reads.
    """
    d = eqn.params["dimension_numbers"]
    inserted = {*d.inserted_window_dims, *d.operand_batching_dims}
    windows = iter(d.update_window_dims)
    sizes = [
        1 if axis in inserted else updates.shape[next(windows)] for axis in range(operand.ndim)
    ]
    numbers = lax.GatherDimensionNumbers(
        offset_dims=d.update_window_dims,
        collapsed_slice_dims=d.inserted_window_dims,
        start_index_map=d.scatter_dims_to_operand_dims,
        operand_batching_dims=d.operand_batching_dims,
        start_indices_batching_dims=d.scatter_indices_batching_dims,
    )
    clips = eqn.params["mode"] == lax.GatherScatterMode.CLIP
    return _places(operand.shape, indices, sizes, numbers, clips)


def _places(
    shape: tuple[int, ...],
    indices: np.ndarray,
    sizes: Sequence[int | np.integer],
    numbers: lax.GatherDimensionNumbers,
    clips: bool,
) -> np.ndarray:
    # Axes of the result: those of the windows at `offset_dims`, those of the indices elsewhere.
    batch_shape = indices.shape[:-1]
    dropped = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    windowed = [axis for axis in range(len(shape)) if axis not in dropped]
    rank = len(batch_shape) + len(windowed)
    batch_dims = [axis for axis in range(rank) if axis not in numbers.offset_dims]

    def along(values: np.ndarray, axes: Sequence[int | np.integer]) -> np.ndarray:
        """Values over some axes of the result, to be broadcast over the others."""
        wide = [1] * rank
        for axis, size in zip(axes, values.shape, strict=True):
            wide[axis] = size
        return values.reshape(wide)

    # The coordinates along each axis of the operand, from where a slice starts, which member of a batch
    # it is of, and where in the slice an element is.
    start = dict(zip(numbers.start_index_map, np.moveaxis(indices, -1, 0), strict=True))
    batch = dict(
        zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)
    )
    window = dict(zip(windowed, numbers.offset_dims, strict=True))
    flat = np.zeros([1] * rank, np.int64)
    inside = np.ones([1] * rank, bool)
    for axis, (room, size) in enumerate(zip(shape, sizes, strict=True)):
        flat = flat * room
        if axis in start:
            first = along(np.asarray(start[axis], np.int64), batch_dims)
            if clips:
                first = np.clip(first, 0, room - size)
            inside = inside & (first >= 0) & (first <= room - size)
            flat = flat + first
        if axis in batch:
            flat = flat + along(np.arange(batch_shape[batch[axis]]), [batch_dims[batch[axis]]])
        if axis in window:
            flat = flat + along(np.arange(size), [window[axis]])
    full = [0] * rank
    for axis, size in zip(batch_dims, batch_shape, strict=True):
        full[axis] = size
    for axis, of in zip(numbers.offset_dims, windowed, strict=True):
        full[axis] = int(sizes[of])
    return np.broadcast_to(np.where(inside, flat, NONE), full)
