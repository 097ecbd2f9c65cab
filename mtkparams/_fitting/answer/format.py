"""Numbers with their errors, to the digits that mean something."""

from __future__ import annotations

import math

from ..._text import number

# Digits of an error. Two are usual in print; a third lets errors be compared.
_DIGITS = 3


def pair(value: float, error: float) -> tuple[str, str]:
    """A value and its error, both to the same decimal, the error with three digits.

    !!! Example

        >>> from mtkparams._fitting.answer.format import pair
        >>> pair(238.94212918, 2.7070075241), pair(5.5015643181e-4, 7.2668688436e-6)
        (('238.94', '2.71'), ('0.00055016', '0.00000727'))
    """
    if not math.isfinite(value) or not math.isfinite(error) or error <= 0:
        return number(value), "" if math.isnan(error) else number(error)
    exponent = math.floor(math.log10(error))
    if f"{error:.{_DIGITS - 1}e}".split("e")[1] != f"{exponent:+03d}":
        exponent += 1  # rounded up to the next power of ten
    size = math.floor(math.log10(abs(value))) if value else exponent
    if -5 < size < 7 and exponent > -9:
        decimals = max(0, _DIGITS - 1 - exponent)
        return f"{value:.{decimals}f}", f"{error:.{decimals}f}"
    top = max(size, exponent)
    decimals = max(0, top - exponent + _DIGITS - 1)
    scale = 10.0**top
    return f"{value / scale:.{decimals}f}e{top:+03d}", f"{error / scale:.{decimals}f}e{top:+03d}"


def percent(value: float, error: float) -> str:
    """The error as a part of the value."""
    if not math.isfinite(error) or not math.isfinite(value) or value == 0:
        return ""
    part = 100 * abs(error / value)
    return f"{part:.2g} %" if part < 99.5 else f"{part:.0f} %" if part < 1e6 else f"{part:.1e} %"


def statistic(x: int | float) -> str:
    """A count in full, another number to eight digits."""
    return str(x) if isinstance(x, int) else f"{x:.8g}"


def seconds(x: float) -> str:
    """A time in a unit that fits it."""
    if x < 1:
        return f"{1000 * x:.3g} ms"
    return f"{x:.3g} s" if x < 100 else f"{x / 60:.1f} min" if x < 6000 else f"{x / 3600:.1f} h"
