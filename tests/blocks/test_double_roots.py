"""Double roots made on purpose, in every unit and from every start, are never called sound."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

HOW_MANY = {(1, False): 50, (2, False): 40, (2, True): 60, (3, True): 50}


def drawn(n: int, mixed: bool, count: int) -> dict[str, np.ndarray]:
    """Polynomials with one real root, a double one, and other unknowns that follow from it.

    Of t^4 + ... = (t - r)^2 ((t - c)^2 + d^2), times any number, all coefficients are written out.
    Unknowns and equations are mixed by matrices that are far from singular, and in any unit.
    """
    random = np.random.default_rng(10 * n + mixed)
    r = random.uniform(-2, 2, count)
    c, d = random.uniform(-2, 2, count), random.uniform(0.5, 2, count)
    lead = random.uniform(0.5, 2, count) * random.choice([-1, 1], count)
    polynomial = np.stack(
        [
            k * np.polymul(np.poly([x, x]), [1, -2 * m, m**2 + s**2])
            for x, m, s, k in zip(r, c, d, lead, strict=True)
        ]
    )
    follow = random.uniform(-1, 1, (count, n, 4))
    eye = np.broadcast_to(np.eye(n), (count, n, n))
    turn, mix = eye, eye
    if mixed:
        turn = np.linalg.qr(random.normal(size=(count, n, n)))[0]
        mix = np.linalg.qr(random.normal(size=(count, n, n)))[0]
    units = 10.0 ** random.uniform(-6, 6, (count, n))
    rows = 10.0 ** random.uniform(-6, 6, (count, n))
    v = np.stack([r, *(np.zeros(count) for _ in range(n - 1))], 1)
    for k in range(1, n):
        v[:, k] = [np.polyval(p, x) for p, x in zip(follow[:, k], v[:, k - 1], strict=True)]
    # turn @ (u / units) = v
    root = units * np.einsum("bji,bj->bi", turn, v)
    return dict(
        polynomial=polynomial, follow=follow, turn=turn, mix=mix, units=units, rows=rows, root=root
    )


def random_residual(u: Any, p: Any) -> Any:
    v = p["turn"] @ (u / p["units"])
    powers = jnp.stack([v[0] ** k for k in (4, 3, 2, 1, 0)])
    first = jnp.sum(p["polynomial"] * powers)
    later = [v[k] - jnp.polyval(p["follow"][k], v[k - 1]) for k in range(1, u.size)]
    return p["rows"] * (p["mix"] @ jnp.stack([first, *later]))


@functools.cache
def random_run(n: int, mixed: bool, dtype: str, way: str) -> tuple[np.ndarray, dict[str, Any]]:
    """The status of all systems of a kind, from five guesses each."""
    from mtkparams._blocks import Settings, analyze, solve_blocks, solve_whole

    systems = drawn(n, mixed, HOW_MANY[n, mixed])
    p = {k: jnp.asarray(v, dtype) for k, v in systems.items()}
    first = {k: v[0] for k, v in p.items()}
    fn = random_residual
    if not mixed:
        # Constants, so that it is seen that unknowns follow one by one.
        fn = lambda u, p: random_residual(
            u, {**p, "turn": np.eye(n, dtype=dtype), "mix": np.eye(n, dtype=dtype)}
        )
    structure = analyze(fn, p["root"][0], first)
    assert len(structure.parts.blocks) == (1 if mixed else n)
    solve = functools.partial(solve_blocks, structure) if way == "blocks" else solve_whole
    run = lambda guess, p: solve(fn, guess, p, Settings(doubt=True)).status
    random = np.random.default_rng(n)
    eps = float(jnp.finfo(dtype).eps)
    shape = systems["root"].shape
    offsets = [
        np.zeros(shape),
        *(np.abs(systems["root"]) * eps * random.integers(-4, 5, shape) for _ in range(2)),
        *(systems["units"] * random.normal(size=shape) * 0.5 for _ in range(2)),
    ]
    guess = jnp.asarray(np.stack([systems["root"] + o for o in offsets]), dtype)
    return np.asarray(jax.jit(jax.vmap(jax.vmap(run), (0, None)))(guess, p)), systems


@pytest.mark.slow
@pytest.mark.parametrize("way", ["blocks", "whole"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("n", "mixed"), HOW_MANY)
def test_no_double_root_made_on_purpose_is_called_sound(n, mixed, dtype, way):
    status, systems = random_run(n, mixed, dtype, way)
    sound = (status == 0).all(-1)
    worst = [(i, k, systems["root"][k].tolist()) for i, k in np.argwhere(sound)]
    assert not worst, f"{len(worst)} of {sound.size} (guess, system, root): {worst[:5]}"


def test_there_are_two_hundred():
    assert sum(HOW_MANY.values()) == 200
