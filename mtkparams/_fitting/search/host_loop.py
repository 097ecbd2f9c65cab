"""The loop around the compiled loop: progress, callbacks, checkpoints, and Ctrl-C."""

from __future__ import annotations

import dataclasses
import functools
import time
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..options import Status, Watch
from .checkpoint import CheckpointFolder
from .coordinates import Landscape
from .loop import CHUNK, INTERRUPTED, RUNNING, AbstractMethod, Run, advance_all, advance_one

# How long a compiled piece should take: Ctrl-C and the bar wait for its end.
_SECONDS = 0.5


@runtime_checkable
class Bar(Protocol):
    """A progress bar."""

    def update(self, status: Status) -> None: ...
    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True)
class Listeners:
    """Who is told of a run on its way: the user's function, a bar that is open, a folder that is locked."""

    watch: Watch
    bar: Bar | None = None
    folder: CheckpointFolder | None = None

    def due(self, done: int) -> int:
        """After how many steps more somebody wants to know; not before the piece ends if nobody does."""
        intervals = [self.watch.every] if self.watch.callback is not None else []
        intervals += [self.folder.every] if self.folder is not None else []
        return min((every - done % every for every in intervals), default=CHUNK)

    def ask_to_stop(self, landscape: Landscape, run: Run, done: int) -> bool:
        """Tells them how far the run is; whether the user's function asks to stop it."""
        callback = self.watch.callback if done % self.watch.every == 0 else None
        if callback is None and self.bar is None:
            return False
        status = status_of(landscape, run, done)
        if self.bar is not None:
            self.bar.update(status)
        return callback is not None and callback(status) is True

    def close(self) -> None:
        """Closes the bar."""
        if self.bar is not None:
            self.bar.close()


def drive(
    method: AbstractMethod,
    landscape: Landscape,
    run: Run,
    *,
    limit: int,
    patience: int | None,
    listeners: Listeners,
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
    folder = listeners.folder
    if folder is not None:
        state = folder.load((run, np.zeros((*run.loss.shape, 0))))
        if state is not None:
            run, before = state
            losses, done = [np.asarray(before)], before.shape[-1]
    stop = jnp.asarray(limit)
    tired = jnp.asarray(np.iinfo(np.int32).max if patience is None else patience)
    advance = functools.partial(advance_all, devices=devices) if many else advance_one
    size = 8
    try:
        while (np.asarray(run.code) == RUNNING).any():
            count = min(listeners.due(done), size, CHUNK)
            began = time.perf_counter()
            new, chunk = advance(method, landscape, run, stop, tired, jnp.asarray(count))
            jax.block_until_ready(new.loss)
            run = new
            took = time.perf_counter() - began
            made = int(np.max(np.asarray(run.steps))) - done
            losses.append(np.asarray(chunk)[..., :made])
            done += made
            # The first piece includes compilation; the second tells how long a step takes.
            size = 8 if len(losses) == 1 else max(1, int(size * min(4.0, _SECONDS / (took + 1e-9))))
            if folder is not None and done % folder.every == 0:
                folder.save(done, (run, np.concatenate(losses, axis=-1)))
            if listeners.ask_to_stop(landscape, run, done):
                run = _interrupted(run)
        if folder is not None and losses and not (run.code == INTERRUPTED).any():
            folder.save(done, (run, np.concatenate(losses, axis=-1)))
    except KeyboardInterrupt:
        run = _interrupted(run)
    listeners.close()
    return run, np.concatenate(losses, axis=-1) if losses else np.zeros((*run.loss.shape, 0))


def status_of(landscape: Landscape, run: Run, done: int) -> Status:
    """How far a run, or the best of many, is after `done` steps."""
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
