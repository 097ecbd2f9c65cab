"""Dependent parameters for showing: their values, and the names that they read."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..buffers.read import new_bound, read
from ..buffers.reader import ParameterObject
from .contents import Contents, Shaped, has_value, is_array, to_host


def values(contents: Contents, names: list[str]) -> dict[str, Any]:
    """The value of each of `names`, or the exception that its evaluation raises.

    `None` in a part of an object, where a binding means nothing; types where a trace runs.
    """
    if not names or not contents.is_whole:
        return dict.fromkeys(names)
    if all(map(has_value, contents.all())):
        # Also where a trace runs: what is known there must not become a part of it.
        with jax.ensure_compile_time_eval():
            evaluated, errors, _ = _evaluate(contents.p, names)
        return {**jax.tree.map(to_host, evaluated), **errors}
    return _evaluate_types(jax.tree.map(_type, contents.p), names)[0]


def reads(contents: Contents, names: list[str]) -> dict[str, tuple[str, ...]]:
    """The names that each of `names` reads, as far as its binding evaluates."""
    memo = contents.p.index.memo.setdefault("reads", {})
    if all(name in memo for name in names):
        return {name: memo[name] for name in names}
    names_read = _evaluate_types(_member(contents), names)[1]
    if contents.is_whole:
        memo.update(names_read)
    return names_read


def _evaluate(
    p: ParameterObject, names: list[str]
) -> tuple[dict[str, Any], dict[str, Exception], Any]:
    bound, evaluated, errors = new_bound(p), {}, {}
    for name in names:
        try:
            evaluated[name] = read(p, name, bound)
        except Exception as error:
            errors[name] = error
    return evaluated, errors, {name: tuple(bound.reads.get(name, ())) for name in names}


def _evaluate_types(
    p: ParameterObject, names: list[str]
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    errors, reads = {}, {}

    def evaluate(p: ParameterObject) -> dict[str, Any]:
        evaluated, failed, read = _evaluate(p, names)
        errors.update(failed)
        reads.update(read)
        return evaluated

    return {**eqx.filter_eval_shape(evaluate, p), **errors}, reads


def _type(buffer: Shaped) -> Any:
    return jax.ShapeDtypeStruct(buffer.shape, buffer.dtype)


def _member(contents: Contents) -> Any:
    """The types of one member of a batch, with floats for what is absent: a binding needs all."""
    types = {
        portion: tuple(
            jax.ShapeDtypeStruct(
                (contents.width(portion, number),),
                buffer.dtype if is_array(buffer) else jnp.result_type(float),
            )
            for number, buffer in enumerate(buffers)
        )
        for portion, buffers in contents.buffers.items()
    }
    return contents.p.from_buffers(types)
