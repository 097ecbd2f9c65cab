"""A progress bar of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..options import Status

if TYPE_CHECKING:
    from tqdm import tqdm


class TqdmBar:
    """A bar that shows steps, the loss and the least loss."""

    def __init__(self, bar: tqdm):
        self._bar = bar

    def update(self, status: Status) -> None:
        self._bar.set_postfix(loss=f"{status.loss:.6g}", best=f"{status.best_loss:.6g}")
        self._bar.update(status.steps - self._bar.n)

    def close(self) -> None:
        self._bar.close()


def progress_bar(total: int) -> TqdmBar:
    """A bar for so many steps."""
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            'progress=True needs tqdm: pip install "mtkparams[plot]", or give a function as watch=.'
        ) from error
    return TqdmBar(tqdm(total=total, unit="step"))
