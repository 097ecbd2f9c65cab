"""Fit the lynx-hare data through a plain dictionary of names.

The optimizer sees `{"alpha": ..., "beta": ...}` and nothing else: the form for code that knows
dictionaries and no parameter objects. A name that is left out stays as it is.

Run it with `python examples/fit_lynx_hare_dict.py`; `fit_lynx_hare.py` has the model in full.
"""

import os

import jax
import jax.numpy as jnp
import optax

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)

# Data, declarations and likelihood of `python -m mtkparams`.
from mtkparams.demo import declare, negative_log_likelihood  # noqa: E402

STEPS = 10 if os.environ.get("MTKPARAMS_QUICK") == "1" else 500

p = declare().set({"sigma_hare": 0.25, "sigma_lynx": 0.25})

# The dynamics and where they start. The two noises are left out, and so fixed at a quarter.
names = ["alpha", "beta", "gamma", "delta", mtk.Initial("hare"), mtk.Initial("lynx")]
# Reading with a dictionary of names gives a dictionary of values, under any keys. Here they are the
# names themselves, because then the same dictionary goes into `set`.
values = p[{str(name): name for name in names}]
# All are positive: the loop moves their logarithms.
logs = {name: jnp.log(value) for name, value in values.items()}


def loss(logs):
    return negative_log_likelihood(p.set({name: jnp.exp(x) for name, x in logs.items()}))


optimizer = optax.adam(optax.cosine_decay_schedule(0.1, STEPS))
opt_state = optimizer.init(logs)


@jax.jit
def step(logs, opt_state):
    value, grads = jax.value_and_grad(loss)(logs)
    updates, opt_state = optimizer.update(grads, opt_state)
    return optax.apply_updates(logs, updates), opt_state, value, grads


for i in range(STEPS):
    logs, opt_state, value, grads = step(logs, opt_state)
    if i % 50 == 0 or i == STEPS - 1:
        largest = max(grads, key=lambda name: abs(grads[name]))
        print(f"step {i:3d}  loss {value:9.4f}  steepest in {largest}: {grads[largest]:.2e}")

p = p.set({name: jnp.exp(x) for name, x in logs.items()})
print()
print(p)
