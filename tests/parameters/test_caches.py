"""Caches: what one block writes and a later one reads; never an input of a result."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import derivatives, equal, with_caches

import mtkparams as mtk


def model() -> mtk.MTKParameters:
    """Two blocks: the first solves u1 ** 2 = a, and the second reads u1 from the cache."""
    p = mtk.parameters({"a": 4.0, "b": 3.0, "n": 2, mtk.Initial("x"): 1.0})
    return with_caches(p, np.zeros(1), np.arange(2))


def by_replace(p: mtk.MTKParameters, value: Any) -> mtk.MTKParameters:
    vector, _, _ = mtk.canonicalize(mtk.Caches, p)
    return mtk.replace(mtk.Caches, p, vector.at[0].set(value))


def by_tree_at(p: mtk.MTKParameters, value: Any) -> mtk.MTKParameters:
    return eqx.tree_at(lambda p: p.caches[0], p, jnp.atleast_1d(value))


def by_buffers(p: mtk.MTKParameters, value: Any) -> mtk.MTKParameters:
    return p.with_buffers({**p.buffers, mtk.Caches: (jnp.atleast_1d(value), p.caches[1])})


# What may happen to the object between the write and the read.
DOORS: dict[str, Callable[[mtk.MTKParameters], mtk.MTKParameters]] = {
    "nothing": lambda p: p,
    "copy": copy.copy,
    "set": lambda p: p.set({"n": 3}),
    "set a tunable": lambda p: p.set({"b": p["b"]}),
    "replace": lambda p: mtk.replace(mtk.Initials, p, [2.0]),
    "combine": lambda p: mtk.combine(*mtk.partition(p, mtk.Tunable)),
    "combine by name": lambda p: mtk.combine(*mtk.partition(p, "b")),
    "jit": lambda p: jax.jit(lambda p: p.set({}))(p),
    "scan": lambda p: jax.lax.scan(lambda p, _: (p.set({}), None), p, length=2)[0],
}


def loss_of(write: Any, door: Any) -> Callable[[Any], Any]:
    p = model()

    def loss(v: Any) -> Any:
        q = mtk.replace(mtk.Tunable, p, v)
        q = door(write(q, jnp.sqrt(q["a"])))
        return q.caches[0][0] * (1 + q["b"])  # sqrt(a) (1 + b)

    return loss


WAYS = [(by_tree_at, door) for door in DOORS.values()] + [(by_buffers, DOORS["copy"])]


@pytest.mark.parametrize(("write", "door"), WAYS, ids=[*DOORS, "with_buffers"])
def test_a_derivative_goes_through_a_cache(write, door):
    loss = loss_of(write, door)
    v = jnp.asarray([4.0, 3.0])
    assert loss(v) == 8
    gradient, hessian = derivatives(loss, v)
    np.testing.assert_allclose(gradient, [1, 2])
    np.testing.assert_allclose(hessian, [[-1 / 8, 1 / 4], [1 / 4, 0]], atol=1e-12)


def test_a_derivative_goes_through_replace_of_the_caches():
    p = with_caches(mtk.parameters({"a": 4.0, "b": 3.0}), np.zeros(2))

    def loss(v: Any) -> Any:
        q = mtk.replace(mtk.Tunable, p, v)
        q = mtk.replace(mtk.Caches, q, jnp.stack([jnp.sqrt(q["a"]), q["b"]]))
        return q.caches[0][0] * (1 + q.set({"b": 0.0}).caches[0][1])

    gradient, hessian = derivatives(loss, jnp.asarray([4.0, 3.0]))
    np.testing.assert_allclose(gradient, [1, 2])
    np.testing.assert_allclose(hessian, [[-1 / 8, 1 / 4], [1 / 4, 0]], atol=1e-12)


def test_a_float_for_an_integer_cache_beside_a_float_one_has_no_derivative():
    p = model()
    with pytest.raises(mtk.errors.KindError, match="derivative"):
        jax.grad(lambda a: by_replace(p, a).caches[0][0])(1.0)


# Poison: what is left in a cache reaches no result and no derivative

EVERYWHERE: dict[str, Callable[[mtk.MTKParameters, Any], Any]] = {
    "repack": lambda p, v: mtk.canonicalize(mtk.Tunable, p)[1](v),
    "replace": lambda p, v: mtk.replace(mtk.Tunable, p, v),
    "replace initials": lambda p, v: mtk.replace(mtk.Initials, p, v[:1]),
    "replace names": lambda p, v: mtk.replace(["b", "a"], p, v),
    "set": lambda p, v: p.set({"a": v[0], "b": v[1]}),
    "combine": lambda p, v: mtk.combine(mtk.partition(mtk.replace(mtk.Tunable, p, v), "a")[0], p),
    "copy": lambda p, v: copy.copy(mtk.replace(mtk.Tunable, p, v)),
    "lower precision": lambda p, v: mtk.replace(mtk.Tunable, p, v.astype("float32")).set(
        {"a": v[0]}
    ),
}


def read(p: mtk.MTKParameters) -> Any:
    return jnp.sin(p["a"]) * p["b"].astype(float) + p["Initial(x)"] ** 2


@pytest.mark.parametrize("door", EVERYWHERE.values(), ids=EVERYWHERE)
def test_poisoned_caches_change_nothing(door):
    clean = model()
    v = jnp.asarray([0.3, 0.7])

    @jax.jit
    def results(caches: tuple[Any, ...]) -> Any:
        loss = lambda v: read(door(with_caches(clean, *caches), v))
        return [of(loss)(v) for of in (lambda f: f, jax.grad, jax.jacfwd, jax.hessian)]

    expected = results(clean.caches)
    for poison in (np.nan, np.inf):
        found = results((jnp.full(1, poison), jnp.full(2, 2**62)))
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_array_equal(x, y)
            assert np.isfinite(x).all()
    loss = lambda v: read(door(with_caches(clean, [np.nan], [0, 0]), v))
    np.testing.assert_array_equal(jax.grad(loss)(v), expected[1])  # and without jit


def test_poison_and_the_derivative_of_a_whole_object():
    p = with_caches(mtk.parameters({"a": 4.0}), np.full(1, np.nan))
    grads = jax.grad(lambda p: p.set({}).set({"a": p["a"] ** 2})["a"])(p)
    assert grads["a"] == 8
    np.testing.assert_array_equal(grads.caches[0], [0])


def test_equality_looks_at_the_shape_of_caches_only():
    p = model()
    assert p == with_caches(p, np.full(1, np.nan), np.arange(2) + 5)
    assert not p == with_caches(p, np.zeros(2), np.arange(2))
    assert not p == with_caches(p, np.zeros(1, "float32"), np.arange(2))
    assert not p == with_caches(p, np.zeros(1))


def test_caches_have_no_names():
    p = model()
    assert p.names(mtk.Caches) == ()
    assert mtk.labels(p, mtk.Caches) == ("caches[0][0]", "caches[1][0]", "caches[1][1]")
    vector, repack, _ = mtk.canonicalize([mtk.Caches, "a"], p)
    np.testing.assert_array_equal(vector, [0, 0, 1, 4])
    assert equal(repack(vector).caches, p.caches)
    wider = with_caches(p, np.zeros(3))
    assert mtk.canonicalize([mtk.Caches, "a"], wider)[0].shape == (4,)
