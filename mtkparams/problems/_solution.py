"""What a solve gives, read by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..errors import KindError
from ..model import Model
from ..parameters import Initial, MTKParameters
from ._read import depends_on_time, read_at


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

        - `spec`: an unknown, an observed value or `"t"` gives a series with the times in front; a
          parameter gives its one value; a function `f(t, u, p)` a series; and lists, tuples and
          dictionaries of those.

        `UnknownNameError` with the nearest names.
        """
        if self.ts.ndim > 1:  # a batch of solutions
            return jax.vmap(lambda one: one[spec])(self)
        if isinstance(spec, tuple) and hasattr(spec, "_fields"):
            return type(spec)(*(self[inner] for inner in spec))
        if isinstance(spec, list | tuple):
            return type(spec)(self[inner] for inner in spec)
        if isinstance(spec, Mapping):
            return {key: self[inner] for key, inner in spec.items()}
        if isinstance(spec, str | Initial | int) and not depends_on_time(self.model, self.p, spec):
            return read_at(self.model, self.t0, self.ys[..., 0, :], self.p, spec)
        return self._series(self.ts, self.ys, spec)

    def _series(self, ts: Array, ys: Array, spec: Any) -> Any:
        def at(t: Array, y: Array) -> Any:
            return jax.tree.map(jnp.asarray, read_at(self.model, t, y, self.p, spec))

        return jax.vmap(at)(ts, ys)

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
        ys = jax.vmap(self.interpolation.evaluate)(flat)
        values = self._series(flat, ys, spec)
        return jax.tree.map(lambda x: x.reshape(t.shape + x.shape[1:]), values)

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
