"""Reading a batch of problems: members in front, each with its own values."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._lookup import filled, is_name, leaves_of


def depth_of(problem: Any) -> int:
    """How many axes of a batch are in front of the values of a problem."""
    buffers = [buffer for buffers in problem.p.buffers.values() for buffer in buffers]
    ranks = [buffer.ndim - 1 for buffer in buffers if hasattr(buffer, "ndim")]
    return max([*map(_rank, _times(problem)), *ranks])


def of_each_member(problem: Any, spec: object, depth: int) -> Any:
    """Parameters as they are in the batch, and all else of one member after the other."""
    leaves = leaves_of(spec)
    is_stored = [is_name(leaf) and leaf in problem.p for leaf in leaves]
    stored = iter(problem.p[[leaf for leaf, here in zip(leaves, is_stored, strict=True) if here]])
    others = [leaf for leaf, here in zip(leaves, is_stored, strict=True) if not here]
    fields = lambda q: (q.p, *_times(q))
    # What all members share has fewer axes than the rest.
    times = (0 if _rank(t) == depth else None for t in _times(problem))
    axes = (jax.tree.map(lambda buffer: 0 if buffer.ndim > depth else None, problem.p), *times)

    def read(*values: Any) -> list[Any]:
        return jax.tree.map(jnp.asarray, eqx.tree_at(fields, problem, values)[others])

    evaluated = iter(jax.vmap(read, in_axes=axes)(*fields(problem)) if others else ())
    return filled(spec, iter([next(stored if here else evaluated) for here in is_stored]))


def _times(problem: Any) -> tuple[Any, ...]:
    return tuple(getattr(problem, name) for name in ("t", "t0", "t1") if hasattr(problem, name))


def _rank(t: Any) -> int:
    return getattr(t, "ndim", 0)  # none in a gradient, where a time may be absent
