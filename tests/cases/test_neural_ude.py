"""A network inside a model: the loss of a universal differential equation and its 31 derivatives.

Lotka-Volterra with its interactions replaced by a network, as in Rackauckas et al., Universal
Differential Equations for Scientific Machine Learning (2020). The weights are those of a formula, and the
reference values were computed by variational equations in another program.
"""

from __future__ import annotations

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk

TIMES = np.linspace(0.0, 3.0, 31)
START = {"x": 0.44249296, "y": 4.6280594}
LOSS = 762.7558802540648
# Weights and biases layer by layer, then alpha, delta, and the initial values of x and y.
GRADIENT = [
    35.55226289887279,
    -825.0296426297407,
    83.12753965690584,
    -873.9232960801526,
    -133.78228792147283,
    644.8815936784981,
    -60.873675555452216,
    583.9258840428873,
    14.825103300680125,
    -1134.480373099106,
    -1240.0303970103355,
    -1435.1648428253332,
    1167.9681925228404,
    966.681995152642,
    -1693.43026582203,
    915.4690231555256,
    641.8733209681734,
    -2408.4501224255905,
    1192.1684475014563,
    1703.9156415915986,
    -5.083183080231375,
    0.49648460914251397,
    5.509474744419968,
    -1.6056038662422094,
    -6.448076583720002,
    -4378.472404615013,
    13.335073362726044,
    909.7168539494023,
    -13.0021155738364,
    -6073.179135322134,
    -4.754446740164324,
]
TSIT = diffrax.Tsit5()


def network():
    """Two inputs, five hidden units, two outputs; entry k of all weights is sin(1.7 k + 0.3) / 2."""
    net = eqx.nn.MLP(2, 2, 5, 1, activation=jnp.tanh, key=jax.random.key(0))
    leaves, structure = jax.tree.flatten(eqx.filter(net, eqx.is_array))
    weights = 0.5 * np.sin(1.7 * np.arange(27) + 0.3)
    parts = np.split(weights, np.cumsum([leaf.size for leaf in leaves])[:-1])
    filled = [
        jnp.asarray(part.reshape(leaf.shape)) for part, leaf in zip(parts, leaves, strict=True)
    ]
    return eqx.combine(structure.unflatten(filled), net)


@pytest.fixture(scope="module")
def data():
    truth = mtk.System(
        parameters={"alpha": 1.3, "beta": 0.9, "gamma": 0.8, "delta": 1.8},
        unknowns=START,
        derivatives=lambda t, u, p: {
            "x": p.alpha * u.x - p.beta * u.x * u.y,
            "y": p.gamma * u.x * u.y - p.delta * u.y,
        },
    )
    problem = mtk.ODEProblem(truth, {}, (0.0, 3.0))
    return mtk.solve(problem, TSIT, saveat=TIMES, rtol=1e-11, atol=1e-12)[["x", "y"]]


@pytest.fixture(scope="module")
def problem():
    def derivatives(t, u, p):
        unknown = p.net(0.3 * jnp.stack([u.x, u.y]))
        return {"x": p.alpha * u.x + unknown[0], "y": -p.delta * u.y + unknown[1]}

    system = mtk.System(
        parameters={"net": network(), "alpha": 1.3, "delta": 1.8},
        unknowns=START,
        derivatives=derivatives,
    )
    return mtk.ODEProblem(system, {}, (0.0, 3.0))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_loss_and_gradient(problem, data, mode):
    names = ["net", "alpha", "delta", mtk.Initial("x"), mtk.Initial("y")]
    v, repack, _ = mtk.canonicalize(names, problem.p)
    adjoint = diffrax.ForwardMode() if mode == "forward" else None

    def loss(v):
        changed = mtk.remake(problem, p=repack(v))
        solution = mtk.solve(
            changed, TSIT, saveat=TIMES, rtol=1e-11, atol=1e-12, adjoint=adjoint, max_steps=2000
        )
        gaps = zip(solution[["x", "y"]], data, strict=True)
        return sum((jnp.sum((model - known) ** 2) for model, known in gaps), jnp.zeros(()))

    gradient = jax.jacfwd(loss) if mode == "forward" else jax.grad(loss)
    value, slopes = jax.jit(lambda v: (loss(v), gradient(v)))(v)
    np.testing.assert_allclose(value, LOSS, rtol=1e-7)
    np.testing.assert_allclose(slopes, GRADIENT, rtol=1e-5)


@pytest.mark.slow
def test_derivatives_of_the_network_have_its_structure(problem, data):
    """Differentiated by `eqx.filter_grad`, and read by the names of its layers."""
    free, rest = mtk.partition(problem.p, "net")

    @eqx.filter_jit
    @eqx.filter_grad
    def gradient(free, rest):
        solution = mtk.solve(
            mtk.remake(problem, p=mtk.combine(free, rest)), TSIT, saveat=TIMES, rtol=1e-9
        )
        return jnp.sum((solution["x"] - data[0]) ** 2) + jnp.sum((solution["y"] - data[1]) ** 2)

    found = gradient(free, rest)
    np.testing.assert_allclose(found["net.layers[0].weight"].ravel(), GRADIENT[:10], rtol=1e-4)
    np.testing.assert_allclose(found["net.layers[1].bias"], GRADIENT[25:27], rtol=1e-4)
    assert found["net"].layers[0].bias.shape == (5,)
