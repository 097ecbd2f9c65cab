"""Methods: which there are, where they work, how they are watched and stopped."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
import pytest

import mtkparams as mtk
from mtkparams._fitting.search.triangular import back_substitute, triangular
from mtkparams.errors import KindError, UnknownNameError


@pytest.fixture(scope="module")
def bowl():
    """Parameters of very different size, and a loss with its minimum at 2, 3e-4, (1, 5)."""
    p = mtk.parameters(
        {
            "a": mtk.Parameter(1.0, bounds=(0.0, None)),
            "b": mtk.Parameter(1e-4, bounds=(0.0, 1e-2)),
            "c": [0.0, 0.0],
        }
    )

    def residuals(p):
        return jnp.stack([p["a"] - 2, 1e4 * p["b"] - 3, p["c"][0] - 1, 0.2 * p["c"][1] - p["c"][0]])

    return p, residuals, lambda p: jnp.sum(residuals(p) ** 2)


BEST = [2.0, 3e-4, 1.0, 5.0]


@pytest.mark.parametrize("coordinates", ["free", "natural"])
@pytest.mark.parametrize(
    ("method", "steps"),
    [
        (optax.adam(optax.cosine_decay_schedule(0.1, 1500)), 1500),
        (optax.lbfgs(), 100),
        (optx.BFGS(1e-10, 1e-10), 200),
        (optx.NonlinearCG(1e-10, 1e-10), 1000),
        ("L-BFGS-B", 500),
    ],
    ids=["adam", "lbfgs", "BFGS", "NonlinearCG", "L-BFGS-B"],
)
def test_minimisers(bowl, method, steps, coordinates):
    p, _, loss = bowl
    if coordinates == "natural" and not isinstance(method, str):
        # There bounds are not kept by the coordinates, and `b` is 1e4 times as steep as the others.
        p = mtk.parameters({"a": 1.0, "b": mtk.Parameter(1e-4, tunable=False), "c": [0.0, 0.0]})
        result = mtk.fitting.minimise(loss, p, method=method, steps=steps, coordinates=coordinates)
        np.testing.assert_allclose(result.v, [2.0, 1.0, 5.0], rtol=2e-3)
        return
    result = mtk.fitting.minimise(loss, p, method=method, steps=steps, coordinates=coordinates)
    np.testing.assert_allclose(result.v, BEST, rtol=2e-3)


@pytest.mark.parametrize("coordinates", ["free", "natural"])
@pytest.mark.parametrize(
    "method",
    [None, optx.LevenbergMarquardt(1e-10, 1e-10), optx.Dogleg(1e-10, 1e-10), "trf", "dogbox"],
    ids=["default", "LevenbergMarquardt", "Dogleg", "trf", "dogbox"],
)
def test_least_squares(bowl, method, coordinates):
    p, residuals, _ = bowl
    if coordinates == "natural" and not isinstance(method, str):
        p = mtk.parameters({"a": 1.0, "b": 1e-4, "c": [0.0, 0.0]})
    result = mtk.fitting.least_squares(residuals, p, method=method, coordinates=coordinates)
    assert result.succeeded
    np.testing.assert_allclose(result.v, BEST, rtol=1e-6)


@pytest.mark.slow
def test_units_do_not_change_the_default_method():
    """The same problem with a parameter in micro- and in megaunits takes the same path."""
    x = jnp.linspace(0.0, 3.0, 12)
    y = 3.0 * jnp.exp(-0.8 * x) + 0.1 * jnp.sin(7 * x)
    losses = []
    for unit in (1.0, 1e-6, 1e6):
        p = mtk.parameters({"a": 1.0, "k": 0.3 * unit})
        residuals = lambda p, unit=unit: p["a"] * jnp.exp(-p["k"] / unit * x) - y
        result = mtk.fitting.least_squares(residuals, p)
        np.testing.assert_allclose(
            result.v, [losses[0].v[0], losses[0].v[1] * unit] if losses else result.v, rtol=1e-6
        )
        losses.append(result)
    for other in losses[1:]:
        np.testing.assert_allclose(other.losses[:5], losses[0].losses[:5], rtol=1e-6)


def test_bounds_are_kept(bowl):
    p, _, _ = bowl
    outside = lambda p: (p["a"] + 1) ** 2 + (1e4 * p["b"] - 200) ** 2  # best at -1 and 0.02
    pairs: Any = (
        ("L-BFGS-B", "natural"),
        (optax.adam(1e-2), "natural"),
        (optax.adam(1e-1), "free"),
        (None, "free"),
    )
    for method, coordinates in pairs:
        result = mtk.fitting.minimise(
            outside, p, free=["a", "b"], method=method, coordinates=coordinates, steps=600
        )
        assert 0 <= result["a"] < 0.01, (method, coordinates)
        assert 0.9e-2 < result["b"] <= 1e-2, (method, coordinates)


def test_learning_rates_by_name(bowl):
    p, _, loss = bowl
    rates = {"a": 0.1, "c[1]": optax.sgd(0.0), ...: optax.adam(0.05)}
    result = mtk.fitting.minimise(loss, p, method=rates, steps=300)
    np.testing.assert_allclose(result.v, [2.0, 3e-4, 0.5, 0.0], rtol=1e-2, atol=1e-3)
    only_a = mtk.fitting.minimise(loss, p, method={"a": 0.1}, steps=300)
    np.testing.assert_allclose(only_a.v, [2.0, 1e-4, 0.0, 0.0], rtol=1e-2, atol=1e-12)
    with pytest.raises(UnknownNameError, match="No 'd' among"):
        mtk.fitting.minimise(loss, p, method={"d": 0.1})


def test_one_step_is_one_step_of_optax(bowl):
    """The loop adds nothing: the same numbers as a loop that a user would write."""
    p, _, loss = bowl
    optimizer = optax.adam(0.1)
    free = mtk.to_unconstrained(p)
    value = jax.jit(
        jax.value_and_grad(
            lambda z: loss(mtk.replace(mtk.Tunable, p, mtk.from_unconstrained(p, z)))
        )
    )
    losses, state = [], optimizer.init(free)
    for _ in range(20):
        found, slopes = value(free)
        losses.append(float(found))
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(slopes, state)
        free = optax.apply_updates(free, updates)
    result = mtk.fitting.minimise(loss, p, method=optimizer, steps=20)
    np.testing.assert_allclose(result.losses, losses, rtol=1e-12)
    assert result.evaluations == 20


def test_patience_stops_a_fit_that_no_longer_improves(bowl):
    p, _, loss = bowl
    result = mtk.fitting.minimise(loss, p, method=optax.sgd(0.0), steps=500, patience=20)
    assert result.losses.size == 21
    assert result.message.startswith("The loss did not improve")


def test_callbacks_are_told_and_may_stop(bowl):
    p, _, loss = bowl
    told = []

    def callback(status):
        told.append(status)
        return status.steps >= 30

    for method in (optax.adam(0.01), "Nelder-Mead"):
        told.clear()
        watch = mtk.fitting.Watch(callback, every=10)
        result = mtk.fitting.minimise(loss, p, method=method, steps=500, watch=watch)
        assert [status.steps for status in told] == [10, 20, 30]
        assert told[-1].best_loss == pytest.approx(result.loss)
        assert told[-1].values["a"] == pytest.approx(result["a"].item())
        assert result.message == "It was interrupted."
        assert result.losses.size == 30


def test_ctrl_c_keeps_the_best_so_far(bowl):
    p, _, loss = bowl

    def interrupt(status):
        if status.steps >= 20:
            raise KeyboardInterrupt

    for method in (optax.adam(0.01), "L-BFGS-B"):
        result = mtk.fitting.minimise(
            loss,
            p,
            method=method,
            steps=500,
            watch=mtk.fitting.Watch(interrupt, every=5 if method != "L-BFGS-B" else 1),
        )
        assert result.message == "It was interrupted."
        assert result.loss == pytest.approx(result.losses.min())
        assert not result.succeeded


def test_a_progress_bar(bowl, capsys):
    p, _, loss = bowl
    mtk.fitting.minimise(loss, p, method=optax.adam(0.01), steps=20, progress=True)
    shown = capsys.readouterr().err
    assert "20/20" in shown
    assert "best=" in shown


def test_a_second_fit_compiles_nothing(bowl):
    p, residuals, _ = bowl
    mtk.fitting.least_squares(residuals, p)
    traces = []

    def counted(p):
        traces.append(1)
        return residuals(p)

    mtk.fitting.least_squares(counted, p)
    first = len(traces)
    mtk.fitting.least_squares(counted, p.set({"a": 1.5}))
    # Only the number of residuals is asked for anew.
    assert len(traces) - first <= 2


@pytest.mark.slow
def test_single_precision():
    x = jnp.linspace(0, 3, 12, dtype=np.float32)
    y = np.float32(3) * jnp.exp(np.float32(-0.8) * x)
    p = mtk.parameters(
        {"a": np.float32(1.0), "k": mtk.Parameter(np.float32(0.3), bounds=(0, None))}
    )
    residuals = lambda p: p["a"] * jnp.exp(-p["k"] * x) - y
    loss = lambda p: jnp.sum(residuals(p) ** 2)
    for result in (
        mtk.fitting.least_squares(residuals, p),
        mtk.fitting.minimise(loss, p),
        mtk.fitting.minimise(loss, p, method=optax.adam(0.1), steps=300),
    ):
        assert result.v.dtype == np.float32
        np.testing.assert_allclose(result.v, [3.0, 0.8], rtol=2e-2)


@pytest.mark.parametrize("shape", [(8, 3), (3, 3), (2, 3), (30, 1)])
def test_small_least_squares(shape):
    rng = np.random.default_rng(shape[0])
    a, b = rng.normal(size=shape), rng.normal(size=shape[0])
    r, y = triangular(jnp.asarray(a), jnp.asarray(b))
    np.testing.assert_allclose(r.T @ r, a.T @ a, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(r.T @ y, a.T @ b, rtol=1e-12, atol=1e-12)
    if shape[0] >= shape[1]:
        expected = np.linalg.lstsq(a, b, rcond=None)[0]
        np.testing.assert_allclose(back_substitute(r, y), expected, rtol=1e-10)


def test_errors(bowl):
    p, residuals, loss = bowl
    with pytest.raises(UnknownNameError, match="No 'L-BFGS' among .* 'L-BFGS-B'"):
        mtk.fitting.minimise(loss, p, method="L-BFGS")
    with pytest.raises(
        KindError, match="trf minimizes sums of squares, and this objective is a loss"
    ):
        mtk.fitting.minimise(loss, p, method="trf")
    with pytest.raises(KindError, match="GaussNewton minimizes sums of squares"):
        mtk.fitting.minimise(loss, p, method=optx.GaussNewton(1e-6, 1e-6))
    with pytest.raises(KindError, match="'BFGS' of scipy keeps no bounds. Use coordinates='free'"):
        mtk.fitting.minimise(loss, p, method="BFGS", coordinates="natural")
    with pytest.raises(KindError, match=re.escape("scipy Powell has its own, inside of scipy")):
        mtk.fitting.minimise(loss, p, method="Powell", checkpoint="here")
    objective = mtk.fitting.minimise(loss, p, method=optax.sgd(0.0), steps=1).objective
    with pytest.raises(KindError, match="An objective has its data and names"):
        mtk.fitting.fit(objective, free=["a"])
    with pytest.raises(KindError, match="'a' has bounds, and BFGS of optimistix keeps"):
        mtk.fitting.least_squares(residuals, p, coordinates="natural", method=optx.BFGS(1e-6, 1e-6))
