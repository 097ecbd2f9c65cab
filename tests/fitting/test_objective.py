"""Objectives: what they compute against scipy, what data they take, how they are differentiated."""

import csv
import inspect
import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import mtkparams as mtk
from mtkparams.errors import DataError, DeclarationError, KindError, ShapeError, UnknownNameError
from mtkparams.fitting import LogNormal, Normal, objective

# Without the tests' own checks of types, which would come before the library's.
unchecked: Any = inspect.unwrap(objective)

V = np.array([0.7, 1.8])  # k, gain; then x = exp(-0.7 t), y = 1.8 x


@pytest.fixture(scope="module")
def data(times):
    rng = np.random.default_rng(7)
    return {
        "t": times,
        "x": np.exp(-0.5 * times) + 0.01 * rng.normal(size=times.size),
        "y": 2 * np.exp(-0.5 * times) * np.exp(0.1 * rng.normal(size=times.size)),
    }


@pytest.fixture(scope="module")
def likelihood(decay, data, solve):
    noise = {"x": Normal(0.02), "y": LogNormal("sigma")}
    return objective(decay, data, free=["k", "gain", "sigma"], noise=noise, **solve)


def test_densities_are_those_of_scipy(likelihood, data, times):
    v = np.array([*V, 0.15])
    x = np.exp(-0.7 * times)
    expected = scipy.stats.norm.logpdf(data["x"], x, 0.02).sum()
    expected += scipy.stats.lognorm.logpdf(data["y"], 0.15, scale=1.8 * x).sum()
    both = eqx.filter_jit(lambda o, v: (o(v), o.log_likelihood(v), o.log_density(v)))
    value, log_likelihood, log_density = both(likelihood, v)
    assert likelihood.kind == "likelihood"
    assert likelihood.labels == ("k", "gain", "sigma")
    assert likelihood.units == ("1/s", None, None)
    np.testing.assert_allclose(log_likelihood, expected, rtol=1e-6)
    np.testing.assert_allclose(value, -expected, rtol=1e-6)
    np.testing.assert_allclose(log_density, expected, rtol=1e-6)


@pytest.mark.slow
def test_all_modes_give_one_derivative(likelihood):
    v = jnp.asarray([*V, 0.15])

    @jax.jit
    def ways(v):
        step = 1e-5 * jnp.eye(3)
        around = lambda f: (jax.vmap(f)(v[None] + step) - jax.vmap(f)(v[None] - step)) / 2e-5
        gradient = jax.grad(likelihood)
        first = (likelihood.value_and_grad(v)[1], gradient(v), jax.jacfwd(likelihood)(v))
        second = (jax.hessian(likelihood)(v), jax.jacrev(gradient)(v), jax.jacfwd(gradient)(v))
        return first, around(likelihood), second, around(gradient)

    first, finite, second, finite_second = ways(v)
    for other in first[1:]:
        np.testing.assert_allclose(other, first[0], rtol=1e-12)
    np.testing.assert_allclose(finite, first[0], rtol=1e-4)  # steps of the solver are adaptive
    for other in second[1:]:
        np.testing.assert_allclose(other, second[0], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(finite_second, second[0], rtol=1e-4, atol=1e-2)


@pytest.mark.slow
def test_reverse_mode_gives_the_same(decay, data, solve):
    gradients = []
    for mode in ("forward", "reverse"):
        one = objective(decay, data, free=["k", "gain"], mode=mode, **solve)
        assert one.mode == mode
        gradients.append(jax.jit(lambda v, one=one: one.value_and_grad(v))(V)[1])
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-10)


@pytest.mark.slow
def test_a_failed_solve_is_infinitely_bad(decay, solve):
    blow_up = mtk.System(
        parameters={"k": 0.1},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": p.k * u.x**2},
    )
    problem = mtk.ODEProblem(blow_up, {}, (0.0, 4.0))  # ends at t = 1 / k
    for mode in ("forward", "reverse"):
        one = objective(problem, {"t": [1.0, 4.0], "x": [1.0, 1.5]}, mode=mode, **solve)
        values, slopes = jax.jit(jax.vmap(jax.value_and_grad(one)))(jnp.asarray([[0.1], [0.5]]))
        assert np.isfinite(values[0])
        assert np.isfinite(slopes[0])
        assert values[1] == np.inf
        assert np.isnan(slopes[1])


