"""Folds, cusps and tangents by name: singular at their point, sound a thousand roundings away."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

# A residual that also reads a distance d, a guess, and the root at distance zero.
CASES = {
    "square": (lambda u, d: jnp.stack([u[0] ** 2 - 2 * u[0] + 1 - d]), [1.5], [1.0]),
    "square around 1000": (
        lambda u, d: jnp.stack([u[0] ** 2 - 2000 * u[0] + 1e6 * (1 - d)]),
        [1200.0],
        [1000.0],
    ),
    "sum and product": (
        lambda u, d: jnp.stack([u[0] + u[1] - 2, u[0] * u[1] - (1 - d)]),
        [1.4, 0.7],
        [1.0, 1.0],
    ),
    "fold": (lambda u, d: jnp.stack([u[0] ** 3 - 3 * u[0] + 2 - d]), [1.4], [1.0]),
    "fold of a sine": (lambda u, d: jnp.stack([jnp.sin(u[0]) - 1 + d]), [1.2], [np.pi / 2]),
    "cusp": (lambda u, d: jnp.stack([(u[0] - 1) ** 3 - d + 0 * u[0]]), [1.3], [1.0]),
    "cusp written out": (
        lambda u, d: jnp.stack([u[0] ** 3 - 3 * u[0] ** 2 + 3 * u[0] - 1 - d]),
        [1.3],
        [1.0],
    ),
    "fourth power": (lambda u, d: jnp.stack([(2 - u[0]) ** 4 - d]), [2.1], [2.0]),
    "tangent circles": (
        lambda u, d: jnp.stack([u[0] ** 2 + u[1] ** 2 - 1, (u[0] - 2 + d) ** 2 + u[1] ** 2 - 1]),
        [0.9, 0.3],
        [1.0, 0.0],
    ),
    "product": (lambda u, d: jnp.stack([(u[0] - 3) * (u[0] - 3) - d]), [3.5], [3.0]),
    "power by hand": (
        lambda u, d: jnp.stack(
            [1e-9 * jnp.exp(3 * jnp.log(jnp.abs(u[0] - 1))) * jnp.sign(u[0] - 1) - 1e-9 * d]
        ),
        [1.5],
        [1.0],
    ),
    "two powers": (
        lambda u, d: jnp.stack(
            [(u[0] - 1) ** 2 + (u[1] - 2) ** 3, 1e6 * ((u[0] - 1) ** 2 - 2 * (u[1] - 2) ** 3 - d)]
        ),
        [1.5, 2.5],
        [1.0, 2.0],
    ),
    "a line at a circle": (
        lambda u, d: jnp.stack([u[0] ** 2 + u[1] ** 2 - 2, u[0] + u[1] - 2 + d]),
        [1.3, 0.8],
        [1.0, 1.0],
    ),
    "pendulum upright": (
        # y from x^2 + y^2 = 1 where x is 1: both y = 0.
        lambda u, d: jnp.stack([u[0] ** 2 + (1 - d) ** 2 - 1]),
        [0.3],
        [0.0],
    ),
    "three roots by their sums": (
        lambda u, d: jnp.stack(
            [
                u[0] + u[1] + u[2] - 4,
                u[0] * u[1] + u[1] * u[2] + u[2] * u[0] - 5,
                u[0] * u[1] * u[2] - 2 + d,
            ]
        ),
        [1.2, 0.9, 2.1],
        [1.0, 1.0, 2.0],
    ),
    "two parabolas": (
        lambda u, d: jnp.stack([u[1] - u[0] ** 2, u[1] + u[0] ** 2 - 2 * u[0] + 0.5 - d / 2]),
        [0.7, 0.4],
        [0.5, 0.25],
    ),
    "exponential and its tangent": (
        lambda u, d: jnp.stack([jnp.exp(u[0]) - jnp.e * u[0] - d]),
        [1.3],
        [1.0],
    ),
}


# The root goes away from the point as this power of the distance; a half where none is given.
POWERS = {"cusp": 1 / 3, "cusp written out": 1 / 3, "power by hand": 1 / 3, "two powers": 1 / 3}
POWERS |= {"fourth power": 1 / 4}
# Parts of the precision by which starts are off the point.
NEAR = (0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
WAYS = [("float64", "blocks"), ("float32", "blocks"), ("float64", "whole"), ("float32", "whole")]


DAILY = {("cusp", *WAYS[2]), ("two powers", *WAYS[0]), ("sum and product", *WAYS[1])}


@pytest.mark.parametrize(
    ("name", "dtype", "way"),
    [
        pytest.param(name, *way, marks=() if (name, *way) in DAILY else pytest.mark.slow)
        for way in WAYS
        for name in CASES
    ],
)
def test_folds_are_singular_at_their_point_and_sound_away_from_it(name, dtype, way):
    """Against the exponent of the root's series in the distance (Puiseux), with which slopes must agree."""
    from mtkparams._blocks import Settings, analyze, solve_blocks, solve_whole

    residual, guess, point = CASES[name]
    guess, point = np.array(guess), np.array(point)
    eps = float(jnp.finfo(dtype).eps)
    starts = jnp.asarray([guess, point, *(point + eps**k * (guess - point) for k in NEAR)], dtype)
    start = jnp.zeros((), dtype)
    structure = analyze(residual, starts[0], start)
    solve = functools.partial(solve_blocks, structure) if way == "blocks" else solve_whole

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def run(start: Any, d: Any) -> Any:
        def found(d: Any) -> Any:
            root = solve(residual, start, d, Settings(doubt=True))
            return root.u, (root.u, root.status)

        slope, (u, status) = jax.jacfwd(found, has_aux=True)(d)
        return u, jnp.max(status), slope

    _, status, slope = run(starts, start)
    assert np.all(status > 0)
    assert np.all(np.isnan(slope).any(-1))

    for d in (1e3 * eps, 1e4 * eps):
        u, status, slope = run(starts, jnp.asarray(d, dtype))
        away = np.asarray(u, np.float64) - point
        farthest = np.argmax(np.abs(away), 1)[:, None]
        exponent = np.take_along_axis(np.asarray(slope) * d, farthest, 1) / np.take_along_axis(
            away, farthest, 1
        )
        assert status[0] == 0
        # From the point itself a step may lead to another period of a sine.
        sound = (np.asarray(status) == 0) & (np.max(np.abs(away), 1) < 0.5)
        np.testing.assert_allclose(exponent[sound], POWERS.get(name, 0.5), rtol=0.1)
