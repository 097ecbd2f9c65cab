"""The fit as a text: estimates beside the published posterior."""

from __future__ import annotations

import math

import mtkparams as mtk

from ._data import PUBLISHED
from ._fit import Fit
from ._model import FREE

_HEADER = ("parameter", "unit", "start", "estimate", "std. error", "published", "away")


def report(fit: Fit) -> str:
    """A table of all estimates with what is published beside them, and how the fit went.

    `published` is the posterior of the Stan case study, mean ± standard deviation; `away` is
    how many of those standard deviations the estimate is away from that mean. A maximum of the
    likelihood and a posterior mean differ: priors and skewness move the mean.

    **Arguments:**

    - `fit`: what `fit` returned.
    """
    rows = [_row(fit, name) for name in mtk.labels(fit.p, FREE)]
    steps = len(fit.losses)
    verdict = (
        "converged"
        if fit.converged
        else f"NOT converged: more than {steps} steps are needed, estimates are preliminary"
    )
    lines = [
        "Hares and lynxes, Hudson Bay 1900-1920: Lotka-Volterra with lognormal noise",
        "",
        *_table([_HEADER, *rows]),
        "",
        f"negative log-likelihood of log y  {fit.loss:.6f}",
        f"largest slope at the end          {fit.slope:.1e} ({verdict})",
        f"steps, time                       {steps}, {fit.seconds:.1f} s with compilation",
    ]
    if math.isnan(next(iter(fit.stderr.values()))):
        lines.append("No standard errors: the curvature here is not that of a minimum.")
    return "\n".join(lines)


def _row(fit: Fit, name: str) -> tuple[str, ...]:
    unit = next(row["unit"] for row in mtk.describe(fit.p) if row["name"] == name)
    start, estimate = fit.start[name].item(), fit.p[name].item()
    published = PUBLISHED[name]
    # As many decimals as make four digits: those of an estimate and of its error then line up.
    decimals = max(0, 3 - math.floor(math.log10(estimate)))
    error = fit.stderr[name]
    return (
        name,
        unit,
        f"{start:g}",
        f"{estimate:.{decimals}f}",
        "-" if math.isnan(error) else f"{error:.{decimals}f}",
        f"{published.mean:.{decimals}f} ± {published.sd:g}",
        f"{(estimate - published.mean) / published.sd:+.2f} sd",
    )


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = []
    for row in rows:
        # Two columns of text, then numbers.
        cells = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return [rule, lines[0], rule, *lines[1:], rule]
