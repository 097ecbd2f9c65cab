"""Learn the unknown part of a model: a network inside a differential equation, and a training loop.

Of two species we know how each would fare alone, and nothing about what they do to each other. A small
network stands in for that, and is fitted to a time course together with where that began. Network, rates
and initial values are in one parameter object, under their names.

Run it with `python examples/universal_differential_equation.py`; it needs some ten seconds.
"""

import os

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)

STEPS = 20 if os.environ.get("MTKPARAMS_QUICK") == "1" else 3000
TSIT = diffrax.Tsit5()
times = jnp.linspace(0.0, 3.0, 31)
start = {"prey": 0.44249296, "predator": 4.6280594}

# What nature does, and nobody in this script knows: from Rackauckas et al., Universal Differential
# Equations for Scientific Machine Learning (2020). Measured with an error of one percent.
nature = mtk.System(
    unknowns=start,
    derivatives=lambda t, u, p: {
        "prey": 1.3 * u.prey - 0.9 * u.prey * u.predator,
        "predator": 0.8 * u.prey * u.predator - 1.8 * u.predator,
    },
)
measured = mtk.solve(mtk.ODEProblem(nature, {}, (0.0, 3.0)), TSIT, saveat=times)[
    {"prey": "prey", "predator": "predator"}
]
noise = jax.random.normal(jax.random.key(1), (2, times.size))
measured = {
    name: values * (1 + 0.01 * own)
    for (name, values), own in zip(measured.items(), noise, strict=True)
}


def derivatives(t, u, p):
    # The network sees logarithms: both species stay positive, and differ by factors of ten.
    effect = p.interaction(jnp.log(jnp.stack([u.prey, u.predator])))
    return {
        "prey": (p.birth + effect[0]) * u.prey,
        "predator": (effect[1] - p.death) * u.predator,
    }


model = mtk.System(
    parameters={
        "interaction": eqx.nn.MLP(2, 2, 8, 1, activation=jnp.tanh, key=jax.random.key(0)),
        "birth": mtk.Parameter(1.3, tunable=False, unit="1/year"),
        "death": mtk.Parameter(1.8, tunable=False, unit="1/year"),
    },
    unknowns={"prey": 0.5, "predator": 4.5},
    derivatives=derivatives,
)
problem = mtk.ODEProblem(model, {}, (0.0, 3.0))

# The network and the initial values have a learning rate each. `rest` is what is not moved: the rates.
# (A rate could not be learned beside this network, which has a constant of its own to add to it.)
parts, rest = mtk.partition(problem.p, {"network": ["interaction"], "start": [mtk.Initials]})


def loss(parts, rest):
    changed = mtk.remake(problem, p=mtk.combine(parts, rest))
    solution = mtk.solve(changed, TSIT, saveat=times, max_steps=1000)
    gaps = [jnp.log(solution[name]) - jnp.log(values) for name, values in measured.items()]
    return jnp.mean(jnp.concatenate(gaps) ** 2)


optimizer = optax.multi_transform(
    {
        "network": optax.adam(optax.cosine_decay_schedule(0.02, STEPS)),
        "start": optax.adam(optax.cosine_decay_schedule(0.002, STEPS)),
    },
    mtk.param_labels(parts),
)
state = optimizer.init(parts)


# Every leaf of the parts is an array, and the network's activation is static: so plain `jax.jit` and
# `jax.value_and_grad` take them as they are. The gradient is read by the same names.
@jax.jit
def step(parts, rest, state):
    value, grads = jax.value_and_grad(loss)(parts, rest)
    updates, state = optimizer.update(grads, state, parts)
    return optax.apply_updates(parts, updates), state, value, grads


prey = mtk.Initial("prey")
print("step   error in logs   slope in the first bias   prey at the start (0.442)")
for i in range(STEPS):
    parts, state, value, grads = step(parts, rest, state)
    if i % (STEPS // 10) == 0 or i == STEPS - 1:
        slope = grads["network"]["interaction.layers[0].bias"][0]
        print(f"{i:4d} {value**0.5:15.4f} {slope:25.2e} {parts['start'][prey]:12.4f}")

fitted = mtk.remake(problem, p=mtk.combine(parts, rest))
solution = mtk.solve(fitted, TSIT, saveat=times)

# What the network says about encounters, where there were any: in truth -0.9 predator and 0.8 prey.
learned = solution[lambda t, u, p: p.interaction(jnp.log(jnp.stack([u.prey, u.predator])))]
true = jnp.stack([-0.9 * solution["predator"], 0.8 * solution["prey"]], axis=1)
print()
print("time   effect on prey: learned, true   on predators: learned, true")
for i in range(0, times.size, 6):
    print(
        f"{times[i]:4.1f} {learned[i, 0]:19.2f} {true[i, 0]:10.2f} {learned[i, 1]:20.2f} {true[i, 1]:9.2f}"
    )
print()
print(fitted.p)
