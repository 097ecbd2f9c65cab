"""How a solve, a start, a root and an ensemble ended: one enumeration, one truth value, one report."""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest

import mtkparams as mtk
from mtkparams import ODEProblem, System, remake
from mtkparams._problems.integrate.results import of_diffrax
from mtkparams._results import NAMES, choose, number, succeeded

TSIT = diffrax.Tsit5()


@pytest.fixture(scope="module")
def circle():
    system = System(
        parameters={"r": 5.0},
        unknowns={"x": 3.0, "y": mtk.Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": 0.0 * u.y},
        residuals=lambda t, u, p: {"on circle": u.x**2 + u.y**2 - p.r**2},
    )
    return ODEProblem(system)


# The enumeration


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (diffrax.RESULTS.successful, "successful"),
        (diffrax.RESULTS.event_occurred, "event_occurred"),
        (diffrax.RESULTS.max_steps_reached, "max_steps_reached"),
        (diffrax.RESULTS.dt_min_reached, "dt_min_reached"),
        (diffrax.RESULTS.max_steps_rejected, "max_steps_rejected"),
        (diffrax.RESULTS.nonlinear_divergence, "nonlinear_solve_failed"),
        (diffrax.RESULTS.promote(optimistix.RESULTS.singular), "linear_solve_failed"),
        (diffrax.RESULTS.nonfinite_input, "not_finite"),
        (diffrax.RESULTS.internal_error, "internal_error"),
    ],
)
def test_what_diffrax_says(theirs, ours):
    result = of_diffrax(theirs)
    assert result == getattr(mtk.RESULTS, ours)
    assert bool(succeeded(result)) == bool(diffrax.is_okay(theirs))


def test_every_cause_of_diffrax_has_one():
    """In a batch as well, and only what diffrax calls its own fault is an error without a name."""
    names = list(diffrax.RESULTS._name_to_item)
    batch = jax.vmap(lambda n: jax.tree.map(lambda _: n, diffrax.RESULTS.successful))(
        jnp.arange(len(names))
    )
    ours = [NAMES[n] for n in number(of_diffrax(batch)).tolist()]
    assert [t for t, o in zip(names, ours, strict=True) if o == "internal_error"] == [
        "internal_error"
    ]


def test_names_are_in_the_order_of_their_numbers():
    assert len(NAMES) == len(mtk.RESULTS)
    assert [int(number(getattr(mtk.RESULTS, name))) for name in NAMES] == list(range(len(NAMES)))
    worked = [name for name in NAMES if bool(succeeded(getattr(mtk.RESULTS, name)))]
    assert worked == [
        "successful", "event_occurred", "converged", "steps_done", "patience_spent", "no_search",
    ]  # fmt: skip


def test_choices_are_traced_and_batched():
    good = jnp.array([True, False])
    choice = lambda good: choose(good, mtk.RESULTS.event_occurred, mtk.RESULTS.singular)
    for result in (choice(good), jax.jit(choice)(good), jax.vmap(choice)(good)):
        assert succeeded(result).tolist() == [True, False]
        assert (result == mtk.RESULTS.singular).tolist() == [False, True]
    with pytest.raises(ValueError, match="enumerations of the same type"):
        _ = choice(good) == diffrax.RESULTS.singular


@pytest.mark.parametrize(
    ("old", "new"), [("Ensemble", "EnsembleSolution"), ("InitializationResult", "RESULTS")]
)
def test_old_names_say_the_new_ones(old, new):
    with pytest.raises(AttributeError, match=f"no attribute '{old}': it is mtk.{new} now"):
        getattr(mtk, old)


# What solves say


def test_a_solve_that_arrives(blow_up):
    solution = mtk.solve(remake(blow_up, {"k": 0.1}), TSIT)
    assert solution.succeeded
    assert solution.result == mtk.RESULTS.successful
    report = solution.report()
    assert report.counts == {"successful": 1}
    assert report.failed == ()
    assert report.steps["taken"] == solution.stats["num_steps"]
    first, second = str(report).splitlines()
    assert first == "Solve: successful: It arrived."
    assert second.startswith(f"{report.steps['taken']} steps, ")


@pytest.mark.parametrize(
    ("options", "result", "text"),
    [
        ({}, mtk.RESULTS.dt_min_reached, "Solve: dt_min_reached: The step size went to zero"),
        ({"max_steps": 5}, mtk.RESULTS.max_steps_reached, "Solve: max_steps_reached: It did not"),
        (
            {"event": diffrax.Event(lambda t, y, args, **_: y[0] - 2.0)},
            mtk.RESULTS.event_occurred,
            "Solve: event_occurred: An event ended it",
        ),
    ],
)
def test_how_a_solve_ends(blow_up, options, result, text):
    solution = mtk.solve(blow_up, TSIT, throw=False, **options)
    assert solution.result == result
    assert bool(solution.succeeded) == (result is mtk.RESULTS.event_occurred)
    assert str(solution.report()).startswith(text)


def test_members_of_a_batch(blow_up):
    """Also as they are asked for inside of a program."""

    @jax.jit
    @jax.vmap
    def run(k):
        solution = mtk.solve(remake(blow_up, {"k": k}), TSIT, throw=False)
        assert str(solution.report()) == "Solve, traced: how it ended is not known yet."
        return solution, solution.succeeded

    solution, good = run(jnp.array([0.1, 1.0]))
    assert good.tolist() == solution.succeeded.tolist() == [True, False]
    lines = str(solution.report()).splitlines()
    assert lines[:2] == ["Solve: 2 members, 1 failed", "1 successful: It arrived."]
    assert lines[3] == "Failed: 1"


def test_ensembles(blow_up):
    ensemble = mtk.solve_ensemble(blow_up, {"k": [0.1, 1.0]}, TSIT, throw=False)
    report = ensemble.report()
    assert report.counts == {"successful": 1, "dt_min_reached": 1}
    assert report.failed == (1,)
    assert "Failed: 1 (k=1)" in str(report)
    with pytest.raises(mtk.errors.SolveError, match="ensemble.succeeded tells which"):
        mtk.solve_ensemble(blow_up, {"k": [0.1, 1.0]}, TSIT)


def test_starts_and_roots(circle):
    init = mtk.initialize(circle)
    assert init.succeeded
    failed = mtk.initialize(remake(circle, {"r": 1.0}), throw=False)
    assert not failed.succeeded
    assert failed.result == mtk.RESULTS.not_converged
    system = System(
        parameters={"c": 4.0},
        unknowns={"x": mtk.Unknown(guess=1.0)},
        residuals=lambda t, u, p: {"e": u.x**2 - p.c},
    )
    root = mtk.NonlinearProblem(system)
    run = jax.vmap(lambda c: mtk.solve(remake(root, {"c": c}), throw=False))
    roots = run(jnp.array([4.0, -1.0, 0.0]))
    assert roots.succeeded.tolist() == [True, False, False]
    np.testing.assert_array_equal(roots.result == mtk.RESULTS.not_converged, [False, True, False])
    np.testing.assert_array_equal(roots.result == mtk.RESULTS.singular, [False, False, True])


def test_a_solve_reports_its_start(circle):
    solution = mtk.solve(circle, TSIT)
    assert str(solution.report()).splitlines()[2].startswith("Initialization: 1 value in 1 block")
    failed = mtk.solve(remake(circle, {"r": 1.0}), TSIT, throw=False)
    assert failed.result == mtk.RESULTS.no_consistent_start
    assert str(failed.report()).startswith("Solve: no_consistent_start: There is no consistent")
