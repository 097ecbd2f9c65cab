"""The nonzero entries of a sparse Jacobian out of few products with vectors."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from ..trace.nodes import Sparse

_AT_ONCE = 64


class Colored:
    """Columns that share no row get one color, and one product gives them all."""

    def __init__(self, incidence: Sparse):
        csr = incidence.tocsr()
        csr.sort_indices()
        coo = csr.tocoo()
        self.row, self.column = coo.row.astype(int), coo.col.astype(int)
        self.color = _greedy(csr)
        self.n_colors = int(self.color.max(initial=-1)) + 1

    def entries(self, push: Callable[[Array], Array], dtype: DTypeLike) -> Array:
        """The values at `row`, `column`.

        **Arguments:**

        - `push`: the product of the Jacobian with a vector.
        """
        colors = jnp.asarray(self.color)
        seeded = lambda c: push((colors == c).astype(dtype))
        batch = min(self.n_colors, _AT_ONCE)
        each = jnp.arange(self.n_colors)
        if self.n_colors <= _AT_ONCE:
            pushed = jax.vmap(seeded)(each)
        else:
            pushed = jax.lax.map(seeded, each, batch_size=batch)
        return pushed[self.color[self.column], self.row]


def _greedy(csr: Sparse) -> np.ndarray:
    csc = csr.tocsc()
    rows = [csr.indices[a:b] for a, b in zip(csr.indptr[:-1], csr.indptr[1:], strict=True)]
    color = np.full(csr.shape[1], -1)
    # The columns with most rows first: they have the least choice.
    for j in np.argsort(-np.diff(csc.indptr), kind="stable"):
        near = csc.indices[csc.indptr[j] : csc.indptr[j + 1]]
        used = set(np.concatenate([color[rows[i]] for i in near]).tolist()) if near.size else set()
        c = 0
        while c in used:
            c += 1
        color[j] = c
    return color
