"""Step size controllers around others: what they see, and when they give up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array


class _Around(diffrax.AbstractAdaptiveStepSizeController):
    """A controller that leaves the decision to another one."""

    controller: Any

    # Implicit solvers take their tolerances from these.
    @property
    def rtol(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.controller.rtol

    @property
    def atol(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.controller.atol

    @property
    def norm(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.controller.norm

    def wrap(self, direction: Any) -> Any:
        return dataclasses.replace(self, controller=self.controller.wrap(direction))

    def init(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        dt0: Any,
        args: Any,
        func: Callable[..., Any],
        error_order: Any,
    ) -> Any:
        return self.controller.init(terms, t0, t1, y0, dt0, args, func, error_order)

    def adapt_step_size(
        self,
        t0: Any,
        t1: Any,
        y0: Any,
        y1_candidate: Any,
        args: Any,
        y_error: Any,
        error_order: Any,
        controller_state: Any,
    ) -> Any:
        return self.controller.adapt_step_size(
            t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state
        )


class Stopping(_Around):
    """Ends the solve where the steps no longer move the time.

    What is too small depends on the time that has been reached: a stiff problem that runs to 1e11 may
    well begin with steps of 1e-6, of which `PIDController(dtmin=)` knows nothing.
    """

    controller: Any

    def __init__(self, controller: Any):
        self.controller = controller

    def adapt_step_size(
        self,
        t0: Any,
        t1: Any,
        y0: Any,
        y1_candidate: Any,
        args: Any,
        y_error: Any,
        error_order: Any,
        controller_state: Any,
    ) -> Any:
        keep, start, end, jump, state, result = self.controller.adapt_step_size(
            t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state
        )
        results: Any = diffrax.RESULTS
        least = 4 * jnp.finfo(start.dtype).eps * jnp.abs(start)
        result = results.where(end - start > least, result, results.dt_min_reached)
        return keep, start, end, jump, state, result


class DifferentialController(_Around):
    """Sees the differential unknowns only.

    The others have no error of their own: their equations hold at each step.
    """

    controller: Any
    size: int = eqx.field(static=True)

    def __init__(self, controller: Any, size: int):
        self.controller = controller
        self.size = size

    def init(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Array,
        dt0: Any,
        args: Any,
        func: Callable[..., Array],
        error_order: Any,
    ) -> Any:
        def differential(terms: Any, t: Any, x: Array, args: Any) -> Array:
            return func(terms, t, jnp.concatenate([x, y0[self.size :]]), args)[: self.size]

        return self.controller.init(
            terms, t0, t1, y0[: self.size], dt0, args, differential, error_order
        )

    def adapt_step_size(
        self,
        t0: Any,
        t1: Any,
        y0: Array,
        y1_candidate: Array,
        args: Any,
        y_error: Array | None,
        error_order: Any,
        controller_state: Any,
    ) -> Any:
        return self.controller.adapt_step_size(
            t0,
            t1,
            y0[: self.size],
            y1_candidate[: self.size],
            args,
            None if y_error is None else y_error[: self.size],
            error_order,
            controller_state,
        )
