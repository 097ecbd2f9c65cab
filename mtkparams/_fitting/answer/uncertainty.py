"""How well data determine the values of a fit: standard errors, correlations, and what is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import numpy as np

from .directions import Direction, Model, directions
from .spread import Spread, at_bounds, correlations, from_hessian, from_jacobian, listed

Side = Literal["", "lower", "upper"]

# Where errors are five decades apart, in units that make each value alone count the same.
_ILL = 1e5


class Uncertainty(eqx.Module):
    """The spread of fitted values that the noise in the data leaves, from the curvature at the fit.

    Entries at a bound are kept fixed, as a convention: they have no error, and the errors of the
    others are those with them fixed. Directions that the data do not see get no numbers: an entry
    in one has an infinite error.

    **Attributes:**

    - `labels`, `values`: of the entries.
    - `spread`: the numbers behind all others.
    - `at_bound`: `"lower"`, `"upper"` or `""` for each entry.
    - `directions`: what the data do not determine, in words.
    - `kind`: `"least_squares"` (from the Jacobian) or `"likelihood"` (from the Hessian).
    - `scaled`: whether the variance of the noise was taken from the residuals.
    - `variance`: of a weighted residual; 1 for a likelihood.
    - `freedom`: degrees of freedom, the number of data less that of determined values.
    """

    values: np.ndarray
    spread: Spread
    variance: float
    freedom: int
    directions: tuple[Direction, ...]
    labels: tuple[str, ...] = eqx.field(static=True)
    at_bound: tuple[Side, ...] = eqx.field(static=True)
    kind: Literal["least_squares", "likelihood"] = eqx.field(static=True)
    scaled: bool = eqx.field(static=True)

    @property
    def covariance(self) -> np.ndarray:
        """Shape `(entries, entries)`. NaN in rows at a bound, infinite where nothing is determined."""
        return self.spread.covariance

    @property
    def correlation(self) -> np.ndarray:
        """Shape `(entries, entries)`, NaN where there is no finite covariance."""
        return correlations(self.covariance)

    @property
    def information(self) -> np.ndarray:
        """The Fisher information (observed), shape `(entries, entries)`; zero for entries at a bound.

        Of what is determined: zero along `directions`.
        """
        inverse = np.linalg.pinv(self.spread.root / self.spread.unit[:, None], rcond=0.0)
        inverse = inverse / self.spread.unit
        return inverse.T @ inverse

    @property
    def stderr(self) -> dict[str, float]:
        """Standard errors by name: NaN at a bound or without a minimum, infinite where open."""
        errors = np.sqrt(np.diag(self.covariance))
        return dict(zip(self.labels, errors.tolist(), strict=True))

    @property
    def is_minimum(self) -> bool:
        """Whether the curvature is that of a minimum. Nothing has an error where it is not."""
        return self.spread.is_minimum

    @property
    def status(self) -> dict[str, str]:
        """What is to be said of each entry, in a word or two; empty for most."""
        lost = {d.names[0]: "no influence" for d in self.directions if d.kind == "no influence"}
        lost |= {
            name: "not identifiable"
            for d in self.directions
            if d.kind != "no influence"
            for name in d.names
        }
        return {
            label: f"at {side} bound" if side else lost.get(label, "")
            for label, side in zip(self.labels, self.at_bound, strict=True)
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what the numbers do not say."""
        sentences = []
        if not self.is_minimum:
            sentences.append(
                "no standard errors: the curvature here is not that of a minimum"
                if np.isfinite(self.values).all()
                else "no standard errors: the fit has no finite values"
            )
        sentences += [d.text for d in self.directions]
        weak = self.spread.weakest
        if self.is_minimum and self.spread.condition > _ILL:
            names = [label for label, part in zip(self.labels, weak, strict=True) if part > 0.3]
            sentences.append(
                f"the data hardly determine {listed(names)}{' apart' if len(names) > 1 else ''}: the "
                f"condition is {self.spread.condition:.1e}"
            )
        held = [label for label, side in zip(self.labels, self.at_bound, strict=True) if side]
        if held:
            sentences.append(
                f"{listed(held)} {'is' if len(held) == 1 else 'are'} at a bound: the errors of the "
                f"others are those with {'it' if len(held) == 1 else 'them'} fixed"
            )
        if self.is_minimum and self.scaled and self.freedom <= 0:
            sentences.append("no standard errors: there are as many values as data")
        return tuple(sentences)

    def errors(self, gradients: np.ndarray) -> np.ndarray:
        """Standard errors of functions of the values, to first order.

        **Arguments:**

        - `gradients`: derivatives of the functions in the values, shape `(..., entries)`.
        """
        return self.spread.errors(np.asarray(gradients))


