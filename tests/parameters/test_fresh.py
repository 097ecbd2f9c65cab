"""Every object has buffers of its own, whatever door it came through.

A buffer that two objects share dies for both when one of them is donated.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_own_buffers, everything, with_caches

import mtkparams as mtk


def whole() -> mtk.MTKParameters:
    """All portions, caches, a random key, and buffers of no entries among them."""
    p = mtk.parameters({**everything(), "nothing": np.zeros((0, 2), "int8")})
    return with_caches(p, np.ones(3), np.zeros(0), np.arange(2))


def empty() -> mtk.MTKParameters:
    """Nothing but buffers without entries: even those must not be shared."""
    return with_caches(mtk.parameters({"n": np.zeros(0, int)}), np.zeros(0), np.zeros(0))


def bare() -> mtk.MTKParameters:
    return mtk.MTKParameters([1.0, 2.0], [3.0], ([True],), ([4], [5.0]), ([6.0],), ([7.0], [8]))


def vector_of(p: mtk.MTKParameters) -> Any:
    return mtk.canonicalize(mtk.Tunable, p)[0]


OBJECTS = {"named": whole, "bare": bare}

# Each takes an object and a vector of its tunables, and gives a new object.
DOORS: dict[str, Callable[[mtk.MTKParameters, Any], Any]] = {
    "repack": lambda p, v: mtk.canonicalize(mtk.Tunable, p)[1](v),
    "repack of another portion": lambda p, v: (lambda c: c[1](c[0]))(
        mtk.canonicalize(mtk.Constants, p)
    ),
    "replace": lambda p, v: mtk.replace(mtk.Tunable, p, v),
    "replace caches": lambda p, v: mtk.replace(mtk.Caches, p, mtk.canonicalize(mtk.Caches, p)[0]),
    "replace nothing": lambda p, v: mtk.replace([], p, []),
    "copy": lambda p, v: copy.copy(p),
    "deepcopy": lambda p, v: copy.deepcopy(p),
    "set nothing": lambda p, v: p.set({}),
    "with_buffers": lambda p, v: p.with_buffers(p.buffers),
    "combine": lambda p, v: mtk.combine(*mtk.partition(p, mtk.Tunable)),
    "partition": lambda p, v: mtk.partition(p, mtk.Tunable, mtk.Caches),
    "groups": lambda p, v: mtk.partition(p, {}),
    "constructor": lambda p, v: mtk.MTKParameters(
        v, p.initials, p.discrete, p.constants, p.nonnumeric, p.caches, p.index
    ),
}
NAMED_DOORS: dict[str, Callable[[mtk.MTKParameters, Any], Any]] = {
    "set a number": lambda p, v: p.set({"alpha": 1.0}),
    "set an array": lambda p, v: p.set({"Initial(tank.h)": v[:2], "mode": v[0]}),
    "set a whole buffer": lambda p, v: p.set({"Initial(x)": v[0], "Initial(tank.h)": v[1:3]}),
    "set text": lambda p, v: p.set({"label": "run 8"}),
    "replace names": lambda p, v: mtk.replace(["tau", "alpha"], p, v[:4]),
    "replace in another order": lambda p, v: mtk.replace(p.names(mtk.Tunable)[::-1], p, v),
    "partition by names": lambda p, v: mtk.partition(p, "alpha", "Initial(x)"),
    "combine by names": lambda p, v: mtk.combine(*mtk.partition(p, "alpha", "spring")),
    "groups of names": lambda p, v: mtk.partition(p, {"a": ["alpha"], "b": mtk.Initials}),
}
CASES = [(make, door) for make in OBJECTS.values() for door in DOORS.values()]
CASES += [(whole, door) for door in NAMED_DOORS.values()]
IDS = [f"{name}-{door}" for name in OBJECTS for door in DOORS] + list(NAMED_DOORS)


@pytest.mark.parametrize(("make", "door"), CASES, ids=IDS)
class TestOwnBuffers:
    """After each door, in each place where JAX copies nothing by itself."""

    def test_outside_of_jit(self, make, door):
        p = make()
        v = vector_of(p)
        assert_own_buffers((door(p, v), v), p)
        with_p_after = door(p, v)
        assert_own_buffers(with_p_after, p, v)

    def test_without_jit(self, make, door):
        p = make()
        v = vector_of(p)
        with jax.disable_jit():
            assert_own_buffers(door(p, v), p, v)

    def test_inside_grad(self, make, door):
        p = make()
        v = vector_of(p)
        loss = lambda v: (v.sum(), jax.tree.map(lambda x: x, door(p, v)))
        _, new = jax.grad(loss, has_aux=True)(v)
        assert_own_buffers(new, p, v)

    def test_inside_an_eager_vmap(self, make, door):
        p = make()
        rows = jnp.stack([vector_of(p)] * 2)
        new = jax.vmap(lambda v: eqx.filter(door(p, v), eqx.is_array))(rows)
        assert_own_buffers(new, p, rows)


@pytest.mark.parametrize("make", [whole, bare])
def test_inside_an_eager_scan(make):
    p = make()
    v = vector_of(p)
    step = lambda q, x: (mtk.replace(mtk.Tunable, q, x), q)
    last, _ = jax.lax.scan(step, p, jnp.stack([v, v]))
    assert_own_buffers(mtk.replace(mtk.Tunable, last, v), last, p, v)


def test_buffers_without_entries_are_not_shared():
    p = empty()
    assert_own_buffers(p)
    for new in (copy.copy(p), p.set({}), mtk.combine(*mtk.partition(p, mtk.Tunable))):
        assert_own_buffers(new, p)
    assert_own_buffers(mtk.MTKParameters())
    assert_own_buffers((mtk.MTKParameters(), mtk.MTKParameters()))
    assert_own_buffers(mtk.partition(p, []))


def test_declared_arrays_stay_the_callers():
    given = {
        "a": jnp.ones(3),
        "b": mtk.Parameter(jnp.ones(2), discrete=True),
        "k": jax.random.key(1),
    }
    p = mtk.parameters(given)
    assert_own_buffers(p, given["a"], given["b"].default, given["k"])
    assert_own_buffers(p[["a", "b"]], p)


def test_what_is_read_is_no_buffer_of_the_object():
    p = mtk.parameters({"all": jnp.ones(3), "n": 3, "z": jnp.asarray([1j]), "k": jax.random.key(1)})
    assert_own_buffers(dict(p), p)


def test_numpy_arrays_may_change_after_they_were_given():
    given = np.zeros(64)
    p = mtk.MTKParameters(tunable=given, constants=(given,))
    q = mtk.parameters({"a": given, "n": mtk.Parameter(given, tunable=False)})
    r = q.set({"a": given})
    s = mtk.replace(mtk.Tunable, q, given)
    given += 1
    for x in (p, q, r, s):
        assert not x.tunable.any()
        assert not x.constants[0].any()


# Caches


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_caches_take_the_dtype_of_the_new_tunables(dtype):
    p = with_caches(mtk.parameters({"a": [1.0, 2.0]}), np.ones(3), np.arange(2))
    for new in (
        mtk.replace(mtk.Tunable, p, jnp.ones(2, dtype)),
        mtk.canonicalize(mtk.Tunable, p)[1](jnp.ones(2, dtype)),
        p.from_buffers({**p.buffers, mtk.Tunable: (jnp.ones(2, dtype),)}).set({}),
    ):
        assert [cache.dtype for cache in new.caches] == [dtype, "int64"]
    assert [cache.dtype for cache in p.caches] == ["float64", "int64"]


# Donation: a compiled step that may reuse the buffers of what it was given


def donating(f: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(f, donate_argnums=0)


def is_dead(tree: Any) -> bool:
    return all(x.is_deleted() for x in jax.tree.leaves(tree) if x.size)


def is_alive(tree: Any) -> bool:
    return not any(x.is_deleted() for x in jax.tree.leaves(tree))


@pytest.mark.parametrize("portion", [mtk.Tunable, mtk.Initials, mtk.Discrete, mtk.Constants])
def test_a_loop_that_donates_its_vector(portion):
    p = whole()
    kept = jax.device_get(p)
    vector, repack, _ = mtk.canonicalize(portion, p)
    step = donating(lambda v: mtk.canonicalize(portion, repack(v))[0])
    for _ in range(3):
        given = vector
        vector = step(vector)
        assert is_dead(given)
    assert p == kept
    assert repack(vector) == p


@pytest.mark.parametrize(
    "portions", [(mtk.Tunable,), (mtk.Initials, mtk.Caches), tuple(mtk.Portion)]
)
def test_a_loop_that_donates_the_free_part(portions):
    p = whole()
    free, rest = mtk.partition(p, *portions)
    step = donating(lambda free, rest: mtk.partition(mtk.combine(free, rest), *portions)[0])
    for _ in range(3):
        given = free
        free = step(free, rest)
        assert is_dead(given)
    assert is_alive((p, rest))
    assert mtk.combine(free, rest) == p


def test_a_loop_that_donates_named_parts():
    p = whole()
    parts, rest = mtk.partition(p, {"fast": ["alpha", "tau"], "slow": mtk.Initials})
    step = donating(lambda parts: jax.tree.map(lambda x: x + 1, parts))
    for _ in range(3):
        parts = step(parts)
    assert mtk.combine(parts, rest)["tau[0]"] == 4
    assert is_alive((p, rest))


@pytest.mark.parametrize("make", [whole, bare, empty])
def test_a_loop_that_donates_whole_objects(make):
    p = make()
    q = copy.copy(p)
    step = donating(lambda p: p.set({}))
    for _ in range(3):
        given = q
        q = step(q)
        assert is_dead(given)
    assert is_alive(p)
    assert q == p


@pytest.mark.parametrize(("make", "door"), CASES, ids=IDS)
def test_the_object_outlives_what_came_of_it(make, door):
    p = make()
    v = vector_of(p)
    new = eqx.filter(door(p, v), eqx.is_array)
    donating(lambda new: jax.tree.map(lambda x: x, new))(new)
    assert is_dead(new)
    assert is_alive((p, v))


@pytest.mark.parametrize(("make", "door"), CASES, ids=IDS)
def test_it_outlives_the_object(make, door):
    p = make()
    v = vector_of(p)
    new = door(p, v)
    donating(lambda pv: jax.tree.map(lambda x: x, pv))((p, v))
    assert is_dead((p, v))
    jax.block_until_ready(new)
    assert is_alive(eqx.filter(new, eqx.is_array))


def test_repack_outlives_a_donated_object_and_a_donated_result():
    p = whole()
    vector, repack, _ = mtk.canonicalize(mtk.Tunable, p)
    keep = donating(lambda p: p)
    keep(p)
    first = repack(vector)
    keep(first)
    assert is_dead(first)
    assert repack(vector)["alpha"] == 0.55


def test_the_callers_arrays_outlive_a_donated_object():
    given = [jnp.ones(3), jnp.arange(2), jnp.zeros(0)]
    p = mtk.MTKParameters(given[0], constants=(given[1], given[2]), caches=(given[0], given[0]))
    assert_own_buffers(p, given)
    donating(lambda p: p)(p)
    assert is_dead(p)
    assert is_alive(given)


def test_a_donated_pickle():
    p = mtk.parameters({"a": [1.0, 2.0]})
    again = pickle.loads(pickle.dumps(p))
    donating(lambda p: p)(again)
    assert p["a[1]"] == 2
