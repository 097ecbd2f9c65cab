"""What a solve gives back."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float, Int


class Found(eqx.Module):
    """What a solve found.

    **Attributes:**

    - `u`: the unknowns, `(n,)`; NaN, and with NaN derivatives, where a block failed or was blocked.
    - `status`: for each block 0 solved; 1 failed; 2 blocked by an earlier failure; 3 singular: the
      value is a root, and has no derivative (NaN); 4 reads a singular one: a root that has no
      derivative for that reason (NaN).
    - `iterations`: evaluations of each block's residual; 1 for affine ones.
    - `residual`: the largest entry of each block's residual at `u`, or where the search ended.
    - `condition`: a bound of the condition number of each block's Jacobian, in the best of all units
      of its equations and unknowns.
    - `caches`: earlier results that later blocks read: all unknowns, and what was computed from them
      once for several blocks. They are results only: nothing reads a cache of an earlier solve.

    All but `u` and `caches` are constants to a derivative.
    """

    u: Float[Array, " n"]
    status: Int[Array, " blocks"]
    iterations: Int[Array, " blocks"]
    residual: Float[Array, " blocks"]
    condition: Float[Array, " blocks"]
    caches: tuple[Array, ...]