def of_least_squares(
    jacobian: np.ndarray,
    residuals: np.ndarray,
    values: np.ndarray,
    labels: Sequence[str],
    lower: np.ndarray,
    upper: np.ndarray,
    start: np.ndarray,
    scale: bool,
    model: Model | None = None,
) -> Uncertainty:
    """The uncertainty of a least-squares fit, from the singular values of its Jacobian.

    **Arguments:**

    - `jacobian`, `residuals`: weighted, shapes `(residuals, entries)` and `(residuals,)`.
    - `values`, `labels`, `lower`, `upper`, `start`: of the entries.
    - `scale`: take the variance of a weighted residual from the residuals, `chi2 / freedom`;
      otherwise it is 1, as it is where the noise is known.
    - `model`: the residuals at other values, to try out what is said of open directions.
    """
    slope, curvature = jacobian.T @ residuals, (jacobian**2).sum(0)
    mean = float(residuals @ residuals) / max(residuals.size - values.size, 1) if scale else 1.0
    unit = mean if mean > 0 else 1.0
    held, sides = _sides(values, lower, upper, start, slope / unit, curvature / unit)
    # The rank does not depend on the variance, and the variance depends on the rank.
    spread = from_jacobian(jacobian, values, held, 1.0, _rcond(jacobian, 0.5))
    freedom = residuals.size - spread.rank
    variance = 1.0
    if scale:
        variance = float(residuals @ residuals) / freedom if freedom > 0 else float("nan")
        spread = eqx.tree_at(lambda s: s.root, spread, spread.root * np.sqrt(variance))
    return _uncertainty(
        spread, values, labels, sides, model, variance, freedom, "least_squares", scale
    )


def of_likelihood(
    hessian: np.ndarray,
    slope: np.ndarray,
    count: int,
    values: np.ndarray,
    labels: Sequence[str],
    lower: np.ndarray,
    upper: np.ndarray,
    start: np.ndarray,
    model: Model | None = None,
) -> Uncertainty:
    """The uncertainty of a maximum of a likelihood, from the eigenvalues of its Hessian.

    **Arguments:**

    - `hessian`, `slope`: second and first derivatives of the negative log-likelihood (or
      log-posterior), shapes `(entries, entries)` and `(entries,)`.
    - `count`: the number of data.
    - `values`, `labels`, `lower`, `upper`, `start`, `model`: as for `of_least_squares`; the model may
      be the negative log-likelihood itself.
    """
    held, sides = _sides(values, lower, upper, start, slope, np.diag(hessian))
    spread = from_hessian(hessian, values, held, _rcond(hessian, 0.7))
    freedom = count - spread.rank
    return _uncertainty(spread, values, labels, sides, model, 1.0, freedom, "likelihood", False)


def _uncertainty(
    spread: Spread,
    values: np.ndarray,
    labels: Sequence[str],
    sides: tuple[Side, ...],
    model: Model | None,
    variance: float,
    freedom: int,
    kind: Literal["least_squares", "likelihood"],
    scaled: bool,
) -> Uncertainty:
    open_directions = directions(spread.null, values, labels, spread.unit, model)
    return Uncertainty(
        values, spread, variance, freedom, open_directions, tuple(labels), sides, kind, scaled
    )


def _sides(values: np.ndarray, *of_values: np.ndarray) -> tuple[np.ndarray, tuple[Side, ...]]:
    low, high = at_bounds(values, *of_values)
    sides: list[Side] = [
        "lower" if a else "upper" if b else "" for a, b in zip(low, high, strict=True)
    ]
    return low | high, tuple(sides)


def _rcond(matrix: np.ndarray, digits: float) -> float:
    """What part of the largest counts as zero: so much of the digits of the dtype.

    Half of them for a Jacobian, whose derivatives through a solve are exact to rounding but for the
    condition of the solve; more for a Hessian, whose eigenvalues are squares.
    """
    return float(np.finfo(matrix.dtype).eps ** digits)
