"""diffrax's solvers and step size controllers for differential unknowns with algebraic ones beside.

A solver integrates the differential unknowns only. The algebraic ones travel with them: each step
starts from the ones that the last step ended with and from their slope, as the guess for every root
find in it, and ends by solving them anew. So a branch of solutions is followed, and a jump of an
input is seen; a guess that stays the same, as at the start, would come back on another branch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._parameters import MTKParameters
from .constraint import Constraint


class _Step(NamedTuple):
    """What the vector field of one step is given as `args`.

    `y`, `t`: unknowns and time at its start; `slope`: of the algebraic unknowns there.
    """

    p: MTKParameters
    y: Array
    t: Any
    slope: Array


class _DifferentialTerm(diffrax.AbstractTerm):
    """The differential part of a term of all unknowns."""

    whole: diffrax.AbstractTerm

    def vf(self, t: Any, y: Array, args: _Step) -> Array:
        ahead = jax.lax.stop_gradient(t - args.t)
        guess = args.y[y.size :] + ahead * args.slope
        return self.whole.vf(t, jnp.concatenate([y, guess]), (args.p, args.y))[: y.size]

    def contr(self, t0: Any, t1: Any, **kwargs: Any) -> Any:
        return self.whole.contr(t0, t1, **kwargs)

    def prod(self, vf: Array, control: Any) -> Array:
        return self.whole.prod(vf, control)


class DAESolver(diffrax.AbstractWrappedSolver):
    """A solver of the differential unknowns, followed by the algebraic ones after each step.

    **Attributes:**

    - `direction`: -1 where time runs backwards, as diffrax hands solvers its negative then.
    - `span`: the length of the time span.
    """

    solver: Any
    constraint: Constraint
    direction: Array
    span: Array

    @property
    def term_structure(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.solver.term_structure

    @property
    def interpolation_cls(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Interpolations(self.solver.interpolation_cls)

    @property
    def term_compatible_contr_kwargs(  # pyright: ignore[reportIncompatibleVariableOverride]
        self,
    ) -> Any:
        return self.solver.term_compatible_contr_kwargs

    # diffrax sets both on what looks like a Runge-Kutta or an implicit solver, as this class does.
    @property
    def scan_kind(self) -> Any:
        return self.solver.scan_kind

    @property
    def root_finder(self) -> Any:
        return self.solver.root_finder

    def order(self, terms: Any) -> Any:
        return self.solver.order(terms)

    def error_order(self, terms: Any) -> Any:
        return self.solver.error_order(terms)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Array, args: Any) -> Any:
        _, _, slope = self._solved(t0, y0, args[0])
        x, step = self._step(t0, y0, args, slope)
        return self.solver.init(_DifferentialTerm(terms), t0, t1, x, step), slope

    def step(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Array,
        args: Any,
        solver_state: Any,
        made_jump: Any,
    ) -> Any:
        inner, slope = solver_state
        x, step = self._step(t0, y0, args, jnp.where(made_jump, jnp.zeros_like(slope), slope))
        x, error, dense, inner, result = self.solver.step(
            _DifferentialTerm(terms), t0, t1, x, step, inner, made_jump
        )
        length = jax.lax.stop_gradient(t1 - t0)
        before = step.y[x.size :]
        guess = before + length * step.slope
        after, solved, slope = self._solved(t1, jnp.concatenate([x, guess]), args[0])
        after = jnp.where(solved, after, before)
        if error is not None:
            # A step so short may end on another branch: an input jumped.
            short = 1e4 * jnp.finfo(x.dtype).eps * jnp.maximum(jnp.abs(t1), 1e-6 * self.span)
            changed_branch = (
                jnp.logical_not(made_jump)
                & (length > short)
                & _changes_branch(
                    before, after, length * step.slope, length * slope, self.constraint.branches
                )
            )
            error = jnp.where(solved & ~changed_branch, error, jnp.inf)
            error = jnp.concatenate([error, jnp.zeros_like(after)])
        results: Any = diffrax.RESULTS
        failed = results.where(solved, results.successful, results.nonlinear_divergence)
        result = results.where(result == results.successful, failed, result)
        dense = {"differential": dense, "before": before, "after": after}
        dense |= {"slope_before": step.slope, "slope_after": slope}
        return jnp.concatenate([x, after]), error, dense, (inner, slope), result

    def func(self, terms: Any, t0: Any, y0: Array, args: Any) -> Array:
        x, step = self._step(t0, y0, args, jnp.zeros_like(y0[self.constraint.model.sizes[0] :]))
        rate = self.solver.func(_DifferentialTerm(terms), t0, x, step)
        return jnp.concatenate([rate, jnp.zeros_like(y0[x.size :])])

    def _step(self, t: Any, y: Array, args: Any, slope: Array) -> tuple[Array, _Step]:
        x, guess = self.constraint.model.split(y)
        y = jnp.concatenate([x, jax.lax.stop_gradient(guess)])
        return x, _Step(args[0], y, jax.lax.stop_gradient(t), slope)

    def _solved(self, t: Any, y: Array, p: MTKParameters) -> tuple[Array, Array, Array]:
        """The algebraic unknowns, whether they were found, and their slope in diffrax's time.

        They are the next guess only, and have no derivative.
        """
        t, y, p = jax.lax.stop_gradient((t * self.direction, y, p))
        z, solved, slope = self.constraint.followed(t, y, p)
        return z, solved, slope * self.direction


def _changes_branch(
    before: Array, after: Array, first: Array, last: Array, branches: np.ndarray
) -> Array:
    """Whether a step ended on another branch than it began, by what slopes at its ends allow.

    **Arguments:**

    - `first`, `last`: the slopes, times the length of the step.
    - `branches`: for which unknowns there may be other branches.
    """
    # On a smooth branch the trapezoidal rule is right to third order; between two branches it is
    # wrong by their distance. More than half of a slope leaves room for fast transients.
    off = jnp.abs(after - before - (first + last) / 2)
    moved = jnp.maximum(jnp.abs(first), jnp.abs(last))
    size = jnp.maximum(jnp.abs(before), jnp.abs(after))
    return jnp.any(branches & (off > 0.6 * moved + 0.01 * size + 1e-8))


@dataclasses.dataclass(frozen=True)
class _Interpolations:
    """What makes the interpolation of one step; equal for equal solvers, as part of a solution."""

    inner: Callable[..., Any]

    def __call__(self, *, t0: Any, t1: Any, differential: Any, **algebraic: Array) -> Any:
        return _Interpolation(t0, t1, self.inner(t0=t0, t1=t1, **differential), **algebraic)


class _Interpolation(diffrax.AbstractLocalInterpolation):
    """The interpolation of one step; its algebraic part is a guess from those of the ends."""

    t0: Any
    t1: Any
    inner: Any
    before: Array
    after: Array
    slope_before: Array
    slope_after: Array

    def evaluate(self, t0: Any, t1: Any | None = None, left: bool = True) -> Array:
        if t1 is not None:
            return self.evaluate(t1, left=left) - self.evaluate(t0, left=left)
        start, end, t = jax.lax.stop_gradient((self.t0, self.t1, t0))
        length = end - start
        guess = diffrax.ThirdOrderHermitePolynomialInterpolation(
            t0=start,
            t1=end,
            y0=self.before,
            y1=self.after,
            k0=length * self.slope_before,
            k1=length * self.slope_after,
        ).evaluate(t)
        return jnp.concatenate([self.inner.evaluate(t0, left=left), guess])
