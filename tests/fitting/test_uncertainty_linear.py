"""Errors from Jacobians and Hessians, against certified values, closed forms and laws."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fitting import certified
from hypothesis import given
from hypothesis import strategies as st

from mtkparams._fitting.answer.uncertainty import of_least_squares, of_likelihood

DATA_SETS = {
    name: getattr(certified, name)
    for name in ("MISRA1A", "DANWOOD", "CHWIRUT2", "LANCZOS3", "THURBER")
}


def least_squares(
    jacobian, residuals, values, scale=True, lower: Any = -np.inf, upper: Any = np.inf, **rest
):
    n = values.size
    labels = [f"b{i + 1}" for i in range(n)]
    low, high = (np.broadcast_to(end, n).astype(float) for end in (lower, upper))
    return of_least_squares(jacobian, residuals, values, labels, low, high, values, scale, **rest)


def likelihood(hessian, values, **rest):
    n = values.size
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    labels = [f"b{i + 1}" for i in range(n)]
    return of_likelihood(hessian, np.zeros(n), 100, values, labels, low, high, values, **rest)


@pytest.mark.parametrize("name", DATA_SETS)
def test_certified_standard_errors(name):
    model, x, y, best, errors, rss = DATA_SETS[name]
    residuals = lambda b: model(b, x) - y
    jacobian, found = np.asarray(jax.jacfwd(residuals)(best)), np.asarray(residuals(best))
    assert found @ found == pytest.approx(rss, rel=1e-9)
    u = least_squares(jacobian, found, best)
    np.testing.assert_allclose(list(u.stderr.values()), errors, rtol=1e-9)
    assert u.freedom == y.size - best.size
    assert not u.directions
    np.testing.assert_allclose(u.information @ u.covariance, np.eye(best.size), atol=1e-5)
    # A likelihood with the noise at its estimate, by Gauss and Newton, is the same thing.
    h = likelihood(jacobian.T @ jacobian / u.variance, best)
    np.testing.assert_allclose(list(h.stderr.values()), errors, rtol=1e-5)


def test_known_noise_is_not_scaled():
    jacobian = np.array([[1.0], [1.0], [1.0], [1.0]])
    residuals = np.array([3.0, -3.0, 3.0, -3.0])
    assert least_squares(jacobian, residuals, np.ones(1), scale=False).stderr == {"b1": 0.5}
    scaled = least_squares(jacobian, residuals, np.ones(1)).stderr["b1"]
    assert scaled == pytest.approx(0.5 * np.sqrt(36 / 3))


@given(st.integers(2, 5), st.integers(0, 2**32 - 1), st.floats(-8, 8))
def test_units_of_parameters_do_not_matter(n, seed, decades):
    rng = np.random.default_rng(seed)
    jacobian, values = rng.normal(size=(3 * n, n)), rng.uniform(1, 2, n)
    residuals = rng.normal(size=3 * n)
    units = 10.0 ** (decades * rng.uniform(-1, 1, n))
    plain = least_squares(jacobian, residuals, values)
    other = least_squares(jacobian / units, residuals, values * units)
    np.testing.assert_allclose(
        list(other.stderr.values()), units * list(plain.stderr.values()), rtol=1e-8
    )
    np.testing.assert_allclose(other.correlation, plain.correlation, atol=1e-8)


def test_undetermined_values_get_no_number_and_their_product_does():
    t = jnp.linspace(0.0, 3.0, 12)
    model = lambda k: k[0] * k[1] * jnp.exp(-k[2] * t)
    k = np.array([2.0, 3.0, 0.7])
    jacobian = np.asarray(jax.jacfwd(model)(k))
    u = least_squares(jacobian, np.zeros(12), k, scale=False, model=lambda v: np.asarray(model(v)))
    assert u.stderr["b1"] == u.stderr["b2"] == np.inf
    # The rate and the product have the errors of the model that is written with the product.
    reduced = lambda q: q[0] * jnp.exp(-q[1] * t)
    inner = least_squares(
        np.asarray(jax.jacfwd(reduced)(np.array([6.0, 0.7]))),
        np.zeros(12),
        np.array([6.0, 0.7]),
        scale=False,
    ).stderr
    assert u.stderr["b3"] == pytest.approx(inner["b2"], rel=1e-9)
    gradients = np.array([[3.0, 2.0, 0.0], [1.0, 0.0, 0.0]])  # of b1 * b2, and of b1
    np.testing.assert_allclose(u.errors(gradients), [inner["b1"], np.inf], rtol=1e-9)
    assert u.status == {"b1": "not identifiable", "b2": "not identifiable", "b3": ""}
    assert u.notes == ("b1 and b2 only as the product b1*b2",)
    assert np.isnan(u.covariance[0, 2])
    assert np.isnan(u.correlation[0, 1])
    hessian = jacobian.T @ jacobian
    also = likelihood(hessian, k, model=lambda v: np.asarray(model(v)))
    assert also.notes == u.notes
    assert also.stderr["b3"] == pytest.approx(inner["b2"], rel=1e-8)


def test_entries_at_a_bound_are_held():
    rng = np.random.default_rng(3)
    jacobian, residuals = rng.normal(size=(9, 3)), rng.normal(size=9)
    values, lower = np.array([1.0, 0.5, 2.0]), np.array([-np.inf, 0.5, -np.inf])
    u = least_squares(jacobian, residuals, values, lower=lower)
    without = least_squares(jacobian[:, [0, 2]], residuals, values[[0, 2]])
    assert u.status["b2"] == "at lower bound"
    assert np.isnan(u.stderr["b2"])
    assert u.freedom == 7
    assert [u.stderr["b1"], u.stderr["b3"]] == pytest.approx(list(without.stderr.values()))
    assert "the errors of the others are those with it fixed" in u.notes[0]


def test_entries_that_are_pushed_against_a_bound_are_at_it():
    # As coordinates that keep bounds leave them: near, with a slope that no bound would stop.
    jacobian, residuals = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), np.array([0.9, 0.0, 1.0])
    values = np.array([0.001, 0.001])
    u = least_squares(jacobian, residuals, values, scale=False, lower=0.0)
    assert u.at_bound == ("lower", "")
    # Far from the bound a slope is that of a fit that has not arrived.
    away = least_squares(jacobian, residuals, np.array([0.5, 0.5]), scale=False, lower=0.0)
    assert away.at_bound == ("", "")


@pytest.mark.parametrize(
    "hessian", [np.array([[1.0, 0.0], [0.0, -0.1]]), np.array([[1.0, np.nan], [np.nan, 1.0]])]
)
def test_no_errors_without_a_minimum(hessian):
    u = likelihood(hessian, np.ones(2))
    assert not u.is_minimum
    assert np.isnan(list(u.stderr.values())).all()
    assert np.isnan(u.covariance).all()
    assert np.isnan(u.errors(np.ones((1, 2)))).all()
    assert "not that of a minimum" in u.notes[0]


def test_as_many_values_as_data():
    u = least_squares(np.eye(2), np.zeros(2), np.ones(2))
    assert np.isnan(list(u.stderr.values())).all()
    assert "as many values as data" in u.notes[0]


def test_rounding_in_place_of_a_zero_is_no_information():
    jacobian = np.array([[1.0, 3e-17], [2.0, -2e-17], [3.0, 1e-17]])
    u = least_squares(jacobian, np.zeros(3), np.ones(2), scale=False)
    assert u.stderr["b2"] == np.inf
    assert u.status["b2"] == "no influence"
    assert u.stderr["b1"] == pytest.approx(1 / np.sqrt(14))


def test_single_precision():
    rng = np.random.default_rng(0)
    jacobian = rng.normal(size=(9, 2)).astype(np.float32)
    both = np.concatenate([jacobian, jacobian[:, :1] * np.float32(3.0)], axis=1)
    u = least_squares(both, np.zeros(9, np.float32), np.ones(3, np.float32), scale=False)
    assert u.spread.rank == 2
    assert u.stderr["b1"] == u.stderr["b3"] == np.inf


def test_a_weak_direction_is_said_and_keeps_its_numbers():
    x = np.linspace(0.0, 1.0, 8)
    jacobian = np.stack([x, x * (1 + 1e-6 * x), np.ones(8)], axis=1)
    u = least_squares(jacobian, np.zeros(8), np.ones(3), scale=False)
    assert np.isfinite(list(u.stderr.values())).all()
    assert u.stderr["b1"] > 1e5
    assert u.notes[0].startswith("the data hardly determine b1 and b2 apart: the condition is ")
    assert least_squares(jacobian[:, [0, 2]], np.zeros(8), np.ones(2), scale=False).notes == ()
