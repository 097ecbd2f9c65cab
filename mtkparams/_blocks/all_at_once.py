"""All equations at once: square, with more equations than unknowns, and with fewer."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optimistix as optx
from jax import lax
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, PyTree

from .solve.condition import equal_parts
from .solve.found import Found
from .solve.implicit import Factorize, Residual, Solves, implicit
from .solve.newton import FAILED, SINGULAR, Equations, Root, solve_nonlinear
from .solve.settings import Settings, Tolerances, tolerances
from .solve.sizes import sizes

_DEFAULT = Settings()


def solve_whole(fn: Residual, guess: Array, args: PyTree, settings: Settings = _DEFAULT) -> Found:
    """The unknowns that make `fn(u, args)` zero, all at once.

    Optimistix's Newton goes first. Where it does not arrive, a damped one starts again from the
    guess. The result has one block. A system whose blocks have several roots may end in another
    root than block by block.
    """
    tol = tolerances(settings, guess.dtype)

    def find(guess: Array, args: PyTree) -> tuple[Array, Array, PyTree]:
        near, steps = _newton(fn, guess, args, tol)
        root = _finish(fn, near, args, tol, steps, guess)
        u, lost, (status, taken, residual, condition) = _verdict(root, fn, args)
        residual = jnp.where(status == FAILED, root.residual, residual)
        return u, lost, (status, taken, residual, condition)

    u, report = implicit(find, fn, _dense(fn), guess, args)
    return Found(u, *report, caches=())


def least_squares(fn: Residual, guess: Array, args: PyTree, settings: Settings = _DEFAULT) -> Found:
    """The unknowns that make `fn(u, args)` zero, where equations and unknowns differ in number.

    With more equations than unknowns: the least sum of squares, which is a solution only if what is
    left of every equation is within `settings.residual`, and has failed otherwise.

    With fewer: the solution nearest to the guess, in the sum of squares of `u - guess`, among its
    neighbors. It depends on the guess, and so does its derivative.
    """
    tol = tolerances(settings, guess.dtype)
    m, n = jax.eval_shape(fn, guess, args).size, guess.size
    if m >= n:
        return _overdetermined(fn, guess, args, tol)
    return _underdetermined(fn, m, guess, args, tol)


def _overdetermined(fn: Residual, guess: Array, args: PyTree, tol: Tolerances) -> Found:
    def slope(u: Array, args: PyTree) -> Array:
        f, pull = jax.vjp(lambda u: fn(u, args), u)
        return pull(f)[0]

    def find(guess: Array, args: PyTree) -> tuple[Array, Array, PyTree]:
        near, steps = _levenberg(fn, guess, args, tol)
        root = _finish(slope, near, args, tol, steps)
        return _verdict(_judged(root, fn, root.x[:, 0], args, tol), fn, args)

    u, report = implicit(find, slope, _dense(slope), guess, args)
    return Found(u, *report, caches=())


def _underdetermined(fn: Residual, m: int, guess: Array, args: PyTree, tol: Tolerances) -> Found:
    n = guess.size

    def nearest(z: Array, args: PyTree) -> Array:
        # Zero where `u` solves the equations and `u - guess` is perpendicular to the solutions.
        args, guess = args
        f, pull = jax.vjp(lambda u: fn(u, args), z[:n])
        return jnp.concatenate([z[:n] - guess + pull(z[n:])[0], f])

    def find(start: Array, args: PyTree) -> tuple[Array, Array, PyTree]:
        guess = start[:n]
        near, steps = _levenberg(fn, guess, args, tol)
        jacobian = jax.jacfwd(lambda u: fn(u, args))(near)
        multipliers = jnp.linalg.lstsq(jacobian.T, guess - near)[0]
        z = jnp.concatenate([near, jnp.where(jnp.isfinite(multipliers), multipliers, 0)])
        root = _finish(nearest, z, (args, guess), tol, steps)
        u = root.x[:n, 0]
        return _verdict(_judged(root, fn, u, args, tol), lambda z, args: fn(z[:n], args), args)

    start = jnp.concatenate([guess, jnp.zeros(m, guess.dtype)])
    reads = lambda z, args: nearest(z, (args[0], args[1][:n]))
    z, report = implicit(find, reads, _dense(reads), start, args, reads_guess=True)
    return Found(z[:n], *report, caches=())


def _newton(fn: Residual, guess: Array, args: PyTree, tol: Tolerances) -> tuple[Array, Array]:
    """Evaluations, and where optimistix's Newton arrives, or the guess."""
    solver = optx.Newton(rtol=tol.rtol, atol=tol.rtol)
    steps = tol.steps
    solution = optx.root_find(fn, solver, guess, args, throw=False, max_steps=steps)
    arrived = (solution.result == optx.RESULTS.successful) & jnp.all(jnp.isfinite(solution.value))
    near = lax.stop_gradient(jnp.where(arrived, solution.value, guess))
    return near, solution.stats["num_steps"]


