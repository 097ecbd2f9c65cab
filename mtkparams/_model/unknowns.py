"""What a modeler says about one unknown."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..errors import DeclarationError
from .parameter import Parameter


@dataclasses.dataclass(frozen=True, eq=False)
class Unknown:
    """The declaration of one unknown: a state, or a variable of an algebraic equation.

    **Arguments:**

    - `initial`: its value at the start: a number, an array, or a function of the parameters and of
      the other initial values, `lambda p: p.total - p.x`. It becomes the parameter
      `mtk.Initial(name)`. `None`: no value; then it is found from the equations, or the problem
      gives it.
    - `guess`: where the search for it starts: a number, an array, or a function of the parameters
      and of the other initial values. Never a condition.
    - `shape`: of an array without `initial` and `guess`; `()` by default.
    - `bounds`: `(lower, upper)` of the initial value in a fit.
    - `scale`: the free coordinate of the initial value in a fit, as in `mtk.Parameter`.
    - `unit`, `description`: text for tables and plots.
    - `external`: its equation is not in this system: a parent gives it.

    !!! Example

        >>> import mtkparams as mtk
        >>> mtk.Unknown(30.0, unit="1e3", description="hares").initial
        30.0
    """

    initial: Any = None
    _: dataclasses.KW_ONLY
    guess: Any = None
    shape: tuple[int, ...] | None = None
    bounds: Any = None
    scale: str | float | None = None
    unit: str | None = None
    description: str | None = None
    external: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.initial, Unknown | Parameter):
            raise DeclarationError(
                f"The initial value of an unknown is a number, got {self.initial!r}."
            )
        if self.shape is not None and not all(isinstance(n, int) and n >= 0 for n in self.shape):
            raise DeclarationError(f"shape= is a tuple of sizes, got {self.shape!r}.")
