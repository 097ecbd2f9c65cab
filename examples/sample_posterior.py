"""Sample the posterior of the lynx-hare model with blackjax or numpyro, whichever is installed.

An objective is a pure function of one vector, so any sampler takes it. Priors are those of the Stan
case study "Predator-prey population dynamics" (B. Carpenter, 2018); the published posterior means stand
beside what comes out. Sampling goes on in free coordinates, where every number is allowed: the
log-Jacobian makes the density there the one of the values.

Run it with `python examples/sample_posterior.py`, or `... sample_posterior.py numpyro`.
"""

import importlib.util
import os
import sys

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)

from mtkparams.demo import PUBLISHED, pelts  # noqa: E402

WARMUP, SAMPLES = (3, 4) if os.environ.get("MTKPARAMS_QUICK") == "1" else (300, 700)


def positive(value, prior):
    return mtk.Parameter(value, bounds=(0.0, None), prior=prior)


rate, loss_rate = stats.norm(1.0, 0.5), stats.norm(0.05, 0.05)
noise = stats.lognorm(1.0, scale=np.exp(-1.0))
system = mtk.System(
    parameters={
        "alpha": positive(0.54, rate),
        "beta": positive(0.027, loss_rate),
        "gamma": positive(0.8, rate),
        "delta": positive(0.024, loss_rate),
        "sigma_hare": positive(0.25, noise),
        "sigma_lynx": positive(0.25, noise),
    },
    unknowns={"hare": mtk.Unknown(34.0), "lynx": mtk.Unknown(5.9)},
    derivatives=lambda t, u, p: {
        "hare": (p.alpha - p.beta * u.lynx) * u.hare,
        "lynx": (p.delta * u.hare - p.gamma) * u.lynx,
    },
)
data = pelts()
start = stats.lognorm(1.0, scale=10.0)
objective = mtk.fitting.objective(
    mtk.ODEProblem(system, {}, (0.0, 20.0)),
    {"t": data.years, **data.populations},
    free=["alpha", "beta", "gamma", "delta", "hare", "lynx", "sigma_hare", "sigma_lynx"],
    noise={
        "hare": mtk.fitting.LogNormal("sigma_hare"),
        "lynx": mtk.fitting.LogNormal("sigma_lynx"),
    },
    priors={"Initial(hare)": start, "Initial(lynx)": start}
    | {name: about.prior for name, about in system.parameters.items()},
    solver=diffrax.Tsit5(),
    rtol=1e-6,
    atol=1e-6,
)


def log_density(z):
    v, log_jacobian = mtk.from_unconstrained(objective.p, z, objective.labels, log_jacobian=True)
    return objective.log_density(v) + log_jacobian


z = mtk.to_unconstrained(objective.p, what=objective.labels)


def with_blackjax(key):
    import blackjax  # pyright: ignore[reportMissingImports]

    warm, draw = jax.random.split(key)
    adaptation = blackjax.window_adaptation(blackjax.nuts, log_density)
    (state, settings), _ = adaptation.run(warm, z, num_steps=WARMUP)
    step = blackjax.nuts(log_density, **settings).step

    def one(state, key):
        state, info = step(key, state)
        return state, (state.position, info.is_divergent)

    _, (draws, divergent) = jax.lax.scan(one, state, jax.random.split(draw, SAMPLES))
    return draws, divergent


def with_numpyro(key):
    from numpyro.infer import MCMC, NUTS  # pyright: ignore[reportMissingImports]

    sampler = NUTS(potential_fn=lambda z: -log_density(z))
    chain = MCMC(sampler, num_warmup=WARMUP, num_samples=SAMPLES, progress_bar=False)
    chain.run(key, init_params=z, extra_fields=("diverging",))
    return chain.get_samples(), chain.get_extra_fields()["diverging"]


samplers = {"blackjax": with_blackjax, "numpyro": with_numpyro}
wanted = sys.argv[1:] or [name for name in samplers if importlib.util.find_spec(name)]
if not wanted:
    print("Neither blackjax nor numpyro is installed: pip install blackjax (or numpyro). Skipped.")
    sys.exit()

draws, divergent = samplers[wanted[0]](jax.random.key(0))
values = np.asarray(mtk.from_unconstrained(objective.p, draws, objective.labels))
print(f"{wanted[0]}: {SAMPLES} draws, {int(jnp.sum(divergent))} divergent")
print(f"{'':14} {'mean':>9} {'sd':>9}   published")
for label, own in zip(objective.labels, values.T, strict=True):
    other = PUBLISHED[label]
    print(f"{label:14} {own.mean():9.4f} {own.std():9.4f}   {other.mean:.4f} ± {other.sd:g}")
