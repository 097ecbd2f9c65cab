"""Systems with algebraic unknowns: values, derivatives, branches, jumps, and how they are read."""

from __future__ import annotations

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from speed.counts import compilations

import mtkparams as mtk
from mtkparams import ODEProblem, System, Unknown, errors, remake

TSIT = diffrax.Tsit5()

# The cubic chain of SciMLSensitivity's tests (desauty_dae_mwe), at t = 0, 0.01, ..., 0.1, and its
# derivatives with respect to a, b, c and x(0). From a solve of the reduced equation in x with its
# variational equations by DOP853 at 1e-12, checked by finite differences.
CHAIN_TS = np.linspace(0.0, 0.1, 11)
CHAIN_AT = np.array([-0.5, 2.0, 1.5, 1.0])
CHAIN_LOSS = 32.75862346128399
CHAIN_SLOPE = np.array(
    [0.972840793658237, 4.406921763610505, 3.728548685693162, 18.808284369059244]
)
CHAIN_END = np.array([1.1375291200803814, 1.0654787731733852, 0.8909616118026232])


@pytest.fixture(scope="module")
def chain():
    system = System(
        parameters={"a": -0.5, "b": 2.0, "c": 1.5},
        unknowns={"x": 1.0, "y": Unknown(guess=1.0), "z": Unknown(guess=0.5)},
        derivatives=lambda t, u, p: {"x": p.a * u.x + u.y + u.z},
        residuals=lambda t, u, p: {
            "y_eq": u.y**3 + u.y - p.b * u.x,
            "z_eq": u.z**3 + u.z - p.c * u.y,
        },
        observed={"sum": lambda t, u, p: u.x + u.y + u.z},
    )
    return ODEProblem(system, {}, (0.0, 0.1))


def residuals(solution):
    """The largest residual at any save time, of any equation."""

    def at(t: Any, y: Any) -> Any:
        found = solution.model.residuals(t, y, solution.p)
        return jnp.stack([jnp.max(jnp.abs(value)) for value in found.values()])

    return float(jax.vmap(at)(solution.ts, solution.ys).max())


def chain_loss(problem, v, solver=TSIT, adjoint=None, **options):
    new = remake(problem, {"a": v[0], "b": v[1], "c": v[2], "x": v[3]})
    tol: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-9}
    solution = mtk.solve(new, solver, saveat=CHAIN_TS, adjoint=adjoint, **tol, **options)
    return solution["sum"].sum(), solution


def check_chain(problem, *, forward, solver: Any = TSIT, **options):
    adjoint = diffrax.ForwardMode() if forward else None
    loss = lambda v: chain_loss(problem, v, solver, adjoint, **options)
    differentiate = jax.jacfwd if forward else jax.jacrev
    slope, (value, solution) = jax.jit(
        differentiate(lambda v: (lambda x, s: (x, (x, s)))(*loss(v)), has_aux=True)
    )(jnp.asarray(CHAIN_AT))
    np.testing.assert_allclose(value, CHAIN_LOSS, rtol=1e-8)
    np.testing.assert_allclose(slope, CHAIN_SLOPE, rtol=1e-6)
    return solution


@pytest.mark.slow
def test_cubic_chain_in_reverse(chain):
    check_chain(chain, forward=False)


def test_cubic_chain_forward(chain):
    solution = check_chain(chain, forward=True)
    np.testing.assert_allclose([solution[n][-1] for n in "xyz"], CHAIN_END, rtol=1e-8)
    np.testing.assert_allclose([solution[n][0] for n in "yz"], [1.0, 0.8612240997395735])
    assert solution.ys.shape == (11, 3)
    assert residuals(solution) < 1e-12
    assert set(solution.u0) == {"x", "y", "z"}


@pytest.mark.slow
@pytest.mark.parametrize("forward", [True, False], ids=["forward", "reverse"])
def test_cubic_chain_with_an_implicit_solver(chain, forward):
    assert residuals(check_chain(chain, forward=forward, solver=diffrax.Kvaerno5())) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("forward", [True, False], ids=["forward", "reverse"])
def test_cubic_chain_without_blocks(chain, forward):
    check_chain(chain, forward=forward, blocks=False)


@pytest.mark.slow
@pytest.mark.parametrize("forward", [True, False], ids=["forward", "reverse"])
def test_cubic_chain_with_nan_for_failure(chain, forward):
    check_chain(chain, forward=forward, throw=False)


