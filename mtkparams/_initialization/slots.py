"""The values that are found, as one vector: where each entry lies in the parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._parameters import Index, MTKParameters, Portion, put, take, unknown_of


@dataclasses.dataclass(frozen=True, eq=False)
class Slots:
    """Places in the buffers of parameters, in the order of a vector.

    **Attributes:**

    - `parts`: for each buffer its portion, its number, and positions in it.
    - `names`: of each entry, as its user knows it: `"y"`, `"x[1]"`, `"k"`.
    """

    parts: tuple[tuple[Portion, int, np.ndarray], ...]
    names: tuple[str, ...]

    @staticmethod
    def of(index: Index, free: Mapping[str, np.ndarray]) -> Slots:
        """The slots of the entries that `free` marks."""
        positions: dict[tuple[Portion, int], list[np.ndarray]] = {}
        names: dict[tuple[Portion, int], list[str]] = {}
        for name, mask in free.items():
            (leaf,) = index.entries[name].leaves
            assert leaf.place is not None
            at = (leaf.place.portion, leaf.place.buffer)
            inside = np.nonzero(mask.ravel())[0]
            positions.setdefault(at, []).append(leaf.place.start + inside)
            all_names = entry_names(shown(name), mask.shape)
            names.setdefault(at, []).extend(all_names[i] for i in inside)
        return Slots(
            tuple((*at, np.concatenate(parts)) for at, parts in positions.items()),
            tuple(name for at in positions for name in names[at]),
        )

    def read(self, p: MTKParameters) -> Float[Array, " n"]:
        """What the slots hold."""
        dtype = p.initials.dtype
        buffers = p.buffers
        values = [take(buffers[q][number], at).astype(dtype) for q, number, at in self.parts]
        return jnp.concatenate(values) if values else jnp.zeros(0, dtype)

    def write(self, p: MTKParameters, v: Float[Array, " n"]) -> MTKParameters:
        """`p` with `v` in the slots; the other buffers are shared."""
        buffers = {q: list(arrays) for q, arrays in p.buffers.items()}
        start = 0
        for portion, number, at in self.parts:
            old = buffers[portion][number]
            new = v[start : start + at.size].astype(old.dtype)
            buffers[portion][number] = put(old, at, new)
            start += at.size
        return p.from_buffers({q: tuple(arrays) for q, arrays in buffers.items()})


def shown(name: str) -> str:
    """A stored name as its user knows it: `"Initial(x)"` is `"x"`."""
    return unknown_of(name) or name


def entry_names(name: str, shape: tuple[int, ...]) -> list[str]:
    """The name of each entry of an array, row by row."""
    return [name + (f"[{','.join(map(str, i))}]" if i else "") for i in np.ndindex(*shape)]
