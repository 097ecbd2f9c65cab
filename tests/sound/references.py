"""Sets of values of a kind that are sound, with solutions and slopes in 80-bit numbers.

With 60 digits instead, values and slopes of three sets of each kind and precision differed by 2e-18.
"""

from __future__ import annotations

import functools
import zlib
from typing import Any, NamedTuple

import numpy as np

from .kind import Drawn, Kind, Long, Numbers, Random, split

# The largest Skeel condition of a Jacobian that is sound, in units in which all is about one.
MOST_CONDITION = 1e3
# The largest bend: a double root is then some 1e-3 of an equation's terms away, or thousands of roundings
# in 32 bits.
MOST_BEND = 200.0


class Systems(NamedTuple):
    """Many sets of values of a kind, the first axis for all; `v` and `slope` in units of their own."""

    p: np.ndarray
    guess: np.ndarray
    v: np.ndarray
    slope: np.ndarray
    units: np.ndarray
    rows: np.ndarray
    sizes: np.ndarray

    @property
    def per(self) -> np.ndarray:
        """The units of slopes."""
        return self.units[:, :, None] / self.sizes[:, None, :]


def residuals(kind: Kind, v: Any, p: Any, s: Any) -> Any:
    """What is left of each equation, in its own unit, at unknowns in theirs: `(batch, n)`."""
    u, p = (v * s.units).T, p.T
    parts = kind.residual(Numbers, split(u, kind.unknowns), split(p, kind.parameters))
    flat = [x.reshape(-1, u.shape[-1]) for x in parts]
    return np.concatenate(flat).T / s.rows


_STEP = Long("1e-300")


def jacobian(kind: Kind, v: Any, s: Any) -> Any:
    """Derivatives by the unknowns, exact to rounding: `(batch, n, n)`."""
    along = lambda e: residuals(kind, v + 1j * _STEP * e, s.p + 0j, s).imag / _STEP
    return np.stack([along(e) for e in np.eye(v.shape[1], dtype=Long)], -1)


def by_parameters(kind: Kind, v: Any, s: Any) -> Any:
    """Derivatives by the parameters, each times its size."""
    along = lambda e: residuals(kind, v + 0j, s.p + 1j * _STEP * s.sizes * e, s).imag / _STEP
    return np.stack([along(e) for e in np.eye(s.p.shape[1], dtype=Long)], -1)


def solve(matrix: Any, right: Any) -> Any:
    """Linear solves in 80 bits: in 64 bits, refined; NaN where a matrix is useless."""
    short = matrix.astype(float)
    useful = np.isfinite(short).all((-1, -2), keepdims=True)
    short = np.where(useful, short, 0.0)
    useful &= np.linalg.matrix_rank(short)[:, None, None] == short.shape[-1]
    short = np.where(useful, short, np.eye(short.shape[-1]))
    x = Long(0)
    left = np.where(np.isfinite(right), right, 0)
    right = left
    for _ in range(5):
        x = x + np.linalg.solve(short, left.astype(float)).astype(Long)
        left = right - np.where(useful, matrix, short) @ x
    return np.where(useful, x, np.nan)


def newton(kind: Kind, v: Any, s: Any, steps: int, block: Any = None) -> Any:
    """Newton's method without damping, on all equations or on a block of them."""
    every = range(v.shape[1])
    rows, columns = block or (every, every)
    for _ in range(steps):
        left = residuals(kind, v, s.p, s)[:, rows, None]
        matrix = jacobian(kind, v, s)[:, rows][:, :, columns]
        step = np.zeros_like(v)
        step[:, columns] = solve(matrix, left)[..., 0]
        v = v - step
    return v


def condition(matrix: Any) -> np.ndarray:
    """Skeel's condition numbers, and infinity where a matrix is useless."""
    eye = np.eye(matrix.shape[-1], dtype=Long)
    inverse = solve(matrix, np.broadcast_to(eye, matrix.shape))
    found = np.max(np.sum(np.abs(inverse) @ np.abs(matrix), -1), -1).astype(float)
    return np.where(np.isnan(found), np.inf, found)


