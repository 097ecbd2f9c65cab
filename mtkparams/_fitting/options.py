"""Options of a fit as values, checked when they are made; and calls that know the names of theirs."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

import numpy as np
from jax.typing import ArrayLike

from ..errors import KindError, UnknownOptionError, nearest, unknown_option

Sampler: TypeAlias = Literal["sobol", "latin"]
# Values of many starts, as an array or by name.
Columns: TypeAlias = ArrayLike | Sequence[object]
StartValues: TypeAlias = Mapping[Any, Columns] | Columns

_SAMPLERS = ("sobol", "latin")


@dataclasses.dataclass(frozen=True)
class Status:
    """How far a fit is, as the function of a `Watch` gets it.

    **Attributes:**

    - `steps`: steps done; `loss`: at the last one; `best_loss`: the least so far.
    - `values`: the best values so far by name; of many starts those of the best start.
    """

    steps: int
    loss: float
    best_loss: float
    values: dict[str, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Starts:
    """Where many fits of one objective begin: `starts=` of a fit. `starts=100` means `Starts(100)`.

    **Arguments:**

    - `values`: a number of starts, the first being the present values and the others drawn from priors,
      or from bounds (of their logarithm where the scale is logarithmic, or bounds are more than a
      factor of 100 apart); or the values themselves, by name in arrays of shape `(starts, ...)`, or an
      array of shape `(starts, n)`.
    - `seed`, `sampler`: of drawn starts, `"sobol"` or `"latin"` (hypercube).
    - `batch`: how many starts are computed at once: memory grows with it.

    **Raises:** `KindError` for what is none of these.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"x": mtk.Parameter(2.0, bounds=(-3.0, 3.0))})
        >>> double_well = lambda p: (p["x"] ** 2 - 1) ** 2 + 0.3 * p["x"]
        >>> result = mtk.fitting.minimise(double_well, p, starts=mtk.fitting.Starts(8, seed=1))
        >>> round(result["x"].item(), 3), len(result.starts)
        (-1.036, 8)
    """

    values: int | StartValues
    _: dataclasses.KW_ONLY
    seed: int = 0
    sampler: Sampler = "sobol"
    batch: int = 256

    def __post_init__(self) -> None:
        values = self.values
        if _is_integer(values):
            if values < 1:  # pyright: ignore[reportOperatorIssue]
                raise KindError(f"starts= is a positive number of starts, got {values}.")
        elif not isinstance(values, Mapping) and (isinstance(values, str) or np.ndim(values) == 0):  # pyright: ignore[reportArgumentType]
            raise KindError(
                "starts= is a number of starts, values by name, or an array of shape (starts, n); got "
                f"{values!r}."
            )
        if not _is_integer(self.seed) or self.seed < 0:
            raise KindError(f"seed= is a whole number from zero on, got {self.seed!r}.")
        if self.sampler not in _SAMPLERS:
            raise KindError(
                f"sampler= is 'sobol' or 'latin', got {self.sampler!r}."
                + nearest(str(self.sampler), _SAMPLERS)
            )
        check_positive("batch=", self.batch, "starts")

    @staticmethod
    def of(starts: Starts | int | StartValues | None) -> Starts | None:
        """What `starts=` means."""
        return starts if starts is None or isinstance(starts, Starts) else Starts(starts)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Where a fit keeps itself: `checkpoint=` of a fit. `checkpoint="run"` means `Checkpoint("run")`.

    The same call goes on from there, after a kill too, and ends with the same bits as without it.

    **Arguments:**

    - `folder`: made if it is not there; only one process may use it.
    - `every`: after how many steps the fit is kept.

    **Raises:** `KindError` for what is none of these.

    !!! Example

        >>> import mtkparams as mtk
        >>> mtk.fitting.Checkpoint("run", every=20)
        Checkpoint(folder='run', every=20)
    """

    folder: str | os.PathLike[str]
    every: int = 100

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str | os.PathLike):
            raise KindError(
                "checkpoint= is a folder, as text or as a path, or mtk.fitting.Checkpoint(folder, "
                f"every=100); got {self.folder!r}."
            )
        check_positive("every=", self.every, "steps")

    @staticmethod
    def of(checkpoint: Checkpoint | str | os.PathLike[str] | None) -> Checkpoint | None:
        """What `checkpoint=` means."""
        if checkpoint is None or isinstance(checkpoint, Checkpoint):
            return checkpoint
        return Checkpoint(checkpoint)


