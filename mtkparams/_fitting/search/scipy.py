"""Methods of scipy.optimize, by name."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array

from ...errors import KindError
from .coordinates import Landscape
from .host_loop import Listeners
from .loop import (
    CONVERGED,
    INTERRUPTED,
    PATIENCE,
    REMEMBERED,
    RUNNING,
    STALLED,
    START_FAILED,
    STEPS,
    Run,
)
from .methods import LEAST_SQUARES_OF_SCIPY

# Those that keep bounds; the others get natural values without bounds only.
_KEEP_BOUNDS = ("trf", "dogbox", "Nelder-Mead", "Powell", "L-BFGS-B", "TNC", "SLSQP")
_KEEP_BOUNDS += ("COBYLA", "COBYQA")
_WITHOUT_GRADIENT = ("Nelder-Mead", "Powell", "COBYLA", "COBYQA")


class _Stop(Exception):
    """Ends a method of scipy from inside its function."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


@eqx.filter_jit
def _value(landscape: Landscape, z: Array) -> Array:
    return landscape.value(z)


@eqx.filter_jit
def _value_and_grad(landscape: Landscape, z: Array) -> tuple[Array, Array]:
    return landscape.value_and_grad(z)


@eqx.filter_jit
def _residuals(landscape: Landscape, z: Array) -> tuple[Array, Array]:
    return landscape.residuals_and_jacobian(z)


class _Log:
    """What a run of scipy has evaluated, and the point where it may go on from."""

    def __init__(
        self, landscape: Landscape, z: np.ndarray, limit: int, patience: int, listeners: Listeners
    ):
        self.landscape, self.limit, self.patience = landscape, limit, patience
        self.listeners = listeners
        self.good, self.good_loss = z, np.inf
        self.best, self.best_loss = z, np.inf
        self.losses: list[float] = []
        self.failed_at: list[np.ndarray] = []
        self.failures = self.since = 0

    def add(self, z: np.ndarray, loss: float, failed: bool) -> None:
        """Count an evaluation; may stop the method."""
        if failed:
            self.failures += 1
            self.failed_at.append(z.copy())
            if not self.losses:
                raise _Stop(START_FAILED)
        else:
            self.good, self.good_loss = z.copy(), loss
        better = not failed and loss < self.best_loss
        enough = better and not self.best_loss - loss <= 1e-12 * abs(loss)
        self.since = 0 if enough else self.since + 1
        if better:
            self.best, self.best_loss = z.copy(), loss
        self.losses.append(np.inf if failed else loss)
        if self.listeners.ask_to_stop(self.landscape, self.run(RUNNING), len(self.losses)):
            raise _Stop(INTERRUPTED)
        if len(self.losses) >= self.limit:
            raise _Stop(STEPS)
        if self.since >= self.patience:
            raise _Stop(PATIENCE)

    def run(self, code: int) -> Run:
        """This as a run."""
        dtype = self.landscape.objective.start.dtype
        failed_at = np.zeros((REMEMBERED, self.good.size))
        for i, z in enumerate(self.failed_at[:REMEMBERED]):
            failed_at[i] = z
        number = lambda x: jnp.asarray(x, dtype)
        return Run(
            z=number(self.good),
            loss=number(self.losses[-1] if self.losses else np.inf),
            best=number(self.best),
            best_loss=number(self.best_loss),
            steps=jnp.asarray(len(self.losses)),
            evaluations=jnp.asarray(len(self.losses)),
            failures=jnp.asarray(self.failures),
            failed_at=number(failed_at),
            since=jnp.asarray(self.since),
            code=jnp.asarray(code),
            state=None,
        )


def run_scipy(
    name: str,
    landscape: Landscape,
    z: Array,
    *,
    limit: int,
    patience: int | None,
    tol: float,
    listeners: Listeners,
) -> tuple[Run, np.ndarray]:
    """The run of one of scipy's methods, and the loss of each evaluation, infinite where it failed."""
    coordinates = landscape.coordinates
    bounds = None
    low, high = (np.asarray(end, float) for end in (coordinates.lower, coordinates.upper))
    if np.isfinite(low).any() or np.isfinite(high).any():
        if name not in _KEEP_BOUNDS:
            raise KindError(
                f"{name!r} of scipy keeps no bounds. Use coordinates='free', or one of "
                f"{', '.join(map(repr, _KEEP_BOUNDS))}."
            )
        bounds = scipy.optimize.Bounds(low, high)  # pyright: ignore[reportArgumentType]
    start = np.asarray(z, float)
    most = np.iinfo(np.int32).max
    log = _Log(landscape, start, limit, most if patience is None else patience, listeners)
    search = _least_squares if name in LEAST_SQUARES_OF_SCIPY else _minimise
    try:
        code = search(name, landscape, start, bounds, tol, log)
    except _Stop as stop:
        code = stop.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    listeners.close()
    return log.run(code), np.asarray(log.losses)


