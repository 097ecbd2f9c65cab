"""Bounds are data of the index, and come out in the order of the vector."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mtkparams as mtk


@pytest.fixture
def p():
    return mtk.parameters(
        {
            "rate": mtk.Parameter(0.5, bounds=(0.0, None)),
            "share": mtk.Parameter([0.2, 0.4], bounds=(0.0, [0.5, 1.0])),
            "loss": mtk.Parameter(-1.0, bounds=(None, 0.0)),
            "shift": 3.0,
            "f": mtk.Parameter(np.ones((2, 2)), bounds=([[0.0, 0.1], [0.2, 0.3]], 2.0)),
            "n": mtk.Parameter(3, bounds=(0, 10)),
            mtk.Initial("x"): mtk.Parameter(2.0, bounds=(0.0, 9.0)),
        }
    )


def test_in_the_order_of_the_vector(p):
    lower, upper = mtk.bounds(p)
    inf = np.inf
    np.testing.assert_array_equal(lower, [0, 0, 0, -inf, -inf, 0, 0.1, 0.2, 0.3])
    np.testing.assert_array_equal(upper, [inf, 0.5, 1, 0, inf, 2, 2, 2, 2])
    assert len(mtk.labels(p)) == lower.size


@pytest.mark.parametrize(
    ("what", "lower", "upper"),
    [
        ("share[1]", [0.0], [1.0]),
        (["share[1]", "share[0]"], [0.0, 0.0], [1.0, 0.5]),
        ("f[1]", [0.2, 0.3], [2.0, 2.0]),
        ("f[:,1]", [0.1, 0.3], [2.0, 2.0]),
        ([mtk.Initial("x"), "loss"], [0.0, -np.inf], [9.0, 0.0]),
        (mtk.Initials, [0.0], [9.0]),
        ([], [], []),
    ],
)
def test_of_names(p, what, lower, upper):
    found = mtk.bounds(p, what)
    np.testing.assert_array_equal(found[0], lower)
    np.testing.assert_array_equal(found[1], upper)


def test_dtype_is_that_of_the_vector():
    p = mtk.parameters({"a": mtk.Parameter(np.float32(0.5), bounds=(0.0, 1.0))})
    assert [end.dtype for end in mtk.bounds(p)] == [np.float32, np.float32]


def test_bounds_of_integers_are_refused(p):
    with pytest.raises(
        mtk.errors.KindError, match="'n' holds int64.*free coordinates are those of floats"
    ):
        mtk.bounds(p, ["rate", "n"])


def test_survive_partition_by_name(p):
    free, _ = mtk.partition(p, "share[1]", "rate")
    lower, upper = mtk.bounds(free)
    np.testing.assert_array_equal(lower, [0.0, 0.0])
    np.testing.assert_array_equal(upper, [1.0, np.inf])


def test_nothing_that_is_optimized_can_move_them(p):
    """adamw with the filter that everybody types, on everything that it lets through."""
    before = mtk.bounds(p)
    constants = p.constants
    free, rest = eqx.partition(p, eqx.is_inexact_array)
    optim = optax.adamw(0.1, weight_decay=0.1)
    grads = eqx.filter_grad(lambda free: sum(jnp.sum(x**2) for x in jax.tree.leaves(free)))(free)
    with jax.numpy_dtype_promotion("standard"):  # optax multiplies floats with its step count
        updates, _ = optim.update(grads, optim.init(free), free)
    q = eqx.combine(eqx.apply_updates(free, updates), rest)
    np.testing.assert_array_equal(mtk.bounds(q), before)
    assert [x.tolist() for x in q.constants] == [x.tolist() for x in constants]
    assert not np.array_equal(q.tunable, p.tunable)


def test_projection_box_takes_them(p):
    v, _, _ = mtk.canonicalize(mtk.Tunable, p)
    lower, upper = mtk.bounds(p)
    inside = optax.projections.projection_box(v + 10.0, lower, upper)
    assert ((inside >= lower) & (inside <= upper)).all()
