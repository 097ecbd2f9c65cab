"""Places for arrays: one buffer for each dtype in a portion, filled in declaration order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._parameters import PORTIONS, VECTORS, Entry, Index, Leaf, Metadata, Place, Portion, promoted
from .parameter import Parameter
from .values import Part, Taken, check_fits


def lay_out(
    declared: Mapping[str, Parameter], taken: Mapping[str, Taken]
) -> tuple[Index, dict[Portion, tuple[Any, ...]]]:
    """The index of all names and the buffers with their values."""
    vector = _float_dtype(taken)
    contents: dict[Portion, dict[Any, list[Any]]] = {portion: {} for portion in PORTIONS}
    for portion in VECTORS:
        contents[portion][vector] = []
    sizes: dict[tuple[Portion, Any], int] = {}
    entries = []
    for name, declaration in declared.items():
        about = _about(declaration)
        if declaration.bind is not None:
            entries.append(Entry(name, None, bind=declaration.bind, about=about))
            continue
        leaves = []
        for part in taken[name].parts:
            portion = part.portion
            dtype = vector if portion in VECTORS else _dtype(part)
            buffers = contents[portion]
            buffers.setdefault(dtype, [])
            start = sizes.get((portion, dtype), 0)
            check_fits(name + part.path, part.array, dtype)
            place = Place(portion, list(buffers).index(dtype), start, part.array.shape)
            buffers[dtype].append(part.array)
            sizes[portion, dtype] = place.stop
            leaves.append(Leaf(part.path, place, part.is_key))
        one = taken[name]
        entries.append(Entry(name, one.portion, tuple(leaves), one.skeleton, about=about))
    widths = {q: tuple(sizes.get((q, d), 0) for d in own) for q, own in contents.items()}
    index = Index.of(tuple(entries), widths)
    filled = {
        q: tuple(_fill(values, d) for d, values in own.items()) for q, own in contents.items()
    }
    return index, filled


def _dtype(part: Part) -> Any:
    # 64 bits become 32 where x64 is off; random keys have a dtype of their own kind.
    return part.array.dtype if part.is_key else jax.dtypes.canonicalize_dtype(part.array.dtype)


def _float_dtype(taken: Mapping[str, Taken]) -> Any:
    """The common dtype of the tunable and the initial vector; plain numbers follow the arrays."""
    parts = [part for value in taken.values() for part in value.parts if part.portion in VECTORS]
    strong = {_dtype(part) for part in parts if not part.is_weak}
    return promoted(strong) if strong else jnp.result_type(float)


def _fill(values: list[Any], dtype: Any) -> Any:
    if not values:
        return np.zeros(0, dtype)
    if jnp.issubdtype(dtype, jax.dtypes.extended):
        return jnp.concatenate([value.ravel() for value in values])
    if any(isinstance(value, Tracer) for value in values):
        return jnp.concatenate([jnp.asarray(value).astype(dtype).ravel() for value in values])
    # On the host: one transfer rather than one for each of 10,000 names.
    return np.concatenate([np.asarray(value).astype(dtype).ravel() for value in values])


def _about(declared: Parameter) -> Metadata:
    lower, upper = declared.limits() if declared.bounds is not None else (None, None)
    return Metadata(
        lower=lower,
        upper=upper,
        scale=declared.scale,
        guess=declared.guess,
        prior=declared.prior,
        unit=declared.unit,
        description=declared.description,
        dtype=None if declared.dtype is None else jnp.dtype(declared.dtype).name,
    )
