"""What a table or a plot of a solution shows: numbers on the host, with labels and units."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jax.core import Tracer

from ..._lookup import is_name
from ..._parameters import Initial, plain
from ...errors import KindError


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """One quantity: `values` of shape `(..., times, *shape)`, members of a batch in front.

    `is_series` tells it from a value that is the same at all times, of shape `(..., *shape)`.
    """

    label: str
    values: np.ndarray
    shape: tuple[int, ...]
    is_series: bool
    unit: str | None
    description: str | None

    def entries(self) -> dict[str, np.ndarray]:
        """Each number of the quantity alone, `y[0]`, `y[1]`; shape `(..., times)` or `(...)`."""
        if not self.shape:
            return {self.label: self.values}
        lead = self.values.shape[: self.values.ndim - len(self.shape)]
        flat = self.values.reshape((*lead, -1))
        return {
            f"{self.label}[{','.join(map(str, at))}]": flat[..., i]
            for i, at in enumerate(np.ndindex(*self.shape))
        }

    @property
    def title(self) -> str:
        return f"{self.label} [{self.unit}]" if self.unit else self.label


def columns(solution: Any, spec: Any) -> list[Column]:
    """The quantities that `spec` names: a name, a list of names, or `{label: name or function}`."""
    asked = _labeled(spec)
    lead = solution.ts.ndim - 1
    times = solution.ts.shape[-1]
    values = solution[asked]
    shown = []
    for label, leaf in asked.items():
        value = values[label]
        if isinstance(value, Tracer):
            raise KindError(
                "A table or a plot is made of numbers, and this solution is traced. Return it from the "
                "function that is transformed."
            )
        array = np.asarray(value)
        if array.dtype.kind not in "biufc":
            raise KindError(f"{label!r} is {type(value).__name__}, which is no number to show.")
        is_series = solution.is_series(leaf)
        if is_series and array.shape[lead : lead + 1] != (times,):
            raise KindError(f"{label!r} has shape {array.shape} at {times} times.")
        shape = array.shape[lead + is_series :]
        shown.append(Column(label, array, shape, is_series, *_about(solution, leaf)))
    return shown


def _labeled(spec: Any) -> dict[str, Any]:
    if isinstance(spec, str | Initial) or callable(spec):
        spec = [spec]
    if isinstance(spec, Mapping):
        return {str(label): leaf for label, leaf in spec.items()}
    labeled = {}
    for leaf in spec:
        if not is_name(leaf):
            raise KindError(
                f"An expression needs a label here: {{'label': f}}, got {leaf!r} in a list of names."
            )
        labeled[plain(leaf)] = leaf
    return labeled


def _about(solution: Any, leaf: Any) -> tuple[str | None, str | None]:
    if not is_name(leaf):
        return None, None
    name = plain(leaf)
    for index in (solution.model.states, solution.p.index):
        if name in index:
            about = index.find(name).entry.about
            return about.unit, about.description
    return None, None


def shared_times(ts: np.ndarray) -> np.ndarray | None:
    """The save times that all members have in common; those of a member that failed are NaN."""
    rows = ts.reshape(-1, ts.shape[-1])
    good = rows[np.isfinite(rows).all(axis=1)]
    if not len(good):
        return rows[0]
    return good[0] if (good == good[0]).all() else None


def needed(module: str, what: str, extra: str) -> Any:
    """A package that only this call needs."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ImportError(
            f"{what} needs {package}, which is not installed: pip install 'mtkparams[{extra}]'."
        ) from error