def test_tables_missing_values_and_repeats(decay, data, times, solve):
    """Rows in any order, in any number of tables, with holes: the same sum over what is there."""
    x, y = data["x"].copy(), data["y"].copy()
    x[2], y[[0, 5]] = np.nan, np.nan
    whole = objective(decay, {"t": times, "x": x, "y": y}, free=["k", "gain"], **solve)
    shuffled = np.random.default_rng(1).permutation(times.size)
    parts = {
        "first": {"t": times[shuffled], "x": x[shuffled]},
        "second": {
            "t": np.repeat(times, 2),
            "y": np.stack([y, np.full_like(y, np.nan)], 1).ravel(),
        },
    }
    split = objective(decay, parts, free=["k", "gain"], **solve)
    both = jax.jit(lambda v: (whole(v), split(v), split.predictions(v)))
    value, other, predictions = both(V)
    np.testing.assert_allclose(other, value, rtol=1e-12)
    assert whole.data == split.data == 2 * times.size - 3
    np.testing.assert_allclose(predictions["first"]["x"], np.exp(-0.7 * times[shuffled]), rtol=1e-6)
    assert predictions["second"]["y"].shape == (2 * times.size,)
    assert [(s.table, s.name) for s in split.series] == [("first", "x"), ("second", "y")]


def test_a_file_and_a_frame(decay, data, solve, tmp_path):
    path = tmp_path / "data.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "x", "sd", "remark"])
        writer.writerows(
            [t, "" if i == 3 else x, 0.5, "fine"]
            for i, (t, x) in enumerate(zip(data["t"], data["x"], strict=True))
        )

    class Frame(dict):  # what is used of a pandas.DataFrame
        columns = property(lambda self: list(self))

        def to_numpy(self):
            raise NotImplementedError

        def __getitem__(self, name):
            column = super().__getitem__(name)
            return type("Column", (), {"to_numpy": lambda self: np.asarray(column)})()

    x = data["x"].copy()
    x[3] = np.nan
    frame = Frame(time=data["t"], x=x, sd=np.full(x.size, 0.5))
    options = {"free": ["k"], "noise": Normal("sd"), "time": "time", **solve}
    of_file = objective(decay, path, columns=["x"], **options)
    of_frame = objective(decay, frame, **options)
    plain = objective(decay, {"t": data["t"], "x": x}, free=["k"], noise=Normal(0.5), **solve)
    values = [jax.jit(one)([0.7]) for one in (of_file, of_frame, plain)]
    np.testing.assert_allclose(values[:2], values[2], rtol=1e-14)


@pytest.mark.slow
def test_conditions_share_parameters(decay, times, solve):
    conditions = {
        "low": {"x": 1.0},
        "high": {"x": 3.0},
        "cold": {"k": lambda p: p.cold, "x": 2.0},
    }
    truth = {"low": (1.0, 0.7), "high": (3.0, 0.7), "cold": (2.0, 0.2)}
    tables = {
        name: {"t": times[i:], "y": 1.8 * x * np.exp(-k * times[i:])}
        for i, (name, (x, k)) in enumerate(truth.items())
    }
    free = ["k", "gain", "cold"]
    one = objective(decay, tables, free=free, conditions=conditions, **solve)
    at = jax.jit(lambda v: (one(v), one.residuals_and_jacobian(v)))
    value, (residuals, slopes) = at([0.7, 1.8, 0.2])
    assert value < 1e-12
    assert residuals.size == one.data == sum(table["t"].size for table in tables.values())
    cold = np.concatenate([np.full(s.t.size, s.condition == "cold") for s in one.series])
    np.testing.assert_allclose(slopes[cold, 0], 0.0)  # k is what a rule says there
    assert np.abs(slopes[~cold, 0]).max() > 0.1
    np.testing.assert_allclose(slopes[~cold, 2], 0.0)


def test_arrays_expressions_and_scales_that_are_computed(times, solve):
    system = mtk.System(
        parameters={"k": [0.5, 1.0], "a": 0.1, "b": 0.2},
        unknowns={"x": [1.0, 2.0]},
        derivatives=lambda t, u, p: {"x": -p.k * u.x},
    )
    problem = mtk.ODEProblem(system, {}, (0.0, 4.0))
    x = np.stack([np.exp(-0.5 * times), 2 * np.exp(-times)], axis=1)
    table = {"t": times, "x": 1.1 * x, "OD": x.sum(1) + 0.1, "second": x[:, 1]}
    noise = {
        "x": Normal(np.linspace(1, 2, times.size)),
        "OD": Normal(lambda t, u, p: p.a + p.b * u.x.sum()),
        "second": Normal("a"),
    }
    observe = {"OD": lambda t, u, p: u.x.sum(), "second": "x[1]"}
    one = objective(problem, table, free=["k[1]", "a"], noise=noise, observe=observe, **solve)
    assert one.labels == ("k[1]", "a")
    expected = scipy.stats.norm.logpdf(1.1 * x, x, np.linspace(1, 2, times.size)[:, None]).sum()
    total = x.sum(1)
    expected += scipy.stats.norm.logpdf(total + 0.1, total, 0.1 + 0.2 * total).sum()
    expected += scipy.stats.norm.logpdf(x[:, 1], x[:, 1], 0.1).sum()
    np.testing.assert_allclose(
        jax.jit(lambda v: one.log_likelihood(v))(one.start), expected, rtol=1e-6
    )


