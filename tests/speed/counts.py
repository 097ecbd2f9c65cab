"""What speed is made of, counted: instructions, equations, comparisons, traces, compilations.

Counts are the same on a busy machine as on a quiet one; times are in `benchmarks/`.
"""

from __future__ import annotations

import collections
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
from jax.extend.core import jaxprs_in_params


def instructions(f: Callable[..., Any], *args: Any) -> int:
    """How many instructions XLA's program of `f` has, those inside of fusions among them."""
    text = jax.jit(f).lower(*args).compile().as_text()
    assert text is not None
    return len(re.findall(r"^\s+(?:ROOT )?%?[\w.\-]+ = ", text, re.MULTILINE))


def equations(f: Callable[..., Any], *args: Any) -> collections.Counter[str]:
    """How often each primitive is in the jaxpr of `f`, those inside of loops and calls among them."""
    counter: collections.Counter[str] = collections.Counter()
    _count(jax.make_jaxpr(f)(*args).jaxpr, counter)
    return counter


def _count(jaxpr: Any, counter: collections.Counter[str]) -> None:
    for equation in jaxpr.eqns:
        counter[equation.primitive.name] += 1
        for inner in jaxprs_in_params(equation.params):
            _count(inner, counter)


@contextmanager
def comparisons(monkeypatch: Any, *classes: type) -> Iterator[list[type]]:
    """Collects the class of each `==` between objects of `classes`."""
    found: list[type] = []
    with monkeypatch.context() as patch:
        for kind in classes:
            patch.setattr(kind, "__eq__", _noted(kind, kind.__eq__, found))
        yield found


def _noted(kind: type, equal: Callable[..., Any], found: list[type]) -> Callable[..., Any]:
    def __eq__(self: Any, other: Any) -> Any:
        found.append(kind)
        return equal(self, other)

    return __eq__


def calls(f: Callable[[], Any]) -> int:
    """How many Python functions `f` calls, directly and indirectly."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        f()
    finally:
        sys.setprofile(before)
    return count


_compiled: list[str] = []


def _listener(event: str, seconds: float, **about: Any) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        _compiled.append(event)


jax.monitoring.register_event_duration_secs_listener(_listener)  # pyright: ignore[reportArgumentType]


def compilations(f: Callable[[], Any]) -> int:
    """How many programs XLA compiles while `f` runs."""
    before = len(_compiled)
    f()
    return len(_compiled) - before