def bend(kind: Kind, s: Systems) -> np.ndarray:
    """How fast the Jacobian changes, as seen by itself, when equations are moved by what is one."""
    matrix, found = jacobian(kind, s.v, s), np.zeros(len(s.p))
    for signs in np.random.default_rng(0).choice([-1, 1], (4, s.v.shape[1])):
        right = np.broadcast_to(Long(signs)[:, None], (*s.v.shape, 1))
        step = 1e-7 * solve(matrix, right)[..., 0]
        change = solve(matrix, jacobian(kind, s.v + step, s) - matrix) / 1e-7
        found = np.maximum(found, np.max(np.sum(np.abs(change), -1), -1).astype(float))
    return np.where(np.isnan(found), np.inf, found)


@functools.cache
def drawn(kind: Kind, count: int, single: bool = False) -> Systems:
    """Sound systems with their solutions; for 32 bits of narrower units, and rounded to that."""
    random = np.random.default_rng(zlib.crc32(f"{kind.name} {single}".encode()))
    found: list[Systems] = []
    for _ in range(30):
        some = _candidates(kind, random, 2 * count, single)
        good = _sound(kind, some, single)
        found.append(Systems(*(x[good] for x in some)))
        if sum(len(s.p) for s in found) >= count:
            break
    s = Systems(*(np.concatenate(x)[:count] for x in zip(*found, strict=True)))
    assert len(s.p) == count, f"{kind.name}: {len(s.p)} sound systems of {count}"
    slope = -solve(jacobian(kind, s.v, s), by_parameters(kind, s.v, s))
    return s._replace(slope=slope)


def _candidates(kind: Kind, random: Random, count: int, single: bool) -> Systems:
    sets: list[Drawn] = []
    for _ in range(400 * count):
        one = kind.draw(random, 6.0 if single else 12.0)
        if one is not None and np.isfinite(one.p).all():
            sets.append(one)
        if len(sets) == count:
            break
    assert len(sets) == count, f"{kind.name}: {len(sets)} candidates of {count}"
    p, v, units, rows, sizes = (np.stack(x) for x in zip(*sets, strict=True))
    off = random.choice([-1, 1], v.shape) * random.uniform(0.1, 0.3, v.shape)
    if kind.affine:
        off = random.choice([-1, 0, 10], v.shape) + off
    guess = units * np.where(v == 0, off, v * (1 + off))
    if single:
        p, guess = p.astype(np.float32), guess.astype(np.float32)
    s = Systems(Long(p), guess.astype(float), Long(v), v, Long(units), Long(rows), Long(sizes))
    with np.errstate(all="ignore"):
        return s._replace(v=newton(kind, s.v, s, 4), slope=s.v)


def _sound(kind: Kind, s: Systems, single: bool) -> np.ndarray:
    with np.errstate(all="ignore"):
        good = np.isfinite(s.v).all(1) & (condition(jacobian(kind, s.v, s)) < MOST_CONDITION)
        if single:  # whose squares 32 bits can hold, as derivatives of quotients need
            within = lambda x, most: ((x == 0) | (np.abs(np.log10(np.abs(x))) < most)).all(-1)
            good &= within(s.p, 18) & within(s.per, 30).all(1)
        if kind.affine:
            return good
        good &= bend(kind, s) < MOST_BEND
        start = s.guess / s.units
        arrives = lambda v: (np.abs(v - s.v) <= 1e-15 * (1 + np.abs(s.v))).all(1)
        good &= arrives(newton(kind, start, s, 12))
        for block in kind.blocks:
            before = s.v.copy()
            before[:, block[1]] = start[:, block[1]]
            good &= arrives(newton(kind, before, s, 12, block))
        return good
