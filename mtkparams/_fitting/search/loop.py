"""The compiled loop that all methods written in JAX share."""

from __future__ import annotations

import abc
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ..._problems import sharded
from ..._results import RESULTS
from .coordinates import Landscape

# Why a run stopped. Numbers, so that they go through `vmap`.
RUNNING, CONVERGED, STEPS, START_FAILED, NO_STEP, PATIENCE, INTERRUPTED, STALLED, NO_SEARCH = range(
    9
)

# What they are for who reads a result.
RESULT_OF = {
    RUNNING: RESULTS.running,
    CONVERGED: RESULTS.converged,
    STEPS: RESULTS.steps_done,
    START_FAILED: RESULTS.start_failed,
    NO_STEP: RESULTS.no_step,
    PATIENCE: RESULTS.patience_spent,
    INTERRUPTED: RESULTS.interrupted,
    NO_SEARCH: RESULTS.no_search,
    STALLED: RESULTS.stalled,
}

# How many places of failed evaluations a run remembers: the first ones.
REMEMBERED = 16


class Run(eqx.Module):
    """Where a run is; arrays only, so that it is kept, batched and taken up again as it is.

    **Attributes:**

    - `z`, `loss`: the coordinates of the last step that counted, shape `(n,)`, and the loss there.
    - `best`, `best_loss`: the same of the best step.
    - `steps`, `evaluations`, `failures`: counts; `failed_at`: coordinates of the first failures.
    - `since`: steps since the loss improved by more than rounding.
    - `code`: why it stopped, zero while it has not.
    - `state`: what the method itself keeps.
    """

    z: Array
    loss: Array
    best: Array
    best_loss: Array
    steps: Array
    evaluations: Array
    failures: Array
    failed_at: Array
    since: Array
    code: Array
    state: Any

    def after(
        self, z: Array, loss: Array, tried: Array, failed: Array, code: Array, state: Any
    ) -> Run:
        """The run after one step that evaluated the objective at `tried`."""
        better = loss < self.best_loss
        gain = self.best_loss - loss
        enough = better & ~(gain <= 1e-12 * jnp.abs(loss))
        room = jnp.arange(REMEMBERED) == self.failures
        failed_at = jnp.where((room & failed)[:, None], tried[None], self.failed_at)
        return Run(
            z=z,
            loss=loss,
            best=jnp.where(better, z, self.best),
            best_loss=jnp.where(better, loss, self.best_loss),
            steps=self.steps + 1,
            evaluations=self.evaluations + 1,
            failures=self.failures + failed.astype(int),
            failed_at=failed_at,
            since=jnp.where(enough, 0, self.since + 1),
            code=code,
            state=state,
        )


class AbstractMethod(eqx.Module):
    """An optimizer as pure functions of a run."""

    @abc.abstractmethod
    def init(self, landscape: Landscape, z: Array) -> Any:
        """What the method keeps at the start: a pytree of arrays. Nothing is evaluated."""

    @abc.abstractmethod
    def step(self, landscape: Landscape, run: Run) -> Run:
        """The run after one evaluation of the objective."""


T = TypeVar("T")


def begin(method: AbstractMethod, landscape: Landscape, z: Array) -> Run:
    """A run that has not made a step."""
    zero = jnp.zeros((), int)
    nowhere = jnp.full((), jnp.inf, z.dtype)
    run = Run(
        z=z,
        loss=nowhere,
        best=z,
        best_loss=nowhere,
        steps=zero,
        evaluations=zero,
        failures=zero,
        failed_at=jnp.zeros((REMEMBERED, z.size), z.dtype),
        since=zero,
        code=zero,
        state=method.init(landscape, z),
    )
    return strong(run)


def strong(tree: T) -> T:
    """`tree` with no weak types: with them, a second call would compile once more."""
    return jax.tree.map(lambda x: jnp.asarray(x).astype(jnp.asarray(x).dtype), tree)


# Room for the losses of one compiled piece.
CHUNK = 256


def advance(
    method: AbstractMethod,
    landscape: Landscape,
    run: Run,
    limit: Array,
    patience: Array,
    count: Array,
) -> tuple[Run, Array]:
    """The run after up to `count` steps, and the loss after each, shape `(CHUNK,)`.

    **Arguments:**

    - `limit`: of the number of steps; `patience`: of steps without improvement.
    """

    def going(carry: tuple[Run, Array, Array]) -> Array:
        run, _, done = carry
        return (run.code == RUNNING) & (done < count)

    def once(carry: tuple[Run, Array, Array]) -> tuple[Run, Array, Array]:
        run, losses, done = carry
        run = strong(method.step(landscape, run))
        tired = jnp.where(run.since >= patience, PATIENCE, RUNNING)
        code = jnp.where(run.steps >= limit, STEPS, tired)
        code = jnp.where(run.code == RUNNING, code, run.code)
        run = eqx.tree_at(lambda r: r.code, run, code)
        return run, losses.at[done].set(run.loss), done + 1

    losses = jnp.full((CHUNK,), jnp.inf, run.loss.dtype)
    run, losses, _ = jax.lax.while_loop(going, once, (run, losses, jnp.zeros((), int)))
    return run, losses


@eqx.filter_jit
def begin_one(method: AbstractMethod, landscape: Landscape, z: Array) -> Run:
    """`begin`, compiled."""
    return begin(method, landscape, z)


@eqx.filter_jit
def begin_all(method: AbstractMethod, landscape: Landscape, zs: Array) -> Run:
    """Runs from several starts, shape `(starts, n)`."""
    return jax.vmap(lambda z: begin(method, landscape, z))(zs)


@eqx.filter_jit
def advance_one(
    method: AbstractMethod,
    landscape: Landscape,
    run: Run,
    limit: Array,
    patience: Array,
    count: Array,
) -> tuple[Run, Array]:
    """`advance`, compiled."""
    return advance(method, landscape, run, limit, patience, count)


@eqx.filter_jit
def advance_all(
    method: AbstractMethod,
    landscape: Landscape,
    run: Run,
    limit: Array,
    patience: Array,
    count: Array,
    devices: tuple[Any, ...] = (),
) -> tuple[Run, Array]:
    """`advance` of several runs at once, on each of the `devices` its share, where there are any.

    Each device goes through its own loop: the runs need nothing of each other.
    """
    shared = (method, landscape, limit, patience, count)
    arrays, static = eqx.partition(shared, eqx.is_array)
    moving, still = eqx.partition(run, eqx.is_array)

    def of_device(arrays: PyTree, moving: PyTree) -> tuple[PyTree, Array]:
        method, landscape, *numbers = eqx.combine(arrays, static)
        advanced = lambda m: advance(method, landscape, eqx.combine(m, still), *numbers)
        new, losses = jax.vmap(advanced)(moving)
        return eqx.filter(new, eqx.is_array), losses

    share = (lambda f, a, m: sharded(f, devices, a, m)) if devices else (lambda f, a, m: f(a, m))
    moving, losses = share(of_device, arrays, moving)
    return eqx.combine(moving, still), losses
