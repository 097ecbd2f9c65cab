"""Directions that data do not see, in words: "k1 and k3 only as the product k1*k3"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import equinox as eqx
import numpy as np

from .spread import listed

Kind: TypeAlias = Literal["no influence", "product", "sum", "trade-off"]
# What the model gives at a vector of values: residuals, or the loss alone. Not finite where it fails.
Model: TypeAlias = Callable[[np.ndarray], np.ndarray]

# Below this part of the largest an entry of a direction is rounding.
_SMALL = 1e-5
# How far a claim is tried out: a factor of about 1.1, far enough to leave the linear range.
_FAR = 0.1
# How much of the change by one entry alone may be left of the change by all together.
_SAME = 1e-3


class Direction(eqx.Module):
    """A change of several values that the data do not see.

    **Attributes:**

    - `names`: which entries change.
    - `vector`: how they change, shape `(entries,)`, for infinitely small changes.
    - `kind`: `"no influence"` of one entry; `"product"` if powers of the entries are determined,
      `"sum"` if linear combinations are; `"trade-off"` for what is neither.
    - `determined`: the combinations that the data do determine, as text.
    - `text`: a sentence that says so.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    vector: np.ndarray
    kind: Kind = eqx.field(static=True)
    determined: tuple[str, ...] = eqx.field(static=True)
    text: str = eqx.field(static=True)


def directions(
    null: np.ndarray,
    values: np.ndarray,
    labels: Sequence[str],
    unit: np.ndarray,
    model: Model | None = None,
) -> tuple[Direction, ...]:
    """What the columns of `null` mean, each with as few entries as possible.

    **Arguments:**

    - `null`: changes of the values that the data do not see, shape `(entries, directions)`.
    - `values`, `labels`, `unit`: of the entries; `unit` is the change that makes a difference.
    - `model`: tries claims out by a change of 10 %: a direction is that of a product or a sum if the
      model then gives the same. Without it the numbers at this one point decide.
    """
    rows = _sparse((null / unit[:, None]).T)
    return tuple(_named(row * unit, values, tuple(labels), model) for row in rows)


def _sparse(rows: np.ndarray) -> np.ndarray:
    """Another basis of the same rows, each with many zeros: fully reduced, largest pivots first."""
    rows, taken = rows.copy(), []
    for _ in range(rows.shape[0]):
        rest = np.abs(np.delete(rows, taken, axis=0))
        if not rest.size or rest.max() == 0:
            break
        others = [i for i in range(rows.shape[0]) if i not in taken]
        i, j = np.unravel_index(rest.argmax(), rest.shape)
        pivot = others[int(i)]
        rows[pivot] /= rows[pivot, j]
        for other in range(rows.shape[0]):
            if other != pivot:
                rows[other] -= rows[other, j] * rows[pivot]
        taken.append(pivot)
    small = np.abs(rows) <= _SMALL * np.abs(rows).max(1, keepdims=True, initial=0.0)
    return np.where(small, 0.0, rows)


def _named(
    vector: np.ndarray, values: np.ndarray, labels: tuple[str, ...], model: Model | None
) -> Direction:
    at = np.flatnonzero(vector)
    names = tuple(labels[i] for i in at)
    if at.size == 1:
        text = f"{names[0]} has no influence on the data"
        return Direction(names, vector, "no influence", (), text)
    changed = values[at]
    if (changed != 0).all():
        powers = _integers(vector[at] / changed)
        if powers is not None and _holds(model, values, at, lambda x: x * _factors(powers)):
            return _said(names, vector, "product", _products(names, powers))
    steps = _integers(vector[at])
    if steps is not None:
        # A tenth of the values, in the entry that is largest for its step.
        size = np.abs(changed / steps).max()
        shift = _FAR * (size if size > 0 else 1.0) * steps
        if _holds(model, values, at, lambda x: x + shift):
            return _said(names, vector, "sum", _sums(names, steps))
    return _trade_off(names, vector, changed)


def _holds(
    model: Model | None,
    values: np.ndarray,
    at: np.ndarray,
    moved: Callable[[np.ndarray], np.ndarray],
) -> bool:
    """Whether the model gives the same after a finite change of all entries of a direction.

    From the fit, and from a point beside it: through the fit itself a product and a sum may share
    one line.
    """
    if model is None:
        return True

    def of(start: np.ndarray) -> np.ndarray:
        changed = values.copy()
        changed[at] = start
        return np.asarray(model(changed))

    start = values[at]
    beside = start.copy()
    beside[0] += 0.7 * _FAR * (abs(start[0]) if start[0] else 1.0)
    before = [of(start), of(beside)]
    alone = np.linalg.norm(before[1] - before[0])
    changes = [
        np.linalg.norm(of(moved(x)) - y) for x, y in zip((start, beside), before, strict=True)
    ]
    return bool(np.isfinite(changes).all() and max(changes) <= _SAME * alone)


