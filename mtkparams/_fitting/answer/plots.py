"""Pictures of a fit, with matplotlib, which is an extra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._text import counted
from ...errors import KindError
from .profile import Profiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .result import FitResult

# Okabe and Ito (2008): colours that colour-blind readers tell apart.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_INK = "#333333"


def plot(result: FitResult, level: float = 0.95) -> Figure:
    """The data and the fitted curves with confidence bands, and the residuals below: model minus data.

    A column of panels for each data column; conditions have colours.

    **Arguments:**

    - `result`: a fit of data in time.
    - `level`: of the bands, which are those of the curve and not of new data.

    **Returns:** a `matplotlib.figure.Figure`. `figure.savefig(...)` writes it, and a notebook shows it.

    **Raises:** `ModuleNotFoundError` without matplotlib; `KindError` for a fit without data in time.
    """
    objective = result.objective
    if not objective.series:
        raise KindError("There is nothing to draw in time: this fit has no data tables.")
    names = list(dict.fromkeys(one.name for one in objective.series))
    conditions = list(dict.fromkeys(one.condition for one in objective.series))
    figure = _figure(4.5 * len(names), 5.0)
    panels = figure.subplots(2, len(names), sharex="col", squeeze=False, height_ratios=(3.0, 1.0))
    curves = result.bands(level=level)
    predictions = result.predictions()
    for j, name in enumerate(names):
        top, bottom = panels[0, j], panels[1, j]
        for one in (s for s in objective.series if s.name == name):
            color = _COLORS[conditions.index(one.condition) % len(_COLORS)]
            label = one.condition if len(conditions) > 1 else "data"
            band = curves[one.condition][name]
            model = np.asarray(predictions[one.table][name])
            away = np.log(model) - np.log(one.y) if one.log else model - one.y
            for k, part in enumerate(np.ndindex(one.y.shape[1:])):
                at = (slice(None), *part)
                shade = color if one.y.ndim == 1 else _COLORS[k % len(_COLORS)]
                top.plot(band.ts, band.value[at], color=shade, lw=1.6)
                top.fill_between(band.ts, band.low[at], band.high[at], color=shade, alpha=0.2, lw=0)
                top.plot(
                    one.t, one.y[at], "o", color=shade, ms=5, mec="white", mew=0.6, label=label
                )
                bottom.plot(one.t, away[at], "o", color=shade, ms=4)
        bottom.axhline(0.0, color=_INK, lw=0.8)
        log = any(one.log for one in objective.series if one.name == name)
        _finish(top, name, "", _with_unit(result, name))
        _finish(bottom, "", "t", "log(model / data)" if log else "model - data")
        top.legend(frameon=False)
    return figure


def plot_trace(result: FitResult) -> Figure:
    """The loss after each step, above the least loss of all on a logarithmic axis.

    **Arguments:**

    - `result`: any fit.
    """
    losses = np.asarray(result.losses).ravel()
    finite = losses[np.isfinite(losses)]
    figure = _figure(5.5, 3.6)
    axes = figure.subplots()
    if finite.size:
        axes.plot(np.arange(1, losses.size + 1), losses - finite.min(), color=_COLORS[0], lw=1.4)
        axes.set_yscale("symlog", linthresh=max(1e-12, 1e-10 * float(np.ptp(finite))))
    _finish(axes, "trace of the loss", "step", "loss above the least")
    return figure


def plot_correlation(result: FitResult) -> Figure:
    """The correlations of the fitted values, as a matrix of colours and numbers.

    **Arguments:**

    - `result`: a fit with standard errors.
    """
    matrix = result.correlation
    n = matrix.shape[0]
    figure = _figure(1.8 + 0.6 * n, 1.4 + 0.55 * n)
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    for i, j in np.ndindex(matrix.shape):
        text = "" if np.isnan(matrix[i, j]) else f"{matrix[i, j]:.2f}"
        dark = abs(matrix[i, j]) > 0.6
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if dark else _INK)
    axes.set_xticks(range(n), result.labels, rotation=60, ha="right")
    axes.set_yticks(range(n), result.labels)
    figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_title("correlations", loc="left", color=_INK, fontsize=11)
    return figure


def plot_profiles(profiles: Profiles) -> Figure:
    """Profile likelihoods with the ends of the confidence intervals.

    **Arguments:**

    - `profiles`: from `result.profile()`.
    """
    columns = min(3, len(profiles))
    rows = -(-len(profiles) // columns)
    figure = _figure(3.6 * columns, 2.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, one in zip(panels, profiles.values(), strict=False):
        axes.plot(one.values, one.losses, "-o", color=_COLORS[0], ms=3, lw=1.4)
        limit = one.height**2 / 2
        axes.axhline(limit, color=_INK, lw=0.8, ls="--")
        axes.axvline(one.estimate, color=_INK, lw=0.8)
        for end in one.interval:
            if np.isfinite(end):
                axes.axvline(end, color=_COLORS[1], lw=1.0, ls=":")
        axes.set_ylim(-0.05 * limit, 1.6 * limit)
        axes.locator_params(axis="x", nbins=4)
        _finish(axes, "", one.label, "loss above the fit")
    for axes in panels[len(profiles) :]:
        axes.set_axis_off()
    return figure


def plot_waterfall(losses: Any) -> Figure:
    """The losses of many starts in order, above the least: equal optima are a step.

    **Arguments:**

    - `losses`: a fit from many starts, or the losses of all starts. Those that failed are not finite,
      and are counted in the title.
    """
    starts = getattr(losses, "starts", None)
    losses = np.sort(np.asarray(losses if starts is None else starts.loss, float).ravel())
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
    entry = result.p.index.entries.get(f"Initial({name})")
    unit = entry.about.unit if entry is not None else None
    return f"{name} ({unit})" if unit else name


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", color=_INK, fontsize=11)
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.tick_params(colors=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2, lw=0.6)