def _levenberg(fn: Residual, guess: Array, args: PyTree, tol: Tolerances) -> tuple[Array, Array]:
    """Evaluations, and where optimistix's Levenberg-Marquardt arrives, or gives up."""
    solver = optx.LevenbergMarquardt(rtol=tol.rtol, atol=tol.rtol)
    solution = optx.least_squares(fn, solver, guess, args, throw=False, max_steps=4 * tol.steps)
    near = lax.stop_gradient(jnp.where(jnp.isfinite(solution.value), solution.value, guess))
    return near, solution.stats["num_steps"]


def _finish(
    fn: Residual,
    near: Array,
    args: PyTree,
    tol: Tolerances,
    steps: Array,
    guess: Array | None = None,
) -> Root:
    """A root of `fn` from nearby, to rounding, with its verdict; `steps` were taken before."""

    def both(x: Array) -> tuple[Array, Array]:
        f, push = jax.linearize(lambda u: fn(u, args), x[:, 0])
        jacobian = jax.vmap(push, out_axes=1)(jnp.eye(x.shape[0], dtype=x.dtype))
        return f[:, None], jacobian[:, :, None]

    equations = Equations(
        both,
        lambda x: fn(x[:, 0], args)[:, None],
        lambda x: sizes(fn, x[:, 0], args)[:, None],
    )
    guessed = None if guess is None else guess[:, None]
    root = solve_nonlinear(equations, near[:, None], jnp.ones(1, bool), tol, guessed)
    return root._replace(iterations=root.iterations + steps.astype(jnp.int32))


def _judged(root: Root, fn: Residual, u: Array, args: PyTree, tol: Tolerances) -> Root:
    """A root of the conditions for a least sum of squares, failed if that sum is not zero."""
    within = jnp.all(jnp.abs(fn(u, args)) <= tol.residual * sizes(fn, u, args))
    return root._replace(status=jnp.where(within, root.status, FAILED).astype(root.status.dtype))


def _verdict(root: Root, fn: Residual, args: PyTree) -> tuple[Array, Array, PyTree]:
    u, status = root.x[:, 0], root.status
    lost = jnp.where(status == FAILED, 1, jnp.where(status == SINGULAR, 2, 0))
    residual = jnp.max(jnp.abs(fn(u, args)), keepdims=True)
    report = (status, root.iterations, residual, root.condition)
    return u, jnp.broadcast_to(lost, u.shape), report


def _dense(fn: Residual) -> Factorize:
    def factorize(u: Array, args: PyTree, no_slope: Array) -> Solves:
        jacobian = jax.jacfwd(lambda u: fn(u, args))(u)
        jacobian = jnp.where(no_slope[:, None], jnp.eye(u.size, dtype=u.dtype), jacobian)
        parts = equal_parts(jacobian[..., None], tolerances(_DEFAULT, u.dtype))
        rows, columns = (x[:, 0] for x in parts)
        factors = lu_factor(jacobian * columns[None] * rows[:, None])
        solve = lambda b: columns * lu_solve(factors, rows * b)
        transposed = lambda c: rows * lu_solve(factors, columns * c, trans=1)

        # Once more with what is left: elimination loses what is small beside the largest entries.
        def refined(solve: Callable[[Array], Array], matrix: Array, b: Array) -> Array:
            x = solve(b)
            return x + solve(b - matrix @ x)

        return Solves(
            lambda b: refined(solve, jacobian, b), lambda c: refined(transposed, jacobian.T, c)
        )

    return factorize
