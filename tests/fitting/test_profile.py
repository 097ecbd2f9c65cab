"""Profile likelihood against closed forms, an outside implementation, and its own laws."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fitting import certified
from scipy import stats

from mtkparams._fitting.answer.profile import profiles


def profiled(
    loss,
    best,
    curvature,
    level=0.95,
    lower: Any = -np.inf,
    upper: Any = np.inf,
    freedom=np.inf,
    which=None,
):
    n = best.size
    batch = jax.jit(jax.vmap(jax.value_and_grad(loss)))
    calls = []

    def evaluate(x):
        calls.append(x.shape)
        losses, slopes = batch(x)
        return np.asarray(losses), np.asarray(slopes)

    low, high = (np.broadcast_to(end, n).astype(float) for end in (lower, upper))
    labels = [f"b{i + 1}" for i in range(n)]
    found = profiles(
        evaluate, best, curvature, labels, which or range(n), low, high, level, freedom
    )
    assert len(set(calls)) == 1  # one shape, compiled once
    return found


@functools.cache
def least_squares(name, level=0.95):
    model, x, y, best, _, rss = getattr(certified, name)
    freedom = y.size - best.size
    residuals = lambda b: (model(b, x) - y) / np.sqrt(rss / freedom)
    jacobian = np.asarray(jax.jacfwd(residuals)(best))
    loss = lambda b: 0.5 * jnp.sum(residuals(b) ** 2)
    return loss, profiled(loss, best, jacobian.T @ jacobian, level, freedom=freedom)


def test_intervals_of_misra1a_are_those_of_lmfit():
    # lmfit 1.3.4, `conf_interval` at 95 %, whose F test of one parameter is this t.
    interval = least_squares("MISRA1A")[1].interval
    assert interval["b1"] == pytest.approx((233.19530792482183, 245.01736934622875), rel=1e-6)
    assert interval["b2"] == pytest.approx((0.0005343182679267849, 0.0005660298972798846), rel=1e-6)


def test_a_profile_is_the_best_of_the_others():
    loss, found = least_squares("MISRA1A")
    _, x, y, best, _, rss = certified.MISRA1A
    for at, height in zip(found["b2"].values, found["b2"].losses, strict=True):
        # With b2 held the model is linear in b1.
        shape = 1 - np.exp(-at * x)
        b1 = shape @ y / (shape @ shape)
        assert loss(np.array([b1, at])) - loss(best) == pytest.approx(height, abs=2e-6)
    assert (np.diff(found["b2"].values) > 0).all()
    assert found["b2"].losses.min() == 0.0
    assert found["b2"].height == pytest.approx(stats.t.ppf(0.975, 12))


def test_a_quadratic_loss_gives_the_normal_interval():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(7, 3))
    best = np.array([1.0, -2.0, 1e-3])
    curvature = a.T @ a
    found = profiled(lambda v: 0.5 * (v - best) @ curvature @ (v - best), best, curvature, 0.9)
    errors = np.sqrt(np.diag(np.linalg.inv(curvature)))
    for i, (low, high) in enumerate(found.interval.values()):
        assert (best[i] - low) / errors[i] == pytest.approx(1.6448536269514722, rel=1e-5)
        assert (high - best[i]) / errors[i] == pytest.approx(1.6448536269514722, rel=1e-5)


def test_a_bent_likelihood_gives_an_interval_that_is_not_symmetric():
    # n exponential waiting times of mean 1: the loss is n (log m + 1 / m), free of the second entry
    # but for a shift that the others must follow.
    count = 10
    loss = lambda v: count * (jnp.log(v[0]) + 1 / v[0]) + 50 * (v[1] - v[0] ** 2) ** 2
    best = np.array([1.0, 1.0])
    curvature = np.asarray(jax.hessian(loss)(best))
    low, high = profiled(loss, best, curvature).interval["b1"]
    for end in (low, high):
        assert count * (np.log(end) + 1 / end - 1) == pytest.approx(1.9207294103470622, rel=2e-5)
    assert high - 1 > 1.5 * (1 - low)


def test_bounds_end_a_side_and_hold_the_others():
    # The second would have to go below its bound to follow the first.
    loss = lambda v: 0.5 * ((v[0] - v[1]) ** 2 * 4 + (v[0] + v[1] - 2) ** 2)
    best = np.array([1.0, 1.0])
    curvature = np.asarray(jax.hessian(loss)(best))
    found = profiled(
        loss, best, curvature, lower=np.array([-np.inf, 0.5]), upper=np.array([2.0, np.inf])
    )
    low, high = found.interval["b1"]
    assert high == 2.0
    assert found["b1"].reasons == ("", "at its bound")
    # At the lower end the second is on its bound: 0.5 (4 (x - 0.5)^2 + (x - 1.5)^2) = 1.92.
    assert loss(np.array([low, 0.5])) == pytest.approx(1.9207294103470622, rel=1e-4)
    assert (found["b1"].vectors[:, 1] >= 0.5).all()
    assert found.interval["b2"][0] == 0.5


def test_what_the_data_do_not_limit_is_infinite():
    # Only the product is determined; and the third saturates on one side.
    loss = lambda v: 50 * (v[0] * v[1] - 6) ** 2 + 0.5 * (jnp.tanh(v[2]) - 1) ** 2
    best = np.array([2.0, 3.0, 8.0])
    curvature = np.asarray(jax.hessian(loss)(best))
    found = profiled(loss, best, curvature, lower=np.array([1e-3, 0.0, -50.0]), level=0.8)
    assert found["b1"].interval[1] == np.inf
    assert "not determined on this side" in found["b1"].reasons[1]
    assert found["b1"].losses.max() < 5e-3
    low, high = found.interval["b3"]
    assert high == np.inf
    assert (np.tanh(low) - 1) ** 2 == pytest.approx(stats.chi2.ppf(0.8, 1), rel=1e-4)
    assert "not determined on this side" in str(found)


def test_a_better_fit_on_the_way_is_said():
    loss = lambda v: 2 * (v[0] ** 2 - 1) ** 2 - v[0] + 50 * (v[1] - v[0]) ** 2
    best = jnp.array([-0.93, -0.93])
    for _ in range(20):  # the worse of the two minima
        best = best - jnp.linalg.solve(jax.hessian(loss)(best), jax.grad(loss)(best))
    best = np.asarray(best)
    found = profiled(loss, best, np.asarray(jax.hessian(loss)(best)), level=0.999)
    assert found.better is not None
    assert loss(found.better) < loss(best) - 1e-3
    assert np.isnan(found.interval["b1"][1])
    assert "fit again" in str(found)


def test_a_model_that_fails_ends_a_side_and_no_other():
    loss = lambda v: jnp.where(v[0] > 0.5, 0.5 * ((v[0] - 1) ** 2 + (v[1] - v[0]) ** 2), jnp.nan)
    found = profiled(loss, np.array([1.0, 1.0]), np.eye(2))
    low, high = found.interval["b1"]
    assert np.isnan(low)
    assert "cannot be solved" in found["b1"].reasons[0]
    assert high == pytest.approx(1 + 1.959963984540054, rel=1e-5)


def test_chosen_entries_only():
    _, x, y, best, _, _ = certified.MISRA1A
    loss = lambda b: 0.5 * jnp.sum((b[0] * (1 - jnp.exp(-b[1] * x)) - y) ** 2)
    curvature = np.asarray(jax.hessian(loss)(best))
    assert list(profiled(loss, best, curvature, which=[1])) == ["b2"]


def test_points_that_do_not_settle_are_said():
    # A gradient that is wrong in the second entry: no step of it goes down.
    def evaluate(x):
        a, b = x[:, 0], x[:, 1]
        losses = 0.5 * (a**2 + 100 * (b - a) ** 2)
        return losses, np.stack([a - 100 * (b - a), -100 * (b - a) - 10 * np.abs(a)], axis=1)

    ends = np.full(2, np.inf)
    found = profiles(
        evaluate, np.zeros(2), np.diag([101.0, 100.0]), ["a", "b"], [0], -ends, ends, 0.95
    )
    assert "the others did not settle" in found["a"].reasons[1]
