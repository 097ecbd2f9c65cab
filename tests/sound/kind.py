"""A kind of equations, and the functions it is written with: for JAX, and for numbers of any precision."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Random = np.random.Generator
Long: Any = np.longdouble


class Drawn(NamedTuple):
    """One set of values: all are vectors; `p` in the units of the model, `v` in units of its own."""

    p: np.ndarray
    v: np.ndarray
    units: np.ndarray  # of unknowns
    rows: np.ndarray  # of equations
    sizes: np.ndarray  # of parameters


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """Equations, and how values for them are drawn.

    - `unknowns`, `parameters`: their shapes; `equations`: the shapes of what `residual` gives.
    - `residual`: from functions, unknowns and parameters to a list of what is zero.
    - `blocks`: places in the vectors of equations and unknowns that are solved together, in order.
    - `draw`: from random numbers and how many powers of ten units may span, up and down, to one set of
      values; `None` where luck was bad.
    """

    name: str
    unknowns: tuple[tuple[int, ...], ...]
    parameters: tuple[tuple[int, ...], ...]
    equations: tuple[tuple[int, ...], ...]
    residual: Callable[[Any, Sequence[Any], Sequence[Any]], list[Any]]
    blocks: tuple[tuple[list[int], list[int]], ...]
    affine: bool
    draw: Callable[[Random, float], Drawn | None]


# Functions that equations are written with, for JAX and for numbers with a batch as their last axis


def _scan(step: Any, carry: Any, xs: Any) -> Any:
    out = []
    for x in xs:
        carry, y = step(carry, x)
        out.append(y)
    return np.stack(out)


def _repeat(times: int, step: Any, carry: Any) -> Any:
    for _ in range(times):
        carry = step(carry)
    return carry


class Numbers:
    """Of numpy: complex ones too, so that a step along the imaginary axis is a derivative."""

    exp, log, sqrt, sin, rule = np.exp, np.log, np.sqrt, np.sin, np.log
    dot = staticmethod(lambda m, x: np.einsum("ij...,j...->i...", m, x))
    constant = staticmethod(lambda m, like: m)
    roll = staticmethod(lambda x: np.roll(x, 1, 0))
    total = staticmethod(lambda x: x.sum(0))
    running = staticmethod(lambda x: x.cumsum(0))
    join = staticmethod(np.concatenate)
    each = staticmethod(lambda f, x: f(x))
    scan = staticmethod(_scan)
    cond = staticmethod(lambda on, yes, no, *x: yes(*x))  # what decides is positive in all values
    repeat = staticmethod(_repeat)


@jax.custom_jvp
def _log(x):
    return jnp.log(x)


_log.defjvp(lambda x, t: (_log(*x), t[0] / x[0]))


class Traced:
    """Of JAX."""

    exp, log, sqrt, sin, rule = jnp.exp, jnp.log, jnp.sqrt, jnp.sin, _log
    dot = staticmethod(lambda m, x: m @ x)
    constant = staticmethod(lambda m, like: jnp.asarray(m, like.dtype))
    roll = staticmethod(lambda x: jnp.roll(x, 1))
    total = staticmethod(jnp.sum)
    running = staticmethod(jnp.cumsum)
    join = staticmethod(jnp.concatenate)
    each = staticmethod(lambda f, x: lax.map(f, x))
    scan = staticmethod(lambda step, carry, xs: lax.scan(step, carry, xs)[1])
    cond = staticmethod(lambda on, yes, no, *x: lax.cond(on > 0, yes, no, *x))
    repeat = staticmethod(
        lambda times, step, carry: lax.fori_loop(0, times, lambda _, c: step(c), carry)
    )


def split(flat: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """The parts of a vector by their shapes, each with what other axes the vector has."""
    out, start = [], 0
    for shape in shapes:
        size = int(np.prod(shape, dtype=int))
        part = flat[start] if shape == () else flat[start : start + size]
        out.append(part if len(shape) < 2 else part.reshape(*shape, *flat.shape[1:]))
        start += size
    return out


def traced(kind: Kind) -> Callable[[Any, Any], Any]:
    """The residual of vectors of JAX."""

    def fn(u: Any, p: Any) -> Any:
        parts = kind.residual(Traced, split(u, kind.unknowns), split(p, kind.parameters))
        return jnp.stack(parts) if () in kind.equations else jnp.concatenate(parts)

    return fn
