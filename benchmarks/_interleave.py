"""Times taken in turn, so that a busy machine slows all alike, and a table of their ratios."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

Times = dict[str, list[float]]


def run_times(
    thunks: Mapping[str, Callable[[], Any]], *, rounds: int = 200, calls: int = 20
) -> Times:
    """Seconds a call of each thunk, one figure for each round; rounds go A B C, C B A, A B C.

    In a round each thunk is called `calls` times, and its last result is waited for.
    """
    seconds: Times = {label: [] for label in thunks}
    for thunk in thunks.values():
        for _ in range(3):
            jax.block_until_ready(thunk())
    for number in range(rounds):
        for label in list(thunks)[:: -1 if number % 2 else 1]:
            thunk = thunks[label]
            start = time.perf_counter()
            for _ in range(calls):
                result = thunk()
            jax.block_until_ready(result)
            seconds[label].append((time.perf_counter() - start) / calls)
    return seconds


def compile_times(makers: Mapping[str, Callable[[], Any]], *, rounds: int = 10) -> Times:
    """CPU seconds of the whole process that each maker takes, in turn.

    A maker builds a new function, and traces, lowers and compiles it.
    """
    seconds: Times = {label: [] for label in makers}
    for number in range(rounds + 1):
        for label in list(makers)[:: -1 if number % 2 else 1]:
            start = time.process_time()
            makers[label]()
            if number:  # the first round fills the caches of JAX itself
                seconds[label].append(time.process_time() - start)
    return seconds


def table(title: str, seconds: Times, to: str, unit: str = "us") -> None:
    """Prints the least time of each label, and how it compares with that of the label `to`."""
    scale = {"us": 1e6, "ms": 1e3}[unit]
    width = max(map(len, [title, *seconds]))
    print(f"{title:{width}}  {'least ' + unit:>10}  {'ratio of least':>14}  {'median ratio':>12}")
    for label, own in seconds.items():
        least = min(own)
        median = statistics.median(a / b for a, b in zip(own, seconds[to], strict=True))
        ratio = least / min(seconds[to])
        print(f"{label:{width}}  {least * scale:10.2f}  {ratio:14.2f}  {median:12.2f}")
    print(flush=True)


def header() -> None:
    """Prints what the figures below depend on."""
    versions = f"jax {jax.__version__}, Python {platform.python_version()}"
    print(f"{versions}, {jax.default_backend()}, {platform.machine()}\n")
