"""Ensembles: against a loop of solves, failed members, derivatives, chunks."""

from __future__ import annotations

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from speed.counts import compilations

import mtkparams as mtk
from mtkparams import ODEProblem, System, errors, remake, solve_ensemble
from mtkparams._problems.ensemble import _Plan

TSIT = diffrax.Tsit5()
TS = np.array([0.5, 1.0, 1.5])
KS = np.array([0.2, 0.3, 1.0, 0.4, 0.5])  # x = x0 / (1 - k t x0): 1.0 blows up at t = 1
GOOD = KS < 0.6


@pytest.fixture(scope="module")
def problem():
    system = System(
        parameters={"k": 1.0, "w": mtk.Parameter([1.0, 2.0], tunable=False)},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": p.k * u.x**2 * p.w[0]},
        observed={"double": lambda t, u, p: p.w[1] * u.x},
    )
    return ODEProblem(system, {}, (0.0, 1.5))


def exact(k, t, x: Any = 1.0):
    return x / (1 - k * t * x)


@pytest.fixture(scope="module")
def ensemble(problem):
    return solve_ensemble(problem, {"k": KS}, TSIT, saveat=TS, chunk=2, throw=False)


def test_reading(ensemble):
    assert len(ensemble) == 5
    assert ensemble.ts.shape == (5, 3)
    np.testing.assert_allclose(
        ensemble["x"][GOOD], exact(KS[GOOD, None], TS[None]), rtol=1e-5, atol=0
    )
    assert ensemble["double"].shape == (5, 3)
    np.testing.assert_array_equal(ensemble["k"], KS)
    np.testing.assert_array_equal(ensemble.p["k"], KS)
    assert ensemble["w"].shape == (5, 2)
    assert set(ensemble[{"a": "x", "b": "k"}]) == {"a", "b"}
    assert "x" in ensemble
    assert "nothing" not in ensemble
    with pytest.raises(errors.UnknownNameError, match="No 'y' among"):
        ensemble["y"]


def test_members(ensemble, problem):
    members = list(ensemble)
    assert len(members) == 5
    for k, member in zip(KS[GOOD], np.array(members, dtype=object)[GOOD], strict=True):
        alone = mtk.solve(remake(problem, {"k": k}), TSIT, saveat=TS)
        np.testing.assert_allclose(member["x"], alone["x"], rtol=1e-12)
        assert member["k"] == k
    assert ensemble[-1]["k"] == KS[-1]
    np.testing.assert_array_equal(ensemble[1:3]["k"], KS[1:3])
    np.testing.assert_array_equal(ensemble[np.array([4, 0])].values["k"], KS[[4, 0]])
    with pytest.raises(IndexError, match="No member 5: the ensemble has 5"):
        ensemble[5]
    with pytest.raises(IndexError, match="2 truth values for an ensemble of 5"):
        ensemble[np.array([True, False])]


def test_failed_members(ensemble):
    np.testing.assert_array_equal(ensemble.succeeded, GOOD)
    assert np.isnan(ensemble["x"][2]).all()
    assert ensemble[2].result == mtk.RESULTS.dt_min_reached
    assert repr(ensemble) == "EnsembleSolution(5 members, 1 failed; k)"
    good = ensemble[ensemble.succeeded]
    assert (len(good), repr(good)) == (4, "EnsembleSolution(4 members; k)")


@pytest.mark.slow
def test_errors_name_the_failed_members(problem):
    values = {"k": [0.1, 1.0, 2.0, 0.2, 3.0, 4.0], "x": np.ones(6)}
    with pytest.raises(errors.SolveError) as caught:
        solve_ensemble(problem, values, TSIT)
    text = str(caught.value)
    assert text.startswith("4 of 6 members failed: 1 (k=1, x=1), 2 (k=2, x=1), 4 (k=3, x=1), ...")
    assert "The step size went to zero (unknowns x)" in text
    assert "(4 of them.)" in text
    assert "throw=False" in text
    run = jax.jit(lambda ks: solve_ensemble(problem, {"k": ks}, TSIT)["x"])
    with pytest.raises(Exception, match="Some members of the ensemble failed. The step size went"):
        run(jnp.array(values["k"])).block_until_ready()


