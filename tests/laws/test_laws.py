"""The laws of parameter objects, on random declarations of every kind of value.

L layout, C canonicalize, S set, G get. Their numbers are in the names of the tests.
"""

from __future__ import annotations

import copy
import functools
from random import Random
from typing import Any

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_own_buffers, equal, with_caches
from hypothesis import given, settings
from laws.kinds import Case, cases

import mtkparams as mtk

PORTIONS = tuple(mtk.Portion)


def law(*strategies: st.SearchStrategy, examples: int = 15):
    """A property of random declarations. New shapes compile, so there are few examples."""
    return lambda test: settings(max_examples=examples)(given(*strategies)(test))


def vector_of(arrays: list[np.ndarray]) -> np.ndarray:
    """What a vector of these arrays holds, at most in double precision."""
    return np.concatenate([x.ravel() for x in arrays]) if arrays else np.zeros(0)


def other_values(vector: jax.Array) -> jax.Array:
    """Another vector that suits the same entries: zero is a float, an integer and a truth value."""
    return jnp.zeros_like(vector)


# Layout


@law(cases)
def test_L1_every_array_is_in_the_portion_of_its_kind(case: Case):
    p = case.object()
    for name, kind in case.kinds().items():
        assert p.index.entries[name].portion is kind.home
        places = [leaf.place for leaf in p.index.entries[name].leaves if not leaf.is_key]
        assert tuple(place.portion for place in places if place) == kind.arrays


@law(cases)
def test_L2_declaration_order_in_every_portion(case: Case):
    p, kinds = case.object(), case.kinds()
    assert p.names() == tuple(p) == tuple(kinds)
    for portion in PORTIONS:
        assert p.names(portion) == tuple(n for n, kind in kinds.items() if kind.home is portion)
        in_vector = [label.split("[")[0] for label in mtk.labels(p, portion)]
        owners = [
            p.index.find(label).entry.name for label in dict.fromkeys(in_vector) if label in p
        ]
        assert owners == sorted(owners, key=list(kinds).index)


@law(cases)
def test_L3_places_cover_each_buffer_without_gaps_or_overlaps(case: Case):
    p = case.object()
    for portion, buffers in p.buffers.items():
        for number, buffer in enumerate(buffers):
            places = p.index.runs.get((portion, number), ())
            ends = [0, *(place.stop for place in places)]
            assert [place.start for place in places] == ends[:-1]
            assert ends[-1] == buffer.shape[-1]


@law(cases)
def test_L4_arrays_are_row_major(case: Case):
    p = case.object()
    for portion in PORTIONS:
        vector, _, _ = mtk.canonicalize(portion, p)
        found = np.zeros(0) if vector is None else np.asarray(vector)
        np.testing.assert_allclose(found, vector_of(case.arrays(portion)), rtol=1e-6)


@law(cases)
def test_L5_the_index_is_static_hashable_and_one_for_equal_declarations(case: Case):
    p, again = case.object(), case.object()
    assert p.index is again.index
    assert {p.index: 1}[again.index] == 1
    assert jax.tree.structure(p) == jax.tree.structure(again)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(p))


# Canonicalize


@law(cases)
def test_C1_C2_repack_is_the_way_back_and_equals_replace(case: Case):
    p = case.object()
    for portion in PORTIONS:
        if mtk.hasportion(portion, p):
            vector, repack, aliases = mtk.canonicalize(portion, p)
            assert vector.ndim == 1
            assert aliases is False
            assert repack(vector) == p
            new = other_values(vector)
            assert repack(new) == mtk.replace(portion, p, new)
            np.testing.assert_array_equal(mtk.canonicalize(portion, repack(new))[0], new)


@law(cases)
def test_C3_another_length_is_an_error(case: Case):
    p = case.object()
    for portion in PORTIONS:
        if mtk.hasportion(portion, p):
            vector, repack, _ = mtk.canonicalize(portion, p)
            for wrong in (vector[:-1], jnp.concatenate([vector, vector[:1]]), vector[0]):
                with pytest.raises(mtk.errors.ShapeError, match="entry|entries"):
                    repack(wrong)
                with pytest.raises(mtk.errors.ShapeError, match="entry|entries"):
                    mtk.replace(portion, p, wrong)