@dataclasses.dataclass(frozen=True)
class Watch:
    """Who is told how far a fit is: `watch=` of a fit. `watch=function` means `Watch(function)`.

    **Arguments:**

    - `callback`: called with a `Status`; it stops the fit by returning `True`.
    - `every`: after how many steps it is called.
    - `progress`: show a bar with the loss and the least loss (needs tqdm).

    **Raises:** `KindError` for what is none of these.

    !!! Example

        >>> import optax
        >>> import mtkparams as mtk
        >>> told = []
        >>> watch = mtk.fitting.Watch(lambda status: told.append(status.steps), every=10)
        >>> p = mtk.parameters({"a": 1.0})
        >>> loss = lambda p: p["a"] ** 2
        >>> _ = mtk.fitting.minimise(loss, p, method=optax.sgd(0.1), steps=30, watch=watch)
        >>> told
        [10, 20, 30]
    """

    callback: Callable[[Status], object] | None = None
    every: int = 1
    progress: bool = False

    def __post_init__(self) -> None:
        if self.callback is not None and not callable(self.callback):
            raise KindError(
                "watch= is a function that is called with a Status, or mtk.fitting.Watch(function, "
                f"every=10); got {self.callback!r}."
            )
        if not isinstance(self.progress, bool):
            raise KindError(f"progress= is True or False, got {self.progress!r}.")
        check_positive("every=", self.every, "steps")

    @staticmethod
    def of(watch: Watch | Callable[[Status], object] | None, progress: bool) -> Watch:
        """What `watch=` and `progress=` mean."""
        value = watch if isinstance(watch, Watch) else Watch(watch)
        return dataclasses.replace(value, progress=True) if progress else value


def check_positive(name: str, number: object, noun: str) -> None:
    """An error where a number of things is none."""
    if not _is_integer(number) or number < 1:  # pyright: ignore[reportOperatorIssue]
        raise KindError(f"{name} is a positive number of {noun}, got {number!r}.")


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


# Names of options

# Options that are not the call's own, with the option that takes them.
_MOVED = {
    "seed": "starts=mtk.fitting.Starts(..., seed=)",
    "sampler": "starts=mtk.fitting.Starts(..., sampler=)",
    "batch": "starts=mtk.fitting.Starts(..., batch=)",
    "checkpoint_every": "checkpoint=mtk.fitting.Checkpoint(folder, every=)",
    "callback": "watch=mtk.fitting.Watch(function)",
    "every": "watch=mtk.fitting.Watch(function, every=)",
}
_OF_SOLVE = ("dt0", "stepsize_controller", "event", "blocks", "initialization")
_MOVED |= {name: f"solve_options={{{name!r}: ...}}" for name in _OF_SOLVE}

P = ParamSpec("P")
R = TypeVar("R")


def names_checked(*dictionaries: type) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator for calls: an option that a call has not is answered with the nearest that it has.

    **Arguments:**

    - `dictionaries`: the `TypedDict`s of what the call takes as `**options`.
    """

    def decorated(call: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(call).parameters.values()
        names = [p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD]
        names += [name for options in dictionaries for name in options.__annotations__]

        @functools.wraps(call)
        def checked(*args: P.args, **options: P.kwargs) -> R:
            for name in options:
                if name not in names:
                    raise no_option(f"mtk.fitting.{call.__name__}", name, names)
            return call(*args, **options)

        return checked

    return decorated


def no_option(call: str, name: str, names: Iterable[str]) -> UnknownOptionError:
    """The error for an option that `call` has not, where it has `names`."""
    names = tuple(names)
    place = _MOVED.get(name, "")
    return unknown_option(call, name, names, place if place.partition("=")[0] in names else "")
