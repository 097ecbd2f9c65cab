"""Derivatives of what is read from a solution: forward, reverse, second, and in closed form."""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import ODEProblem, System

TS = jnp.array([0.5, 1.0])


@pytest.mark.slow
def test_names_expressions_and_rates():
    system = System(
        parameters={"k": 0.7},
        unknowns={"x": 1.5},
        derivatives=lambda t, u, p: {"x": -p.k * u.x},
        observed={"square": lambda t, u, p: u.x**2},
    )
    problem = ODEProblem(system, {}, (0.0, 1.0))
    spec = ["x", "D(x)", "D(square)", lambda t, u, p: u.x * p.k * t]
    free = ["k", "x"]

    def read(v):
        solution = mtk.solve(
            mtk.replace(free, problem, v),
            diffrax.Tsit5(),
            saveat=TS,
            rtol=1e-9,
            atol=1e-11,
            max_steps=64,
            adjoint=diffrax.DirectAdjoint(),
        )
        return jnp.stack(solution[spec])

    def exact(v):
        k, start = v
        x = start * jnp.exp(-k * TS)
        return jnp.stack([x, -k * x, -2 * k * x**2, x * k * TS])

    ways = lambda f: (f, jax.jacfwd(f), jax.jacrev(f), jax.jacfwd(jax.jacrev(f)))
    all_ways = lambda f: jax.jit(lambda v: [g(v) for g in ways(f)])
    v = mtk.pack(problem, free)
    found, expected = all_ways(read)(v), all_ways(exact)(v)
    np.testing.assert_allclose(found[1], found[2], rtol=1e-12, atol=1e-14)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)
