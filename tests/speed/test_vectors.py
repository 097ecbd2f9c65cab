"""Vectors out of an object and back: a few operations, however many names there are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest
from speed.counts import calls, compilations, equations, instructions

import mtkparams as mtk


def tunables(n):
    return {f"x{i}": 0.5 for i in range(n)}


def alternating(n):
    """Names whose neighbors are in another portion."""
    names = [mtk.Initial(f"x{i}") if i % 2 else f"x{i}" for i in range(n)]
    return names, mtk.parameters(dict.fromkeys(names, 0.5))


def stepped(loss, v, state):
    updates, state = optax.adam(0.1).update(jax.grad(loss)(v), state, v)
    return optax.apply_updates(v, updates), state


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("n", [10, 1_000])
def test_a_step_on_the_vector_is_that_of_a_bare_vector(n):
    p = mtk.parameters(tunables(n))
    v, repack, _ = mtk.canonicalize(mtk.Tunable, p)
    state = optax.adam(0.1).init(v)

    def ours(v, state):
        return stepped(lambda v: jnp.sum((repack(v).tunable - 1.0) ** 2), v, state)

    def bare(v, state):
        return stepped(lambda v: jnp.sum((v - 1.0) ** 2), v, state)

    assert instructions(ours, v, state) == instructions(bare, v, state)


@pytest.mark.usefixtures("standard_promotion")
def test_a_step_on_a_partition_does_not_grow_with_names():
    def size(n):
        free, rest = mtk.partition(mtk.parameters(tunables(n)), mtk.Tunable)
        state = optax.adam(0.1).init(free)

        def step(free, state, rest):
            loss = lambda free: jnp.sum((mtk.combine(free, rest).tunable - 1.0) ** 2)
            return (*stepped(loss, free, state), rest)

        leaves = jax.tree.leaves((free, state, rest))
        return instructions(step, free, state, rest), len(leaves)

    assert size(10) == size(1_000)
    assert size(10)[1] == 5  # one vector, two moments, their count, and the initials of `rest`


def test_a_list_of_names_does_not_become_a_list_of_slices():
    def size(n):
        names, p = alternating(n)

        def loss(v, p):
            return jnp.sum(mtk.canonicalize(names, mtk.replace(names, p, v))[0] ** 2)

        return equations(jax.grad(loss), mtk.canonicalize(names, p)[0], p)

    assert size(10) == size(100)


def test_outside_of_a_trace_the_number_of_names_compiles_nothing_more():
    names, p = alternating(80)
    few, others = names[:40], names[40:]

    def through(names):
        v, repack, _ = mtk.canonicalize(names, p)
        repack(v)
        free, rest = mtk.partition(p, *names)
        mtk.combine(free, rest)
        p.set(dict.fromkeys(names, 1.0))

    assert compilations(lambda: through(few)) < 80
    assert compilations(lambda: through(others)) == 0


@pytest.mark.parametrize("count", [1, 40])
def test_outside_of_a_trace_other_names_compile_nothing_more(count):
    names, p = alternating(90)
    named = [names[start : start + 2 * count : 2] for start in (0, 4, 9)]
    for few in named[:1]:
        p.set(dict.fromkeys(few, 1.0))
        mtk.canonicalize(few, p)[1](jnp.ones(count))
    for few in named[1:2]:
        assert compilations(lambda few=few: p.set(dict.fromkeys(few, 1.0))) == 0
        assert compilations(lambda few=few: mtk.canonicalize(few, p)[1](jnp.ones(count))) == 0


def chained(n):
    """Dependent parameters, each of the one before."""
    return {"x0": 1.0} | {
        f"x{i}": mtk.Parameter(bind=lambda p, i=i: p[f"x{i - 1}"] * 2) for i in range(1, n)
    }


def bound(n):
    return {"x0": 1.0} | {f"x{i}": mtk.Parameter(bind=lambda p: p.x0 * 2) for i in range(1, n)}


def halves(n):
    p = mtk.parameters(tunables(n))
    return mtk.partition(p, *list(p)[::2])


# What is prepared, and what is counted: each for n names.
WORK = {
    "declare": (tunables, mtk.parameters),
    "declare with bounds": (
        lambda n: {k: mtk.Parameter(0.5, bounds=(0.0, 1.0)) for k in tunables(n)},
        mtk.parameters,
    ),
    "declare dependent ones": (bound, mtk.parameters),
    "declare a chain": (lambda n: chained(n // 10), mtk.parameters),
    "values of entries": (
        lambda n: {f"x[{i}]": 1.0 for i in range(n)},
        lambda values: mtk.parameters({"x": [0.5] * len(values)}, values),
    ),
    "read all": (lambda n: mtk.parameters(tunables(n)), dict),
    "set all": (lambda n: mtk.parameters(tunables(n)), lambda p: p.set(dict.fromkeys(p, 1.0))),
    "canonicalize": (
        lambda n: mtk.parameters(tunables(n)),
        lambda p: mtk.canonicalize(list(p), p)[1](jnp.ones(len(p))),
    ),
    "partition": (lambda n: mtk.parameters(tunables(n)), lambda p: mtk.partition(p, *p)),
    "combine": (halves, lambda parts: mtk.combine(*parts)),
    "describe": (lambda n: mtk.parameters(tunables(n)), mtk.describe),
    "labels": (lambda n: mtk.parameters(tunables(n)), mtk.labels),
    "bounds": (lambda n: mtk.parameters(tunables(n)), mtk.bounds),
    "coordinates": (lambda n: mtk.parameters(tunables(n)), mtk.to_unconstrained),
    "look for absent names": (
        lambda n: mtk.parameters(tunables(n)),
        lambda p: [f"y{i}" in p for i in range(len(p))],
    ),
}


@pytest.mark.parametrize(("prepare", "work"), WORK.values(), ids=WORK)
def test_work_grows_as_the_names_do(prepare, work):
    """Counted in Python calls: a loop inside of a loop would make it 50 times as many."""

    def size(n):
        work(prepare(n + 1))  # what is compiled and cached for any number of names
        prepared = prepare(n)
        return calls(lambda: work(prepared))

    assert size(200) <= 13 * size(20)


def test_later_vectors_do_not_go_through_the_names():
    def size(n):
        p = mtk.parameters(tunables(n))
        v, repack, _ = mtk.canonicalize(mtk.Tunable, p)
        repack(v)
        return calls(lambda: mtk.canonicalize(mtk.Tunable, p)), calls(lambda: repack(v))

    assert size(10) == size(500)


def test_in_a_compiled_function_the_copies_are_gone():
    p = mtk.parameters(tunables(20))
    v, repack, _ = mtk.canonicalize(mtk.Tunable, p)

    def through(v):
        p = mtk.replace(mtk.Tunable, repack(v), v)
        free, rest = mtk.partition(p, mtk.Tunable)
        return jnp.sum(mtk.combine(free, rest).tunable ** 2)

    assert instructions(through, v) == instructions(lambda v: jnp.sum(v**2), v)
