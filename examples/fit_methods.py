"""Fit hares and lynxes by least squares, by likelihood, with optax, and in a loop of your own.

The objective is made once: a pure function of one vector, which any optimizer takes.
Run it with `python examples/fit_methods.py`.
"""

import os

import diffrax
import equinox as eqx
import jax
import optax

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)

from mtkparams.demo import pelts  # noqa: E402

STEPS = 20 if os.environ.get("MTKPARAMS_QUICK") == "1" else 500
positive = lambda value, unit: mtk.Parameter(value, bounds=(0.0, None), unit=unit)

system = mtk.System(
    parameters={
        "alpha": positive(0.6, "1/year"),
        "beta": positive(0.03, "1/year/klynx"),
        "gamma": positive(0.6, "1/year"),
        "delta": positive(0.02, "1/year/khare"),
        "sigma": positive(0.5, "1"),
    },
    unknowns={
        "hare": mtk.Unknown(30.0, bounds=(0.0, None), unit="khare"),
        "lynx": mtk.Unknown(4.0, bounds=(0.0, None), unit="klynx"),
    },
    derivatives=lambda t, u, p: {
        "hare": (p.alpha - p.beta * u.lynx) * u.hare,
        "lynx": (p.delta * u.hare - p.gamma) * u.lynx,
    },
)
problem = mtk.ODEProblem(system, {}, (0.0, 20.0))
years, populations = pelts()
data = {"t": years, **populations}
dynamics = ["alpha", "beta", "gamma", "delta", "hare", "lynx"]
solve = {"solver": diffrax.Tsit5(), "rtol": 1e-8, "atol": 1e-8}

# A scatter that is known makes it least squares, and Levenberg-Marquardt takes a dozen steps.
squares = mtk.fitting.fit(problem, data, free=dynamics, noise=mtk.fitting.LogNormal(0.25), **solve)
print(squares, end="\n\n")

# A scatter that is estimated, by its name, makes it a likelihood, and the default is BFGS.
objective = mtk.fitting.objective(
    problem, data, free=[*dynamics, "sigma"], noise=mtk.fitting.LogNormal("sigma"), **solve
)
print(mtk.fitting.fit(objective).report(), end="\n\n")

# Optax, with a learning rate for each name; `...` stands for all others.
rates = {"sigma": 0.1, "hare": 0.1, "lynx": 0.1, ...: 0.03}
adam = mtk.fitting.fit(objective, method=rates, steps=STEPS)
print(f"Adam, rates by name: loss {adam.losses[0]:.4f} to {adam.loss:.4f}", end="\n\n")

# The same in a loop of one's own, in the declared free coordinates: here logarithms.
free = mtk.to_unconstrained(objective.p, what=objective.free)
optimizer = optax.adam(optax.cosine_decay_schedule(0.05, STEPS))
state = optimizer.init(free)


@eqx.filter_jit
def step(objective, free, state):
    values = lambda free: mtk.from_unconstrained(objective.p, free, objective.free)
    loss, slopes = jax.value_and_grad(lambda free: objective(values(free)))(free)
    updates, state = optimizer.update(slopes, state)
    return optax.apply_updates(free, updates), state, loss


for i in range(STEPS):
    free, state, loss = step(objective, free, state)
    if i % 100 == 0 or i == STEPS - 1:
        print(f"step {i:3d}  loss {loss:.4f}")