@law(cases, st.sampled_from(["float16", "float32", "float64"]))
def test_C4_C5_floats_and_caches_take_the_dtype_of_the_vector(case: Case, dtype: str):
    p = with_caches(case.object(), np.ones(2, "float32"), np.arange(3))
    for portion in (mtk.Tunable, mtk.Initials):
        if mtk.hasportion(portion, p):
            vector, repack, _ = mtk.canonicalize(portion, p)
            new = repack(vector.astype(dtype))
            assert new.buffers[portion][0].dtype == dtype
            tunable = new.tunable.dtype if mtk.hasportion(mtk.Tunable, p) else "float32"
            assert [cache.dtype for cache in new.caches] == [tunable, "int64"]
            assert_own_buffers(new, p, vector)
            for other in PORTIONS:
                if other not in (portion, mtk.Caches):
                    assert equal(new.buffers[other], p.buffers[other])


@law(cases)
def test_C6_the_object_itself_never_changes(case: Case):
    p = case.object()
    before = [(x.dtype, x.shape) for x in jax.tree.leaves(p)]
    kept = copy.deepcopy(p)
    for portion in PORTIONS:
        if mtk.hasportion(portion, p):
            vector, repack, _ = mtk.canonicalize(portion, p)
            repack(other_values(vector))
    assert p == kept
    assert [(x.dtype, x.shape) for x in jax.tree.leaves(p)] == before


@law(cases, examples=6)
def test_C7_under_jit_grad_and_vmap(case: Case):
    p = case.object()
    for portion in (mtk.Tunable, mtk.Initials):
        if mtk.hasportion(portion, p):
            vector, repack, _ = mtk.canonicalize(portion, p)
            rows = jnp.stack([vector, 2 * vector])
            through = functools.partial(there_and_back, portion, repack)
            np.testing.assert_array_equal(jax.jit(through)(vector), vector)
            np.testing.assert_array_equal(jax.vmap(through)(rows), rows)
            np.testing.assert_array_equal(through(rows), rows)  # a batch without vmap
            np.testing.assert_array_equal(jax.jacrev(through)(vector), np.eye(vector.size))


def there_and_back(portion: mtk.Portion, repack: Any, vector: jax.Array) -> jax.Array:
    return mtk.canonicalize(portion, repack(vector))[0]


@law(cases)
def test_C8_an_absent_portion_is_none(case: Case):
    p = case.object()
    for portion in PORTIONS:
        present = bool(sum(x.size for x in case.arrays(portion)))
        assert mtk.hasportion(portion, p) is present
        if not present:
            assert mtk.canonicalize(portion, p) == (None, None, None)
            with pytest.raises(mtk.errors.PortionError, match="is absent from this object"):
                mtk.replace(portion, p, jnp.zeros(0))


@law(cases, st.randoms(use_true_random=False))
def test_C1_C2_C3_of_a_list_of_names(case: Case, random: Random):
    p = case.object()
    names = [n for n, kind in case.kinds().items() if kind.home in kind.arrays]
    random.shuffle(names)
    vector, repack, _ = mtk.canonicalize(names, p)
    assert vector.shape == (len(mtk.labels(p, names)),)
    parts = [mtk.canonicalize(name, p)[0].astype(vector.dtype) for name in names]
    np.testing.assert_array_equal(vector, np.concatenate([*parts, np.zeros(0, vector.dtype)]))
    assert repack(vector) == p
    new = other_values(vector)
    assert repack(new) == mtk.replace(names, p, new)
    with pytest.raises(mtk.errors.ShapeError):
        repack(jnp.zeros(vector.size + 1))


# Set


def settable(case: Case) -> list[str]:
    return [name for name, kind in case.kinds().items() if kind.home is not None]


@law(cases)
def test_S1_set_what_was_read_and_nothing_changes(case: Case):
    p = case.object()
    assert p.set({name: p[name] for name in settable(case)}) == p
    for name in settable(case):
        new = p.set({name: p[name]})
        assert new == p
        assert new.index is p.index
        assert_own_buffers(new, p)