def _least_squares(
    name: str,
    landscape: Landscape,
    start: np.ndarray,
    bounds: scipy.optimize.Bounds | None,
    tol: float,
    log: _Log,
) -> int:
    jacobian_at: dict[bytes, np.ndarray] = {}
    good = np.zeros(0)

    def residuals(z: np.ndarray) -> np.ndarray:
        nonlocal good
        values, slopes = map(np.asarray, _residuals(landscape, _as(landscape, z)))
        failed = not (np.isfinite(values).all() and np.isfinite(slopes).all())
        jacobian_at.clear()
        jacobian_at[z.tobytes()] = slopes
        log.add(z, np.inf if failed else 0.5 * float(values @ values), failed)
        if failed:
            # MINPACK rejects what is far worse than where it is; the others reject NaN as well.
            return 1e3 * (np.abs(good) + 1.0)
        good = values
        return values.astype(float)

    def jacobian(z: np.ndarray) -> np.ndarray:
        if z.tobytes() not in jacobian_at:
            jacobian_at[z.tobytes()] = np.asarray(_residuals(landscape, _as(landscape, z))[1])
        return jacobian_at[z.tobytes()].astype(float)

    least = 64 * np.finfo(float).eps
    limits: dict[str, Any] = {} if bounds is None else {"bounds": bounds}
    end = scipy.optimize.least_squares(
        residuals,
        start,
        jac=jacobian,  # pyright: ignore[reportArgumentType]
        method=name,  # pyright: ignore[reportArgumentType]
        x_scale="jac",
        max_nfev=log.limit + 1,
        ftol=max(least, tol**2),
        xtol=max(least, tol**2),
        gtol=max(least, tol**2),
        **limits,
    )
    return CONVERGED if end.success else STALLED


def _minimise(
    name: str,
    landscape: Landscape,
    start: np.ndarray,
    bounds: scipy.optimize.Bounds | None,
    tol: float,
    log: _Log,
) -> int:
    slopes_at_good = np.zeros_like(start)

    def stand_in(z: np.ndarray) -> tuple[float, np.ndarray]:
        # Line searches interpolate, and an infinity makes them NaN. So they see a parabola that
        # rises from the last point that has a value; nothing else ever sees it.
        away = z - log.good
        rise = 10 * max(1.0, abs(log.good_loss), float(np.abs(slopes_at_good @ away)))
        return log.good_loss + rise, 2 * rise * away / max(float(away @ away), 1e-300)

    def with_slopes(z: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal slopes_at_good
        loss, slopes = _value_and_grad(landscape, _as(landscape, z))
        loss, slopes = float(loss), np.asarray(slopes, float)
        failed = not (np.isfinite(loss) and np.isfinite(slopes).all())
        log.add(z, loss, failed)
        if failed:
            return stand_in(z)
        slopes_at_good = slopes
        return loss, slopes

    def alone(z: np.ndarray) -> float:
        loss = float(_value(landscape, _as(landscape, z)))
        failed = not np.isfinite(loss)
        log.add(z, loss, failed)
        return stand_in(z)[0] if failed else loss

    options: dict[str, Any] = {"maxiter": max(log.limit + 1, 10)}
    if name == "L-BFGS-B":
        options |= {"ftol": 10 * np.finfo(float).eps, "gtol": tol, "maxfun": log.limit + 1}
    if name == "Nelder-Mead":
        options |= {"xatol": tol, "fatol": tol, "adaptive": True, "maxfev": log.limit + 1}
    if name == "TNC":
        options = {"maxfun": log.limit + 1}
    free = name in _WITHOUT_GRADIENT
    end = scipy.optimize.minimize(
        alone if free else with_slopes,
        start,
        jac=None if free else True,  # pyright: ignore[reportArgumentType]
        method=name,
        bounds=bounds,
        tol=None if name in ("L-BFGS-B", "Nelder-Mead") else tol,
        options=options,
    )
    return CONVERGED if end.success else STALLED


def _as(landscape: Landscape, z: np.ndarray) -> Array:
    return jnp.asarray(z, landscape.objective.start.dtype)
