"""What an ensemble gives: the solutions of all members, read by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool

from ..._parameters import MTKParameters
from ..._results import RESULTS, number, succeeded
from ..._text import counted
from ...errors import KindError
from .report import SolveReport
from .solution import Solution


class EnsembleSolution(eqx.Module):
    """The solves of an ensemble, members in front, read by name.

    `len(ensemble)` is the number of members; `ensemble["x"]` has the shape `(members, times)`;
    `ensemble[3]` is the solution of one member, `ensemble[3:7]` or `ensemble[ensemble.succeeded]` a
    smaller ensemble, and a loop goes through the members.

    **Attributes:**

    - `output`: a `mtk.Solution` with a leading axis, or with `output=` what that function returned,
      with a leading axis.
    - `result`: how each member ended, an `mtk.RESULTS` with a leading axis.
    - `values`: what differs between the members, by name.

    !!! Example

        >>> import mtkparams as mtk
        >>> growth = mtk.System(
        ...     parameters={"k": 1.0},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": p.k * u.x**2},
        ... )
        >>> problem = mtk.ODEProblem(growth, {}, (0.0, 1.5))
        >>> ensemble = mtk.solve_ensemble(problem, {"k": [0.2, 1.0, 0.4]}, throw=False)
        >>> ensemble.succeeded.tolist()
        [True, False, True]
        >>> [round(x, 4) for x in ensemble[ensemble.succeeded]["x"][:, -1].tolist()]
        [1.4286, 2.5]
    """

    output: Any
    result: RESULTS
    values: dict[Any, Any]

    @property
    def succeeded(self) -> Bool[Array, " members"]:
        """Whether each member arrived at its end, or at the event that ended it."""
        return succeeded(self.result)

    def report(self) -> SolveReport:
        """How many members ended how, which ones failed, and their values: print it."""
        stats = self.output.stats if isinstance(self.output, Solution) else {}
        return SolveReport(self.result, stats, self.values)

    def __len__(self) -> int:
        return number(self.result).shape[0]

    def __getitem__(self, spec: object) -> Any:
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

    def __call__(self, t: Any, spec: object = None) -> Any:
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

    def to_dict(self, spec: object = None) -> dict[str, Any]:
        """Values of all members by name, as `mtk.Solution.to_dict`."""
        return self._solution().to_dict(spec)

    def to_pandas(self, spec: object = None) -> Any:
        """A `pandas.DataFrame` with the index `(member, t)`, as `mtk.Solution.to_pandas`."""
        return self._solution().to_pandas(spec)

    def to_xarray(self, spec: object = None) -> Any:
        """An `xarray.Dataset` with the dimension `member`, as `mtk.Solution.to_xarray`."""
        return self._solution().to_xarray(spec)

    def plot(
        self, spec: object = None, *, ax: Any = None, band: bool | None = None, **line: Any
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
    def p(self) -> MTKParameters:
        """The parameters of all members."""
        return self._solution().p

    def __repr__(self) -> str:
        failed = ~self.succeeded
        known = not isinstance(failed, Tracer) and failed.any()
        failures = f", {int(failed.sum())} failed" if known else ""
        names = ", ".join(str(name) for name in self.values)
        return f"EnsembleSolution({counted(len(self), 'member')}{failures}; {names or 'a batch of problems'})"


def _member(tree: Any, where: Any) -> Any:
    return jax.tree.map(lambda x: x[where] if eqx.is_array(x) else x, tree)