@law(cases)
def test_S1_set_one_name_and_only_that_changes(case: Case):
    p = case.object()
    arrays = [n for n, kind in case.kinds().items() if kind.arrays and p.index.entries[n].is_array]
    for name in arrays:
        value = jnp.ones_like(p[name])
        new = p.set({name: value})
        assert equal(new[name], value)
        for other in settable(case):
            assert other == name or equal(new[other], p[other])


@law(cases)
def test_S2_another_shape_or_kind_is_an_error(case: Case):
    p = case.object()
    for name in settable(case):
        entry = p.index.entries[name]
        if entry.is_array and p[name].size and not entry.leaves[0].is_key:
            for wrong in (jnp.ones((*p[name].shape, 2)), jnp.ones(7)):
                with pytest.raises(mtk.errors.ShapeError, match="has shape"):
                    p.set({name: wrong})
            for wrong in ("text", None, jnp.sin, jax.random.key(0)):
                with pytest.raises(mtk.errors.KindError):
                    p.set({name: wrong})


@law(cases)
def test_S3_bound_and_unknown_names_are_errors(case: Case):
    p = case.object()
    for name in p.index.bound:
        with pytest.raises(mtk.errors.BoundParameterError, match="dependent"):
            p.set({name: 1.0})
    with pytest.raises(mtk.errors.UnknownNameError):
        p.set({"nothing": 1.0})


@law(cases)
def test_S4_a_name_and_its_element_in_one_call_is_an_error(case: Case):
    p = case.object()
    for name in settable(case):
        entry = p.index.entries[name]
        if entry.is_array and p[name].ndim and p[name].size:
            with pytest.raises(mtk.errors.OverlapError, match="name the same entry"):
                p.set({name: p[name], f"{name}[0]": p[f"{name}[0]"]})


@law(cases, st.sampled_from(["int8", "int32", "float16", "float32", "float64", "complex64"]))
def test_S5_a_buffer_gets_the_common_dtype_of_old_and_new(case: Case, dtype: str):
    p = case.object()
    for name in settable(case):
        entry = p.index.entries[name]
        small = case.kinds()[name].home is not mtk.Constants  # no integers that floats cannot hold
        if small and entry.is_array and not entry.leaves[0].is_key:
            old = p[name].dtype
            value = jnp.ones(p[name].shape, dtype)
            if dtype == "complex64":
                with pytest.raises(mtk.errors.KindError, match="is real"):
                    p.set({name: value})
                continue
            with jax.numpy_dtype_promotion("standard"):
                common = jnp.promote_types(old, dtype)
            assert p.set({name: value})[name].dtype == common
            if not (jnp.issubdtype(old, jnp.integer) and jnp.issubdtype(dtype, jnp.floating)):
                assert p.set({name: value}, cast=True)[name].dtype == old


# Get


@law(cases)
def test_G1_structures_of_names_give_structures_of_values(case: Case):
    p = case.object()
    names = list(p)
    one_by_one = [p[name] for name in names]
    assert equal(p[names], one_by_one)
    assert equal(p[tuple(names)], tuple(one_by_one))
    assert equal(p[{"a": names, "b": (names[0], [])}], {"a": one_by_one, "b": (one_by_one[0], [])})
    assert equal(p[lambda v: [v[name] for name in names]], one_by_one)


@law(cases)
def test_G2_dependent_parameters_are_evaluated_when_read(case: Case):
    p = case.object()
    names = list(p)
    for name in p.index.bound:
        place = names.index(name)
        read = p[names[place - 1]] if place else jnp.asarray(1.0)
        assert equal(p[name], read)


@law(cases, examples=8)
def test_G2_reading_where_it_is_traced_is_the_same(case: Case):
    """There each buffer is split once, also where arrays without entries stand between others."""
    p = case.object()
    names = list(p)
    assert equal(eqx.filter_jit(lambda p: p[names])(p), p[names])
    parts = [name for name in names if p.index.entries[name].is_array]
    assert equal(eqx.filter_jit(lambda p: p[parts[::-1]])(p), p[parts[::-1]])
