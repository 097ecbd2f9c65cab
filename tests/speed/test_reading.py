"""Reading names costs nothing in a compiled function, and its gradient grows as the names do."""

from __future__ import annotations

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from speed.counts import compilations, equations, instructions

import mtkparams as mtk


def named(n):
    names = [f"x{i}" for i in range(n)]
    return names, mtk.parameters({name: 0.5 + i / n for i, name in enumerate(names)})


def combined(values):
    """An operation of its own for each value."""
    total = jnp.zeros(())
    for i, value in enumerate(values):
        total = total + jnp.sin(value) * (i + 1.0)
    return total


FORMS = {
    "one by one": lambda p, names: combined([p[name] for name in names]),
    "list": lambda p, names: combined(p[names]),
    "view": lambda p, names: combined([getattr(p.view, name) for name in names]),
    "function of the view": lambda p, names: p[lambda v: combined([v[n] for n in names])],
}


@pytest.fixture(params=FORMS.values(), ids=list(FORMS))
def form(request):
    return request.param


def by_hand(n):
    return lambda v: combined([v[i] for i in range(n)])


@pytest.mark.parametrize("n", [1, 100])
def test_values_take_as_many_instructions_as_slices(form, n):
    names, p = named(n)
    assert instructions(lambda p: form(p, names), p) == instructions(by_hand(n), p.tunable)


def test_names_of_all_kinds_take_no_more_instructions_than_slices():
    declared = {
        "k": 0.5,
        "tau": [1.0, 2.0, 3.0],
        "f": np.arange(6.0).reshape(2, 3),
        "tank.area": mtk.Parameter(2.0, tunable=False),
        "mode": mtk.Parameter(1.0, discrete=True),
        "gain": mtk.Parameter(bind=lambda p: 2 * p.k),
        mtk.Initial("x"): 1.5,
    }

    def ours(p):
        v = p.view
        start = p[mtk.Initial("x")]
        return v.k * v.tau + v.f @ v.tau @ v.f * v.tank.area + v["tau[1]"] * v.gain * v.mode * start

    def theirs(tunable, initials, mode, constants):
        k, tau, f = tunable[0], tunable[1:4], tunable[4:].reshape(2, 3)
        return k * tau + f @ tau @ f * constants[0] + tau[1] * (2 * k) * mode[0] * initials[0]

    p = mtk.parameters(declared)
    by_hand = instructions(theirs, p.tunable, p.initials, p.discrete[0], p.constants[0])
    assert instructions(ours, p) <= by_hand


@pytest.mark.parametrize("n", [2, 100])
def test_one_split_in_each_trace(form, n):
    names, p = named(n)
    counts = equations(jax.grad(lambda p: form(p, names)), p)
    assert (counts["split"], counts["concatenate"]) == (1, 1)
    assert not {"slice", "dynamic_slice", "gather", "pad", "add_any", "scatter-add"} & set(counts)


def test_one_split_of_a_thousand_names():
    names, p = named(1_000)
    counts = equations(lambda p: [p[name] for name in names], p)
    assert counts == {"split": 1, "reshape": 1_000}


def test_very_many_names_are_split_in_two_steps():
    names, p = named(2_000)
    counts = equations(jax.grad(lambda p: combined(p[names[:20]])), p)
    assert counts["split"] == 2  # of the buffer into groups, and of the group that was read
    assert counts["broadcast_in_dim"] < 150  # zeros for the neighbors, and not for all names
    assert not {"slice", "dynamic_slice", "gather", "pad", "scatter-add"} & set(counts)


def over_a_batch(f):
    return lambda p: jax.vmap(lambda x: x * f(p))(jnp.arange(4.0)).sum()


def over_a_batch_as_an_argument(f):
    return lambda p: jax.vmap(lambda p, x: x * f(p), in_axes=(None, 0))(p, jnp.arange(4.0)).sum()


def in_a_loop(f):
    return lambda p: lax.scan(lambda c, x: (c + x * f(p), None), jnp.zeros(()), jnp.arange(4.0))[0]


