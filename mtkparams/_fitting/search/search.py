"""A search from one start or from many, by any kind of method."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ...errors import KindError
from .coordinates import Landscape
from .host_loop import Listeners, drive
from .loop import AbstractMethod, Run, begin_all, begin_one
from .optimistix import Optimistix
from .scipy import run_scipy


@dataclasses.dataclass(frozen=True)
class Search:
    """A method and what it searches."""

    method: AbstractMethod | str
    landscape: Landscape
    limit: int
    patience: int | None
    tol: float
    listeners: Listeners

    def __post_init__(self) -> None:
        coordinates = self.landscape.coordinates
        bounded = jnp.isfinite(coordinates.lower) | jnp.isfinite(coordinates.upper)
        if isinstance(self.method, Optimistix) and bounded.any():
            name = self.landscape.objective.labels[int(jnp.argmax(bounded))]
            raise KindError(
                f"{name!r} has bounds, and {type(self.method.solver).__name__} of optimistix keeps none "
                "where coordinates='natural'. Use coordinates='free', which keeps them, or "
                "'trf' or 'L-BFGS-B'."
            )

    def from_one(self, v: np.ndarray) -> tuple[Run, np.ndarray]:
        """The run from the natural values `v`, and the loss after each step, shape `(steps,)`."""
        z = self.landscape.coordinates.into(jnp.asarray(v))
        common = {"limit": self.limit, "patience": self.patience, "listeners": self.listeners}
        if isinstance(self.method, str):
            return run_scipy(self.method, self.landscape, z, tol=self.tol, **common)
        return drive(
            self.method, self.landscape, begin_one(self.method, self.landscape, z), **common
        )

    def from_many(self, v: np.ndarray, batch: int) -> tuple[Run, np.ndarray]:
        """The runs from natural values of shape `(starts, n)`, as arrays, and their losses."""
        if isinstance(self.method, str):
            ends = [self.from_one(start) for start in v]
        else:
            batches = [v[i : i + batch] for i in range(0, len(v), batch)]
            ends = [self._at_once(starts, number) for number, starts in enumerate(batches)]
        parts = [jax.tree.map(np.asarray, eqx.filter(run, eqx.is_array)) for run, _ in ends]
        join = np.stack if isinstance(self.method, str) else np.concatenate
        longest = max(losses.shape[-1] for _, losses in ends)
        padded = [_padded(losses, longest) for _, losses in ends]
        return jax.tree.map(lambda *xs: join(xs), *_comparable(parts)), join(padded)

    def _at_once(self, v: np.ndarray, number: int) -> tuple[Run, np.ndarray]:
        assert isinstance(self.method, AbstractMethod)
        count, devices = len(v), tuple(jax.local_devices())
        if len(devices) > 1:
            # As many for each device: the last ones are computed twice.
            v = np.concatenate([v, np.tile(v[-1:], (-count % len(devices), 1))])
        z = self.landscape.coordinates.into(jnp.asarray(v))
        run = begin_all(self.method, self.landscape, z)
        listeners = self.listeners
        if listeners.folder is not None:
            listeners = dataclasses.replace(listeners, folder=listeners.folder.part(number))
        run, losses = drive(
            self.method,
            self.landscape,
            run,
            limit=self.limit,
            patience=self.patience,
            listeners=listeners,
            devices=devices if len(devices) > 1 else (),
        )
        return jax.tree.map(lambda x: x[:count], run), losses[:count]


def _comparable(runs: list[Run]) -> list[Run]:
    """Runs without what methods keep for themselves, which differs between them."""
    return [eqx.tree_at(lambda r: r.state, run, None, is_leaf=lambda x: x is None) for run in runs]


def _padded(losses: np.ndarray, size: int) -> np.ndarray:
    """Losses with the last one repeated: a run that has stopped stays where it is."""
    missing = size - losses.shape[-1]
    return np.concatenate([losses, np.repeat(losses[..., -1:], missing, axis=-1)], axis=-1)
