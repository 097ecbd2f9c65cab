"""Each value goes to its own name, whatever the order in which names are written or read.

Orders of three and more that are not their own inverse: with [2, 0, 1] a vector that is sorted the wrong
way around comes out as another one, with [1, 0] or [2, 1, 0] it does not.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk

NAMES = ["a", "b", "c"]
VALUES = dict(zip(NAMES, (3.0, 1.0, 2.0), strict=True))
ORDERS = list(itertools.permutations(NAMES))


@pytest.fixture(scope="module")
def p():
    return mtk.parameters({"a": 10.0, "b": 20.0, "c": 30.0})


@pytest.mark.parametrize("order", ORDERS, ids="".join)
def test_all_names_of_a_buffer_set_in_any_order(p, order):
    q = p.set({name: VALUES[name] for name in order})
    np.testing.assert_array_equal(q.tunable, [3.0, 1.0, 2.0])


@pytest.mark.parametrize("order", ORDERS, ids="".join)
def test_all_names_of_a_buffer_replaced_in_any_order(p, order):
    vector = jnp.asarray([VALUES[name] for name in order])
    q = mtk.replace(list(order), p, vector)
    np.testing.assert_array_equal(q.tunable, [3.0, 1.0, 2.0])
    read, repack, _ = mtk.canonicalize(list(order), q)
    np.testing.assert_array_equal(read, vector)
    np.testing.assert_array_equal(repack(read * 2).tunable, [6.0, 2.0, 4.0])
    np.testing.assert_array_equal(mtk.setp(p, list(order))(p, vector).tunable, [3.0, 1.0, 2.0])
    np.testing.assert_array_equal(mtk.getp(q, list(order))(q), vector)


@pytest.mark.parametrize("order", ORDERS, ids="".join)
@pytest.mark.parametrize("jacobian", [jax.jacfwd, jax.jacrev])
def test_slopes_of_names_in_any_order(p, order, jacobian):
    vector = jnp.asarray([VALUES[name] for name in order])
    slopes = jacobian(lambda v: mtk.replace(list(order), p, v).tunable)(vector)
    expected = np.array([[float(name == other) for other in order] for name in NAMES])
    np.testing.assert_array_equal(slopes, expected)


def test_scalars_and_entries_of_arrays_in_another_order():
    p = mtk.parameters({"a": 1.0, "tau": [2.0, 3.0, 4.0], "b": 5.0})
    names = ["tau[2]", "b", "tau[0]", "a", "tau[1]"]
    q = mtk.replace(names, p, jnp.asarray([40.0, 50.0, 20.0, 10.0, 30.0]))
    np.testing.assert_array_equal(q.tunable, [10.0, 20.0, 30.0, 40.0, 50.0])
    np.testing.assert_array_equal(mtk.canonicalize(names, q)[0], [40.0, 50.0, 20.0, 10.0, 30.0])
    q = p.set({"b": 50.0, "tau": jnp.asarray([20.0, 30.0, 40.0]), "a": 10.0})
    np.testing.assert_array_equal(q.tunable, [10.0, 20.0, 30.0, 40.0, 50.0])


def test_initial_values_in_another_order():
    system = mtk.System(
        parameters={"k": 7.0},
        unknowns={"x": 1.0, "y": 2.0, "z": 3.0},
        derivatives=lambda t, u, p: {"x": -p.k * u.x, "y": u.x, "z": u.y},
    )
    p = mtk.ODEProblem(system, {}, (0.0, 1.0)).p
    names = [mtk.Initial("z"), "k", mtk.Initial("x"), mtk.Initial("y")]
    q = mtk.replace(names, p, jnp.asarray([30.0, 70.0, 10.0, 20.0]))
    np.testing.assert_array_equal(q.initials, [10.0, 20.0, 30.0])
    np.testing.assert_array_equal(q.tunable, [70.0])


# 0.1 in 64 bits; the nearest number of 32 bits is 0.10000000149011612.
@pytest.mark.parametrize("whole", [True, False], ids=["portion", "names"])
def test_combine_keeps_the_precision_of_each_part(whole):
    p = mtk.parameters({"a": 0.5, "b": 0.1, "c": mtk.Parameter(0.25, tunable=False)})
    narrow = jax.tree.map(lambda x: x.astype(jnp.float32), p)
    free, rest = mtk.partition(narrow, mtk.Tunable if whole else "a")
    wide = jax.tree.map(lambda x: x.astype(jnp.float64), free)
    wide = wide.set({"a": jnp.asarray(0.1)})
    both = mtk.combine(wide, rest)
    assert both.tunable.dtype == jnp.float64
    assert float(both["a"]) == 0.1
    assert both["c"].dtype == jnp.float32
    # What came in 32 bits stays the number that it was.
    assert float(both["b"]) == float(np.float32(0.1))