def in_a_branch(f):
    return lambda p: lax.cond(p.tunable[0] > 0, lambda: f(p), lambda: jnp.zeros(()))


def in_a_compiled_function(f):
    return lambda p: jax.jit(lambda: f(p))()


def in_a_checkpoint(f):
    return lambda p: jax.checkpoint(lambda: f(p))()


INSIDE = {
    f.__name__.replace("_", " "): f
    for f in (
        over_a_batch,
        over_a_batch_as_an_argument,
        in_a_loop,
        in_a_branch,
        in_a_compiled_function,
        in_a_checkpoint,
    )
}


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
def test_one_split_where_the_object_is_closed_over(inside):
    """The object belongs to an outer trace there, and the pieces to the inner one."""
    names, p = named(8)
    f = inside(lambda p: combined([p[name] for name in names]))
    g = inside(lambda p: combined([p.tunable[i] for i in range(len(names))]))
    counts = equations(jax.grad(f), p)
    assert counts["split"] == 1 + counts["remat2"]  # a checkpoint reads twice
    assert counts["pad"] + counts["add_any"] <= 3
    right = jax.jit(jax.grad(g))(p).tunable
    np.testing.assert_allclose(jax.jit(jax.grad(f))(p).tunable, right, rtol=1e-12)


def reads_inside_and_outside(p):
    """Reads in inner traces before it reads in the outer one."""
    xs = jnp.ones(3)
    scanned, _ = lax.scan(lambda c, x: (c + x * p["x0"], None), jnp.zeros(()), xs)
    nested = jax.vmap(lambda x: p["x1"] * jax.jit(lambda y: y * p["x2"])(x))(xs).sum()
    again, _ = lax.scan(lambda c, x: (c + x * p["x0"] * p["x1"], None), jnp.zeros(()), xs)
    return scanned + nested + again + p["x0"] * p["x3"]


@pytest.mark.parametrize("check", [False, True], ids=["", "checking leaks"])
def test_pieces_stay_in_their_trace(check):
    _, p = named(4)
    x = p.tunable
    with jax.checking_leaks() if check else contextlib.nullcontext():
        value = jax.jit(lambda p: reads_inside_and_outside(p))(p)
        gradient = jax.jit(jax.grad(lambda p: reads_inside_and_outside(p)))(p)
        batch = jax.vmap(lambda p: reads_inside_and_outside(p))(jax.tree.map(lambda x: x[None], p))
    right = 3 * (x[0] + x[1] * x[2] + x[0] * x[1]) + x[0] * x[3]
    slopes = [3 + 3 * x[1] + x[3], 3 * x[2] + 3 * x[0], 3 * x[1], x[0]]
    np.testing.assert_allclose(value, right, rtol=1e-12)
    np.testing.assert_allclose(gradient.tunable, slopes, rtol=1e-12)
    np.testing.assert_allclose(batch, [right], rtol=1e-12)


@pytest.mark.parametrize(
    ("few", "many"), [(15, 150), pytest.param(100, 1_000, marks=pytest.mark.slow)]
)
def test_the_gradient_grows_as_the_names_do(few, many):
    def size(n):
        names, p = named(n)
        return instructions(jax.grad(lambda p: combined([p[name] for name in names])), p)

    assert size(many) <= 1.2 * many / few * size(few)


def test_all_forms_are_one_program():
    names, p = named(100)
    programs = {str(jax.make_jaxpr(jax.grad(lambda p: f(p, names)))(p)) for f in FORMS.values()}  # noqa: B023
    assert len(programs) == 1


def test_outside_of_a_trace_no_name_is_a_program_of_its_own():
    names, p = named(50)
    p["x0"], p["x1"]
    assert compilations(lambda: [p[name] for name in names]) == 0
    assert compilations(lambda: [mtk.describe(p), str(p), repr(p)]) == 0


def test_the_compilations_that_are_counted():
    assert compilations(lambda: jax.jit(lambda x: jnp.cos(x) + 3)(jnp.ones(7))) >= 1
