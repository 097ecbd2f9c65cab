"""Into diffrax and back: nobody is locked in, and nothing is lost on the way."""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from speed.counts import instructions

import mtkparams as mtk
from mtkparams import ODEProblem, System, errors

TS = np.linspace(1.0, 5.0, 5)
V = np.array([0.55, 0.028, 0.8, 0.024])
OPTIONS = {
    "saveat": diffrax.SaveAt(ts=jnp.asarray(TS)),
    "stepsize_controller": diffrax.PIDController(rtol=1e-6, atol=1e-9),
    "max_steps": 200,
    "throw": False,
}


def field(t, y, args):
    alpha, beta, gamma, delta = args
    hare, lynx = y
    return jnp.stack([alpha * hare - beta * hare * lynx, delta * hare * lynx - gamma * lynx])


@pytest.fixture(scope="module")
def problem():
    names = ("alpha", "beta", "gamma", "delta")
    system = System.from_vector_field(
        field,
        unknowns={"hare": 30.0, "lynx": 4.0},
        parameters=dict(zip(names, V.tolist(), strict=True)),
        args=names,
    )
    return ODEProblem(system, {}, (0.0, 5.0))


def by_hand(v):
    term, y0 = diffrax.ODETerm(field), jnp.array([30.0, 4.0])
    solution = diffrax.diffeqsolve(term, diffrax.Tsit5(), 0.0, 5.0, None, y0, tuple(v), **OPTIONS)
    assert solution.ys is not None
    return solution.ys[:, 0]


def by_name(v, problem):
    problem = mtk.replace(mtk.Tunable, problem, v)
    term, _, _, y0, args = mtk.to_diffrax(problem)
    solution = diffrax.diffeqsolve(term, diffrax.Tsit5(), 0.0, 5.0, None, y0, args, **OPTIONS)
    return mtk.from_diffrax(problem, solution)["hare"]


@pytest.mark.slow
def test_the_same_numbers_and_no_more_instructions(problem):
    ours = lambda v: by_name(v, problem)
    np.testing.assert_array_equal(jax.jit(ours)(V), jax.jit(by_hand)(V))
    loss = lambda f: jax.grad(lambda v: (f(v) ** 2).sum())
    assert instructions(loss(ours), V) <= 1.02 * instructions(loss(by_hand), V)


def test_back_by_name(problem):
    term, t0, t1, y0, args = found = mtk.to_diffrax(problem)
    assert (found.t0, found.t1) == (t0, t1) == (0.0, 5.0)
    bare = diffrax.diffeqsolve(
        term,
        diffrax.Tsit5(),
        t0,
        t1,
        0.1,
        y0,
        args,
        saveat=diffrax.SaveAt(steps=True),
        max_steps=64,
    )
    solution = mtk.from_diffrax(problem, bare)
    np.testing.assert_array_equal(solution["lynx"], np.asarray(bare.ys)[:, 1])
    assert solution["alpha"] == 0.55
    assert solution.result == mtk.RESULTS.successful


def test_what_is_found_at_the_start():
    system = System(
        parameters={"q": mtk.Parameter(mtk.SOLVE, guess=1.0)},
        unknowns={"x": 1.0},
        derivatives=lambda t, u, p: {"x": -p.q * u.x},
        initial_equations=lambda t, u, p: {"e": p.q - 2 * u.x},
    )
    problem = ODEProblem(system)
    for source in (problem, mtk.initialize(problem)):
        term, t0, t1, y0, args = mtk.to_diffrax(source)
        assert args["q"] == 2.0
        bare = diffrax.diffeqsolve(term, diffrax.Tsit5(), t0, t1, 0.1, y0, args)
        solution = mtk.from_diffrax(source, bare)
        assert solution["q"] == 2.0
        np.testing.assert_allclose(solution["x"], [np.exp(-2.0)], rtol=1e-4)


def test_refused(problem):
    dae = System(
        unknowns={"x": 1.0, "y": mtk.Unknown(1.0)},
        derivatives=lambda t, u, p: {"x": -u.y},
        residuals=lambda t, u, p: {"y": u.y - u.x},
    )
    with pytest.raises(errors.DeclarationError, match="'y' have no derivative: diffrax integrates"):
        mtk.to_diffrax(ODEProblem(dae))
    term, t0, t1, y0, args = mtk.to_diffrax(problem)
    last = diffrax.diffeqsolve(
        term, diffrax.Euler(), t0, t1, 1.0, y0, args, saveat=diffrax.SaveAt(dense=True)
    )
    with pytest.raises(errors.KindError, match=r"Save with SaveAt\(ts=...\)"):
        mtk.from_diffrax(problem, last)
    three = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: -y), diffrax.Euler(), t0, t1, 1.0, jnp.ones(3)
    )
    with pytest.raises(
        errors.ShapeError, match=r"The states have shape \(1, 3\), and this problem 2"
    ):
        mtk.from_diffrax(problem, three)
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(
            errors.KindError, match="to_diffrax takes an mtk.ODEProblem, got System"
        ):
            mtk.to_diffrax(dae)  # pyright: ignore[reportArgumentType]
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
