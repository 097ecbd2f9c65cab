"""The object under JAX: traced, differentiated, mapped, carried, closed over."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import everything, with_caches
from jax import lax

import mtkparams as mtk


def small(dtype: str = "float64") -> mtk.MTKParameters:
    numbers = {"alpha": 0.55, "tau": [1.0, 2.0, 3.0], "tank.k": mtk.Parameter(0.3, tunable=False)}
    bound = {"gain": mtk.Parameter(bind=lambda p: 2 * p.alpha), "order": 3}
    p = mtk.parameters({**numbers, **bound, mtk.Initial("x"): 1.5})
    return jax.tree.map(lambda x: x.astype(dtype) if x.dtype == float else x, p)


@pytest.fixture(params=["float32", "float64"])
def p(request):
    return small(request.param)


def read(p: mtk.MTKParameters) -> Any:
    """What the tests below read, under each transformation."""
    return p["alpha"] * p["tau"][1] + p["gain"] ** 2 + p["tau[0:2]"].sum() * p["Initial(x)"]


VALUE = 0.55 * 2 + 1.1**2 + 3 * 1.5


def scalar(p: mtk.MTKParameters, x: float) -> Any:
    return jnp.asarray(x, p.tunable.dtype)


# Each evaluates `read(p)` in its own way, with p as an argument.
ARGUMENTS: dict[str, Any] = {
    "eager": read,
    "jit": jax.jit(read),
    "filter_jit": eqx.filter_jit(read),
    "checkpoint": jax.checkpoint(read),
    "vmap of copies": lambda p: jax.vmap(read)(jax.tree.map(lambda x: jnp.stack([x, x]), p))[1],
    "vmap over nothing": lambda p: jax.vmap(lambda p, x: read(p), in_axes=(None, 0))(
        p, jnp.ones(2)
    )[0],
    "scan": lambda p: lax.scan(lambda p, _: (p, read(p)), p, length=2)[1][1],
    "scan with set": lambda p: read(lax.scan(lambda p, _: (p.set({}), None), p, length=2)[0]),
    "while_loop": lambda p: lax.while_loop(
        lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1], read(s[1])), (0, p, scalar(p, 0))
    )[2],
    "fori_loop": lambda p: read(lax.fori_loop(0, 2, lambda i, p: p.set({"alpha": p["alpha"]}), p)),
    "cond": lambda p: lax.cond(p["tau[0]"] > 0, read, lambda p: 0 * read(p), p),
    "switch": lambda p: lax.switch(1, [lambda p: 0 * read(p), read], p),
    "map": lambda p: lax.map(lambda x: read(p) * x, jnp.ones(2, p.tunable.dtype))[0],
    "device_put": lambda p: read(jax.device_put(p)),
    "tree_map": lambda p: read(jax.tree.map(lambda x: x, p)),
    "flatten and unflatten": lambda p: read(jax.tree.unflatten(*jax.tree.flatten(p)[::-1])),
    "closure": lambda p: jax.jit(lambda: read(p))(),
    "pure_callback": lambda p: jax.pure_callback(
        lambda x: x, jax.ShapeDtypeStruct((), p.tunable.dtype), read(p)
    ),
}


@pytest.mark.parametrize("through", ARGUMENTS.values(), ids=ARGUMENTS)
def test_values(p, through):
    value = through(p)
    np.testing.assert_allclose(value, VALUE, rtol=1e-6)
    assert value.dtype == p.tunable.dtype


DERIVATIVES: dict[str, Any] = {
    "grad": lambda f, v: jax.grad(f)(v),
    "jit of grad": lambda f, v: jax.jit(jax.grad(f))(v),
    "grad of jit": lambda f, v: jax.grad(jax.jit(f))(v),
    "jacfwd": lambda f, v: jax.jacfwd(f)(v),
    "jacrev": lambda f, v: jax.jacrev(f)(v),
    "vmap of grad": lambda f, v: jax.vmap(jax.grad(f))(jnp.stack([v, v]))[1],
    "grad of vmap": lambda f, v: jax.grad(lambda v: jax.vmap(f)(jnp.stack([v, v]))[1])(v),
    "linearize": lambda f, v: jax.vmap(jax.linearize(f, v)[1])(jnp.eye(v.size, dtype=v.dtype)),
    "vjp": lambda f, v: jax.vjp(f, v)[1](jnp.ones((), v.dtype))[0],
}


@pytest.mark.parametrize("of", DERIVATIVES.values(), ids=DERIVATIVES)
def test_derivatives(p, of):
    tunables = mtk.canonicalize(mtk.Tunable, p)[0]
    gradient = of(lambda v: read(mtk.replace(mtk.Tunable, p, v)), tunables)
    np.testing.assert_allclose(gradient, [2 + 8 * 0.55, 1.5, 1.5 + 0.55, 0], rtol=1e-5)
    assert gradient.dtype == tunables.dtype


REVERSE = {
    n: f for n, f in ARGUMENTS.items() if n not in ("while_loop", "fori_loop", "pure_callback")
}


@pytest.mark.parametrize("through", REVERSE.values(), ids=REVERSE)
def test_gradients_through_control_flow(through):
    p = small("float32")
    free, rest = mtk.partition(p, mtk.Tunable)
    grads = jax.jit(jax.grad(lambda free: through(mtk.combine(free, rest))))(free)
    np.testing.assert_allclose(grads["tau"], [1.5, 2.05, 0], rtol=1e-6)
    np.testing.assert_allclose(grads["alpha"], 6.4, rtol=1e-6)


# Closures: an object of an outer trace, read inside an inner one and again outside

INNER: dict[str, Any] = {
    "jit": lambda f: jax.jit(f)(1.0),
    "scan": lambda f: lax.scan(lambda c, x: (c + f(x), None), 0.0, jnp.ones(1))[0],
    "vmap": lambda f: jax.vmap(f)(jnp.ones(2))[0],
    "grad": lambda f: jax.grad(lambda x: x * f(1.0))(1.0),
    "jacfwd": lambda f: jax.jacfwd(lambda x: x * f(1.0))(1.0),
    "cond": lambda f: lax.cond(True, f, lambda x: 0 * f(x), 1.0),
    "while_loop": lambda f: lax.while_loop(lambda c: c < 0.5, lambda c: f(1.0), 0.0),
    "checkpoint": lambda f: jax.checkpoint(f)(1.0),
    "scan in vmap": lambda f: jax.vmap(lambda x: INNER["scan"](f))(jnp.ones(2))[0],
    "vmap in scan": lambda f: INNER["scan"](lambda x: jax.vmap(f)(jnp.ones(2))[0]),
    "twice": lambda f: (
        (INNER["vmap"](f) + INNER["vmap"](f) + INNER["scan"](f) + INNER["jit"](f)) / 4
    ),
}


def around(p: mtk.MTKParameters, inner: Any, before: bool) -> Any:
    """Reads `p` in the body of `inner`, and after it, and perhaps before."""
    first = p["tau"][1] if before else 2.0
    middle = inner(lambda x: x * p["alpha"] * p["tau"][1])
    return first + middle + p["tau"][2] * p["alpha"] + p["gain"]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
def test_reads_inside_an_inner_trace_and_again_outside(inner, before):
    modes = [jax.jacfwd] if inner is INNER["while_loop"] else [jax.jacfwd, jax.grad]
    f = lambda p: around(p, inner, before)

    @jax.jit
    def results(p: mtk.MTKParameters) -> Any:
        twice = jax.tree.map(lambda x: jnp.stack([x, x]), p)
        loss = lambda v: f(mtk.replace(mtk.Tunable, p, v))
        return f(p), jax.vmap(f)(twice), [mode(loss)(p.tunable) for mode in modes]

    value = 2 + 0.55 * 2 + 3 * 0.55 + 1.1
    here, of_a_batch, gradients = results(small())
    np.testing.assert_allclose(here, value)
    np.testing.assert_allclose(of_a_batch, [value, value])
    for gradient in gradients:
        np.testing.assert_allclose(gradient, [2 + 3 + 2, 0, 0.55 + before, 0.55])
    if before:
        np.testing.assert_allclose(f(small()), value)  # and without jit


@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
def test_no_tracer_leaks(inner):
    p = small()
    with jax.checking_leaks():
        for before in (True, False):
            jax.jit(lambda p, before=before: around(p, inner, before))(p)


def test_a_view_may_cross_traces():
    p = mtk.parameters(everything())

    @jax.jit
    def f(p: mtk.MTKParameters) -> Any:
        v = p.view
        tank = v.tank
        _, terms = lax.scan(lambda c, x: (c, x * v.alpha + tank.k + v.twice), 0.0, jnp.ones(2))
        return terms.sum() + v.alpha + tank.k

    np.testing.assert_allclose(f(p), 2 * (0.55 + 0.3 + 4.2) + 0.85)
    with jax.checking_leaks():
        f(p.set({"alpha": 0.1}))


def test_an_object_that_was_read_eagerly_goes_into_a_trace():
    p = mtk.parameters(everything())
    read(p)
    np.testing.assert_allclose(jax.jit(lambda: read(p))(), VALUE)
    np.testing.assert_allclose(jax.jit(read)(p), VALUE)
    read(p)
    assert jax.tree.structure(p) == jax.tree.structure(mtk.parameters(everything()))


def test_names_read_in_a_trace_split_their_buffer_once():
    """One split, where a slice for each of K names would cost a gradient K squared."""
    names = [f"k{i}" for i in range(150)]
    p = mtk.parameters(dict.fromkeys(names, 1.0))

    def count(f: Any) -> dict[str, int]:
        found: dict[str, int] = {}
        for equation in jax.make_jaxpr(f)(p).eqns:
            found[equation.primitive.name] = found.get(equation.primitive.name, 0) + 1
        return found

    everything_read = count(lambda p: [p[name] for name in names])
    assert everything_read["split"] == 4  # into three groups, and each of those
    assert "slice" not in everything_read
    assert count(lambda p: p["k149"])["split"] == 2

    def closed_over(p: mtk.MTKParameters) -> Any:
        return lax.scan(
            lambda c, x: (c + sum(p[name] for name in names) * x, None), 0.0, jnp.ones(2)
        )

    gradient = jax.make_jaxpr(jax.grad(lambda p: closed_over(p)[0]))(p)
    assert str(gradient).count("split[") + str(gradient).count("slice[") < 40


# Shapes, structure, kinds of objects


def test_eval_shape():
    p = with_caches(mtk.parameters(everything()), np.ones(2))
    shapes = jax.eval_shape(lambda p: p.set({"alpha": 1.0}), p)
    assert jax.tree.structure(shapes) == jax.tree.structure(p)
    assert jax.eval_shape(read, p).shape == ()
    assert jax.eval_shape(lambda p: p["spring"].stiffness, p).shape == (2,)


def test_objects_go_in_and_come_out(p):
    assert jax.jit(lambda p: p)(p) == p
    assert jax.jit(lambda p: p == p)(p)
    assert jax.device_get(p).index is p.index
    halves = jax.jit(lambda p: mtk.partition(p, mtk.Tunable))(p)
    assert mtk.combine(*halves) == p
    vector = jax.jit(lambda p: mtk.canonicalize(mtk.Tunable, p)[0])(p)
    assert jax.jit(lambda p, v: mtk.replace(mtk.Tunable, p, v))(p, vector) == p
    batch = jax.vmap(lambda x: p.set({"alpha": x}))(jnp.arange(3, dtype=p.tunable.dtype))
    assert [x.shape[0] for x in jax.tree.leaves(batch)] == [3] * len(jax.tree.leaves(p))
    member = jax.tree.map(lambda x: x[2], batch)
    assert member == p.set({"alpha": 2.0})


def test_declarations_inside_a_trace():
    def model(a: Any) -> mtk.MTKParameters:
        return mtk.parameters(
            {
                "a": mtk.Parameter(a, bounds=(0.0, None)),
                "both": [a, 2 * a],
                "n": jnp.asarray(3),
                "twice": mtk.Parameter(bind=lambda p: 2 * p.a),
                mtk.Initial("x"): a**2,
            }
        )

    p = jax.jit(model)(2.0)
    assert p == model(2.0)
    assert p.index is model(1.0).index
    loss = lambda a: model(a)["twice"] + model(a)["both"].sum() + model(a)["Initial(x)"]
    assert jax.grad(loss)(2.0) == 2 + 3 + 4
    with jax.checking_leaks():
        jax.jit(lambda a: model(a)["twice"])(2.0)


def test_values_from_a_trace():
    p = mtk.parameters({"a": 1.0, "tau": [1.0, 2.0]})
    f = jax.jit(lambda x: p.set({"tau": [x, 2 * x], "a": x})["tau"])
    np.testing.assert_array_equal(f(3.0), [3, 6])
    g = lambda x: mtk.replace(mtk.Tunable, p, [x, x, 2 * x])["tau"].sum()
    assert jax.grad(g)(3.0) == 3
    new = mtk.parameters({"tau": [1.0, 2.0]}, {"tau[1]": 5.0})
    assert jax.jit(lambda x: mtk.parameters({"tau": [1.0, 2.0]}, {"tau[1]": x})["tau"])(5.0)[1] == 5
    assert new["tau[1]"] == 5


def test_random_keys_and_networks_under_vmap():
    keys = jax.random.split(jax.random.key(0), 3)
    p = mtk.parameters({"net": eqx.nn.Linear(2, 1, key=keys[0]), "key": keys[0]})
    batch = jax.vmap(lambda key: p.set({"net": eqx.nn.Linear(2, 1, key=key), "key": key}))(keys)
    assert batch["key"].shape == (3,)
    y = jax.vmap(lambda p: p["net"](jnp.ones(2)))(batch)
    np.testing.assert_allclose(y[0], p["net"](jnp.ones(2)))


SINGLE = """
import warnings; warnings.simplefilter("error")
import jax, jax.numpy as jnp, numpy as np, equinox as eqx
import mtkparams as mtk
assert not jax.config.jax_enable_x64
p = mtk.parameters({
    "a": 0.5, "tau": [1.0, 2.0], "n": 3, "on": True, "z": 1j, "f": np.ones((2, 2)),
    "net": eqx.nn.MLP(2, 1, 3, 1, key=jax.random.key(0)), mtk.Initial("x"): 1.5,
    "k": mtk.Parameter(2.0, tunable=False), "g": mtk.Parameter(bind=lambda p: 2 * p.a),
})
assert {str(x.dtype) for x in jax.tree.leaves(p)} == {"float32", "int32", "bool", "complex64"}
v, repack, _ = mtk.canonicalize(mtk.Tunable, p)
assert repack(v) == p and v.dtype == jnp.float32
assert repack(np.asarray(v, "float64")).tunable.dtype == jnp.float32
v, repack, _ = mtk.canonicalize(mtk.Constants, p)
assert repack(v) == p
big = mtk.parameters({"n": 2**31 - 1, "k": mtk.Parameter(2.0, tunable=False)})
v, repack, _ = mtk.canonicalize(mtk.Constants, big)
assert repack(v) == big and int(repack(v)["n"]) == 2**31 - 1
assert p.set({"a": 1, "n": 5, "tau[0]": 2.5}).tunable.dtype == jnp.float32
assert jax.grad(lambda a: p.set({"a": a})["g"])(1.0) == 2
for wrong in ({"n": 2**40}, {"n": np.int64(2**40)}, {"a": 1e300}, {"n": [1, 2**40]}):
    try:
        mtk.parameters(wrong)
    except mtk.errors.KindError as error:
        assert "jax_enable_x64" in str(error), error
    else:
        raise AssertionError(wrong)
for wrong in ({"n": 2**40}, {"n": -(2**31) - 1}, {"n": np.int64(2**40)}):
    try:
        p.set(wrong)
    except mtk.errors.KindError as error:
        pass
    else:
        raise AssertionError(wrong)
print("done")
"""


def test_single_precision_without_x64():
    """JAX's default, where 64 bits become 32 without a word: here large numbers are errors."""
    run = subprocess.run([sys.executable, "-c", SINGLE], capture_output=True, text=True)
    assert run.stdout == "done\n", run.stderr
