"""`python -m mtkparams`: fits the Hudson Bay lynx-hare data, prints a report, saves a picture."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

_EXTRA = 'pip install "mtkparams[plot]" brings it'


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo and returns its exit status: 0, or 1 where the picture could not be written.

    **Arguments:**

    - `arguments`: the command line after the program's name; by default that of this process.
    """
    options = _parser().parse_args(arguments)
    # Before anything makes an array: the tolerances of the model are below single precision.
    jax.config.update("jax_enable_x64", True)
    from . import demo

    if not options.quiet:
        print("Compiling, then fitting 8 parameters to 42 observations.", flush=True)
    with _progress(options.quiet) as watch:
        result = demo.fit(steps=options.steps, watch=watch)
    print(demo.report(result))
    if options.no_plot:
        return 0
    try:
        demo.plot(result, options.output)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        print(f"No picture: matplotlib is not installed; {_EXTRA}.", file=sys.stderr)
        return 0
    except OSError as error:
        print(f"No picture: {options.output!r} cannot be written ({error}).", file=sys.stderr)
        return 1
    if not options.quiet:
        print(f"\nPicture: {os.path.abspath(options.output)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mtkparams",
        description="Fit Lotka-Volterra to 21 years of hares and lynxes, and compare the estimates "
        "with published ones.",
    )
    parser.add_argument(
        "--steps", type=_positive, default=200, help="at most so many steps (%(default)s)"
    )
    parser.add_argument("--output", default="lynx_hare.png", help="the picture (%(default)s)")
    parser.add_argument("--no-plot", action="store_true", help="write no picture")
    parser.add_argument("--quiet", action="store_true", help="the report alone, without progress")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of steps")
    return number


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Any], None] | None]:
    """A function that moves a progress bar; `None` where none is wanted or tqdm is missing."""
    if quiet:
        yield None
        return
    try:
        from tqdm import tqdm  # an extra
    except ModuleNotFoundError:
        print(f"No progress bar: tqdm is not installed; {_EXTRA}.", file=sys.stderr)
        yield None
        return
    with tqdm(unit="step") as bar:

        def watch(status: Any) -> None:
            bar.set_postfix_str(f"loss {status.best_loss:.4f}", refresh=False)
            bar.update(status.steps - bar.n)

        yield watch


if __name__ == "__main__":
    sys.exit(main())
