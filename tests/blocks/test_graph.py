"""The element graph: what solves a block alone, and how much work an analysis is."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from blocks import functions
from blocks.evaluation import evaluate


def chain(n):
    """A chain of `n` blocks of three, vectorized."""

    def residual(u, p):
        x = u.reshape(n, 3)
        before = jnp.concatenate([jnp.ones((1, 3)), x[:-1]])
        a, b, c = x.T
        first = a**3 + a + 0.1 * b - p["k"] * before[:, 0]
        second = b + jax.nn.softplus(c) - before[:, 1] * jnp.exp(before[:, 0])
        third = c + 0.1 * a + jnp.sin(c) - p["forcing"]
        return jnp.stack([first, second, third], 1).ravel()

    return residual, {"k": jnp.ones(()), "forcing": jnp.ones(n)}


def test_blocks_of_a_chain():
    from mtkparams._blocks import analyze

    residual, p = chain(5)
    blocks = analyze(residual, jnp.ones(15), p).blocks
    assert [b.unknowns for b in blocks] == [(3 * k, 3 * k + 1, 3 * k + 2) for k in range(5)]
    assert [b.reads for b in blocks] == [(), (0,), (1,), (2,), (3,)]


@pytest.mark.parametrize("k", [0, 1, 4])
def test_a_slice_is_enough_to_compute_a_block(k):
    from mtkparams._blocks import analyze

    residual, p = chain(5)
    u = np.random.default_rng(0).uniform(0.5, 1.5, 15)
    structure = analyze(residual, u, p)
    graph, block = structure.graph, structure.blocks[k]
    nodes = graph.needed(graph.residual[list(block.equations)])
    mine = structure.owner[nodes] == k
    inner, outer = nodes[mine], nodes[~mine]
    own = graph.unknowns[list(block.unknowns)]
    assert np.isin(own, inner).all()
    assert not np.isin(own, outer).any()
    earlier = graph.unknowns[: 3 * k]
    assert np.isin(graph.unknowns[np.isin(graph.unknowns, outer)], earlier).all()
    both = np.concatenate([inner, outer])
    # Outer nodes need no inner ones, and no others than these: later unknowns may be anything.
    hidden = np.where(np.arange(15) < 3 * (k + 1), u, np.nan)
    before = np.where(np.arange(15) < 3 * k, u, np.nan)
    values = evaluate(graph, hidden, p, both)
    fixed = evaluate(graph, before, p, outer)
    computed = outer[graph.op[outer] >= 0]
    np.testing.assert_array_equal([fixed[i] for i in computed], [values[i] for i in computed])
    found = [values[i] for i in graph.residual[list(block.equations)].tolist()]
    np.testing.assert_allclose(found, residual(u, p)[jnp.array(block.equations)], rtol=1e-14)


def test_nodes_come_after_their_operands():
    from mtkparams._blocks import analyze

    residual, p = chain(3)
    graph = analyze(residual, jnp.ones(9), p).graph
    owner = np.repeat(np.arange(graph.size), np.diff(graph.ptr))
    assert (graph.depth[graph.edges] < graph.depth[owner]).all()
    for number, op in enumerate(graph.ops):
        outputs = np.concatenate([o.ravel() for o in op.outputs])
        assert (graph.op[outputs] == number).all()
        assert (graph.place[outputs] == np.arange(len(outputs))).all()
        depth = min(graph.depth[outputs], default=1)
        assert all((graph.depth[o] < depth).all() for o in op.operands)


def test_equal_operations_have_equal_keys():
    from mtkparams._blocks import analyze

    residual = lambda u, p: jnp.stack([jnp.sin(x) * 2.0 - x**2 for x in u])
    ops = analyze(residual, jnp.ones(5), None).graph.ops
    assert len(ops) == 20
    assert len({op.key for op in ops}) == 4


@pytest.mark.parametrize("n", [10, 1000])
def test_work_goes_with_the_equations_not_with_the_elements(n):
    from mtkparams._blocks import analyze

    residual, p = chain(n)
    assert len(analyze(residual, jnp.ones(3 * n), p).graph.ops) == 16


def test_constant_zeros_of_a_large_matrix_cost_nothing():
    from mtkparams._blocks import analyze

    n = 1500
    matrix = jnp.asarray(np.eye(n) - 0.5 * np.eye(n, k=-1))
    structure = analyze(lambda u, p: matrix @ u - p, jnp.ones(n), jnp.ones(()))
    assert structure.incidence.nnz == 2 * n - 1
    assert structure.graph.ptr[-1] < 10 * n
    assert all(b.explicit for b in structure.blocks)


def test_dense_product_above_the_table_is_taken_as_a_whole():
    from mtkparams._blocks import analyze
    from mtkparams._blocks.trace.rules import products

    residual = lambda u, p: ((u.reshape(3, 2) @ p) @ u.reshape(2, 3)).ravel()[:6]
    small = analyze(residual, jnp.ones(6), jnp.ones((2, 2)))
    before = products.TABLE
    products.TABLE = 4
    try:
        large = analyze(residual, jnp.ones(6), jnp.ones((2, 2)))
    finally:
        products.TABLE = before
    assert {op.kind for op in large.graph.ops} == {"whole"}
    np.testing.assert_array_equal(small.incidence.toarray(), large.incidence.toarray())


def test_what_is_closed_over_while_traced_is_no_constant():
    from mtkparams._blocks import analyze

    seen = []

    @jax.jit
    def run(k):
        seen.append(analyze(lambda u, p: k * u - p, jnp.ones(2), jnp.ones(())))
        return k

    run(jnp.zeros(()))
    (structure,) = seen
    assert len(structure.graph.closed) == 1
    assert [b.affine for b in structure.blocks] == [True, True]
    assert not any(b.explicit for b in structure.blocks)


def test_same_function_seen_often_is_looked_into_once():
    from mtkparams._blocks import incidence
    from mtkparams._blocks.trace.rules import custom

    traced = []
    before = custom._forward
    custom._forward = lambda eqn: traced.append(eqn) or before(eqn)
    try:
        residual = lambda u, p: jnp.stack([jax.nn.softplus(x) for x in u])
        assert incidence(residual, jnp.ones(20), None).nnz == 20
    finally:
        custom._forward = before
    assert len(traced) == 1


def test_branches_with_rules_of_their_own():
    from mtkparams._blocks import incidence

    def residual(u, p):
        one = lambda x: functions.constant(x)
        other = lambda x: x[::-1]
        return jax.lax.cond(p > 0.0, one, other, u)

    found = incidence(residual, jnp.ones(3), jnp.ones(())).toarray()
    np.testing.assert_array_equal(found, np.eye(3) + np.eye(3)[::-1] > 0)
