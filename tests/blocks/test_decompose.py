"""Blocks in solving order, and what is over- or under-determined."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np


def test_two_blocks_and_an_assignment():
    from mtkparams.blocks import analyse

    def residual(u, p):
        return jnp.stack(
            [u[0] ** 3 + u[0] - p * u[1], 2.0 * u[1] - p, u[2] - jnp.sin(u[0]), u[3] * u[1] - u[2]]
        )

    blocks = analyse(residual, jnp.zeros(4), jnp.ones(())).blocks
    assert [b.equations for b in blocks] == [(1,), (0,), (2,), (3,)]
    assert [b.reads for b in blocks] == [(), (0,), (1,), (0, 2)]
    assert [b.level for b in blocks] == [0, 1, 2, 3]
    assert [b.affine for b in blocks] == [True, False, True, True]
    assert [b.explicit for b in blocks] == [False, False, True, False]


def test_over_and_under_determined():
    from mtkparams.blocks import decompose

    parts = decompose(np.array([[1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1]]))
    assert [(p.equations, p.unknowns) for p in parts.over] == [((0, 1), (0,))]
    assert [(p.equations, p.unknowns) for p in parts.under] == [((3,), (2, 3))]
    assert [(b.equations, b.unknowns) for b in parts.blocks] == [((2,), (1,))]
    assert not parts.is_square
