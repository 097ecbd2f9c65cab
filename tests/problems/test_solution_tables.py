"""Solutions as dictionaries, tables, datasets, plots and text."""

from __future__ import annotations

import importlib.util
import sys

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import pointers

import mtkparams as mtk
from mtkparams import ODEProblem, System, errors, remake

TS = np.array([0.0, 0.5, 1.0])
pandas_is_here = all(importlib.util.find_spec(name) for name in ("pandas", "xarray"))


@pytest.fixture(scope="module")
def problem():
    decay = System(
        parameters={"k": mtk.Parameter(0.5, unit="1/s"), "tag": "a"},
        unknowns={
            "x": mtk.Unknown(2.0, unit="m", description="way"),
            "y": mtk.Unknown([1.0, 3.0], unit="m"),
        },
        derivatives=lambda t, u, p: {"x": -p.k * u.x, "y": -p.k * u.y},
        observed={"rate": lambda t, u, p: p.k * u.x},
    )
    return ODEProblem(decay, {}, (0.0, 1.0))


@pytest.fixture(scope="module")
def solve(problem):
    """One compiled solve for all tests: of one problem, and of a batch."""
    one = lambda k: mtk.solve(
        remake(problem, {"k": k}), diffrax.Tsit5(), saveat=TS, max_steps=100, throw=False
    )
    return jax.jit(one), jax.jit(jax.vmap(one))


@pytest.fixture(scope="module")
def solution(solve):
    return solve[0](0.5)


@pytest.fixture(scope="module")
def batch(solve):
    return solve[1](jnp.array([0.5, 1.0]))


def exact(k):
    return 2 * np.exp(-k * TS)


def test_dictionary(solution):
    found = solution.to_dict({"x": "x", "half": lambda t, u, p: u.x / 2, "k": "k"})
    assert list(found) == ["t", "x", "half", "k"]
    np.testing.assert_array_equal(found["half"], found["x"] / 2)
    assert solution.to_dict("rate").keys() == {"t", "rate"}
    assert [solution.is_series(n) for n in ("x", "rate", "t", "D(x)", "k")] == [True] * 4 + [False]


def test_derivative(solution):
    np.testing.assert_allclose(solution["D(x)"], -0.5 * solution["x"])
    np.testing.assert_allclose(solution["D(y)[1]"], -0.5 * solution["y"][:, 1])
    np.testing.assert_allclose(solution["D(rate)"], -0.5 * solution["rate"])


def test_pandas(solution, batch):
    pandas = pytest.importorskip("pandas")
    table = solution.to_pandas()
    assert list(table.columns) == ["x", "y[0]", "y[1]", "rate"]
    assert table.index.name == "t"
    np.testing.assert_allclose(table.loc[0.5, "x"], exact(0.5)[1], rtol=1e-5)
    assert table.attrs["units"] == {"x": "m", "y": "m"}
    assert table.attrs["descriptions"] == {"x": "way"}
    table = solution.to_pandas({"half": lambda t, u, p: u.x / 2, "k": "k"})
    assert table["k"].tolist() == [0.5, 0.5, 0.5]
    table = batch.to_pandas(["x", "k"])
    assert table.index.names == ["member", "t"]
    np.testing.assert_allclose(table.loc[1, "x"], exact(1.0), rtol=1e-5)
    assert table["k"].tolist() == [0.5] * 3 + [1.0] * 3
    assert isinstance(table, pandas.DataFrame)


def test_xarray(solution, batch):
    pytest.importorskip("xarray")
    data = solution.to_xarray(["x", "y", "k"])
    np.testing.assert_allclose(data["x"].sel(t=0.5), exact(0.5)[1], rtol=1e-5)
    assert data["x"].attrs == {"units": "m", "long_name": "way"}
    assert data["y"].dims == ("t", "y_0")
    assert data["k"].dims == ()
    data = batch.to_xarray(["y", "k", "rate"])
    assert data["y"].dims == ("member", "t", "y_0")
    assert data["k"].dims == ("member",)
    assert data["t"].dims == ("t",)
    mixed = jax.vmap(
        lambda end: mtk.Solution(
            ts=solution.ts * end,
            ys=solution.ys,
            p=solution.p,
            t0=solution.t0,
            t1=solution.t1,
            result=mtk.RESULTS.successful,
            stats={},
            interpolation=None,
            model=solution.model,
        )
    )(jnp.array([1.0, 2.0]))
    assert mixed.to_xarray(["x"])["t"].dims == ("member", "time")


@pytest.mark.parametrize("package", ["pandas", "xarray"])
def test_without_the_package(solution, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}.*pip install 'mtkparams\[table\]'"):
        getattr(solution, f"to_{package}")()


