"""The fit as a text: the library's own report, and estimates beside the published posterior."""

from __future__ import annotations

import math

import mtkparams as mtk

from .._text import ruled, text_table
from ._data import PUBLISHED

_HEADER = ("parameter", "estimate", "published", "away")


def report(fit: mtk.fitting.FitResult) -> str:
    """The report of a fit, and a table of what is published.

    `published` is the posterior of the Stan case study, mean ± standard deviation; `away` is
    how many of those standard deviations the estimate is away from that mean. A maximum of the
    likelihood and a posterior mean differ: priors and skewness move the mean.

    **Arguments:**

    - `fit`: what `fit` returned.
    """
    lines = ["Hares and lynxes, Hudson Bay 1900-1920: Lotka-Volterra with lognormal noise", ""]
    lines.append(str(fit.report()))
    if not fit.converged:
        lines += ["", "NOT converged: more steps are needed, the estimates are preliminary."]
    rows = [_HEADER, *(_row(fit, name) for name in fit.labels)]
    return "\n".join([*lines, "", *ruled(text_table(rows, right=(1, 2, 3)))])


def _row(fit: mtk.fitting.FitResult, name: str) -> tuple[str, ...]:
    estimate, published = fit.values[name], PUBLISHED[name]
    # As many decimals as make four digits: those of an estimate and of its mean then line up.
    decimals = max(0, 3 - math.floor(math.log10(estimate)))
    return (
        name,
        f"{estimate:.{decimals}f}",
        f"{published.mean:.{decimals}f} ± {published.sd:g}",
        f"{(estimate - published.mean) / published.sd:+.2f} sd",
    )
