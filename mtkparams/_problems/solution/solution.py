"""What a solve gives, read by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool

from ..._lookup import filled, is_eager, leaves_of
from ..._model import Model
from ..._parameters import Initial, Initials, MTKParameters
from ..._results import RESULTS, succeeded
from ..._text import counted
from ...errors import KindError
from .plot import plot
from .report import SolveReport
from .series import depends_on_time, read_series
from .show import show
from .table import to_pandas, to_xarray


class Solution(eqx.Module):
    """The values of a solved problem at its save times, by name.

    A Module that owns its parameters: changing a problem never changes an old solution.

    **Attributes:**

    - `ts`: save times, shape `(times,)`.
    - `ys`: unknowns, shape `(times, entries)`, the differential ones first; read them by name.
    - `p`: the parameters of this solve.
    - `result`: how it ended, of `mtk.RESULTS`; `stats`: counts of steps, and `phase`, the number of
      the solver that ended it (`"auto"` has two).
    - `initialization`: how the start was found, as from `mtk.initialize`, where not all of it was given.
    - `t0`, `t1`: the time span.
    - `has_unknowns`: whether `ys` are the unknowns; not so with `SaveAt(fn=...)`. Static.
    """

    ts: Any  # arrays, as far as they have names
    ys: Any
    p: MTKParameters
    t0: Array
    t1: Array
    result: RESULTS
    stats: dict[str, Any]
    interpolation: Any
    model: Model = eqx.field(static=True)
    initialization: Any = None
    has_unknowns: bool = eqx.field(static=True, default=True)

    @property
    def succeeded(self) -> Bool[Array, "*batch"]:
        """Whether it arrived at its end, or at the event that ended it; of a batch for each member."""
        return succeeded(self.result)

    def report(self) -> SolveReport:
        """How it ended and why, its steps, and how its start was found: print it."""
        start = None if self.initialization is None else self.initialization.report()
        return SolveReport(self.result, self.stats, start=start)

    def __getitem__(self, spec: object) -> Any:
        """Values at the save times, in the structure of `spec`.

        **Arguments:**

        - `spec`: an unknown, an observed value, a derivative (`"D(x)"`) or `"t"` gives a series with the
          times in front; a parameter gives its one value; a function `f(t, u, p)` a series, and `f(p)`
          one value; and lists, tuples and dictionaries of those.

        All observed values and functions of one `spec` are one compiled call.

        `UnknownNameError` with the nearest names.
        """
        if not self.has_unknowns:
            return self._parameters(spec)
        return read_series(self.model, self.ts, self.ys, self.p, spec)

    def _parameters(self, spec: object) -> Any:
        """What can be read by name of a solution that kept something else than its unknowns."""
        leaves = leaves_of(spec)
        if any(map(self.is_series, leaves)):
            raise KindError(
                "SaveAt(fn=...), or several SubSaveAt, kept something else than one series of the "
                "unknowns, which has no names: read `solution.ys`. Parameters can be read by name."
            )
        return filled(spec, iter([self.p[leaf] for leaf in leaves]))

    def __call__(self, t: Any, spec: object = None) -> Any:
        """Values between the save times, of a solve with `dense=True`.

        **Arguments:**

        - `t`: a time or an array of times, inside the time span.
        - `spec`: as for `solution[spec]`; all unknowns by name if it is not given.
        """
        if self.interpolation is None:
            raise KindError(
                "Values between save times were not kept. Solve with mtk.solve(..., dense=True)."
            )
        if self.t0.ndim:  # a batch of solutions
            return jax.vmap(lambda member: member(t, spec))(self)
        spec = {name: name for name in self._unknowns} if spec is None else spec
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
    def _unknowns(self) -> tuple[str, ...]:
        return (*self.model.differential, *self.model.algebraic)

    @property
    def u0(self) -> dict[str, Any]:
        """The initial values by name."""
        return {name: self.p[Initial(name)] for name in self._unknowns}

    def __contains__(self, name: object) -> bool:
        return name in self.p or name in self.model.states

    def names(self) -> tuple[str, ...]:
        """The names that have a series: unknowns and observed values."""
        return self.model.states.names()

    def is_series(self, name: Any) -> bool:
        """Whether a name or a function has a value at each time, rather than one for all times."""
        return depends_on_time(self.model, self.p, name)

    def to_dict(self, spec: object = None) -> dict[str, Any]:
        """`{"t": times, name: values}`, arrays of JAX.

        **Arguments:**

        - `spec`: a list of names, or `{label: name or function}`; by default all unknowns and observed.
        """
        return {"t": self.ts, **self[self._asked(spec)]}

    def to_pandas(self, spec: object = None) -> Any:
        """A `pandas.DataFrame` with the times as its index, `t`, and a column for each number.

        **Arguments:**

        - `spec`: as for `to_dict`.

        Entries of arrays are columns `y[0]`, `y[1]`. A batch has the index `(member, t)`. Units and
        descriptions are in `table.attrs`. `ImportError` where pandas is not installed.
        """
        return to_pandas(_trimmed(self), self._asked(spec))

    def to_xarray(self, spec: object = None) -> Any:
        """An `xarray.Dataset` with the coordinate `t`; arrays and batches have dimensions of their own.

        **Arguments:**

        - `spec`: as for `to_dict`.

        Units and descriptions are attributes `units` and `long_name` of each variable. `ImportError`
        where xarray is not installed.
        """
        return to_xarray(_trimmed(self), self._asked(spec))

    def plot(
        self, spec: object = None, *, ax: Any = None, band: bool | None = None, **line: Any
    ) -> Any:
        """Lines over time, with names and units; the `matplotlib` axes.

        A solution of `mtk.solve(..., dense=True)` is drawn smoothly, others through the save times.

        **Arguments:**

        - `spec`: as for `to_dict`, or one name; by default all unknowns.
        - `ax`: the axes to draw on; new ones by default.
        - `band`: of a batch, the median and the range of 90 % of its finite members in place of one
          line for each; by default of more than 20.
        - `line`: options of `matplotlib`'s `plot`, such as `color=`.

        `ImportError` where matplotlib is not installed.
        """
        spec = self.model.states.names(Initials) if spec is None else spec
        dense = self.interpolation is not None and self.ts.ndim == 1
        return plot(_refined(self) if dense else _trimmed(self), spec, ax, band, line)

    def _asked(self, spec: Any) -> Mapping[Any, Any]:
        names = (
            self.names() if spec is None else [spec] if isinstance(spec, str | Initial) else spec
        )
        return names if isinstance(names, Mapping) else {name: name for name in names}

    def __repr__(self) -> str:
        if not self.has_unknowns:
            return f"Solution(saved functions of {', '.join(self.model.unknowns)})"
        return f"Solution({counted(self.ts.shape[-1], 'time')}, {', '.join(self.names())})"

    def __str__(self) -> str:
        return show(_trimmed(self)) if self.has_unknowns else repr(self)


def _between(interpolation: Any, ts: Array) -> Array:
    return jax.vmap(interpolation.evaluate)(ts)


_between_compiled = eqx.filter_jit(_between)


# So many that a curve looks like one.
_POINTS = 400


def _refined(solution: Solution) -> Solution:
    """A dense solution at many times, from its start to its last save time."""
    if isinstance(solution.ts, Tracer):
        return solution
    saved = np.asarray(solution.ts)
    ends = saved[np.isfinite(saved)][-1:]
    end = ends[0] if ends.size else solution.t1
    ts = jnp.linspace(solution.t0, end, _POINTS)
    ys = _between_compiled(solution.interpolation, ts)
    return eqx.tree_at(lambda s: (s.ts, s.ys), solution, (ts, ys))


def _trimmed(solution: Solution) -> Solution:
    """A solution without the room for steps that were not taken, whose times are infinite."""
    if isinstance(solution.ts, Tracer) or solution.ts.ndim > 1:
        return solution
    taken = ~np.isinf(np.asarray(solution.ts))
    if taken.all():
        return solution
    return eqx.tree_at(lambda s: (s.ts, s.ys), solution, (solution.ts[taken], solution.ys[taken]))


def read_some(solution: Solution, at: Any, spec: object) -> Any:
    """The values of a solution at some of its save times; of one time without an axis for it."""
    if not solution.has_unknowns:
        return solution[spec]
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