@pytest.mark.slow
def test_second_derivatives(chain):
    direct: Any = diffrax.DirectAdjoint()
    loss = lambda v: chain_loss(chain, v, adjoint=direct, max_steps=64)[0]
    v = jnp.asarray(CHAIN_AT)
    hessian = jax.jit(jax.hessian(loss))(v)
    slope = jax.jit(jax.grad(lambda v: chain_loss(chain, v)[0]))
    step = 1e-5  # rounding leaves 1e-9 of a slope of 20, the step's square 1e-10
    ways = step * np.eye(4)
    finite = np.stack([(slope(v + way) - slope(v - way)) / (2 * step) for way in ways])
    np.testing.assert_allclose(hessian, finite, rtol=1e-5, atol=1e-6)


# Branches

MULTI_TS = np.linspace(0.0, 5.4, 13)


@pytest.fixture(scope="module")
def multi():
    """Solutions that are pi apart, of which z = 2 t + exp(-t) / 2 goes on from the start."""
    system = System(
        unknowns={"x": 1.0, "z": Unknown(guess=0.6)},
        derivatives=lambda t, u, p: {"x": -u.x},
        residuals=lambda t, u, p: {"g": jnp.sin(u.z - 2 * t - 0.5 * u.x)},
    )
    return ODEProblem(system, {}, (0.0, 5.4))


def multi_z(ts):
    return 2 * ts + 0.5 * np.exp(-ts)


