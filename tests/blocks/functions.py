"""Functions of a vector for the tests of structure, most with the pattern that is exactly right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

N = 6
A = jnp.asarray(np.diag(np.ones(N)) + np.diag(np.ones(N - 2), 2))
KEY = np.array([3, 0, 3, 5])

eye = np.eye(N, dtype=bool)
full = np.ones((N, N), bool)
lower = np.tril(full)


def rows(*which: Any) -> np.ndarray:
    """A pattern from lists of unknowns, one for each equation."""
    out = np.zeros((len(which), N), bool)
    for i, columns in enumerate(which):
        out[i, columns] = True
    return out


@jax.custom_jvp
def straight(x):
    return jnp.round(x)


straight.defjvp(lambda x, t: (straight(*x), t[0] * 1.0))


@jax.custom_vjp
def crossed(x, y):
    return 2.0 * x + 0.0 * y


crossed.defvjp(lambda x, y: (crossed(x, y), y), lambda y, g: (2.0 * g, y * g))


@jax.custom_jvp
def constant(x):
    return x * 0.0


constant.defjvp(lambda x, t: (constant(*x), t[0] * 3.0))


def long_scan(u):
    """Too long to follow: the carry may come from anywhere, results from their own step as well."""

    def step(c, x):
        return (c[0] + 1.0, c[1]), (x * c[1], c[0])

    xs = jnp.concatenate([u[:2], jnp.zeros(6000)])
    (count, kept), (ys, _) = lax.scan(step, (u[2], u[3]), xs)
    return jnp.stack([count, kept, ys[0], ys[1], ys[2]])


def shifted_scan(u):
    """A shift register, step by step."""

    def step(c, x):
        return jnp.concatenate([c[1:], x[None]]), c[0]

    c, y = lax.scan(step, u[:3], u[3:5])
    return jnp.concatenate([c, y])


def counted(u):
    """The loop's counter picks the element."""
    return lax.fori_loop(0, 3, lambda i, x: x.at[i].add(u[i + 1]), jnp.zeros(3))


def looped(u):
    """The condition reads u[0]; u[3] goes round untouched."""
    out = lax.while_loop(
        lambda c: c[0] < 5.0, lambda c: (c[0] + 1.0, c[1] * c[2], c[2], c[3] + 1.0), tuple(u[:4])
    )
    return jnp.stack(out)


def solved(u):
    a = jnp.stack([u[:4].reshape(2, 2) + 3.0 * jnp.eye(2), 2.0 * jnp.eye(2)])
    b = jnp.stack([jnp.ones(2), u[4:]])
    return jnp.linalg.solve(a, b[..., None]).ravel()


def branched(u):
    return lax.cond(u[0] > 0.5, lambda x: x[1:3], lambda x: x[2:4] ** 2, u)


def scattered(u):
    base = jnp.zeros(N).at[KEY].add(u[:4])
    return base.at[1].set(u[5] ** 2)


def multiplied(u):
    return u.at[jnp.array([1, 1, 2])].multiply(u[3:])


def sorted_lines(u):
    return jnp.sort(u.reshape(2, 3), axis=1).ravel()


def ordered_with(u):
    keys, kept = lax.sort((u[:3], u[3:]), num_keys=1)
    return jnp.concatenate([keys, kept])


@jax.jit
def _mutate(x):
    ref = jax.new_ref(jnp.zeros(2))
    ref[0] = x[1]
    ref[1] = x[0] * x[2]
    return ref[...]


def mutated(u):
    return _mutate(u[:3])


def mutated_in_a_loop(u):
    def step(c, x):
        ref = jax.new_ref(c)
        ref[...] = ref[...] + x
        return ref[...], None

    return lax.scan(step, jnp.zeros(()), u)[0][None]


