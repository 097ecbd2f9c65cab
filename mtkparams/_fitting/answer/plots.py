"""Pictures of a fit, with matplotlib, which is an extra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..._parameters import Initial
from ..._text import counted
from ...errors import KindError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .profile import Profile
    from .result import FitResult

# Okabe and Ito (2008): colors that color-blind readers tell apart.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_INK = "#333333"


def data_and_curves(result: FitResult, level: float) -> Figure:
    """What `result.plot` says."""
    objective = result.objective
    if not objective.series:
        raise KindError("There is nothing to draw in time: this fit has no data tables.")
    names = list(dict.fromkeys(series.name for series in objective.series))
    conditions = list(dict.fromkeys(series.condition for series in objective.series))
    figure = _figure(4.5 * len(names), 5.0)
    panels = figure.subplots(2, len(names), sharex="col", squeeze=False, height_ratios=(3.0, 1.0))
    curves = result.bands(level=level)
    predictions = result.predictions()
    for j, name in enumerate(names):
        top, bottom = panels[0, j], panels[1, j]
        for series in (s for s in objective.series if s.name == name):
            t, y = series.t, series.y
            color = _COLORS[conditions.index(series.condition) % len(_COLORS)]
            label = series.condition if len(conditions) > 1 else "data"
            band = curves[series.condition][name]
            model = np.asarray(predictions[series.table][name])
            away = np.log(model) - np.log(y) if series.log else model - y
            for k, part in enumerate(np.ndindex(y.shape[1:])):
                at = (slice(None), *part)
                shade = color if y.ndim == 1 else _COLORS[k % len(_COLORS)]
                top.plot(band.ts, band.value[at], color=shade, lw=1.6)
                top.fill_between(band.ts, band.low[at], band.high[at], color=shade, alpha=0.2, lw=0)
                top.plot(t, y[at], "o", color=shade, ms=5, mec="white", mew=0.6, label=label)
                bottom.plot(t, away[at], "o", color=shade, ms=4)
        bottom.axhline(0.0, color=_INK, lw=0.8)
        log = any(series.log for series in objective.series if series.name == name)
        _finish(top, name, "", _with_unit(result, name))
        _finish(bottom, "", "t", "log(model / data)" if log else "model - data")
        top.legend(frameon=False)
    return figure


def loss_trace(losses: np.ndarray) -> Figure:
    """What `FitResult.plot_trace` says."""
    losses = losses.ravel()
    finite = losses[np.isfinite(losses)]
    figure = _figure(5.5, 3.6)
    axes = figure.subplots()
    if finite.size:
        axes.plot(np.arange(1, losses.size + 1), losses - finite.min(), color=_COLORS[0], lw=1.4)
        axes.set_yscale("symlog", linthresh=max(1e-12, 1e-10 * float(np.ptp(finite))))
    _finish(axes, "trace of the loss", "step", "loss above the least")
    return figure


def correlation_matrix(matrix: np.ndarray, labels: Sequence[str]) -> Figure:
    """What `FitResult.plot_correlation` says."""
    n = matrix.shape[0]
    figure = _figure(1.8 + 0.6 * n, 1.4 + 0.55 * n)
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    for i, j in np.ndindex(matrix.shape):
        text = "" if np.isnan(matrix[i, j]) else f"{matrix[i, j]:.2f}"
        dark = abs(matrix[i, j]) > 0.6
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if dark else _INK)
    axes.set_xticks(range(n), labels, rotation=60, ha="right")
    axes.set_yticks(range(n), labels)
    figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_title("correlations", loc="left", color=_INK, fontsize=11)
    return figure


def profile_panels(profiles: Sequence[Profile]) -> Figure:
    """What `Profiles.plot` says."""
    columns = min(3, len(profiles))
    rows = -(-len(profiles) // columns)
    figure = _figure(3.6 * columns, 2.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, profile in zip(panels, profiles, strict=False):
        axes.plot(profile.values, profile.losses, "-o", color=_COLORS[0], ms=3, lw=1.4)
        limit = profile.height**2 / 2
        axes.axhline(limit, color=_INK, lw=0.8, ls="--")
        axes.axvline(profile.estimate, color=_INK, lw=0.8)
        for end in profile.interval:
            if np.isfinite(end):
                axes.axvline(end, color=_COLORS[1], lw=1.0, ls=":")
        axes.set_ylim(-0.05 * limit, 1.6 * limit)
        axes.locator_params(axis="x", nbins=4)
        _finish(axes, "", profile.label, "loss above the fit")
    for axes in panels[len(profiles) :]:
        axes.set_axis_off()
    return figure


def waterfall(losses: np.ndarray) -> Figure:
    """What `FitResult.plot_waterfall` says; losses of starts that failed are not finite."""
    losses = np.sort(losses)
    finite = losses[np.isfinite(losses)]
    figure = _figure(5.5, 3.6)
    axes = figure.subplots()
    if finite.size:
        above = finite - finite[0]
        axes.plot(np.arange(1, finite.size + 1), above, "o-", color=_COLORS[0], ms=4, lw=1.0)
        axes.set_yscale("symlog", linthresh=1e-6)
    failed = losses.size - finite.size
    title = counted(losses.size, "start") + (f", {failed} of them failed" if failed else "")
    _finish(axes, title, "start, in order", "loss above the least")
    return figure


def _figure(width: float, height: float) -> Figure:
    # Here, because matplotlib is slow to import. Without pyplot, which would look for a display and
    # keep every figure.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _with_unit(result: FitResult, name: str) -> str:
    entry = result.p.index.entries.get(str(Initial(name)))
    unit = entry.about.unit if entry is not None else None
    return f"{name} ({unit})" if unit else name


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", color=_INK, fontsize=11)
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.tick_params(colors=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2, lw=0.6)
