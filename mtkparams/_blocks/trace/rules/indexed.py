"""Gather and scatter: the element of the operand that each element of the slices stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn

from ..nodes import Ids


def gather_places(eqn: JaxprEqn, operand: Ids, indices: np.ndarray) -> np.ndarray:
    """The place in the flattened operand that each element of a gather comes from; -1: a filler."""
    d = eqn.params["dimension_numbers"]
    return _places(
        operand.shape,
        indices,
        tuple(eqn.params["slice_sizes"]),
        d.offset_dims,
        d.collapsed_slice_dims,
        d.start_index_map,
        d.operand_batching_dims,
        d.start_indices_batching_dims,
        _mode(eqn) != "FILL_OR_DROP",  # a broken promise is clipped, too
    )


def scatter_places(eqn: JaxprEqn, operand: Ids, indices: np.ndarray, updates: Ids) -> np.ndarray:
    """The place in the flattened operand that each element of the updates goes to; -1: nowhere."""
    d = eqn.params["dimension_numbers"]
    inserted = set(d.inserted_window_dims) | set(d.operand_batching_dims)
    windows = iter(d.update_window_dims)
    sizes = tuple(
        1 if axis in inserted else updates.shape[next(windows)] for axis in range(operand.ndim)
    )
    return _places(
        operand.shape,
        indices,
        sizes,
        d.update_window_dims,
        d.inserted_window_dims,
        d.scatter_dims_to_operand_dims,
        d.operand_batching_dims,
        d.scatter_indices_batching_dims,
        _mode(eqn) == "CLIP",
    )


def _mode(eqn: JaxprEqn) -> str:
    return getattr(eqn.params["mode"], "name", str(eqn.params["mode"]))


def _places(
    shape: tuple[int, ...],
    indices: np.ndarray,
    sizes: tuple[int, ...],
    window_dims: Sequence[Any],
    collapsed: Sequence[Any],
    index_map: Sequence[Any],
    batching: Sequence[Any],
    index_batching: Sequence[Any],
    clips: bool,
) -> np.ndarray:
    # Axes of the result: those of the windows at `window_dims`, those of the indices elsewhere.
    batch_shape = indices.shape[:-1]
    dropped = set(collapsed) | set(batching)
    kept = [axis for axis in range(len(shape)) if axis not in dropped]
    rank = len(batch_shape) + len(kept)
    batch_dims = [axis for axis in range(rank) if axis not in set(window_dims)]
    result = [0] * rank
    for axis, size in zip(batch_dims, batch_shape, strict=True):
        result[axis] = size
    for axis, which in zip(window_dims, kept, strict=True):
        result[axis] = sizes[which]

    def spread(values: np.ndarray) -> np.ndarray:
        """Values over the axes of the indices, spread over the axes of the result."""
        wide = [1] * rank
        for axis, size in zip(batch_dims, values.shape, strict=True):
            wide[axis] = size
        return values.reshape(wide)

    flat = np.zeros((1,) * rank, np.int64)
    inside = np.ones((1,) * rank, bool)
    window = dict(zip(kept, window_dims, strict=True))
    for axis, (room, size) in enumerate(zip(shape, sizes, strict=True)):
        coordinate = np.zeros((1,) * rank, np.int64)
        if axis in index_map:
            start = indices[..., list(index_map).index(axis)].astype(np.int64)
            if clips:
                start = np.clip(start, 0, room - size)
            start = spread(start)
            inside = inside & (start >= 0) & (start <= room - size)
            coordinate = coordinate + start
        if axis in batching:
            along = index_batching[list(batching).index(axis)]
            wide = [1] * len(batch_shape)
            wide[along] = batch_shape[along]
            coordinate = coordinate + spread(np.arange(batch_shape[along]).reshape(wide))
        if axis in window:
            wide = [1] * rank
            wide[window[axis]] = size
            coordinate = coordinate + np.arange(size).reshape(wide)
        flat = flat * room + coordinate
    return np.broadcast_to(np.where(inside, flat, -1), result)
