"""Levenberg-Marquardt, Gauss-Newton variants and quasi-Newton methods of optimistix.

What is added: a trial whose solve failed is rejected and counted, whatever the search says; the
damping of the default method is in units of the columns of the Jacobian, so that the units of the
parameters do not matter; and a run stops when the loss can no longer be made smaller.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array

from ...errors import KindError
from .coordinates import Landscape
from .loop import CONVERGED, NO_STEP, RUNNING, START_FAILED, AbstractMethod, Run
from .triangular import back_substitute, triangular

# A loss that does not fall although so little was promised (relative to it) is one whose digits end
# there: a solve is as exact as its tolerances.
_NOISE = 1e-8

# After so many trials in a row that failed, each a quarter of the one before, nothing is left.
_MOST_FAILURES = 60


Solver: TypeAlias = optx.AbstractLeastSquaresSolver | optx.AbstractMinimiser


class _Guard(eqx.Module):
    inner: Any
    factor: Array
    failed: Array
    in_a_row: Array
    rejected: Array


class Guarded(optx.AbstractSearch):
    """A search that never accepts a trial which failed, and then tries nearer."""

    search: optx.AbstractSearch
    first: float | None = eqx.field(static=True, default=None)

    def init(self, y: Any, f_info_struct: Any) -> _Guard:
        inner = jax.tree.map(lambda x: x.astype(y.dtype), self.search.init(y, f_info_struct))
        if self.first is not None:
            inner = eqx.tree_at(lambda s: s.step_size, inner, jnp.asarray(self.first, y.dtype))
        no = jnp.zeros((), bool)
        none = jnp.zeros((), int)
        return _Guard(inner, jnp.ones((), y.dtype), no, none, none)

    def step(
        self, first_step: Any, y: Any, y_eval: Any, f_info: Any, f_eval_info: Any, state: _Guard
    ) -> tuple[Any, Any, Any, _Guard]:
        failed = ~jnp.isfinite(f_eval_info.as_min())
        if isinstance(f_eval_info, optx.FunctionInfo.ResidualJac):
            failed = failed | ~jnp.isfinite(f_eval_info.jac.as_matrix()).all()
        size, accept, result, inner = self.search.step(
            first_step, y, y_eval, f_info, f_eval_info, state.inner
        )
        inner = jax.tree.map(lambda new, old: new.astype(old.dtype), inner, state.inner)
        factor = jnp.where(failed, state.factor / 4, 1.0)
        if isinstance(self.search, optx.LearningRate):
            size = size.astype(y.dtype) * factor  # the others reduce it by themselves
        state = _Guard(
            inner,
            factor,
            failed,
            in_a_row=jnp.where(failed, state.in_a_row + 1, 0),
            rejected=jnp.where(accept | failed, 0, state.rejected + 1),
        )
        return size.astype(y.dtype), accept & ~failed, result, state


class _Damped(eqx.Module):
    r: Array
    y: Array
    norms: Array


class ScaledDamping(optx.AbstractDescent):
    """Damping in units of the greatest norm that each column of the Jacobian has had.

    So the steps are the same whatever the units of the parameters. J. J. Moré, "The
    Levenberg-Marquardt algorithm: implementation and theory" (1978).
    """

    def init(self, y: Any, f_info_struct: Any) -> _Damped:
        del f_info_struct
        return _Damped(jnp.zeros((y.size, y.size), y.dtype), jnp.zeros_like(y), jnp.zeros_like(y))

    def query(self, y: Any, f_info: Any, state: _Damped) -> _Damped:
        del y
        jacobian = f_info.jac.as_matrix()
        norms = jnp.maximum(state.norms, jnp.linalg.norm(jacobian, axis=0))
        return _Damped(*triangular(jacobian, f_info.residual), norms)

    def step(self, step_size: Any, state: _Damped) -> tuple[Any, Any]:
        norms = jnp.where(state.norms > 0, state.norms, 1.0)
        damping = jnp.sqrt(1.0 / jnp.maximum(step_size, jnp.finfo(step_size.dtype).tiny))
        eye = jnp.eye(norms.size, dtype=norms.dtype)
        matrix = jnp.concatenate([state.r / norms[None], damping * eye])
        vector = jnp.concatenate([state.y, jnp.zeros_like(norms)])
        scaled = back_substitute(*triangular(matrix, vector))
        return -scaled / norms, optx.RESULTS.successful


class Capped(optx.AbstractDescent):
    """A descent whose steps change no coordinate by more than `most`.

    A quasi-Newton method knows no curvature at first, and would go as far as the slope is steep.
    """

    descent: optx.AbstractDescent
    most: float = eqx.field(static=True)

    def init(self, y: Any, f_info_struct: Any) -> Any:
        return self.descent.init(y, f_info_struct)

    def query(self, y: Any, f_info: Any, state: Any) -> Any:
        return self.descent.query(y, f_info, state)

    def step(self, step_size: Any, state: Any) -> tuple[Any, Any]:
        whole, result = self.descent.step(jnp.ones_like(step_size), state)
        longest = jnp.max(jnp.abs(whole))
        return whole * (step_size * jnp.minimum(1.0, self.most / longest)), result


def levenberg_marquardt(tol: float) -> optx.LevenbergMarquardt:
    """The default method for least squares."""
    solver = optx.LevenbergMarquardt(rtol=tol * tol, atol=tol * tol)
    # Longer steps as soon as the quadratic model is fair: the default waits until it is exact.
    search = Guarded(
        optx.ClassicalTrustRegion(
            high_cutoff=0.75, low_cutoff=1e-3, high_constant=5.0, low_constant=0.2
        ),
        first=100.0,
    )
    return eqx.tree_at(lambda s: (s.search, s.descent), solver, (search, ScaledDamping()))


def bfgs(tol: float) -> optx.BFGS:
    """The default method for likelihoods and losses."""
    solver = optx.BFGS(rtol=tol * tol, atol=tol * tol)
    return eqx.tree_at(lambda s: s.descent, solver, Capped(solver.descent, 1.0))


class Optimistix(AbstractMethod):
    """A solver of optimistix that searches, stepped one evaluation at a time.

    **Attributes:**

    - `tol`: where to stop: the cosine of the angle between residuals and the columns of the
      Jacobian (least squares), the root of twice the decrease that is left (quasi-Newton).
    """

    solver: Solver
    tol: float

    @staticmethod
    def of(solver: Solver, tol: float) -> Optimistix:
        search = getattr(solver, "search", None)
        if search is None:
            raise KindError(
                f"{type(solver).__name__} makes no steps that could be rejected where a solve fails. "
                "Use optimistix.LevenbergMarquardt, GaussNewton, Dogleg, BFGS, or a method of scipy "
                "by name, such as 'Nelder-Mead'."
            )
        if not isinstance(search, Guarded):
            solver = eqx.tree_at(lambda s: s.search, solver, Guarded(search))
        return Optimistix(solver, tol)

    @property
    def least_squares(self) -> bool:
        """Whether it works on residuals."""
        return isinstance(self.solver, optx.AbstractLeastSquaresSolver)

    def _function(self, landscape: Landscape) -> Any:
        f = landscape.residuals if self.least_squares else landscape.value
        return lambda z, args: (f(z), None)

    def _init(self, landscape: Landscape, z: Array) -> Any:
        f = self._function(landscape)
        shape, _ = jax.eval_shape(lambda z: f(z, None), z)
        return self.solver.init(f, z, None, _options(landscape), shape, None, frozenset())

    def init(self, landscape: Landscape, z: Array) -> Any:
        return eqx.filter(self._init(landscape, z), eqx.is_array)

    def step(self, landscape: Landscape, run: Run) -> Run:
        # The static part, such as the program of a Jacobian, is the same whatever the values.
        static = eqx.filter(self._init(landscape, run.z), eqx.is_array, inverse=True)
        state = eqx.combine(run.state, static)
        tried = state.y_eval
        arguments = (self._function(landscape), run.z, None, _options(landscape))
        z, state, _ = self.solver.step(*arguments, state, frozenset())
        done, result = self.solver.terminate(*arguments, state, frozenset())
        guard = state.search_state
        loss = state.f_info.as_min()
        first = run.steps == 0
        started = ~(first & guard.failed)
        done = (done & ~first) | _is_least(state, z, loss, self.tol)
        stuck = (result != optx.RESULTS.successful) | (guard.in_a_row >= _MOST_FAILURES)
        code = jnp.where(done, CONVERGED, jnp.where(stuck, NO_STEP, RUNNING))
        code = jnp.where(started, code, START_FAILED)
        return run.after(
            z=z,
            loss=jnp.where(started, loss, jnp.inf),
            tried=tried,
            failed=guard.failed,
            code=code,
            state=eqx.filter(state, eqx.is_array),
        )


def _options(landscape: Landscape) -> dict[str, Any]:
    # The objective's own derivatives are forward ones, in matrices that either mode may use.
    return {"jac": "fwd" if landscape.objective.mode == "forward" else "bwd"}


def _is_least(state: Any, z: Array, loss: Array, tol: float) -> Array:
    """Whether no step can make the loss smaller by an amount that counts."""
    eps = jnp.finfo(z.dtype).eps
    step = state.y_eval - z
    info = state.f_info
    small = jnp.all(jnp.abs(step) <= eps * jnp.abs(z)) & ~state.search_state.failed
    if isinstance(info, optx.FunctionInfo.ResidualJac):
        jacobian, residuals = info.jac.as_matrix(), info.residual
        norm = jnp.linalg.norm(residuals)
        # Bates and Watts (1981): the part of the residuals that the parameters could still explain.
        # A column of zeros gives the direction that is left over, and no part of it counts.
        r, y = triangular(jacobian, residuals)
        explained = jnp.linalg.norm(jnp.where(jnp.abs(jnp.diagonal(r)) > 0, y, 0.0))
        after = jnp.linalg.norm(residuals + jacobian @ step)
        promised = norm - after
        noise = (state.search_state.rejected >= 2) & (promised <= _NOISE * norm)
        return small | noise | (explained <= tol * norm) | (promised <= eps * norm)
    if isinstance(info, optx.FunctionInfo.EvalGradHessianInv):
        decrease = 0.5 * info.grad @ info.hessian_inv.mv(info.grad)
        return small | (decrease <= eps * jnp.abs(loss)) | (decrease <= tol**2)
    return small