def test_all_kinds_of_values(problem):
    """Arrays, unknowns, rules for all, single entries."""
    ws = np.array([[1.0, 2.0], [0.5, 1.0], [0.25, 3.0]])
    values = {"w": ws, "k": [0.1, 0.2, 0.3], "x": lambda p: 2 * p.k}
    ensemble = solve_ensemble(problem, values, TSIT)
    ks = np.array(values["k"])
    last = exact(ks * ws[:, 0], 1.5, 2 * ks)
    np.testing.assert_allclose(ensemble["x"][:, -1], last, rtol=1e-5)
    np.testing.assert_allclose(ensemble["double"][:, -1], last * ws[:, 1], rtol=1e-5)
    ensemble = solve_ensemble(problem, {"w[0]": [0.5, 1.0], "k": [0.1, 0.2]}, TSIT)
    np.testing.assert_allclose(ensemble["x"][:, -1], exact(np.array([0.05, 0.2]), 1.5), rtol=1e-5)


@pytest.mark.slow
def test_batches_of_problems(problem):
    ks = [0.1, 0.2, 0.3]
    right = exact(np.array(ks), 1.5)
    spans = mtk.stack([remake(problem, {"k": k}, tspan=(0.0, 5 * k)) for k in ks])
    ensemble = solve_ensemble(spans, solver=TSIT)
    np.testing.assert_allclose(
        ensemble["x"][:, -1], exact(np.array(ks), 5 * np.array(ks)), rtol=1e-5
    )
    batch = mtk.batch(problem, {"k": ks})
    np.testing.assert_allclose(solve_ensemble(batch, solver=TSIT)["x"][:, -1], right, rtol=1e-5)
    ensemble = solve_ensemble(batch, {"x": [1.0, 0.5, 0.25]}, TSIT)
    last = exact(np.array(ks), 1.5, np.array([1.0, 0.5, 0.25]))
    np.testing.assert_allclose(ensemble["x"][:, -1], last, rtol=1e-5)
    with pytest.raises(errors.ShapeError, match=r"have \[2, 3\] members"):
        solve_ensemble(batch, {"x": [1.0, 2.0]}, TSIT)


@pytest.mark.slow
def test_networks():
    keys = jax.random.split(jax.random.key(0), 3)
    make = lambda key: eqx.nn.MLP(1, 1, 3, 1, activation=jnp.tanh, key=key)
    one = ODEProblem(
        System(
            parameters={"net": make(keys[0])},
            unknowns={"x": [1.0]},
            derivatives=lambda t, u, p: {"x": p.net(u.x)},
        )
    )
    ensemble = solve_ensemble(one, {"net": eqx.filter_vmap(make)(keys)}, TSIT)
    alone = [mtk.solve(remake(one, {"net": make(key)}), TSIT)["x"] for key in keys]
    np.testing.assert_allclose(ensemble["x"], alone, rtol=1e-10)


def test_output(problem):
    traces = []

    def last(solution):
        traces.append(1)
        return {"x": solution["x"][-1], "steps": solution.stats["num_steps"]}

    run = lambda ks: solve_ensemble(problem, {"k": ks}, TSIT, output=last)
    ensemble = run([0.1, 0.2])
    np.testing.assert_allclose(ensemble.output["x"], exact(np.array([0.1, 0.2]), 1.5), rtol=1e-5)
    assert ensemble.output["steps"].shape == (2,)
    assert ensemble[1]["x"] == ensemble.output["x"][1]
    with pytest.raises(errors.KindError, match="kept what output= returned"):
        ensemble["x"]
    before = len(traces)
    again = solve_ensemble(remake(problem, {"x": 0.5}), {"k": [0.3, 0.4]}, TSIT, output=last)
    assert len(traces) == before, "new values were traced again"
    np.testing.assert_allclose(again.output["x"], exact(np.array([0.3, 0.4]), 1.5, 0.5), rtol=1e-5)


def test_a_lambda_written_anew_is_not_compiled_anew(problem):
    def run(ks):
        return solve_ensemble(problem, {"k": ks}, TSIT, output=lambda s: s["x"][-1] ** 2).output

    ks = jnp.array([0.1, 0.2])
    run(ks)
    assert compilations(lambda: run(ks + 0.1)) <= 1  # the sum, unless it was compiled before