# name: (function, its pattern); None where only a superset can be had
EXACT: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "elementwise": (lambda u: jnp.sin(u) * u - jnp.exp(u), eye),
    "chain": (lambda u: u[1:] - u[:-1] ** 2, eye[1:] | eye[:-1]),
    "nothing": (lambda u: jnp.ones(3), np.zeros((3, N), bool)),
    "reshape and transpose": (lambda u: u.reshape(2, 3).T.ravel(), eye[[0, 3, 1, 4, 2, 5]]),
    "reverse": (lambda u: u[::-1], eye[::-1]),
    "strides": (lambda u: u[1::2], eye[1::2]),
    "stack": (lambda u: jnp.stack([u[0] * u[1], u[2]]), rows([0, 1], [2])),
    "split": (lambda u: sum(jnp.split(u, 3)), eye[:2] | eye[2:4] | eye[4:]),
    "tile": (lambda u: jnp.tile(u[:2], 3), eye[[0, 1, 0, 1, 0, 1]]),
    "pad": (lambda u: lax.pad(u, u[0], [(-1, 1, 1)]), None),  # pyright: ignore
    "roll": (lambda u: jnp.roll(u, 2), np.roll(eye, 2, 0)),
    "sum of rows": (lambda u: u.reshape(2, 3).sum(1), rows([0, 1, 2], [3, 4, 5])),
    "maximum": (lambda u: u.reshape(3, 2).max(0), rows([0, 2, 4], [1, 3, 5])),
    "product": (lambda u: jnp.prod(u[:2])[None], rows([0, 1])),
    "argmax": (lambda u: jnp.float64(jnp.argmax(u.reshape(2, 3), 1)), rows([0, 1, 2], [3, 4, 5])),
    "cumsum": (lambda u: jnp.cumsum(u), lower),
    "cumsum reversed": (lambda u: lax.cumsum(u, reverse=True), lower.T),
    "cumulative maximum of columns": (
        lambda u: lax.cummax(u.reshape(3, 2), axis=0).ravel(),
        rows([0], [1], [0, 2], [1, 3], [0, 2, 4], [1, 3, 5]),
    ),
    "matrix of constants": (lambda u: A @ u, np.asarray(A) != 0),
    "vector times matrix of constants": (lambda u: u @ A, np.asarray(A).T != 0),
    "dense product": (lambda u: u[:4].reshape(2, 2) @ u[4:], rows([0, 1, 4, 5], [2, 3, 4, 5])),
    "batched product": (
        lambda u: jnp.einsum("bi,bi->b", u.reshape(3, 2), u.reshape(3, 2)),
        rows([0, 1], [2, 3], [4, 5]),
    ),
    "one-hot": (lambda u: jax.nn.one_hot(jnp.array([2, 4]), N, dtype=u.dtype) @ u, eye[[2, 4]]),
    "constant mask": (lambda u: jnp.where(np.arange(N) < 3, u, u[::-1]), eye[[0, 1, 2, 2, 1, 0]]),
    "constant zero": (lambda u: u + 0.0 * u[::-1], eye),
    "zero over": (lambda u: u + 0.0 / (u[::-1] + 9.0), eye),
    "where": (
        lambda u: jnp.where(u[0] > 0.0, u[1:3], u[3:5]),
        rows([0, 1, 3], [0, 2, 4]),
    ),
    "gather": (lambda u: u[KEY], eye[KEY]),
    "gather of rows": (lambda u: u.reshape(3, 2)[jnp.array([2, 0])].ravel(), eye[[4, 5, 0, 1]]),
    "take along": (
        lambda u: jnp.take_along_axis(u.reshape(2, 3), jnp.array([[2], [0]]), 1).ravel(),
        eye[[2, 3]],
    ),
    "gather outside": (
        lambda u: u.at[jnp.array([9, 1])].get(mode="fill", fill_value=0.0),
        rows([], [1]),
    ),
    "gather clipped": (lambda u: u.at[jnp.array([9, 1])].get(mode="clip"), rows([5], [1])),
    "scatter": (scattered, rows([1], [5], [], [0, 2], [], [3])),
    "scatter of a function": (
        lambda u: (u.at[jnp.array([1])].apply(jnp.sin) + u[0]) * jnp.array([0.0, 1, 1, 1, 1, 1]),
        (eye | rows(*[[0]] * 6)) & (np.arange(N) > 0)[:, None],
    ),
    "repeated scatter": (
        lambda u: u.at[jnp.array([1, 1])].set(u[3:5]),
        rows([0], [3, 4], [2], [3], [4], [5]),
    ),
    "no steps": (
        lambda u: jnp.concatenate(
            [lax.scan(lambda c, x: (c * x, c), u[:1], jnp.ones(0))[0], jnp.ones(1)]
        ),
        rows([0], []),
    ),
    "mutable array": (mutated, rows([0, 1, 2], [0, 1, 2])),
    "mutable array in a loop": (mutated_in_a_loop, rows(range(6))),
    "scatter dropped": (
        lambda u: u.at[jnp.array([8, 0])].set(u[2:4], mode="drop"),
        eye[[3, 1, 2, 3, 4, 5]],
    ),
    "scatter product": (multiplied, rows([0], [1, 3, 4], [2, 5], [3], [4], [5])),
    "traced index": (
        lambda u: u.reshape(3, 2)[jnp.int32(u[0])],
        rows([0, 2, 4], [0, 1, 3, 5]),
    ),
    "traced dynamic slice": (
        lambda u: lax.dynamic_slice(u[1:], (jnp.int32(u[0]),), (2,)),
        rows(range(6), range(6)),
    ),
    "constant dynamic slice": (lambda u: lax.dynamic_slice(u, (5,), (2,)), eye[4:]),
    "dynamic update": (
        lambda u: lax.dynamic_update_slice(u, u[:2] ** 2, (3,)),
        eye[[0, 1, 2, 0, 1, 5]],
    ),
    "sort": (sorted_lines, rows(*[[0, 1, 2]] * 3, *[[3, 4, 5]] * 3)),
    "sort with": (ordered_with, rows(*[[0, 1, 2]] * 3, *[range(6)] * 3)),
    "nested jit": (lambda u: jax.jit(lambda x: jax.jit(jnp.sin)(x) * 2.0)(u), eye),
    "checkpoint": (lambda u: jax.checkpoint(jnp.sin)(u), eye),
    "relu": (lambda u: jax.nn.relu(u), eye),
    "softplus": (lambda u: jax.nn.softplus(u), eye),
    "sinc": (lambda u: jnp.sinc(u), eye),
    "straight through": (lambda u: straight(u), eye),
    "a rule of its own": (lambda u: constant(u[:2]), eye[:2]),
    "a backward rule of its own": (lambda u: crossed(u[:2], u[2:4]), eye[:2] | eye[2:4]),
    "stop_gradient": (lambda u: u[:5] * lax.stop_gradient(u[1:]), eye[:5] | eye[1:]),
    "scan": (lambda u: lax.scan(lambda c, x: (c + x, c * x), 0.0, u)[1], None),  # pyright: ignore
    "scan of a register": (shifted_scan, eye[[2, 3, 4, 0, 1]]),
    "long scan": (long_scan, rows([2], [3], [0, 3], [1, 3], [3])),
    "fori_loop": (counted, eye[1:4]),
    "while": (looped, rows([0], [0, 1, 2], [2], [0, 3])),
    "while of each": (
        lambda u: jax.vmap(
            lambda a, b: lax.while_loop(
                lambda c: c[0] < 3.0, lambda c: (c[0] * 2.0, c[1] + 1.0), (a, b)
            )[1]
        )(u[:3], u[3:]),
        eye[:3] | eye[3:],
    ),
    "cond": (branched, rows([0, 1, 2], [0, 2, 3])),
    "cond of a constant": (
        lambda u: lax.cond(np.True_, lambda x: x[:2], lambda x: x[2:4], u),
        eye[:2],
    ),
    "linear solve": (solved, rows(*[[0, 1, 2, 3]] * 2, *[[4, 5]] * 2)),
    "cholesky": (
        lambda u: jnp.linalg.cholesky(
            u.reshape(2, 3)[:, :, None] ** 2 * jnp.eye(3)[None] + jnp.ones((1, 3, 3))
        ).sum((1, 2)),
        rows([0, 1, 2], [3, 4, 5]),
    ),
    "fft": (lambda u: jnp.fft.rfft(u.reshape(2, 3)).real.sum(1), rows([0, 1, 2], [3, 4, 5])),
    "convolution": (
        lambda u: jnp.convolve(u, jnp.array([1.0, 0.0, -1.0]), "valid"),
        eye[2:] | eye[:-2],
    ),
    "moving maximum": (
        lambda u: lax.reduce_window(u, -jnp.inf, lax.max, (2,), (2,), ((1, 1),)),
        rows([0], [1, 2], [3, 4], [5]),
    ),
    "moving sum": (
        lambda u: lax.reduce_window(u, 0.0, lax.add, (3,), (3,), "VALID"),
        rows([0, 1, 2], [3, 4, 5]),
    ),
    "greatest few": (
        lambda u: lax.top_k(u.reshape(2, 3), 2)[0].ravel(),
        rows(*[[0, 1, 2]] * 2, *[[3, 4, 5]] * 2),
    ),
    "vmap": (lambda u: jax.vmap(lambda a, b: a * b)(u[:3], u[3:]), eye[:3] | eye[3:]),
}
EXACT["pad"] = (EXACT["pad"][0], rows([0], [1], [0], [2], [0], [3], [0], [4], [0], [5], [0]))
EXACT["scan"] = (EXACT["scan"][0], lower & (np.arange(N) > 0)[:, None])  # the carry starts at zero


