"""How data scatter around a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jax.typing import ArrayLike

from ...errors import KindError
from .experiment import Spec


class Normal:
    """Data scatter by a normal distribution around the model: `y = model + scale * noise`.

    **Arguments:**

    - `scale`: the standard deviation, in the unit of the data: a number; an array with one for each
      row; the name of a data column; the name of a parameter or observed value, which a fit
      estimates where it is free; or a function `f(t, u, p)`. `None`: the same unknown scatter
      everywhere, that is plain least squares, whose scatter is what the residuals show.

    !!! Example

        >>> import mtkparams as mtk
        >>> mtk.fitting.Normal(0.1)
        Normal(0.1)
    """

    __slots__ = ("scale",)

    def __init__(self, scale: Spec | ArrayLike | Sequence[object] | None = None):
        self.scale = scale

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.scale is None else repr(self.scale)})"


class LogNormal(Normal):
    """Logarithms of data scatter by a normal distribution: `log y = log model + scale * noise`.

    The density is that of the data, with its factor `1 / y`. The model is the median of the data.

    **Arguments:**

    - `scale`: as for `Normal`, of the logarithm: 0.1 is about ten percent.

    !!! Example

        >>> import mtkparams as mtk
        >>> mtk.fitting.LogNormal("sigma")
        LogNormal('sigma')
    """

    __slots__ = ()


def noise_of(noise: object, name: str) -> Normal:
    """The noise of the data column `name`, where one for all or a dictionary was given."""
    kind = noise.get(name) if isinstance(noise, Mapping) else noise
    if kind is None:
        return Normal()
    if not isinstance(kind, Normal):
        raise KindError(
            f"The noise of {name!r} is mtk.fitting.Normal(scale) or mtk.fitting.LogNormal(scale), "
            f"got {kind!r}."
        )
    return kind