def test_plot(solution, batch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    ax = solution.plot()
    assert [line.get_label() for line in ax.lines] == ["x [m]", "y[0] [m]", "y[1] [m]"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("t", "[m]")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), exact(0.5), rtol=1e-5)
    same = solution.plot("x", ax=ax, color="black")
    assert same is ax
    assert ax.lines[-1].get_color() == "black"
    assert solution.plot("x").get_ylabel() == "way [m]"
    assert solution.plot({"half": lambda t, u, p: u.x / 2, "rate": "rate"}).get_ylabel() == ""
    lines = batch.plot("x")
    assert len(lines.lines) == 2
    assert lines.lines[0].get_color() == lines.lines[1].get_color()
    assert len(lines.get_legend_handles_labels()[0]) == 1
    pyplot.close("all")


@pytest.mark.slow
def test_plot_of_a_band(solve):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    many = solve[1](jnp.append(jnp.linspace(0.5, 1.0, 24), jnp.nan))
    ax = many.plot("x")
    (line,) = ax.lines
    median = np.median(2 * np.exp(-np.outer(np.linspace(0.5, 1.0, 24), TS)), axis=0)
    np.testing.assert_allclose(line.get_ydata(), median, rtol=1e-5)  # the failed one is left out
    assert len(ax.collections) == 1
    with pytest.raises(errors.KindError, match=r"'x \[m\]' has no finite member"):
        solve[1](jnp.full(21, jnp.nan)).plot(["x"])
    pyplot.close("all")


def test_room_for_steps_that_were_not_taken(problem):
    steps = mtk.solve(
        problem,
        diffrax.Tsit5(),
        saveat=diffrax.SaveAt(steps=True, t0=True, dense=True),
        max_steps=64,
    )
    assert np.isinf(steps.ts[-1])
    taken = int(np.isfinite(steps.ts).sum())
    assert str(steps).startswith(f"Solution: t = 0 .. 1, {taken} times, arrived")
    assert str(steps).splitlines()[2].split()[:4] == ["x", "m", "2", "1.2131"]
    # Drawn smoothly, where the interpolation was kept.
    pyplot = pytest.importorskip("matplotlib.pyplot")
    (line,) = steps.plot("rate").lines
    ts, values = line.get_data()
    assert len(ts) > taken
    np.testing.assert_allclose(values, np.exp(-0.5 * np.asarray(ts)), rtol=1e-5)
    pyplot.close("all")
    if pandas_is_here:
        assert len(steps.to_pandas()) == taken


def test_ensembles(problem):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    ensemble = mtk.solve_ensemble(
        problem, {"k": [0.5, 1.0]}, diffrax.Tsit5(), saveat=TS, max_steps=100
    )
    assert list(ensemble.to_dict(["x"])) == ["t", "x"]
    assert len(ensemble.plot("x").lines) == 2
    np.testing.assert_array_equal(mtk.getsym(problem, "x")(ensemble), ensemble["x"])
    assert mtk.getp(ensemble, "k")(ensemble).tolist() == [0.5, 1.0]
    pyplot.close("all")
    if pandas_is_here:
        assert ensemble.to_pandas("x").index.names == ["member", "t"]
        assert ensemble.to_xarray("x")["x"].dims == ("member", "t")


WRONG = {
    "text": (["tag"], "'tag' is str, which is no number to show"),
    "parameter": (["k"], "'k' is one value, and a plot is made of series"),
    "function without a label": ([lambda t, u, p: u.x], "An expression needs a label here"),
}


@pytest.mark.parametrize(("spec", "text"), WRONG.values(), ids=WRONG)
def test_wrong_plots(solution, spec, text):
    pytest.importorskip("matplotlib.pyplot")
    with pytest.raises(errors.KindError, match=text):
        solution.plot(spec)


def test_traced(solution):
    with pytest.raises(errors.KindError, match="this solution is traced"):
        jax.jit(lambda s: s.plot("x"))(solution)
    assert jax.jit(lambda s: s["x"] if str(s) == repr(s) else None)(solution) is not None


def test_text(solution, batch):
    lines = str(solution).splitlines()
    assert lines[0] == "Solution: t = 0 .. 1, 3 times, arrived"
    assert lines[1].split() == ["unit", "start", "end", "least", "greatest"]
    assert lines[2].split() == ["x", "m", "2", "1.2131", "1.2131", "2"]
    assert lines[3].startswith("y     m     [1, 3]")
    assert str(batch).splitlines()[0] == "Solution: 2 members, t = 0 .. 1, 3 times, 2 arrived"


def test_a_solution_owns_its_parameters(problem):
    whole = jax.tree.map(jnp.copy, problem)
    solution = mtk.solve(whole, diffrax.Tsit5(), saveat=TS)
    before = [np.asarray(v) for v in (solution["rate"], solution["k"], solution.t1)]
    assert not set(pointers(solution)) & set(pointers(whole))
    mtk.remake(whole, {"k": 7.0})
    mtk.setp(whole, "k")(whole, 8.0)
    jax.tree.map(lambda x: x.delete(), whole)  # as donation does
    for value, old in zip((solution["rate"], solution["k"], solution.t1), before, strict=True):
        np.testing.assert_array_equal(value, old)