def test_priors(times, data, solve):
    class Distribution:  # as numpyro and distreqx have them
        def log_prob(self, x):
            return -jnp.abs(x)

    system = mtk.System(
        parameters={
            "k": mtk.Parameter(0.7, prior=scipy.stats.lognorm(0.5, scale=0.6)),
            "gain": mtk.Parameter(1.8, prior=scipy.stats.norm(2.0, 0.1)),
        },
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": -p.k * u.x},
        observed={"y": lambda t, u, p: p.gain * u.x},
    )
    problem = mtk.ODEProblem(system, {}, (0.0, 4.0))
    options = {"noise": Normal(0.02), "columns": ["x"], **solve}
    one = objective(problem, data, priors={"gain": Distribution()}, **options)
    prior = scipy.stats.lognorm.logpdf(0.7, 0.5, scale=0.6) - 1.8
    np.testing.assert_allclose(one.log_prior(V), prior, rtol=1e-12)
    value, log_likelihood = jax.jit(lambda v: (one(v), one.log_likelihood(v)))(V)
    np.testing.assert_allclose(value, -log_likelihood - prior, rtol=1e-12)
    assert one.kind == "likelihood"
    assert objective(problem, data, priors=False, **options).kind == "least_squares"
    declared = objective(problem, data, **options).log_prior(V)
    np.testing.assert_allclose(
        declared - prior, scipy.stats.norm.logpdf(1.8, 2.0, 0.1) + 1.8, rtol=1e-12
    )
    with pytest.raises(DeclarationError, match=r"'k' is scipy.stats.weibull_min, which JAX cannot"):
        objective(problem, data, priors={"k": scipy.stats.weibull_min(2.0)}, **options)
    with pytest.raises(DeclarationError, match="'k' has neither log_prob nor logpdf"):
        objective(problem, data, priors={"k": 3.0}, **options)
    with pytest.raises(UnknownNameError, match="No 'gian' among the free parameters"):
        objective(problem, data, priors={"gian": 3.0}, **options)


@pytest.mark.slow
def test_a_loss_of_the_solution(decay, solve):
    one = objective(
        decay, loss=lambda s: s["y"][-1] ** 2, saveat=[2.0], free=["k", "gain"], **solve
    )
    value = jax.jit(one)(V)
    np.testing.assert_allclose(value, (1.8 * np.exp(-1.4)) ** 2, rtol=1e-6)
    assert one.kind == "loss"
    both = objective(
        decay,
        loss=lambda s: s["a"]["x"][-1] + s["b"]["x"][-1],
        saveat=[2.0],
        conditions={"a": {"x": 2.0}, "b": {"x": 5.0}},
        free=["k"],
        **solve,
    )
    np.testing.assert_allclose(jax.jit(both)([0.7]), 7 * np.exp(-1.4), rtol=1e-6)
    with pytest.raises(KindError, match="is a loss, and has no residuals"):
        one.residuals(V)
    with pytest.raises(KindError, match="one float, got shape"):
        objective(decay, loss=lambda s: s["x"], free=["k"], **solve)([0.5])


def test_an_initial_value_is_named_by_its_unknown(decay, data, solve):
    one = objective(decay, data, free=["x", "k"], columns=["x"], **solve)
    assert one.labels == ("Initial(x)", "k")
    assert one.units == ("mol", "1/s")
    assert one.lower.tolist() == [-np.inf, 0.0]
    value = one.parameters([3.0, 0.5])
    assert float(value[mtk.Initial("x")]) == 3.0


def test_an_entry_of_an_initial_value_is_named_by_its_unknown(solve):
    system = mtk.System(
        parameters={"k": 1.0},
        unknowns={"x": [1.0, 2.0]},
        derivatives=lambda t, u, p: {"x": -p.k * u.x},
    )
    problem = mtk.ODEProblem(system, {}, (0.0, 1.0))
    data = {"t": [0.5, 1.0], "x": np.ones((2, 2))}
    one = objective(problem, data, free=["x[1]", "k"], **solve)
    assert one.labels == ("Initial(x)[1]", "k")
    value = one.parameters([3.0, 0.5])
    np.testing.assert_array_equal(value[mtk.Initial("x")], [1.0, 3.0])


