"""The gradient that was silently zero, in every mode that JAX has.

Two algebraic equations, the second of which reads the first: `y` follows from `x`, then `z` from `y`.
The derivative of `y + z` at the start is computed in forward and reverse mode, block by block and all
at once, and from parameter objects with caches in a state in which they once did harm. The page
"Why a gradient was silently zero" of the documentation tells the story.

Run it with `python examples/silent_zero.py`; it needs some ten seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)

chain = mtk.System(
    parameters={"a": -0.5, "b": 2.0, "c": 1.5},
    unknowns={"x": 1.0, "y": mtk.Unknown(guess=1.0), "z": mtk.Unknown(guess=0.5)},
    derivatives=lambda t, u, p: {"x": p.a * u.x + u.y + u.z},
    residuals=lambda t, u, p: {
        "y_eq": u.y**3 + u.y - p.b * u.x,
        "z_eq": u.z**3 + u.z - p.c * u.y,
    },
)
problem = mtk.ODEProblem(chain, {}, (0.0, 0.1))
print(mtk.structure(problem), end="\n\n")
print(mtk.initialize(problem).report(), end="\n\n")

names = ["a", "b", "c", mtk.Initial("x")]
start, repack, _ = mtk.canonicalize(names, problem.p)


def loss(v, blocks=True, caches=None):
    p = repack(v)
    if caches is not None:
        p = p.from_buffers({**p.buffers, mtk.Caches: caches})
    init = mtk.initialize(mtk.remake(problem, p=p), blocks=blocks)
    return init["y"] + init["z"]


# By hand: dy = (x db + b dx) / (3 y^2 + 1) and dz = (y dc + c dy) / (3 z^2 + 1), with y = 1.
z = float(mtk.initialize(problem)["z"])
dy = np.array([0.0, 1.0, 0.0, 2.0]) / 4
dz = (np.array([0.0, 0.0, 1.0, 0.0]) + 1.5 * dy) / (3 * z**2 + 1)
by_hand = dy + dz

# An object that shares its caches with the old one, and one whose caches are poison.
shared, poison = problem.p.caches, (jnp.full(2, jnp.nan),)
gradients = {
    "by hand": by_hand,
    "forward": jax.jit(jax.jacfwd(loss))(start),
    "reverse": jax.jit(jax.grad(loss))(start),
    "forward, all at once": jax.jit(jax.jacfwd(lambda v: loss(v, blocks=False)))(start),
    "reverse, all at once": jax.jit(jax.grad(lambda v: loss(v, blocks=False)))(start),
    "reverse, shared caches": jax.jit(jax.grad(lambda v: loss(v, caches=shared)))(start),
    "reverse, poisoned caches": jax.jit(jax.grad(lambda v: loss(v, caches=poison)))(start),
}
print(f"{'d(y + z) at the start by':26}" + "".join(f"{name!s:>12}" for name in names))
for mode, gradient in gradients.items():
    print(f"{mode:26}" + "".join(f"{g:12.8f}" for g in gradient))
    assert np.allclose(gradient, by_hand, rtol=0, atol=1e-10), mode
