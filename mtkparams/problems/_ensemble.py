"""Many solves of one problem: the call, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ..errors import KindError
from ._problem import ODEProblem
from ._solution import Solution


class Ensemble(eqx.Module):
    """The solves of an ensemble, members in front, read by name.

    `len(ensemble)` is the number of members; `ensemble["x"]` has the shape `(members, times)`;
    `ensemble[3]` is the solution of one member, `ensemble[3:7]` or `ensemble[ensemble.arrived]` a
    smaller ensemble, and a loop goes through the members.

    **Attributes:**

    - `output`: a `mtk.Solution` with a leading axis, or with `output=` what that function returned,
      with a leading axis.
    - `result`: how each member ended, a `diffrax.RESULTS` with a leading axis.
    - `values`: what differs between the members, by name.
    """

    output: Any
    result: Any
    values: dict[Any, Any]

    @property
    def arrived(self) -> Array:
        """Whether each member arrived at its end, or at the event that ended it; shape `(members,)`."""
        from ._ensemble_run import arrived

        return arrived(self.result)

    def __len__(self) -> int:
        return self.result._value.shape[0]

    def __getitem__(self, spec: Any) -> Any:
        """Values of all members by name, or one member, or some of them.

        **Arguments:**

        - `spec`: as for `mtk.Solution`, with the members in front; a number of a member; a slice or an
          array of numbers or of truth values, which gives an ensemble.

        `UnknownNameError` with the nearest names; `IndexError` for a member that there is not.
        """
        if isinstance(spec, int | np.integer) and not isinstance(spec, bool):
            if not -len(self) <= spec < len(self):
                raise IndexError(f"No member {spec}: the ensemble has {len(self)}.")
            return _member(self.output, int(spec))
        if isinstance(spec, slice | np.ndarray | jax.Array):
            where = spec if isinstance(spec, slice) else np.asarray(spec)
            if isinstance(where, np.ndarray) and where.dtype == bool and where.size != len(self):
                raise IndexError(f"{where.size} truth values for an ensemble of {len(self)}.")
            return _member(self, where)
        return self._solution()[spec]

    def __call__(self, t: Any, spec: Any = None) -> Any:
        """Values of all members between the save times, of solves with `dense=True`."""
        return self._solution()(t, spec)

    def _solution(self) -> Solution:
        if not isinstance(self.output, Solution):
            raise KindError(
                "This ensemble kept what output= returned, and no solutions: read `ensemble.output`."
            )
        return self.output

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def to_dict(self, spec: Any = None) -> dict[str, Any]:
        """Values of all members by name, as `mtk.Solution.to_dict`."""
        return self._solution().to_dict(spec)

    def to_pandas(self, spec: Any = None) -> Any:
        """A `pandas.DataFrame` with the index `(member, t)`, as `mtk.Solution.to_pandas`."""
        return self._solution().to_pandas(spec)

    def to_xarray(self, spec: Any = None) -> Any:
        """An `xarray.Dataset` with the dimension `member`, as `mtk.Solution.to_xarray`."""
        return self._solution().to_xarray(spec)

    def plot(
        self, spec: Any = None, *, ax: Any = None, band: bool | None = None, **line: Any
    ) -> Any:
        """A line for each member, or a band of many; as `mtk.Solution.plot`."""
        return self._solution().plot(spec, ax=ax, band=band, **line)

    def __contains__(self, name: object) -> bool:
        return isinstance(self.output, Solution) and name in self.output

    @property
    def ts(self) -> Array:
        """Save times, shape `(members, times)`."""
        return self._solution().ts

    @property
    def p(self) -> Any:
        """The parameters of all members."""
        return self._solution().p

    def __repr__(self) -> str:
        bad = ~self.arrived
        failed = "" if isinstance(bad, Tracer) or not bad.any() else f", {int(bad.sum())} failed"
        names = ", ".join(str(name) for name in self.values)
        return f"Ensemble({len(self)} members{failed}; {names or 'a batch of problems'})"


def _member(tree: Any, where: Any) -> Any:
    return jax.tree.map(lambda x: x[where] if eqx.is_array(x) else x, tree)


def solve_ensemble(
    problem: ODEProblem,
    values: Mapping[Any, Any] | None = None,
    solver: Any = "auto",
    *,
    output: Callable[[Solution], Any] | None = None,
    chunk: int = 1000,
    memory: int | None = None,
    devices: Sequence[Any] | None = None,
    throw: bool = True,
    **options: Any,
) -> Ensemble:
    """Many solves of one problem with different values, in one compiled call.

    The members are solved side by side, `chunk` at a time, on all devices that there are. What they
    share is there once. Derivatives with respect to `values`, and to what the members share, are
    those of a loop of `mtk.solve`.

    **Main arguments:**

    - `problem`: what the members have in common; or a batch of problems, from `mtk.stack`.
    - `values`: for each name what `mtk.remake` takes, with the members in front: shape
      `(members,)` for a number. A function `lambda p: ...` holds for every member.
    - `solver`, and as keywords `saveat`, `rtol`, `atol`, `adjoint` and all else: as for `mtk.solve`.
    - `output`: what to keep of each solution, a function of it: `lambda sol: sol["x"][-1]`. Without
      it the solutions are kept, with all their parameters.
    - `throw`: raise `SolveError` if any member did not arrive; the message tells how many, which
      ones, and their values. With `False` all values and derivatives of the failed members are NaN,
      and `ensemble.arrived` tells which those are.

    **Other arguments:**

    - `chunk`: how many members each device solves at a time, at most. It bounds the memory that
      solving takes, and that of derivatives in reverse mode too: what a chunk leaves behind is its
      output, and the backward pass solves a chunk once more.
    - `memory`: a bound in bytes for what the solutions of one chunk take; makes chunks smaller
      where they would take more.
    - `devices`: devices to share the members out among, by default all of `jax.local_devices()`.

    **Raises:** `SolveError`; as `mtk.remake` and `mtk.solve`; `ShapeError` for values without members
    in front, or with different numbers of them.

    !!! Example

        >>> import mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ... )
        >>> problem = mtk.ODEProblem(decay, {}, (0.0, 2.0))
        >>> ensemble = mtk.solve_ensemble(problem, {"k": [0.1, 0.5, 2.0]})
        >>> [round(x, 4) for x in ensemble["x"][:, -1].tolist()]
        [0.8187, 0.3679, 0.0183]
    """
    from ._ensemble_run import run_ensemble

    if values is not None and not isinstance(values, Mapping):
        raise KindError(f"Values are a dictionary by name, got {type(values).__name__}.")
    for name, size in (("chunk", chunk), ("memory", memory)):
        if size is not None and (not isinstance(size, int | np.integer) or size < 1):
            raise KindError(f"{name}= is a positive whole number, got {size!r}.")
    return run_ensemble(
        problem,
        dict(values or {}),
        solver,
        output=output,
        chunk=int(chunk),
        memory=memory,
        devices=devices,
        throw=throw,
        options=options,
    )