def test_no_retrace_for_new_data(decay, data, solve):
    traces = []

    @eqx.filter_jit
    def value(one, v):
        traces.append(1)
        return one(v)

    for factor in (1.0, 2.0):
        scaled = {**data, "x": factor * data["x"]}
        value(objective(decay, scaled, free=["k"], columns=["x"], **solve), [0.5])
    assert len(traces) == 1


def test_single_precision(times, solve):
    system = mtk.System(
        parameters={"k": np.float32(0.5)},
        unknowns={"x": np.float32(1.0)},
        derivatives=lambda t, u, p: {"x": -p.k * u.x},
    )
    problem = mtk.ODEProblem(system, {}, (0.0, 4.0))
    data = {"t": times + 0.1 * (times < 4), "x": np.exp(-times)}
    one = objective(problem, data, solver=solve["solver"], rtol=1e-4, atol=1e-6)
    value, slope = jax.jit(lambda v: one.value_and_grad(v))([1.0])
    assert value.dtype == slope.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"data": {"t": [1.0], "z": [1.0]}}, DataError, "The column 'z' of 'data': No 'z' among"),
        ({"data": {"time": [1.0], "x": [1.0]}}, DataError, "No 't' among the columns of 'data'"),
        ({"data": {"t": [1.0, 9.0], "x": [1.0, 2.0]}}, DataError, "t = 9, outside of the time span"),
        ({"data": {"t": [1.0], "x": [np.nan]}}, DataError, "every value is missing"),
        ({"data": {"t": [1.0], "x": [np.inf]}}, DataError, "infinite value; write NaN"),
        ({"data": {"t": [np.nan], "x": [1.0]}}, DataError, "not all finite"),
        ({"data": {"t": [1.0], "x": [1.0, 2.0]}}, DataError, "has shape (2,), and the times are 1"),
        ({"data": {"t": [1.0], "x": ["high"]}}, DataError, "'x' of 'data' is not a column of num"),
        ({"data": {"t": [1.0], "k": [1.0]}}, DataError, "'k' of 'data' is a parameter"),
        ({"data": {"t": [1.0], "x": [[1.0, 2.0]]}}, DataError, "shape (2,), the model has ()"),
        ({"data": 7}, KindError, "a pandas.DataFrame or the path of a CSV file, got int"),
        ({"data": None}, KindError, "Give data=, a table, or loss="),
        ({"noise": 0.1}, KindError, "The noise of 'x' is mtk.fitting.Normal(scale)"),
        ({"noise": {"z": Normal(1.0)}}, UnknownNameError, "No 'z' among the data columns (noise=)"),
        ({"noise": Normal("sgima")}, DataError, "Did you mean 'sigma'"),
        ({"noise": Normal(-1.0)}, DataError, "The scale of 'x' of 'data' is -1; scales are pos"),
        ({"noise": {"x": LogNormal(1.0)}, "data": {"t": [1.0], "x": [-1.0]}}, DataError, "the value -1, and LogNormal noise is of positive"),
        ({"data": {"t": [1.0], "x": [1.0], "y": [1.0]}, "noise": {"x": Normal(1.0)}}, DataError, "'y' has no scale, and other data have one"),
        ({"columns": ["z"]}, UnknownNameError, "No 'z' among the columns of the data"),
        ({"observe": {"z": "x"}}, UnknownNameError, "No 'z' among the data columns (observe=)"),
        ({"free": ["kk"]}, UnknownNameError, "No 'kk' among"),
        ({"free": []}, KindError, "Nothing is free"),
        ({"conditions": {"a": {"k": 1.0}}}, KindError, "the data are a dictionary {condition: table}"),
        ({"conditions": {"a": {"k": 1.0}}, "data": {"b": {"t": [1.0], "x": [1.0]}}}, UnknownNameError, "No 'b' among the conditions"),
        ({"conditions": {"a": 1.0}, "data": {"a": {"t": [1.0], "x": [1.0]}}}, KindError, "condition 'a' is a dictionary of values"),
        ({"loss": lambda s: 0.0}, KindError, "not both"),
    ],
)  # fmt: skip
def test_errors(decay, change, error, text):
    options = {"data": {"t": [1.0], "x": [1.0]}, "free": ["k"], **change}
    with pytest.raises(error, match=re.escape(text)):
        unchecked(decay, options.pop("data"), **options)


def test_a_vector_of_another_length(decay, data):
    one = objective(decay, data, free=["k", "gain"])
    with pytest.raises(ShapeError, match=r"one entry for each of k, gain; got \(3,\)"):
        one([1.0, 2.0, 3.0])
    assert repr(one) == "Objective(least_squares of k, gain)"