@pytest.mark.slow
def test_steps_that_are_longer_than_branches_are_apart(multi):
    options: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-6, "dense": True, "max_steps": 32}
    solution = mtk.solve(multi, TSIT, saveat=MULTI_TS, **options)
    np.testing.assert_allclose(solution["z"], multi_z(MULTI_TS), atol=1e-3)
    assert solution.stats["num_steps"] < 12  # on average further than pi / 2 in z
    assert residuals(solution) < 1e-12
    # Between the save times likewise.
    between = np.array([0.3, 1.7, 5.1])
    np.testing.assert_allclose(solution(between, "z"), multi_z(between), atol=1e-3)
    found = solution(between)
    np.testing.assert_allclose(np.sin(found["z"] - 2 * between - 0.5 * found["x"]), 0.0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("solver", [diffrax.Dopri8(), diffrax.Kvaerno3(), "auto"], ids=str)
def test_branches_with_other_solvers(multi, solver):
    solution = mtk.solve(multi, solver, saveat=MULTI_TS, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(solution["z"], multi_z(MULTI_TS), atol=1e-4)
    assert residuals(solution) < 1e-12


@pytest.mark.slow
def test_lower_branch_forwards_and_back():
    circle = System(
        unknowns={"x": 0.0, "z": Unknown(guess=-0.5)},
        derivatives=lambda t, u, p: {"x": -u.z},
        residuals=lambda t, u, p: {"g": u.z**2 + u.x**2 - 1.0},
    )
    problem = ODEProblem(circle, {}, (0.0, 1.4))
    there = mtk.solve(problem, TSIT, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(
        [there["x"][1], -there["z"][1]], [np.sin(1.4), np.cos(1.4)], rtol=1e-6
    )
    turned = remake(problem, {"x": np.sin(1.4)}, tspan=(1.4, 0.0))
    back = mtk.solve(turned, TSIT, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose([back["x"][1], back["z"][1]], [0.0, -1.0], atol=1e-6)


@pytest.fixture(scope="module")
def jump():
    """An input that jumps from 0 to 10 at t = 1, and the algebraic unknown with it from 0 to 2."""
    system = System(
        unknowns={"x": 0.0, "z": Unknown(guess=0.0)},
        derivatives=lambda t, u, p: {"x": -u.x + u.z},
        residuals=lambda t, u, p: {"g": u.z**3 + u.z - jnp.where(t < 1.0, 0.0, 10.0)},
    )
    return ODEProblem(system, {}, (0.0, 2.0))


def check_jump(solution):
    np.testing.assert_allclose(solution["z"], [0.0, 2.0, 2.0], atol=1e-12)
    exact = [0.0, 2 * (1 - np.exp(-0.5)), 2 * (1 - np.exp(-1.0))]
    np.testing.assert_allclose(solution["x"], exact, atol=1e-6)


@pytest.mark.slow
def test_an_input_that_jumps(jump):
    check_jump(mtk.solve(jump, TSIT, saveat=[0.5, 1.5, 2.0], rtol=1e-7))


@pytest.mark.slow
def test_an_input_that_jumps_at_a_known_time(jump):
    inner = diffrax.PIDController(rtol=1e-7, atol=1e-9)
    controller = diffrax.ClipStepSizeController(inner, jump_ts=[1.0])
    solver = diffrax.Kvaerno3()
    solution = mtk.solve(
        jump, solver, saveat=[0.5, 1.5, 2.0], stepsize_controller=controller, max_steps=300
    )
    check_jump(solution)
    assert solution.stats["num_rejected_steps"] < 10


# Save functions and events


@pytest.mark.slow
def test_functions_of_the_solution_see_solved_unknowns(multi):
    """An event at z = 6, and what `SaveAt(fn=)` and the event's condition are called with."""
    gap = lambda y, t: y[1] - 2 * t - 0.5 * y[0]
    saveat = diffrax.SaveAt(ts=[0.5, 1.0], fn=lambda t, y, args: gap(y, t))
    event = diffrax.Event(
        lambda t, y, args, **more: y[1] - 6.0 + 0.0 * args.tunable.sum(),
        optx.Newton(1e-9, 1e-9),
    )
    solution = mtk.solve(multi, TSIT, saveat=saveat, event=event, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(solution.ys, 0.0, atol=1e-12)
    ended = mtk.solve(
        multi, TSIT, saveat=diffrax.SaveAt(t1=True), event=event, rtol=1e-7, atol=1e-9
    )
    np.testing.assert_allclose(ended["z"], [6.0], rtol=1e-6)


# Precision and kinds of unknowns


@pytest.mark.slow
def test_32_bits():
    system = System(
        parameters={"k": np.float32(2.0)},
        unknowns={"x": Unknown(np.float32(1.0)), "z": Unknown(guess=np.zeros(2, np.float32))},
        derivatives=lambda t, u, p: {"x": -u.z.sum()},
        residuals=lambda t, u, p: {"g": u.z + u.z**3 - p.k * u.x * jnp.ones(2, jnp.float32)},
    )
    problem = ODEProblem(system, {}, (0.0, 1.0))
    assert problem.t0.dtype == jnp.float32
    solution = mtk.solve(problem, TSIT, rtol=1e-4, atol=1e-6)
    assert solution["z"].dtype == jnp.float32
    z = np.asarray(solution["z"], float)
    x = np.asarray(solution["x"], float)
    np.testing.assert_allclose(z + z**3, 2 * np.stack([x, x], 1), rtol=1e-5)
    double = ODEProblem(
        System(
            unknowns={"x": 1.0, "z": Unknown(guess=0.0)},
            derivatives=lambda t, u, p: {"x": -2 * u.z},
            residuals=lambda t, u, p: {"g": u.z + u.z**3 - 2 * u.x},
        )
    )
    np.testing.assert_allclose(x[-1], mtk.solve(double, TSIT)["x"][-1], rtol=1e-3)


# Wrong calls, and what is compiled


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"atol": {"z": 1e-9}}, "'z' in atol= is algebraic: its equation holds at each step"),
        (
            {"adjoint": diffrax.BacksolveAdjoint()},
            "BacksolveAdjoint does not know of algebraic equations",
        ),
    ],
)
def test_options_that_know_nothing_of_algebraic_equations(multi, options, text):
    with pytest.raises(errors.KindError, match=text):
        mtk.solve(multi, TSIT, **options)


@pytest.mark.slow
def test_new_values_compile_nothing(chain):
    """Outside of `jit` as well: start, steps, saves and values in between."""

    def run(b):
        new = remake(chain, {"b": b})
        solution = mtk.solve(new, TSIT, saveat=CHAIN_TS, dense=True, max_steps=64)
        return solution["z"], solution(0.05, "z"), solution.u0["y"]

    run(2.0)
    assert compilations(lambda: run(2.1)) == 0


@pytest.mark.slow
def test_an_ensemble_with_a_member_without_a_start():
    system = System(
        parameters={"k": 4.0},
        unknowns={"x": 1.0, "z": Unknown(guess=1.0)},
        derivatives=lambda t, u, p: {"x": u.z},
        residuals=lambda t, u, p: {"square": u.z**2 - p.k},
    )
    ks = jnp.array([4.0, -1.0, 1.0])
    found = mtk.solve_ensemble(ODEProblem(system), {"k": ks}, TSIT, throw=False)
    np.testing.assert_allclose(found["x"][:, -1], [3.0, np.nan, 2.0], rtol=1e-6)
    np.testing.assert_allclose(found["z"][:, -1], [2.0, np.nan, 1.0], rtol=1e-12)
