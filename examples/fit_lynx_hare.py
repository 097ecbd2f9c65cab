"""Fit Lotka-Volterra to 21 years of lynx and hare pelts, with a training loop of one's own.

The loss takes the free part of a parameter object and the rest. Gradients and the optimizer's state
have the structure of the free part, so all of them are read by the same names.

Run it with `python examples/fit_lynx_hare.py`; it needs some ten seconds.
"""

import os

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import mtkparams as mtk

# The tolerances below are beyond single precision. Before anything makes an array.
jax.config.update("jax_enable_x64", True)

STEPS = 20 if os.environ.get("MTKPARAMS_QUICK") == "1" else 500

# Thousands of pelts that the Hudson's Bay Company collected in 1900, 1901, ..., 1920.
# From P. Howard, "Modeling basics" (2009), as in the Stan case study by B. Carpenter (2018).
years = jnp.arange(21.0)
observed = {
    "hare": jnp.array(
        [30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1]
        + [40.3, 57.0, 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7]
    ),
    "lynx": jnp.array(
        [4.0, 6.1, 9.8, 35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4]
        + [8.0, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6]
    ),
}

# The start is read off the data: ten years from peak to peak, so sqrt(alpha gamma) = 2 pi / 10; 34
# hares on average, which is gamma / delta, and 20 lynxes, which is alpha / beta.
p = mtk.parameters(
    {
        "alpha": mtk.Parameter(0.6, bounds=(0.0, None), unit="1/year", description="hare births"),
        "beta": mtk.Parameter(0.03, bounds=(0.0, None), unit="1/year/klynx"),
        "gamma": mtk.Parameter(0.6, bounds=(0.0, None), unit="1/year", description="lynx deaths"),
        "delta": mtk.Parameter(0.02, bounds=(0.0, None), unit="1/year/khare"),
        "sigma_hare": mtk.Parameter(1.0, bounds=(0.0, None), description="noise in log hares"),
        "sigma_lynx": mtk.Parameter(1.0, bounds=(0.0, None), description="noise in log lynxes"),
        mtk.Initial("hare"): mtk.Parameter(30.0, bounds=(0.0, None), unit="khare"),
        mtk.Initial("lynx"): mtk.Parameter(4.0, bounds=(0.0, None), unit="klynx"),
    }
)


def vector_field(t, populations, p):
    hare, lynx = populations["hare"], populations["lynx"]
    return {
        "hare": (p["alpha"] - p["beta"] * lynx) * hare,
        "lynx": (p["delta"] * hare - p["gamma"]) * lynx,
    }


def simulate(p):
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(vector_field),
        diffrax.Tsit5(),
        t0=0.0,
        t1=years[-1],
        dt0=None,
        # A dictionary of names gives a dictionary of values.
        y0=p[{"hare": mtk.Initial("hare"), "lynx": mtk.Initial("lynx")}],
        args=p,
        saveat=diffrax.SaveAt(ts=years),
        stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-8),
        # A solve that does not reach 1920 raises, so that the loss is never a number made of half a
        # solve. This is diffrax's default, and worth saying.
        throw=True,
    )
    assert solution.ys is not None
    return solution.ys


# All eight parameters are positive, and they differ by factors of a thousand. So the loop works on
# their logarithms: a step of 0.05 is then 5 % of any of them. A parameter object is a pytree, and
# `jax.tree.map` is all that takes. (`mtk.to_unconstrained` reads such coordinates off the bounds.)
def loss(log_free, rest):
    p = mtk.combine(jax.tree.map(jnp.exp, log_free), rest)
    model = simulate(p)
    log_density = 0.0
    for species in ("hare", "lynx"):
        log_density += jax.scipy.stats.norm.logpdf(
            jnp.log(observed[species]), jnp.log(model[species]), p["sigma_" + species]
        ).sum()
    return -log_density


# What the loop may move: tunables, and initial values as well.
free, rest = mtk.partition(p, mtk.Tunable, mtk.Initials)
log_free = jax.tree.map(jnp.log, free)

optimizer = optax.adam(optax.cosine_decay_schedule(0.05, STEPS))
opt_state = optimizer.init(log_free)


@eqx.filter_jit
def step(log_free, rest, opt_state):
    value, grads = eqx.filter_value_and_grad(loss)(log_free, rest)
    updates, opt_state = optimizer.update(grads, opt_state)
    return eqx.apply_updates(log_free, updates), opt_state, value, grads


print("step      loss   d loss / d log alpha   Adam's mean of it")
for i in range(STEPS):
    log_free, opt_state, value, grads = step(log_free, rest, opt_state)
    if i % 50 == 0 or i == STEPS - 1:
        mean = optax.tree.get(
            opt_state, "mu"
        )  # has the structure of the parameters, and their names
        print(f"{i:4d} {value:9.4f} {grads['alpha']:22.3e} {mean['alpha']:19.3e}")

p = mtk.combine(jax.tree.map(jnp.exp, log_free), rest)
print()
print(p)
