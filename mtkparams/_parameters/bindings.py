"""Dependent parameters as a whole: do they evaluate, and which names does each read."""

from __future__ import annotations

import equinox as eqx

from .buffers.read import new_bound, read
from .object import MTKParameters


def check_bindings(p: MTKParameters) -> None:
    """Evaluates every binding on shapes alone, so that a cycle or an unknown name raises now."""
    if p.index.bound and "bindings checked" not in p.index.memo:
        eqx.filter_eval_shape(lambda p: p[list(p.index.bound)], p)
        p.index.memo["bindings checked"] = True


def reads(p: MTKParameters) -> dict[str, tuple[str, ...]]:
    """For each dependent parameter the names that its binding reads, as far as it evaluates."""
    names_read: dict[str, tuple[str, ...]] = {}

    def evaluate(p: MTKParameters, name: str) -> None:
        bound = new_bound(p)
        try:
            read(p, name, bound)
        finally:
            names_read.update({who: tuple(names) for who, names in bound.reads.items()})

    for name in p.index.bound:
        try:
            eqx.filter_eval_shape(evaluate, p, name)
        except Exception:  # asked by those who report another error already
            continue
    return names_read


def readers_of(p: MTKParameters) -> dict[str, tuple[str, ...]]:
    """For each name the dependent parameters that read it."""
    readers: dict[str, tuple[str, ...]] = {}
    for who, names in reads(p).items():
        for name in names:
            readers[name] = (*readers.get(name, ()), who)
    return readers
