"""What a Jacobian or a Hessian at the end of a fit says of the spread of its values.

Everything here is a small dense matrix on the host. Columns are scaled to one length first: parameters
that differ by powers of ten are then no difficulty, and what is left of the condition number is that
of the experiment. The matrix is never squared and never inverted.
"""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import numpy as np

# How much of a direction without information an entry, or a function of the entries, may have and
# still count as determined. Null vectors are good to rounding / rank tolerance, about 1e-8.
_TOUCHED = 1e-5


class Spread(eqx.Module):
    """Where the information of a fit lies.

    - `root`: shape `(entries, rank)`; `root @ root.T` is the covariance, of what is determined.
    - `null`: shape `(entries, directions)`: changes of the values that the data do not see. Each has
      length one where every entry is measured in the unit that `unit` gives it.
    - `unit`: shape `(entries,)`: the change of each entry alone that the data see as one unit.
    - `held`: which entries were kept fixed.
    - `condition`: of the scaled matrix, without `null`; infinite where nothing is determined.
    - `is_minimum`: false if the curvature is negative somewhere, or not finite.
    """

    root: np.ndarray
    null: np.ndarray
    unit: np.ndarray
    held: np.ndarray
    condition: float
    is_minimum: bool = eqx.field(static=True)

    @property
    def rank(self) -> int:
        return self.root.shape[1]

    @property
    def covariance(self) -> np.ndarray:
        """NaN for entries that were held, infinite variance for those that are not determined."""
        covariance = self.root @ self.root.T
        lost = self.undetermined
        covariance[lost, :] = np.nan
        covariance[:, lost] = np.nan
        covariance[lost, lost] = np.inf
        covariance[self.held, :] = np.nan
        covariance[:, self.held] = np.nan
        return covariance if self.is_minimum else np.full_like(covariance, np.nan)

    @property
    def undetermined(self) -> np.ndarray:
        """Which entries can change without the data seeing it."""
        return np.any(np.abs(self.null / self.unit[:, None]) > _TOUCHED, axis=1)

    @property
    def weakest(self) -> np.ndarray:
        """How much of each entry is in the direction with the largest error, length one."""
        if not self.rank:
            return np.zeros(self.held.size)
        scaled = self.root / self.unit[:, None]
        lengths = np.linalg.norm(scaled, axis=0)
        return np.abs(scaled[:, lengths.argmax()]) / lengths.max()

    def errors(self, gradients: np.ndarray) -> np.ndarray:
        """Standard errors of functions with these gradients, shape `(..., entries)`, to first order.

        Infinite for a function that changes where the data see nothing; NaN without a minimum.
        """
        if not self.is_minimum:
            return np.full(gradients.shape[:-1], np.nan)
        gradients = np.where(self.held, 0.0, gradients)
        scaled = gradients * self.unit
        lengths = np.linalg.norm(scaled, axis=-1)
        seen = np.abs(gradients @ self.null).max(-1, initial=0.0) <= _TOUCHED * lengths
        errors = np.where(seen, np.linalg.norm(gradients @ self.root, axis=-1), np.inf)
        return np.where(np.isfinite(gradients).all(-1), errors, np.nan)


def from_jacobian(
    jacobian: np.ndarray, values: np.ndarray, held: np.ndarray, variance: float, rcond: float
) -> Spread:
    """The spread of least squares, `variance * inverse(J.T @ J)` by the singular values of `J`.

    **Arguments:**

    - `jacobian`: derivative of the weighted residuals, shape `(residuals, entries)`.
    - `values`: shape `(entries,)`.
    - `held`: entries to keep fixed, such as those at a bound.
    - `variance`: of a weighted residual.
    - `rcond`: singular values below this part of the largest count as zero.
    """
    if not np.isfinite(jacobian[:, ~held]).all():
        return _nothing(held)
    lengths = _lengths(np.linalg.norm(jacobian, axis=0), values)
    _, singular, axes = np.linalg.svd(jacobian[:, ~held] / lengths[~held], full_matrices=True)
    strength = np.zeros(axes.shape[0])
    strength[: singular.size] = singular
    return _spread(strength, axes.T, lengths, held, float(np.sqrt(variance)), rcond)