def _factors(powers: np.ndarray) -> np.ndarray:
    return np.exp(_FAR * powers / np.abs(powers).max())


def _integers(x: np.ndarray) -> np.ndarray | None:
    """Small integers in the proportions of `x`, if there are some."""
    x = x / np.abs(x).min()
    for multiple in range(1, 7):
        whole = np.round(multiple * x)
        if np.abs(whole).max() <= 12 and np.allclose(whole, multiple * x, rtol=1e-4, atol=0.0):
            return whole.astype(int)
    return None


def _products(names: tuple[str, ...], powers: np.ndarray) -> tuple[str, ...]:
    """The products of powers that stay the same where each entry grows by its power of a factor."""
    shared = _odd_one(powers)
    return tuple(
        _product(names[i], names[j], int(powers[j]), int(-powers[i]))
        for i, j in _pairs(shared, len(names))
    )


def _product(a: str, b: str, power_a: int, power_b: int) -> str:
    common = np.gcd(power_a, power_b)
    power_a, power_b = power_a // common, power_b // common
    if power_a < 0:
        power_a, power_b = -power_a, -power_b
    power = lambda name, k: name if k == 1 else f"{name}**{k}"
    return f"{power(a, power_a)}{'*' if power_b > 0 else '/'}{power(b, abs(power_b))}"


def _sums(names: tuple[str, ...], steps: np.ndarray) -> tuple[str, ...]:
    """The linear combinations that stay the same where each entry goes its step."""
    shared = _odd_one(steps)
    return tuple(
        _sum(names[i], names[j], int(steps[j]), int(-steps[i]))
        for i, j in _pairs(shared, len(names))
    )


def _sum(a: str, b: str, times_a: int, times_b: int) -> str:
    common = np.gcd(times_a, times_b)
    times_a, times_b = times_a // common, times_b // common
    if times_a < 0:
        times_a, times_b = -times_a, -times_b
    times = lambda name, k: name if k == 1 else f"{k}*{name}"
    return f"{times(a, times_a)} {'+' if times_b > 0 else '-'} {times(b, abs(times_b))}"


def _pairs(shared: int, count: int) -> list[tuple[int, int]]:
    """The entry `one` with each other, in the order in which they are declared."""
    return [(min(i, shared), max(i, shared)) for i in range(count) if i != shared]


def _odd_one(numbers: np.ndarray) -> int:
    """The entry that the others are combined with: alone in its sign, or with the least power."""
    signs = np.sign(numbers)
    alone = [i for i in range(numbers.size) if (signs == signs[i]).sum() == 1]
    among = alone if alone and numbers.size > 2 else range(numbers.size)
    # The last of equals: "k1*k3" rather than "k3*k1".
    return min(among, key=lambda i: (abs(numbers[i]), -i))


def _said(
    names: tuple[str, ...], vector: np.ndarray, kind: Kind, determined: tuple[str, ...]
) -> Direction:
    only = listed(determined)
    if len(names) == 2:
        noun = {"*": "the product ", "/": "the ratio ", "+": "the sum ", "-": "the difference "}
        plain = [
            noun[c]
            for c in noun
            if only in (f"{names[0]}{c}{names[1]}", f"{names[0]} {c} {names[1]}")
        ]
        text = f"{listed(names)} only as {plain[0] if plain else ''}{only}"
    else:
        together = "by a common factor" if kind == "product" else "by a common shift"
        text = f"{listed(names)} can change together {together}: only {only} are determined"
    return Direction(names, vector, kind, determined, text)


def _trade_off(names: tuple[str, ...], vector: np.ndarray, changed: np.ndarray) -> Direction:
    change = vector[vector != 0]
    relative = (changed != 0).all()
    change = change / changed if relative else change
    change = change / np.abs(change).max()
    terms = ", ".join(
        f"{name} by {part:+.3g}{' %' if relative else ''}"
        for name, part in zip(names, change, strict=True)
    )
    text = f"{listed(names)} trade off against each other: to change {terms} changes nothing here"
    return Direction(names, vector, "trade-off", (), text)
