"""Ways to a consistent start."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias, TypedDict


@dataclasses.dataclass(frozen=True)
class OverrideInit:
    """Find everything that is not given from all equations that hold at the start. The default.

    The unknowns without a value and the parameters that are `mtk.SOLVE` are found; the equations are
    the residuals and the initial equations.

    **Arguments:**

    - `rtol`, `atol`: how well a root is found, relative and in the unit of the unknown; by default as
      well as the precision allows. For equations that are left over they say how far from zero
      they may be, `rtol` relative to the terms of the equation.
    - `max_steps`: Newton steps of a block before it counts as failed.
    - `blocks`: solve block after block, rather than all equations at once.
    - `fully_determined`: `True`: raise `StructureError` unless there are as many equations as values
      to find. `False`: do not warn either where there are fewer.
    """

    rtol: float | None = None
    atol: float | None = None
    max_steps: int = 60
    blocks: bool = True
    fully_determined: bool | None = None


@dataclasses.dataclass(frozen=True)
class BrownFullBasicInit:
    """Keep the differential unknowns and all parameters, and find all algebraic unknowns.

    Every algebraic unknown starts from its value, whether that was given or a guess; initial
    equations are not looked at.

    **Arguments:** as for `mtk.OverrideInit`.
    """

    rtol: float | None = None
    atol: float | None = None
    max_steps: int = 60
    blocks: bool = True


@dataclasses.dataclass(frozen=True)
class CheckInit:
    """Change nothing, and check that the values fulfil the residuals and the initial equations.

    **Arguments:**

    - `rtol`, `atol`: how far from zero an equation may be, relative to its terms and absolute; by
      default the square root of the precision, 1.5e-8 in 64 bits.
    """

    rtol: float | None = None
    atol: float | None = None


@dataclasses.dataclass(frozen=True)
class NoInit:
    """Take the values and guesses as they are, and check nothing."""


Algorithm: TypeAlias = OverrideInit | BrownFullBasicInit | CheckInit | NoInit


class RootOptions(TypedDict, total=False):
    """What the search for a root takes: options of `OverrideInit`, which has their defaults."""

    rtol: float | None
    atol: float | None
    max_steps: int
    blocks: bool


class StartOptions(RootOptions, total=False):
    """What `mtk.initialize` takes, for the same algorithm."""

    fully_determined: bool | None
