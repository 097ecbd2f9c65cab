"""Reading by name at many times: what is stored is sliced, what is computed is one compiled call."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._lookup import Spec, filled, is_eager, is_name, leaves_of, takes_parameters_alone
from ..._model import Model, is_time, read_at, unknown
from ..._parameters import BoundValues, Initials, MTKParameters, Reader, plain


def read_series(
    model: Model,
    ts: Array,
    ys: Array,
    p: MTKParameters,
    spec: object,
    shape: tuple[int, ...] | None = None,
) -> Any:
    """The values that `spec` names, in its structure: parameters once, all else at each time.

    **Arguments:**

    - `ts`, `ys`: shapes `(..., times)` and `(..., times, entries)`, with the axes of a batch in front.
    - `shape`: that of the times in the result, if it is another one than `(times,)`.
    """
    leaves = leaves_of(spec)
    kinds = [_kind(model, p, leaf) for leaf in leaves]
    computed = tuple(leaf for leaf, kind in zip(leaves, kinds, strict=True) if kind == "computed")
    computed_values = iter(())
    if computed:
        asked = Spec(computed)
        evaluate = _compiled if is_eager(ts, ys, p) and asked.is_settled else _evaluated
        computed_values = iter(evaluate(model, ts, ys, p, asked))
    depth = ts.ndim
    reader = Reader(model.states, {Initials: model.split(ys)})
    nothing_bound = BoundValues(lambda bound: None)
    values = []
    for leaf, kind in zip(leaves, kinds, strict=True):
        if kind == "constant":
            values.append(p[leaf])
            continue
        if kind == "computed":
            value = next(computed_values)
        elif kind == "time":
            value = ts
        else:
            value = reader.name(leaf, nothing_bound)
        if shape is not None:
            value = jax.tree.map(lambda x: _shaped(x, depth, shape), value)
        values.append(value)
    return filled(spec, iter(values))


def _shaped(x: Array, depth: int, shape: tuple[int, ...]) -> Array:
    return x.reshape((*x.shape[: depth - 1], *shape, *x.shape[depth:]))


def _kind(model: Model, p: MTKParameters, leaf: Any) -> str:
    if not is_name(leaf):
        return "constant" if takes_parameters_alone(leaf) else "computed"
    name = plain(leaf)
    if is_time(model, p, name):
        return "time"
    if name in model.states:
        return "stored" if model.states.find(name).entry.bind is None else "computed"
    if name in p:
        return "constant"
    if name.startswith("D("):
        return "computed"
    raise unknown(model, p, name)


def depends_on_time(model: Model, p: MTKParameters, leaf: object) -> bool:
    """Whether a single name has a value at each time, rather than one for the whole solve."""
    return _kind(model, p, leaf) != "constant"


def _evaluated(model: Model, ts: Array, ys: Array, p: MTKParameters, spec: Spec) -> Any:
    def at(t: Array, y: Array, p: MTKParameters) -> Any:
        return jax.tree.map(jnp.asarray, read_at(model, t, y, p, spec.value))

    series = jax.vmap(at, in_axes=(0, 0, None))
    for depth in range(1, ts.ndim):
        # Parameters that are the same for all members have no axis for them.
        axes = jax.tree.map(lambda buffer, n=depth: 0 if buffer.ndim > n else None, p)
        series = jax.vmap(series, in_axes=(0, 0, axes))
    return series(ts, ys, p)


_compiled = eqx.filter_jit(_evaluated)
