"""Fit the lynx-hare data with one learning rate for the dynamics and another for the noise.

`mtk.partition` with a dictionary of groups gives a dictionary of parameter objects, which is what
`optax.multi_transform` takes. Inside a group everything is read by name as usual.

Run it with `python examples/learning_rate_per_name.py`; `fit_lynx_hare.py` has the model in full.
"""

import os

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)

# Data, declarations and likelihood of `python -m mtkparams`.
from mtkparams.demo import declare, negative_log_likelihood  # noqa: E402

STEPS = 10 if os.environ.get("MTKPARAMS_QUICK") == "1" else 500

p = declare()
groups, rest = mtk.partition(
    p,
    {
        # Rates shift the phase of twenty years at once: small steps.
        "slow": ["alpha", "beta", "gamma", "delta"],
        # Noise and the first year's populations each act on their own: large steps are safe.
        "fast": ["sigma_hare", "sigma_lynx", mtk.Initial("hare"), mtk.Initial("lynx")],
    },
)
# All are positive: the loop moves their logarithms.
logs = jax.tree.map(jnp.log, groups)


def loss(logs, rest):
    return negative_log_likelihood(mtk.combine(jax.tree.map(jnp.exp, logs), rest))


optimizer = optax.multi_transform(
    {
        "slow": optax.adam(optax.cosine_decay_schedule(0.03, STEPS)),
        "fast": optax.adam(optax.cosine_decay_schedule(0.1, STEPS)),
    },
    mtk.param_labels(groups),
)
opt_state = optimizer.init(logs)


@eqx.filter_jit
def step(logs, rest, opt_state):
    value, grads = eqx.filter_value_and_grad(loss)(logs, rest)
    updates, opt_state = optimizer.update(grads, opt_state, logs)
    return eqx.apply_updates(logs, updates), opt_state, value, grads


print("step      loss   d loss / d log alpha   d loss / d log sigma_hare")
for i in range(STEPS):
    logs, opt_state, value, grads = step(logs, rest, opt_state)
    if i % 50 == 0 or i == STEPS - 1:
        slopes = grads["slow"]["alpha"], grads["fast"]["sigma_hare"]
        print(f"{i:4d} {value:9.4f} {slopes[0]:22.3e} {slopes[1]:27.3e}")

p = mtk.combine(jax.tree.map(jnp.exp, logs), rest)
print()
print(p)
