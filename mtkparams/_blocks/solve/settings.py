"""When a root counts as found."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike


@dataclasses.dataclass(frozen=True)
class Settings:
    """Tolerances of a solve; `None` means what the precision of the unknowns allows.

    **Arguments:**

    - `rtol`: the next Newton step, relative to the unknown, below which a root is found. That step
      is still taken, so the root is better than `rtol` by about its square. Never less than a few
      units of rounding.
    - `atol`: the same, in units of the unknown. By default so small beside the guess that only exact
      zeros need it: an unknown of 1e-12 is found to `rtol` as one of 1e12 is.
    - `residual`: what is left of an equation, relative to its largest term, where a least-squares
      solve still counts as a solution.
    - `max_steps`: evaluations of the residual of a block before it counts as failed.
    - `sliced`: each block is evaluated by a program of its own, cut out of the residual. If not, or if
      there would be too many programs, by the whole residual, of which it takes its rows.
    - `doubt`: also look for roots of nonlinear blocks whose slope is lost in rounding, which takes two
      or three more evaluations.
    """

    rtol: float | None = None
    atol: float | None = None
    residual: float | None = None
    max_steps: int = 60
    sliced: bool = True
    doubt: bool = False


class Tolerances(NamedTuple):
    rtol: float
    atol: float
    residual: float
    eps: float
    tiny: float
    steps: int
    doubt: bool


def tolerances(settings: Settings, dtype: DTypeLike) -> Tolerances:
    eps = float(jnp.finfo(dtype).eps)
    tiny = float(jnp.finfo(dtype).tiny)
    rtol = eps**0.625 if settings.rtol is None else max(settings.rtol, 8 * eps)
    atol = 1e4 * tiny if settings.atol is None else settings.atol
    residual = eps**0.5 if settings.residual is None else max(settings.residual, 8 * eps)
    return Tolerances(rtol, atol, residual, eps, tiny, settings.max_steps, settings.doubt)
