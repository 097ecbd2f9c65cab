"""Free coordinates: there and back, log-Jacobian, and a start outside the bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mtkparams as mtk

# One parameter of each kind: declaration, value, free coordinate by hand.
KINDS = {
    "free": (dict(), 3.0, 3.0),
    "above": (dict(bounds=(1.0, None)), 3.0, np.log(2.0)),
    "below": (dict(bounds=(None, 5.0)), 3.0, -np.log(2.0)),
    "between": (dict(bounds=(1.0, 5.0)), 4.0, np.log(3.0)),
    "identity": (dict(bounds=(0.0, 9.0), scale="identity"), 3.0, 3.0),
    "log": (dict(bounds=(0.1, 9.0), scale="log"), 3.0, np.log(3.0)),
    "log10": (dict(scale="log10"), 1e-3, -3.0),
    "logit": (dict(bounds=(0.0, 1.0), scale="logit"), 0.25, -np.log(3.0)),
    "divide": (dict(scale=100.0), 250.0, 2.5),
}


@pytest.fixture(scope="module")
def p():
    return mtk.parameters({n: mtk.Parameter(v, **kw) for n, (kw, v, _) in KINDS.items()})


def test_each_kind_by_hand(p):
    np.testing.assert_allclose(
        mtk.to_unconstrained(p), [z for _, _, z in KINDS.values()], rtol=1e-14
    )


def test_there_and_back(p):
    v, _, _ = mtk.canonicalize(mtk.Tunable, p)
    np.testing.assert_allclose(mtk.from_unconstrained(p, mtk.to_unconstrained(p)), v, rtol=1e-14)


@given(st.lists(st.floats(-30, 30), min_size=len(KINDS), max_size=len(KINDS)))
def test_everything_lands_inside(p, z):
    names = [n for n, (kw, _, _) in KINDS.items() if "scale" not in kw or kw["scale"] == "logit"]
    v = mtk.from_unconstrained(p, jnp.asarray(z[: len(names)]), names)
    lower, upper = mtk.bounds(p, names)
    assert ((v >= lower) & (v <= upper)).all()


def test_log_jacobian_is_that_of_the_map(p):
    z = mtk.to_unconstrained(p) + 0.3
    v, log_jacobian = mtk.from_unconstrained(p, z, log_jacobian=True)
    J = jax.jacfwd(lambda z: mtk.from_unconstrained(p, z))(z)
    np.testing.assert_allclose(log_jacobian, np.linalg.slogdet(J)[1], rtol=1e-12)
    again, same = mtk.to_unconstrained(p, v, log_jacobian=True)
    np.testing.assert_allclose(again, z, rtol=1e-12)
    np.testing.assert_allclose(same, log_jacobian, rtol=1e-12)


def test_density_integrates_to_one():
    """A uniform density on (0, 4), written in free coordinates: what the log-Jacobian is for."""
    p = mtk.parameters({"k": mtk.Parameter(1.0, bounds=(0.0, 4.0))})
    z = np.linspace(-40, 40, 4001)
    log_jacobian = jax.vmap(lambda z: mtk.from_unconstrained(p, z[None], log_jacobian=True)[1])(z)
    # The trapezoidal rule converges geometrically for a function that decays at both ends.
    np.testing.assert_allclose(np.trapezoid(np.exp(log_jacobian) / 4.0, z), 1.0, rtol=1e-12)


@pytest.mark.slow
def test_derivatives_forward_reverse_and_finite_differences(p):
    z = mtk.to_unconstrained(p) + 0.1
    f = jax.jit(lambda z: mtk.from_unconstrained(p, z) ** 2)
    forward, reverse = jax.jacfwd(f)(z), jax.jacrev(f)(z)
    np.testing.assert_allclose(forward, reverse, rtol=1e-13)
    # Central differences: error h^2 |f'''|/6 plus eps |f|/h; h = eps^(1/3) balances them.
    h = 6e-6
    steps = h * np.eye(z.size)
    central = np.stack([(f(z + s) - f(z - s)) / (2 * h) for s in steps], axis=1)
    np.testing.assert_allclose(forward, central, rtol=1e-6, atol=1e-6)
    second = jax.jacfwd(jax.jacrev(lambda z: f(z).sum()))(z)
    np.testing.assert_allclose(second, jax.jacrev(jax.jacfwd(lambda z: f(z).sum()))(z), rtol=1e-12)


def test_far_out_values_and_slopes_stay_finite_and_inside():
    p = mtk.parameters({"k": mtk.Parameter(0.5, bounds=(0.0, 1.0))})
    for z in (-800.0, 800.0):
        v, log_jacobian = mtk.from_unconstrained(p, [z], log_jacobian=True)
        assert 0.0 <= v[0] <= 1.0
        assert np.isfinite(log_jacobian)
        assert np.isfinite(jax.jacrev(lambda z: mtk.from_unconstrained(p, z))(jnp.array([z]))).all()


def test_next_to_a_bound_no_digit_is_lost():
    p = mtk.parameters({"k": mtk.Parameter(0.5, bounds=(0.0, 1.0))})
    v = np.array([1e-300])
    np.testing.assert_allclose(mtk.from_unconstrained(p, mtk.to_unconstrained(p, v)), v, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_follows_the_vector(dtype):
    p = mtk.parameters({"k": mtk.Parameter(dtype(0.5), bounds=(0.0, 1.0)), "x": dtype(1.0)})
    z, log_jacobian = mtk.to_unconstrained(p, log_jacobian=True)
    assert z.dtype == log_jacobian.dtype == mtk.from_unconstrained(p, z).dtype == dtype


def test_batches_have_their_axis_in_front(p):
    z = mtk.to_unconstrained(p)
    many = jnp.stack([z, z + 1.0, z - 1.0])
    values, log_jacobian = mtk.from_unconstrained(p, many, log_jacobian=True)
    one = jax.vmap(lambda z: mtk.from_unconstrained(p, z, log_jacobian=True))(many)
    np.testing.assert_array_equal(values, one[0])
    np.testing.assert_array_equal(log_jacobian, one[1])
    np.testing.assert_allclose(mtk.to_unconstrained(p, values), many, rtol=1e-12)


def test_list_of_names_in_its_order(p):
    names = ["log10", "between", "free"]
    expected = [KINDS[n][2] for n in names]
    np.testing.assert_allclose(mtk.to_unconstrained(p, what=names), expected, rtol=1e-14)


OUTSIDE = [
    ("above", 0.5, r"'above' is 0\.5 outside of its bounds \(1\.0, inf\)"),
    ("above", 1.0, r"'above' is 1\.0 .*or on one that its free coordinate does not reach"),
    ("below", 6.0, r"'below' is 6\.0 outside of its bounds \(-inf, 5\.0\)"),
    ("between", 5.0, r"'between' is 5\.0 .*Start strictly inside"),
    ("between", np.nan, r"'between' is nan outside"),
    ("identity", 9.5, r"'identity' is 9\.5 outside of its bounds \(0\.0, 9\.0\)"),
    ("log10", -1.0, r"'log10' is -1\.0, and its coordinate is a logarithm: it must be positive"),
]


@pytest.mark.parametrize(("name", "value", "text"), OUTSIDE)
def test_start_outside_its_bounds_is_named(p, name, value, text):
    with pytest.raises(mtk.errors.OutOfBoundsError, match=text):
        mtk.to_unconstrained(p.set({name: value}))


def test_start_outside_its_bounds_is_named_under_jit(p):
    v, _, _ = mtk.canonicalize(mtk.Tunable, p)
    start = jax.jit(lambda v: mtk.to_unconstrained(p, v))
    np.testing.assert_allclose(start(v), mtk.to_unconstrained(p), rtol=1e-15)
    bad = v.at[mtk.labels(p).index("between")].set(7.0)
    with pytest.raises(
        Exception, match=r"'between' has a value outside of its bounds \(1\.0, 5\.0\)"
    ):
        start(bad).block_until_ready()


def test_on_a_bound_is_fine_where_the_coordinate_reaches_it(p):
    assert mtk.to_unconstrained(p.set({"identity": 9.0}), what="identity").tolist() == [9.0]


def test_integers_have_no_coordinates():
    p = mtk.parameters({"n": 3, "x": 1.0})
    with pytest.raises(mtk.errors.KindError, match="'n' holds int64"):
        mtk.to_unconstrained(p, what=["x", "n"])


def test_wrong_length_is_named(p):
    with pytest.raises(
        mtk.errors.ShapeError, match=r"takes a vector of 9 entries .* got shape \(2,\)"
    ):
        mtk.from_unconstrained(p, jnp.zeros(2))