@pytest.mark.slow
def test_between_save_times(problem):
    ensemble = solve_ensemble(problem, {"k": [0.1, 0.2]}, TSIT, dense=True, max_steps=50)
    np.testing.assert_allclose(ensemble(0.7, "x"), exact(np.array([0.1, 0.2]), 0.7), rtol=1e-4)


@pytest.mark.parametrize(
    ("values", "options", "kind", "text"),
    [
        ({"k": 0.5}, {}, errors.ShapeError, "'k' has one value, and no axis of members in front"),
        ({}, {}, errors.ShapeError, "No values are given, and so no members"),
        (
            {"k": [0.1, 0.2], "x": [1.0]},
            {},
            errors.ShapeError,
            "different numbers of members: 'k' 2, 'x' 1",
        ),
        ({"k": np.zeros(0)}, {}, errors.ShapeError, "an ensemble of no members"),
        ({"kk": [0.1]}, {}, errors.UnknownNameError, "Did you mean 'k'"),
        ({"w": [0.1, 0.2]}, {}, errors.ShapeError, r"'w' has shape \(2,\).* got \(\)"),
        ({"k": [0.1]}, {"chunk": 0}, errors.KindError, "chunk= is a positive whole number, got 0"),
        ({"k": [0.1]}, {"memory": 0}, errors.KindError, "memory= is a positive whole number"),
        ({"k": [0.1]}, {"devices": []}, errors.KindError, "got an empty one"),
        ({"k": [0.1]}, {"step": 1.0}, errors.UnknownOptionError, "no option 'step'"),
        (
            {"k": [0.1]},
            {"chunks": 10},
            errors.UnknownOptionError,
            r"mtk.solve_ensemble has no option 'chunks'. Did you mean 'chunk'",
        ),
        ({"k": [0.1]}, {"savat": TS}, errors.UnknownOptionError, "Did you mean 'saveat'"),
    ],
)
def test_wrong_calls(problem, values, options, kind, text):
    with pytest.raises(kind, match=text):
        solve_ensemble(problem, values, TSIT, **options)


# Chunks


@pytest.mark.parametrize(
    ("size", "chunk", "count"), [(10_000, 1000, 1), (13, 3, 8), (3, 5, 8), (7, 7, 2)]
)
def test_plans(size, chunk, count):
    plan = _Plan.of(size, chunk, tuple(range(count)))
    assert plan.width <= chunk
    assert size <= plan.room < size + len(plan.devices) * plan.chunks
    assert len(plan.devices) == min(size, count)


@pytest.mark.slow
def test_a_bound_in_bytes(problem):
    """What XLA reserves: 64 members of 100 times and values, at once or ten at a time."""
    ts = np.linspace(0.0, 1.5, 100)

    def reserved(memory):
        def last(ks):
            options = {"saveat": ts, "output": lambda solution: solution["x"][-1]}
            return solve_ensemble(problem, {"k": ks}, TSIT, memory=memory, **options).output

        program = jax.jit(last).lower(jnp.full(64, 0.1)).compile()
        found = program.memory_analysis()
        assert found is not None
        return found.temp_size_in_bytes

    assert reserved(10 * 2000) < reserved(10**9) / 4


# Derivatives


@pytest.mark.slow
def test_failed_members_have_derivatives_that_are_not_numbers(problem):
    """In chunks, and shared values get the derivative of the members that arrived."""

    def mean(z, ks):
        own = remake(problem, {"x": z})
        found = solve_ensemble(
            own, {"k": ks}, TSIT, throw=False, chunk=2, output=lambda s: s["x"][-1]
        )
        return jnp.nanmean(found.output), found.output

    (_, values), (shared, slopes) = jax.jit(jax.value_and_grad(mean, argnums=(0, 1), has_aux=True))(
        1.0, jnp.asarray(KS)
    )
    good = KS[GOOD]
    np.testing.assert_allclose(values[GOOD], exact(good, 1.5), rtol=1e-5)
    np.testing.assert_allclose(shared, (1 / (1 - 1.5 * good) ** 2).mean(), rtol=1e-4)
    np.testing.assert_allclose(slopes[GOOD], 1.5 * exact(good, 1.5) ** 2 / 4, rtol=1e-4)
    assert np.isnan(values[2])
