"""A solution as a plot of its quantities over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import KindError
from .columns import columns, needed, shared_times

# Of more members than this a band says more than lines do.
_LINES = 20
_QUANTILES = (0.05, 0.5, 0.95)


def plot(solution: Any, spec: Any, ax: Any, band: bool | None, options: dict[str, Any]) -> Any:
    """What `Solution.plot` says."""
    pyplot = needed("matplotlib.pyplot", "solution.plot()", "plot")
    shown = columns(solution, spec)
    if ax is None:
        _, ax = pyplot.subplots()
    ts = np.asarray(solution.ts)
    ts = ts.reshape(-1, ts.shape[-1])
    band = len(ts) > _LINES if band is None else band
    shared = shared_times(ts)
    if shared is not None:
        ts = np.broadcast_to(shared, ts.shape)
    elif band:
        raise KindError(
            "A band needs members that were saved at the same times. Plot lines with band=False."
        )
    for column in shown:
        if not column.is_series:
            raise KindError(f"{column.label!r} is one value, and a plot is made of series.")
        units = f" [{column.unit}]" if column.unit else ""
        for label, values in column.entries().items():
            rows = values.reshape(ts.shape)
            draw = _band if band and len(rows) > 1 else _lines
            draw(ax, ts, rows, {"label": label + units, **options})
    ax.set_xlabel("t")
    if len(shown) == 1:
        (column,) = shown
        ax.set_ylabel(
            column.description + column.title[len(column.label) :]
            if column.description
            else column.title
        )
    else:
        units = {column.unit for column in shown}
        unit = units.pop() if len(units) == 1 else None
        ax.set_ylabel(f"[{unit}]" if unit else "")
    if len(ax.get_legend_handles_labels()[0]) > 1:
        ax.legend()
    return ax


def _lines(ax: Any, ts: np.ndarray, rows: np.ndarray, options: dict[str, Any]) -> None:
    if len(rows) == 1:
        ax.plot(ts[0], rows[0], **options)
        return
    (first,) = ax.plot(ts[0], rows[0], **{"alpha": 0.5, **options})
    rest = {"alpha": 0.5, **options, "label": None, "color": first.get_color()}
    for t, row in zip(ts[1:], rows[1:], strict=True):
        ax.plot(t, row, **rest)


def _band(ax: Any, ts: np.ndarray, rows: np.ndarray, options: dict[str, Any]) -> None:
    # Members that failed are NaN, and no part of the band.
    alive = rows[np.isfinite(rows).all(axis=1)]
    if not len(alive):
        raise KindError(f"{options['label']!r} has no finite member to show.")
    low, middle, high = np.quantile(alive, _QUANTILES, axis=0)
    (line,) = ax.plot(ts[0], middle, **options)
    ax.fill_between(ts[0], low, high, color=line.get_color(), alpha=0.25, linewidth=0)
