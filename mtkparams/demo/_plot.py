"""The fit as a picture: both populations in time, and the cycle that they run through."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

import mtkparams as mtk

from ._data import FIRST_YEAR, pelts
from ._model import SPECIES, simulate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Blue and orange of Okabe and Ito (2008), which color-blind readers tell apart.
_COLORS = {"hare": "#D55E00", "lynx": "#0072B2"}
_PLURALS = {"hare": "hares", "lynx": "lynxes"}
_INK = "#333333"
# The normal quantile that leaves 5 % on either side.
_Q95 = 1.6448536269514722


def plot(fit: mtk.fitting.FitResult, path: str | os.PathLike[str]) -> None:
    """Writes a PNG of the observations, the fitted curves, and the noise around them.

    **Arguments:**

    - `fit`: what `fit` returned.
    - `path`: the file to write, replaced if it is there.

    **Raises:** `ModuleNotFoundError` without matplotlib.
    """
    # Here, because matplotlib is an extra and slow to import. Without pyplot, which would look for
    # a display and keep every figure.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.6), layout="constrained")
    in_time, in_phase = figure.subplots(1, 2, width_ratios=(1.75, 1.0))
    years = jnp.linspace(0.0, pelts().years[-1], 421)
    model = {s: np.asarray(curve) for s, curve in simulate(fit.p, years).items()}
    _draw_in_time(in_time, fit, np.asarray(years), model)
    _draw_in_phase(in_phase, fit, np.asarray(years), model)
    figure.savefig(path, format="png", dpi=150)


def _draw_in_time(
    axes: Axes, fit: mtk.fitting.FitResult, years: np.ndarray, model: dict[str, np.ndarray]
) -> None:
    data = pelts()
    for s in SPECIES:
        factor = np.exp(_Q95 * fit.p["sigma_" + s].item())
        axes.fill_between(
            FIRST_YEAR + years,
            model[s] / factor,
            model[s] * factor,
            color=_COLORS[s],
            alpha=0.14,
            lw=0,
        )
        axes.plot(
            FIRST_YEAR + years, model[s], color=_COLORS[s], lw=2, label=f"{_PLURALS[s]}, fitted"
        )
        _points(
            axes,
            FIRST_YEAR + np.asarray(data.years),
            np.asarray(data.populations[s]),
            _COLORS[s],
            label=f"{_PLURALS[s]}, observed",
        )
    axes.set_ylim(0.0, 118.0)  # room for the data and the legend, whatever a poor fit does
    axes.set_xlim(FIRST_YEAR - 0.5, FIRST_YEAR + float(years[-1]) + 0.5)
    axes.set_xticks(range(FIRST_YEAR, FIRST_YEAR + 21, 5))
    axes.legend(ncols=2, loc="upper center", frameon=False, labelcolor=_INK)
    _finish(axes, "Pelts in time; the bands hold 90 % of the noise", "year", "thousands of pelts")


def _draw_in_phase(
    axes: Axes, fit: mtk.fitting.FitResult, years: np.ndarray, model: dict[str, np.ndarray]
) -> None:
    observed = {s: np.asarray(x) for s, x in pelts().populations.items()}
    axes.plot(observed["hare"], observed["lynx"], color=_INK, lw=0.6, alpha=0.35, zorder=1)
    axes.plot(model["hare"], model["lynx"], color=_INK, lw=2, label="fitted")
    _points(axes, observed["hare"], observed["lynx"], "#777777", label="observed")
    _arrows(axes, model, (years > 1.0) & (years < 11.0))
    rest = tuple(fit.p[lambda p: (p.gamma / p.delta, p.alpha / p.beta)])
    axes.plot(*map(float, rest), "+", color=_INK, ms=10, mew=1.5, label="equilibrium")
    # The start, the peaks of both and the lowest hares: elsewhere the years would overlap.
    for year, offset in (
        (0, (2, -13)),
        (3, (-6, 8)),
        (4, (7, 3)),
        (15, (-28, 6)),
        (17, (-16, -14)),
    ):
        axes.annotate(
            str(FIRST_YEAR + year),
            (observed["hare"][year], observed["lynx"][year]),
            xytext=offset,
            textcoords="offset points",
            fontsize=8,
            color=_INK,
        )
    axes.set_xlim(0.0, 86.0)
    axes.set_ylim(0.0, 72.0)
    axes.legend(loc="upper right", frameon=False, labelcolor=_INK)
    _finish(axes, "The cycle", "hares (thousands)", "lynxes (thousands)")


def _arrows(axes: Axes, model: dict[str, np.ndarray], where: np.ndarray) -> None:
    """Four arrow heads along the curve, so that one sees which way the cycle runs."""
    style = {"arrowstyle": "-|>", "color": _INK, "lw": 0, "mutation_scale": 18}
    style |= {"shrinkA": 0, "shrinkB": 0}
    for i in np.flatnonzero(where)[25:200:50]:
        tail, head = ((model["hare"][j], model["lynx"][j]) for j in (i, i + 1))
        axes.annotate("", head, tail, arrowprops=style)


def _points(axes: Axes, x: np.ndarray, y: np.ndarray, color: str, label: str) -> None:
    style: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.8, "zorder": 3}
    axes.plot(x, y, "o", color=color, ms=6, label=label, **style)


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", color=_INK, fontsize=11)
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.tick_params(colors=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2, lw=0.6)
