"""A solve by name is the program that one would write by hand with diffrax, counted in instructions."""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from speed.counts import compilations, equations, instructions

import mtkparams as mtk

TSIT = diffrax.Tsit5()
YEARS = np.arange(0.0, 21.0)
END = 20.0


@pytest.fixture(scope="module")
def problem():
    system = mtk.System(
        parameters={"alpha": 0.55, "beta": 0.028, "gamma": 0.80, "delta": 0.024},
        unknowns={"hare": 30.0, "lynx": 4.0},
        derivatives=lambda t, u, p: {
            "hare": p.alpha * u.hare - p.beta * u.hare * u.lynx,
            "lynx": p.delta * u.hare * u.lynx - p.gamma * u.lynx,
        },
    )
    return mtk.ODEProblem(system, {}, (0.0, END))


def by_hand(rates, adjoint=None, throw=True):
    """With a controller that ends where a step no longer moves the time, as that of `mtk.solve`."""

    def field(t, y, rates):
        alpha, beta, gamma, delta = rates
        hare, lynx = y
        return jnp.stack([alpha * hare - beta * hare * lynx, delta * hare * lynx - gamma * lynx])

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        TSIT,
        0.0,
        END,
        None,
        jnp.array([30.0, 4.0]),
        (rates[0], rates[1], rates[2], rates[3]),
        saveat=diffrax.SaveAt(ts=jnp.asarray(YEARS)),
        stepsize_controller=diffrax.PIDController(
            rtol=1e-6, atol=1e-9, dtmin=4 * float(np.finfo(float).eps) * END, force_dtmin=False
        ),
        adjoint=adjoint or diffrax.RecursiveCheckpointAdjoint(),
        max_steps=1000,
        throw=throw,
    )
    assert solution.ys is not None
    return solution.ys


def by_name(problem, rates, adjoint=None, throw=True):
    changed = mtk.remake(problem, p=mtk.replace(mtk.Tunable, problem.p, rates))
    options = {"saveat": YEARS, "adjoint": adjoint, "max_steps": 1000, "throw": throw}
    solution = mtk.solve(changed, TSIT, **options)
    return jnp.stack([solution["hare"], solution["lynx"]], axis=1)


@pytest.mark.parametrize(
    ("adjoint", "gradient"),
    [
        pytest.param(diffrax.ForwardMode(), jax.jacfwd, id="forward"),
        pytest.param(
            diffrax.RecursiveCheckpointAdjoint(), jax.grad, id="reverse", marks=pytest.mark.slow
        ),
        pytest.param(diffrax.DirectAdjoint(), jax.grad, id="direct", marks=pytest.mark.slow),
    ],
)
def test_a_gradient_step(problem, adjoint, gradient):
    v = problem.p.tunable
    loss = lambda ys: jnp.mean((ys - 20.0) ** 2)
    ours = instructions(gradient(lambda v: loss(by_name(problem, v, adjoint))), v)
    theirs = instructions(gradient(lambda v: loss(by_hand(v, adjoint))), v)
    assert ours <= 1.02 * theirs


@pytest.mark.slow
def test_a_gradient_step_of_a_solve_that_may_fail(problem):
    """NaN for a failed solve takes next to nothing, since only the rates are differentiated."""
    v = problem.p.tunable
    ours = instructions(jax.grad(lambda v: by_name(problem, v, throw=False).sum()), v)
    theirs = instructions(jax.grad(lambda v: by_hand(v, throw=False).sum()), v)
    assert ours <= 1.05 * theirs


@pytest.mark.slow
def test_an_ensemble(problem):
    """In chunks, against the same chunks by hand. Ours makes NaN of failed members besides."""
    rates = jnp.tile(problem.p.tunable[None], (40, 1))

    def ours(rates):
        values = dict(zip(problem.p.names(mtk.Tunable), rates.T, strict=True))
        options = {"saveat": YEARS, "max_steps": 1000, "throw": False, "chunk": 10}
        return mtk.solve_ensemble(problem, values, TSIT, output=lambda s: s.ys, **options).output

    theirs = lambda rates: jax.lax.map(lambda r: by_hand(r, throw=False), rates, batch_size=10)
    # Ten of these instructions know how small a step may be at the time that has been reached.
    assert instructions(ours, rates) <= 1.1 * instructions(theirs, rates)


def test_new_values_compile_nothing(problem):
    solve = lambda problem: mtk.solve(problem, TSIT, saveat=YEARS)["hare"]
    solve(mtk.remake(problem, {"alpha": 0.5, "hare": 20.0}, tspan=(0.0, 20.5)))
    changed = mtk.remake(problem, {"alpha": 0.6, "hare": 25.0}, tspan=(0.0, 21.0))
    assert compilations(lambda: solve(changed)) == 0


def test_a_hundred_scalar_equations():
    """Each name is read and written once, so the field by name is the field by hand."""
    n = 100
    force = lambda left, own, right: left - 2.0 * own + right
    neighbors = lambda i: ((i - 1) % n, i, (i + 1) % n)
    system = mtk.System(
        parameters={"k": 0.5},
        unknowns={f"x{i}": i / n for i in range(n)},
        derivatives=lambda t, u, p: {
            f"x{i}": p.k * force(*(u[f"x{j}"] for j in neighbors(i))) for i in range(n)
        },
    )
    problem = mtk.ODEProblem(system)

    def by_hand(t, y, k):
        x = jnp.unstack(y)
        return jnp.stack([k[0] * force(*(x[j] for j in neighbors(i))) for i in range(n)])

    y, t = jnp.arange(100.0), jnp.array(0.0)
    ours = equations(problem.model.derivative, t, y, problem.p)
    theirs = equations(by_hand, t, y, problem.p.tunable)
    assert ours["split"] <= 2  # of the unknowns and of the parameters
    assert sum(ours.values()) <= sum(theirs.values()) + 3
