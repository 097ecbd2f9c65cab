"""Blocks in solving order, and what is over- or under-determined."""

from __future__ import annotations

import time

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csgraph


def test_two_blocks_and_an_assignment():
    from mtkparams._blocks import analyze

    def residual(u, p):
        return jnp.stack(
            [u[0] ** 3 + u[0] - p * u[1], 2.0 * u[1] - p, u[2] - jnp.sin(u[0]), u[3] * u[1] - u[2]]
        )

    blocks = analyze(residual, jnp.zeros(4), jnp.ones(())).blocks
    assert [b.equations for b in blocks] == [(1,), (0,), (2,), (3,)]
    assert [b.reads for b in blocks] == [(), (0,), (1,), (0, 2)]
    assert [b.level for b in blocks] == [0, 1, 2, 3]
    assert [b.affine for b in blocks] == [True, False, True, True]
    assert [b.explicit for b in blocks] == [False, False, True, False]


def test_over_and_under_determined():
    from mtkparams._blocks import decompose

    parts = decompose(np.array([[1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1]]))
    assert [(p.equations, p.unknowns) for p in parts.over] == [((0, 1), (0,))]
    assert [(p.equations, p.unknowns) for p in parts.under] == [((3,), (2, 3))]
    assert [(b.equations, b.unknowns) for b in parts.blocks] == [((2,), (1,))]
    assert not parts.is_square


def test_parts_that_have_nothing_in_common_are_apart():
    from mtkparams._blocks import decompose

    parts = decompose(np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]))
    assert [(p.equations, p.unknowns) for p in parts.over] == [((0, 1), (0,)), ((2, 3), (1,))]
    assert [b.equations for b in parts.blocks] == [(4,)]


def test_equation_and_unknown_of_nothing():
    from mtkparams._blocks import decompose

    parts = decompose(np.array([[1, 0], [0, 0]]))
    assert [(p.equations, p.unknowns) for p in parts.over] == [((1,), ())]
    assert [(p.equations, p.unknowns) for p in parts.under] == [((), (1,))]
    assert parts.matched == (0, -1)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 3)])
def test_empty(shape):
    from mtkparams._blocks import decompose

    parts = decompose(np.zeros(shape))
    assert parts.blocks == ()
    assert sum(len(p.equations) for p in parts.over) == shape[0]
    assert sum(len(p.unknowns) for p in parts.under) == shape[1]
    assert parts.is_square == (shape == (0, 0))


def test_stored_zeros_do_not_count():
    from mtkparams._blocks import decompose

    stored = sp.csr_array((np.array([1, 1, 0, 1]), ([0, 1, 0, 1], [0, 1, 1, 0])), shape=(2, 2))
    assert [b.unknowns for b in decompose(stored).blocks] == [(0,), (1,)]


def test_duplicates_are_one_entry():
    from mtkparams._blocks import decompose

    many = 256  # as many as an 8-bit integer has values
    rows, columns = np.array([0] * many + [1]), np.array([0] * many + [1])
    repeated = sp.coo_array((np.ones(many + 1), (rows, columns)), shape=(2, 2))
    assert len(decompose(repeated).blocks) == 2


def test_order_of_the_equations_where_there_is_a_choice():
    from mtkparams._blocks import decompose

    assert [b.equations[0] for b in decompose(np.eye(20)).blocks] == list(range(20))
    # Two chains, interleaved.
    a = np.eye(6) + np.diag(np.ones(4), -2)
    assert [b.equations[0] for b in decompose(a).blocks] == list(range(6))
    assert [b.level for b in decompose(a).blocks] == [0, 0, 1, 1, 2, 2]
    assert decompose(a) == decompose(a)


SIZES = st.integers(0, 8)


def pattern(m, n, density, seed):
    return np.random.default_rng(seed).random((m, n)) < density


@given(SIZES, SIZES, st.sampled_from([0.1, 0.25, 0.4]), st.integers(0, 10_000))
def test_parts_are_what_removing_an_equation_or_unknown_tells(m, n, density, seed):
    from mtkparams._blocks import decompose

    a = pattern(m, n, density, seed)
    parts = decompose(a)
    rank = lambda b: csgraph.structural_rank(sp.csr_array(b)) if b.size and b.any() else 0
    spare = [i for i in range(m) if rank(np.delete(a, i, 0)) == rank(a)]
    free = [j for j in range(n) if rank(np.delete(a, j, 1)) == rank(a)]
    assert sorted(e for p in parts.over for e in p.equations) == spare
    assert sorted(u for p in parts.under for u in p.unknowns) == free
    for part in parts.over:
        assert len(part.equations) > len(part.unknowns)
        assert np.flatnonzero(a[list(part.equations)].any(0)).tolist() == list(part.unknowns)
    for part in parts.under:
        assert len(part.equations) < len(part.unknowns)
    everything = [*parts.blocks, *parts.over, *parts.under]
    assert sorted(e for p in everything for e in p.equations) == list(range(m))
    assert sorted(u for p in everything for u in p.unknowns) == list(range(n))
    assert parts.is_square == (m == n == rank(a))


@given(st.integers(1, 9), st.sampled_from([0.05, 0.15, 0.3]), st.integers(0, 10_000))
def test_blocks_are_the_smallest_that_can_be_solved_in_order(n, density, seed):
    from mtkparams._blocks import decompose

    rng = np.random.default_rng(seed)
    a = (np.eye(n) > 0) | pattern(n, n, density, seed)
    # Reach by powers of the matrix: i and j are in one block if each reaches the other.
    reach = np.linalg.matrix_power(a.astype(int), n) > 0
    together = reach & reach.T
    expected = {tuple(np.flatnonzero(row).tolist()) for row in together}
    rows, columns = rng.permutation(n), rng.permutation(n)
    blocks = decompose(a[rows][:, columns]).blocks
    assert {tuple(sorted(rows[list(b.equations)].tolist())) for b in blocks} == expected
    assert {tuple(sorted(columns[list(b.unknowns)].tolist())) for b in blocks} == expected
    shuffled = a[rows][:, columns]
    number = {u: k for k, b in enumerate(blocks) for u in b.unknowns}
    for k, b in enumerate(blocks):
        reads = {number[u] for u in np.flatnonzero(shuffled[list(b.equations)].any(0)).tolist()}
        assert sorted(reads - {k}) == list(b.reads)
        assert all(r < k for r in b.reads)
        assert b.level == max((blocks[r].level + 1 for r in b.reads), default=0)
        assert list(b.equations) == sorted(b.equations)
        assert list(b.unknowns) == sorted(b.unknowns)


def test_matching_of_a_long_chain_and_many_unknowns_is_quick():
    from mtkparams._blocks import decompose

    n = 20_000
    a = sp.csr_array(sp.eye_array(n) + sp.eye_array(n, k=-1))
    start = time.process_time()
    blocks = decompose(a[::-1]).blocks
    # A tenth of it is usual; benchmarks/structure.py measures.
    assert time.process_time() - start < 3.0
    assert [b.equations[0] for b in blocks] == list(range(n - 1, -1, -1))
    assert blocks[-1].level == n - 1
