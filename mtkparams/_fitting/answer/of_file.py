"""What stands for an objective in a fit that was loaded without one."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array

from ...errors import KindError
from ..objective.target import AbstractTarget
from .summary import Summary
from .uncertainty import Uncertainty


class OfFile(AbstractTarget):
    """What is left of an objective in a file: what was computed, and no equations."""

    path: str = eqx.field(static=True)
    uncertainty: Uncertainty | None
    summary: Summary

    def loss(self, v: Array, forward: bool) -> Array:
        raise KindError(self._nothing())

    def residuals(self, v: Array, forward: bool) -> Array:
        raise KindError(self._nothing())

    def log_likelihood(self, v: Array, forward: bool) -> Array:
        raise KindError(self._nothing())

    def predictions(self, v: Array, forward: bool) -> dict[str, dict[str, Array]]:
        raise KindError(self._nothing())

    def known(self) -> Uncertainty:
        """The uncertainty that the file holds."""
        if self.uncertainty is None:
            raise KindError(f"{self.path} holds the fit of a loss, which has no standard errors.")
        return self.uncertainty

    def _nothing(self) -> str:
        return (
            f"This fit was loaded from {self.path}, and files hold no equations. Load it with its "
            "objective: mtk.fitting.load(path, like=objective)."
        )
