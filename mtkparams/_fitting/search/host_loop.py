"""The loop around the compiled loop: progress, callbacks, checkpoints, and Ctrl-C."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .coordinates import Landscape
from .loop import CHUNK, INTERRUPTED, RUNNING, AbstractMethod, Run, advance_all, advance_one

# How long a compiled piece should take: Ctrl-C and the bar wait for its end.
_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Status:
    """How far a fit is, as callbacks get it.

    **Attributes:**

    - `steps`: steps done; `loss`: at the last one; `best_loss`: the least so far.
    - `values`: the best values so far by name; of many starts those of the best start.
    """

    steps: int
    loss: float
    best_loss: float
    values: dict[str, float]


@runtime_checkable
class Checkpoint(Protocol):
    """Where a loop keeps itself between its pieces."""

    every: int

    def load(self, like: Any) -> Any:
        """What was kept, in the structure of `like`, or `None`."""
        ...

    def save(self, steps: int, state: Any) -> None:
        """Keep a state."""
        ...

    def part(self, number: int) -> Any:
        """A checkpoint of its own for one of several loops."""
        ...


@runtime_checkable
class Bar(Protocol):
    """A progress bar."""

    def update(self, status: Status) -> None: ...
    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True)
class Watch:
    """Who wants to know, and after how many steps each."""

    callback: Callable[[Status], Any] | None = None
    every: int | None = None
    bar: Bar | None = None
    checkpoint: Checkpoint | None = None


def drive(
    method: AbstractMethod,
    landscape: Landscape,
    run: Run,
    *,
    limit: int,
    patience: int | None,
    watch: Watch,
    devices: tuple[Any, ...] = (),
) -> tuple[Run, np.ndarray]:
    """The run at its end, and the loss after each step, shape `(..., steps)`.

    **Arguments:**

    - `run`: one, or many with a leading axis, shared out among `devices`.
    - `limit`, `patience`: of steps in all, and of steps without improvement.
    """
    many = run.z.ndim > 1
    losses: list[np.ndarray] = []
    done = 0
    if watch.checkpoint is not None:
        kept = watch.checkpoint.load((run, np.zeros((*run.loss.shape, 0))))
        if kept is not None:
            run, before = kept
            losses, done = [np.asarray(before)], before.shape[-1]
    stop = jnp.asarray(limit)
    tired = jnp.asarray(np.iinfo(np.int32).max if patience is None else patience)
    advance = functools.partial(advance_all, devices=devices) if many else advance_one
    size = 8
    try:
        while (np.asarray(run.code) == RUNNING).any():
            count = min(_next(watch, done, size), CHUNK)
            began = time.perf_counter()
            new, found = advance(method, landscape, run, stop, tired, jnp.asarray(count))
            jax.block_until_ready(new.loss)
            run = new
            took = time.perf_counter() - began
            made = int(np.max(np.asarray(run.steps))) - done
            losses.append(np.asarray(found)[..., :made])
            done += made
            # The first piece includes compilation; the second tells how long a step takes.
            size = 8 if len(losses) == 1 else max(1, int(size * min(4.0, _SECONDS / (took + 1e-9))))
            if watch.checkpoint is not None and done % watch.checkpoint.every == 0:
                watch.checkpoint.save(done, (run, np.concatenate(losses, axis=-1)))
            if _tell(watch, landscape, run, done):
                run = _interrupted(run)
        if watch.checkpoint is not None and losses and not (run.code == INTERRUPTED).any():
            watch.checkpoint.save(done, (run, np.concatenate(losses, axis=-1)))
    except KeyboardInterrupt:
        run = _interrupted(run)
    if watch.bar is not None:
        watch.bar.close()
    return run, np.concatenate(losses, axis=-1) if losses else np.zeros((*run.loss.shape, 0))


def _next(watch: Watch, done: int, size: int) -> int:
    """How many steps until somebody wants to know, or the piece has taken its time."""
    intervals = [watch.every if watch.callback is not None else None]
    intervals.append(watch.checkpoint.every if watch.checkpoint is not None else None)
    return min([size, *(every - done % every for every in intervals if every)])


def _tell(watch: Watch, landscape: Landscape, run: Run, done: int) -> bool:
    """Whether a callback, after it was told, asks to stop."""
    calls = watch.callback is not None and done % (watch.every or 1) == 0
    if not calls and watch.bar is None:
        return False
    status = status_of(landscape, run, done)
    if watch.bar is not None:
        watch.bar.update(status)
    return bool(calls and watch.callback is not None and watch.callback(status) is True)


def status_of(landscape: Landscape, run: Run, done: int) -> Status:
    best = np.asarray(run.best_loss)
    first = int(np.argmin(best)) if best.ndim else ()
    v = np.asarray(landscape.coordinates.back(run.best[first])).tolist()
    return Status(
        steps=done,
        loss=float(np.asarray(run.loss)[first]),
        best_loss=float(best[first]),
        values=dict(zip(landscape.objective.labels, v, strict=True)),
    )


def _interrupted(run: Run) -> Run:
    code = jnp.where(run.code == RUNNING, INTERRUPTED, run.code)
    return eqx.tree_at(lambda r: r.code, run, code)
