"""What a solve gives, read by name."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ..errors import KindError
from ..indexing._spec import is_eager
from ..model import Model
from ..parameters import Initial, MTKParameters
from ._series import read_series


class Solution(eqx.Module):
    """The values of a solved problem at its save times, by name.

    A Module that owns its parameters: changing a problem never changes an old solution.

    **Attributes:**

    - `ts`: save times, shape `(times,)`.
    - `ys`: differential unknowns, shape `(times, entries)`; read them by name.
    - `p`: the parameters of this solve.
    - `result`: how it ended, a `diffrax.RESULTS`; `stats`: counts of steps, and `phase`, the number of
      the solver that ended it (`"auto"` has two).
    - `t0`, `t1`: the time span.
    """

    ts: Array
    ys: Array
    p: MTKParameters
    t0: Array
    t1: Array
    result: Any
    stats: dict[str, Any]
    interpolation: Any
    model: Model = eqx.field(static=True)

    def __getitem__(self, spec: Any) -> Any:
        """Values at the save times, in the structure of `spec`.

        **Arguments:**

        - `spec`: an unknown, an observed value, a derivative (`"D(x)"`) or `"t"` gives a series with the
          times in front; a parameter gives its one value; a function `f(t, u, p)` a series, and `f(p)`
          one value; and lists, tuples and dictionaries of those.

        All observed values and functions of one `spec` are one compiled call.

        `UnknownNameError` with the nearest names.
        """
        return read_series(self.model, self.ts, self.ys, self.p, spec)

    def __call__(self, t: Any, spec: Any = None) -> Any:
        """Values between the save times, of a solve with `dense=True`.

        **Arguments:**

        - `t`: a time or an array of times, inside the time span.
        - `spec`: as for `solution[spec]`; all unknowns by name if it is not given.
        """
        if self.interpolation is None:
            raise KindError(
                "Values between save times were not kept. Solve with mtk.solve(..., dense=True)."
            )
        if self.ts.ndim > 1:  # a batch of solutions
            return jax.vmap(lambda one: one(t, spec))(self)
        spec = {name: name for name in self.model.differential} if spec is None else spec
        t = jnp.asarray(t).astype(self.ts.dtype)
        t = eqx.error_if(
            t,
            jnp.any((t < jnp.minimum(self.t0, self.t1)) | (t > jnp.maximum(self.t0, self.t1))),
            "The time lies outside of the solution's time span.",
        )
        flat = t.ravel()
        between = _between_compiled if is_eager(self.interpolation, flat) else _between
        ys = between(self.interpolation, flat)
        return read_series(self.model, flat, ys, self.p, spec, t.shape)

    @property
    def u0(self) -> dict[str, Any]:
        """The initial values by name."""
        return {name: self.p[Initial(name)] for name in self.model.differential}

    def __contains__(self, name: object) -> bool:
        return name in self.p or name in self.model.states

    def names(self) -> tuple[str, ...]:
        """The names that have a series: unknowns and observed values."""
        return self.model.states.names()

    def to_dict(self, spec: Any = None) -> dict[str, Any]:
        """`{"t": times, name: series}` for all unknowns and observed values, or for those named."""
        names = self.names() if spec is None else tuple(spec)
        return {"t": self.ts, **{name: self[name] for name in names}}

    def __repr__(self) -> str:
        return f"Solution({self.ts.shape[-1]} times, {', '.join(self.names())})"


def _between(interpolation: Any, ts: Array) -> Array:
    return jax.vmap(interpolation.evaluate)(ts)


_between_compiled = eqx.filter_jit(_between)


def read_some(solution: Solution, at: Any, spec: Any) -> Any:
    """The values of a solution at some of its save times; of one time without an axis for it."""
    count = solution.ts.shape[-1]
    if isinstance(at, slice):
        at = np.arange(count)[at]
    elif not isinstance(at, Tracer):
        # JAX takes the last entry for one that is not there.
        at = np.arange(count)[np.asarray(at)]
    at = jnp.asarray(at)
    take = lambda x, axis: jnp.take(x, at.ravel(), axis, mode="fill", fill_value=jnp.nan)
    ts, ys = take(solution.ts, -1), take(solution.ys, -2)
    return read_series(solution.model, ts, ys, solution.p, spec, at.shape)