def from_hessian(hessian: np.ndarray, values: np.ndarray, held: np.ndarray, rcond: float) -> Spread:
    """The spread of a likelihood, the inverse of the Hessian of its negative logarithm.

    **Arguments:**

    - `hessian`: shape `(entries, entries)`.
    - `values`: shape `(entries,)`.
    - `held`: entries to keep fixed, such as those at a bound.
    - `rcond`: eigenvalues below this part of the largest count as zero.
    """
    inner = hessian[np.ix_(~held, ~held)]
    if not np.isfinite(inner).all():
        return _nothing(held)
    lengths = _lengths(np.sqrt(np.abs(np.diag(hessian))), values)
    scaled = inner / np.outer(lengths[~held], lengths[~held])
    powers, axes = np.linalg.eigh((scaled + scaled.T) / 2)
    if powers.size and powers.min() < -rcond * max(powers.max(), 1.0):
        return _nothing(held)
    strength = np.sqrt(np.maximum(powers, 0.0))
    return _spread(strength, axes, lengths, held, 1.0, float(np.sqrt(rcond)))


def at_bounds(
    values: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    start: np.ndarray,
    slope: np.ndarray,
    curvature: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Which entries lie on their lower, and which on their upper bound.

    Those are the ones that equal it to six digits (of the bound; of the start, where that is zero),
    and those that the loss pushes against it from nearby: coordinates that keep bounds never reach
    them.

    **Arguments:**

    - `slope`, `curvature`: of the loss in each entry alone, in units of the variance of the noise.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        alone = 1 / np.sqrt(curvature)  # the error of each if the others were known
        push = slope * alone

    def near(bound: np.ndarray, pushed: np.ndarray) -> np.ndarray:
        finite = np.isfinite(bound)
        size = np.where(bound == 0, np.abs(start) * 1e-2, np.abs(bound))
        distance = np.abs(values - np.where(finite, bound, 0.0))
        return finite & ((distance <= 1e-6 * size) | (pushed & (distance < 0.01 * alone)))

    return near(lower, push > 0.03) | (values < lower), near(upper, push < -0.03) | (values > upper)


def correlations(covariance: np.ndarray) -> np.ndarray:
    """The correlation matrix of a covariance; NaN where that has no finite number."""
    errors = np.sqrt(np.where(np.isfinite(np.diag(covariance)), np.diag(covariance), np.nan))
    matrix = covariance / np.outer(errors, errors)
    matrix[np.diag_indices_from(matrix)] = np.where(np.isfinite(errors), 1.0, np.nan)
    return np.clip(matrix, -1.0, 1.0)


def listed(names: Sequence[object]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    texts = [str(name) for name in names]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _lengths(lengths: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The lengths of columns, with one in place of those that are nothing but rounding."""
    effects = lengths * np.abs(values)
    most = effects.max(initial=0.0)
    rounding = 4 * np.finfo(lengths.dtype).eps * most
    nothing = (lengths == 0) | ((values != 0) & (effects <= rounding))
    return np.where(nothing, np.inf, lengths)


def _spread(
    strength: np.ndarray,
    axes: np.ndarray,
    lengths: np.ndarray,
    held: np.ndarray,
    factor: float,
    rcond: float,
) -> Spread:
    # A column of rounding was divided by infinity: a column of zeros, and so an axis of its own.
    unit = 1.0 / np.where(np.isinf(lengths), 1.0, lengths)
    known = strength > rcond * strength.max(initial=0.0)
    whole = np.zeros((held.size, strength.size))
    whole[~held] = axes
    # Selected columns come transposed in memory, and a file gives them back straight: products with
    # them then differ in their last digit.
    seen, unseen = (np.ascontiguousarray(whole[:, which]) for which in (known, ~known))
    root = unit[:, None] * seen / strength[known] * factor
    condition = np.inf
    if known.any():
        condition = float(strength[known].max() / strength[known].min())
    return Spread(root, unit[:, None] * unseen, unit, held, condition, True)


def _nothing(held: np.ndarray) -> Spread:
    nothing = np.zeros((held.size, 0))
    return Spread(nothing, nothing, np.ones(held.size), held, np.inf, False)