def _solve(u, c):
    return jnp.concatenate([jnp.linalg.solve(jnp.diag(u[:2] ** 2 + 1.0), u[2:4]), u[:4] + c[2:]])


def _inner_scan(u, c):
    step = lambda s, x: (0.5 * s + x[0], s * x[1])
    return lax.scan(step, u[0], (u, c))[1]


def _inner_while(u, c):
    out = lax.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * s[2], s[2]), (0, u[:3], u[3:])
    )
    return jnp.concatenate(out[1:])


def _place(u):
    return jnp.int32(jnp.clip(u[0], 0.0, 3.0))


# (u, constants) -> a vector of the same size
PIECES: dict[str, Callable[[Any, Any], Any]] = {
    "sin": lambda u, c: jnp.sin(u) + c,
    "product": lambda u, c: u * u[::-1],
    "matrix": lambda u, c: A @ u,
    "outer": lambda u, c: (u[:3, None] * u[None, 3:]).sum(1)[jnp.array([0, 1, 2, 2, 1, 0])] + u,
    "square": lambda u, c: (u[:4].reshape(2, 2) @ u[2:].reshape(2, 2)).ravel()[
        jnp.array([0, 1, 2, 3, 0, 1])
    ],
    "gather": lambda u, c: u[jnp.array([5, 0, 0, 2, 1, 4])],
    "scatter": lambda u, c: (
        jnp.zeros_like(u).at[jnp.array([0, 0, 2, 3])].add(u[2:]).at[5].set(u[1])
    ),
    "mask": lambda u, c: jnp.where(c > 0.0, u, 0.0),
    "where": lambda u, c: jnp.where(u > 0.0, u[::-1], u * c),
    "cumsum": lambda u, c: jnp.concatenate([jnp.cumsum(u[:3]), u[3:]]),
    "sort": lambda u, c: jnp.concatenate([jnp.sort(u[:2]), u[2:]]),
    "roll": lambda u, c: jnp.roll(u, 1),
    "pad": lambda u, c: lax.pad(u[:3], jnp.zeros(()), [(0, 1, 1)]),
    "concatenate": lambda u, c: jnp.concatenate([u[4:], c[:2], u[:2]]),
    "cond": lambda u, c: lax.cond(u[0] > 0.0, lambda x: x * 2.0, lambda x: x[::-1], u),
    "scan": _inner_scan,
    "while": _inner_while,
    "solve": _solve,
    "custom rule": lambda u, c: jax.nn.softplus(u),
    "straight": lambda u, c: straight(u) + constant(u[::-1]),
    "index": lambda u, c: u.at[jnp.int32(jnp.clip(u[0], 0.0, 2.0))].multiply(2.0),
    "pick": lambda u, c: u[jnp.argmax(u[:2])] + u,
    "zeros": lambda u, c: u * (c > 0.3).astype(u.dtype),
    "convolve": lambda u, c: jnp.convolve(u, jnp.array([1.0, 2.0, 0.0]), "same"),
    "largest": lambda u, c: u - jnp.max(u.reshape(3, 2), axis=1)[jnp.array([0, 0, 1, 1, 2, 2])],
    "softmax": lambda u, c: jax.nn.softmax(u.reshape(2, 3), axis=0).ravel(),
    "cumulative product": lambda u, c: lax.cumprod(u.reshape(2, 3), axis=1, reverse=True).ravel(),
    "slice at": lambda u, c: jnp.concatenate([lax.dynamic_slice(u, (_place(u),), (3,)), u[:3]]),
    "update at": lambda u, c: lax.dynamic_update_slice(u, u[:2] * c[:2], (_place(u[3:]),)),
    "pick of each": lambda u, c: jnp.tile(
        jax.vmap(lambda row, i: row[i])(u.reshape(2, 3), jnp.int32(u[:2] > 0.0)), 3
    ),
    "scatter of each": lambda u, c: jax.vmap(lambda row, i, x: row.at[i].set(x))(
        u.reshape(2, 3), jnp.array([2, 0]), u[4:]
    ).ravel(),
    "add of each": lambda u, c: jax.vmap(lambda row, i, x: row.at[i].add(x))(
        u.reshape(2, 3), jnp.int32(c[:2] * u[:2] > 0.0), u[2:4]
    ).ravel(),
    "batched product": lambda u, c: jnp.einsum(
        "bij,bj->bi",
        u[:, None, None] * A[None, :2, :2],
        u.reshape(3, 2)[jnp.array([0, 1, 2, 2, 1, 0])],
    ).sum(1),
    "greatest": lambda u, c: jnp.concatenate([lax.top_k(u.reshape(2, 3), 2)[0].ravel(), u[:2]]),
    "moving sum": lambda u, c: lax.reduce_window(u, 0.0, lax.add, (3,), (1,), "SAME"),
    "moving least": lambda u, c: lax.reduce_window(u, jnp.inf, lax.min, (2,), (1,), "SAME"),
    "switch": lambda u, c: lax.switch(
        jnp.int32(u[5] > 0.0), [lambda x: x * c, lambda x: jnp.roll(x, 2), lambda x: -x], u
    ),
    "constant switch": lambda u, c: lax.switch(
        jnp.int32(1), [lambda x: x * c, lambda x: jnp.roll(x, 2), lambda x: -x], u
    ),
    "derivative": lambda u, c: jax.grad(lambda x: (x[1:] ** 2 * x[:-1] * c[1:]).sum())(u),
    "backward rule": lambda u, c: jnp.concatenate(
        [jax.jvp(jnp.sinc, (u[:3],), (c[:3],))[1], u[3:]]
    ),
    "repeat": lambda u, c: jnp.repeat(u[::2], 2) + jnp.flip(u.reshape(2, 3), 1).ravel(),
    "fft": lambda u, c: jnp.fft.irfft(jnp.fft.rfft(u.reshape(2, 3)) * 2.0, 3).ravel() + u,
    "factor": lambda u, c: (
        jnp.linalg.cholesky(jnp.outer(u[:2], u[:2]) + 3.0 * jnp.eye(2)).ravel()[
            jnp.array([0, 1, 2, 3, 0, 2])
        ]
        + u
    ),
}
