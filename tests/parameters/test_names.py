"""Reading by name: of parameters, and of whatever else has their structure."""

from __future__ import annotations

import collections
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import Spring, equal, everything, spring

import mtkparams as mtk

F = np.arange(6.0).reshape(2, 3)
G = np.arange(24.0).reshape(2, 3, 4)


@pytest.fixture
def p():
    return mtk.parameters({**everything(), "g": G})


# Names and parts of arrays

READ = {
    "number": ("alpha", 0.55),
    "array": ("tau", [1.0, 2.0, 3.0]),
    "entry": ("tau[1]", 2.0),
    "entry from the end": ("tau[-1]", 3.0),
    "slice": ("tau[0:2]", [1.0, 2.0]),
    "slice to the end": ("tau[1:]", [2.0, 3.0]),
    "all": ("tau[:]", [1.0, 2.0, 3.0]),
    "step": ("tau[::2]", [1.0, 3.0]),
    "backwards": ("tau[::-1]", [3.0, 2.0, 1.0]),
    "empty slice": ("tau[1:1]", []),
    "entry of a matrix": ("f[1,2]", 5.0),
    "blanks": ("f[ 1 , -1 ]", 5.0),
    "row": ("f[1]", F[1]),
    "column": ("f[:,1]", F[:, 1]),
    "block": ("f[0:2,1:]", F[:, 1:]),
    "three axes": ("g[1,:,2]", G[1, :, 2]),
    "namespace": ("tank.k", 0.3),
    "integer": ("order", 3),
    "truth value": ("on", True),
    "complex number": ("z", 1 + 2j),
    "discrete": ("mode", 1.0),
    "dependent": ("gain", 1.1),
    "chain of dependent ones": ("twice", 4.2),
    "initial value": ("Initial(x)", 1.5),
    "in a namespace": ("Initial(tank.h)", [0.1, 0.2]),
    "entry of an initial value": ("Initial(tank.h)[1]", 0.2),
    "by Initial": (mtk.Initial("x"), 1.5),
    "entry by Initial": (mtk.Initial("tank.h[1]"), 0.2),
    "array in a Module": ("spring.stiffness", [1.0, 2.0]),
    "entry of an array in a Module": ("spring.stiffness[1]", 2.0),
    "integer in a Module": ("spring.coils", 7),
    "array in a dictionary": ("pair['w']", [1.0, -1.0]),
    "entry of that": ("pair['w'][0]", 1.0),
    "number in a dictionary": ("pair['b']", 0.25),
    "array in a fixed Module": ("table.stiffness", [5.0]),
}


@pytest.mark.parametrize(("name", "value"), READ.values(), ids=READ)
def test_read(p, name, value):
    for read in (p[name], jax.jit(lambda p: p[name])(p), p.view[name]):
        np.testing.assert_allclose(read, value, rtol=1e-12)
        assert read.shape == np.shape(value)
    assert name in p


def test_read_what_is_no_array(p):
    assert p["label"] == "run 7"
    assert p["curve"] is jnp.sin
    assert equal(p["spring"], spring())
    assert equal(p["pair"], {"w": jnp.asarray([1.0, -1.0]), "b": jnp.asarray(0.25)})
    assert p["table"](jnp.ones(1)).shape == (1,)
    assert p["seed"] == jax.random.key(7)


def test_settings_of_a_module_stay_python_numbers(p):
    # `Dropout` compares its rate with 0 in Python, which fails where that is traced.
    q = mtk.parameters({"drop": eqx.nn.Dropout(0.5), "same": mtk.Parameter(bind=lambda p: p.drop)})
    for name in q:
        assert jax.jit(lambda q, name=name: isinstance(q[name].p, float))(q)


# Structures of names

Pair = collections.namedtuple("Pair", ["x", "y"])

STRUCTURES = {
    "list": (["alpha", "tau[1]"], [0.55, 2.0]),
    "tuple": (("alpha", "tau[1]"), (0.55, 2.0)),
    "named tuple": (Pair("alpha", "tau[1]"), Pair(0.55, 2.0)),
    "dictionary": ({"a": "alpha", "n": "order"}, {"a": 0.55, "n": 3}),
    "nested": (
        {"a": ["alpha", ("order",)], "b": {"c": "gain"}},
        {"a": [0.55, (3,)], "b": {"c": 1.1}},
    ),
    "empty": ([], []),
    "empties": ({"a": [], "b": ()}, {"a": [], "b": ()}),
    "function": (lambda v: v.alpha * v.tank.area, 1.1),
    "list with a function": (["alpha", lambda v: v["tau"].sum() + v.gain], [0.55, 7.1]),
    "function with a structure": (lambda v: [v.alpha, {"n": v.order}], [0.55, {"n": 3}]),
}


@pytest.mark.parametrize(("spec", "values"), STRUCTURES.values(), ids=STRUCTURES)
def test_structures_of_names(p, spec, values):
    for read in (p[spec], jax.jit(lambda p: p[spec])(p)):
        assert jax.tree.structure(read) == jax.tree.structure(values)
        for x, y in zip(jax.tree.leaves(read), jax.tree.leaves(values), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)


def test_upstream_getters():
    """Nested names, and an expression of parameters (SymbolicIndexingInterface)."""
    p = mtk.parameters({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0})
    assert p[["a", ["b", "c"]]] == [1, [2, 3]]
    assert p[("a", ("b", "c"))] == (1, (2, 3))
    assert p[Pair("a", Pair("b", "c"))] == Pair(1, Pair(2, 3))
    assert p[lambda v: v.a + v.b] == 3
    new = p.set({"a": 4, "b": 5, "c": 6, "d": 7})
    assert new[["a", "b", "c", "d"]] == [4, 5, 6, 7]
    assert p["a"] == 1


# Dependent parameters


def test_dependent_parameters_follow_what_they_read():
    """Upstream's bindings."""
    p = mtk.parameters(
        {
            "p1": [1.0, 2.0],
            "p2": mtk.Parameter(bind=lambda p: 2 * p.p1),
            "sys2.p1": 2.5,
            "sys2.p2": mtk.Parameter(bind=lambda p: 2 * p.sys2.p1),
            "gamma": 0.01,
            "beta": mtk.Parameter(bind=lambda p: 0.01 * p.gamma),
        }
    )
    p = p.set({"p1": [1.5, 2.5]})
    np.testing.assert_array_equal(p["p2"], [3, 5])
    assert p["p2[1]"] == 5
    assert p["sys2.p2"] == 5
    assert p["beta"] == pytest.approx(1e-4)
    vector, repack, _ = mtk.canonicalize(mtk.Tunable, p)
    np.testing.assert_array_equal(repack(2 * vector)["p2"], [6, 10])


def test_each_binding_is_evaluated_once_a_read():
    calls = []
    p = mtk.parameters(
        {
            "a": 1.0,
            "b": mtk.Parameter(bind=lambda p: calls.append("b") or 2 * p.a),
            "c": mtk.Parameter(bind=lambda p: p.b + p.b),
            "d": mtk.Parameter(bind=lambda p: p.c + p.b),
        }
    )
    calls.clear()
    assert p[["d", "b", lambda v: v.d + v.b]] == [6, 2, 8]
    assert calls == ["b"]


def test_bindings_may_give_anything():
    p = mtk.parameters(
        {
            "k": 2.0,
            "net": mtk.Parameter(bind=lambda p: Spring(p.k, jnp.asarray(1), 0.5, jnp.tanh)),
            "all": mtk.Parameter(bind=lambda p: {"x": p.k, "y": [1, 2.0]}),
            "name": mtk.Parameter(bind=lambda p: "text"),
            "law": mtk.Parameter(bind=lambda p: lambda t: p.k * t),
            "one": mtk.Parameter(bind=lambda p: 1),
        }
    )
    assert p["net"].stiffness == 2
    assert p["net"].damping == 0.5
    assert p["all"]["y"][1].dtype == float
    assert p["name"] == "text"
    assert p["law"](3.0) == 6
    assert isinstance(p["one"], jax.Array)


def test_an_error_in_a_binding_names_its_parameter():
    with pytest.raises(ZeroDivisionError) as caught:
        mtk.parameters({"a": 1.0, "bad": mtk.Parameter(bind=lambda p: 1 / 0)})
    assert any("'bad'" in note for note in caught.value.__notes__)


# Collections


def test_as_a_collection_of_names(p):
    names = ("alpha", "tau", "f", "gain", "tank.k", "tank.area", "mode", "switch", "order", "on")
    assert p.names()[:10] == tuple(p)[:10] == p.keys()[:10] == names
    assert p.names(mtk.Initials) == ("Initial(x)", "Initial(tank.h)")
    assert p.names(mtk.Nonnumeric) == ("label", "curve", "table", "seed")
    assert p.names(mtk.Caches) == ()
    assert len(p) == 21
    assert bool(p)
    assert bool(mtk.MTKParameters())
    assert mtk.Initial("x") in p
    assert mtk.Initial("y") not in p
    values = dict(p)
    assert list(values) == list(p.names())
    assert values["label"] == "run 7"


NOT_IN = [
    "beta",
    "tau[3]",
    "tau[0,0]",
    "tau[x]",
    "tank",
    "alpha[0]",
    "label[0]",
    "spring.law",
    "",
    3,
    None,
]


@pytest.mark.parametrize("name", NOT_IN)
def test_not_in(p, name):
    assert name not in p


def test_completion(p):
    keys = p._ipython_key_completions_()
    for name in ("alpha", "tank.k", "Initial(x)", "spring.stiffness", "pair['w']"):
        assert name in keys
        assert name in p


# Views


def test_views_have_names_as_attributes(p):
    v = p.view
    assert v.alpha == 0.55
    assert v.tank.k == v["tank.k"] == v.tank["k"] == 0.3
    assert v.gain == 1.1
    np.testing.assert_array_equal(v["tau[1:]"], [2, 3])
    assert "tank.k" in v
    assert "k" in v.tank
    assert "alpha" not in v.tank
    assert list(v.tank) == ["k", "area"]
    assert list(v) == list(p)
    assert dir(v.tank) == ["area", "k"]
    assert {"alpha", "tank", "gain"} <= set(dir(v))
    assert not any(name.startswith("_") for name in dir(v))
    assert v.tank._ipython_key_completions_() == ["k", "area"]
    assert not hasattr(v, "beta")
    assert getattr(v, "beta", None) is None
    assert "tank.k" in repr(v)


@pytest.mark.parametrize(
    "name", ["_get", "_index", "_prefix", "_x", "keys", "names", "set", "class"]
)
def test_no_name_is_hidden_by_the_view_itself(name):
    p = mtk.parameters({name: 2.0, "twice": mtk.Parameter(bind=lambda p: 2 * getattr(p, name))})
    assert getattr(p.view, name) == 2
    assert p["twice"] == 4


# Gradients, optimizers, batches: everything of the same structure


def test_gradients_of_a_partition(p):
    free, rest = mtk.partition(p, mtk.Tunable)

    def loss(free: Any, rest: Any) -> Any:
        p = mtk.combine(free, rest)
        return p["alpha"] ** 2 + p["f[1,2]"] + p["gain"] * p["tank.k"] + p["spring"](1.0).sum()

    grads = eqx.filter_grad(loss)(free, rest)
    assert grads["alpha"] == pytest.approx(2 * 0.55 + 2 * 0.3)
    np.testing.assert_array_equal(grads["f"], [[0, 0, 0], [0, 0, 1]])
    assert grads["f[1,2]"] == 1
    np.testing.assert_allclose(grads["spring.stiffness"], 0.5 / np.cosh([1, 2]) ** 2)
    assert grads["spring"].law is jnp.tanh
    assert grads["spring"].coils is None
    with pytest.raises(mtk.errors.PortionError, match="'order' is not in this object"):
        grads["order"]


def test_gradients_of_a_whole_object(p):
    grads = eqx.filter_grad(lambda p: p["alpha"] * p["tank.k"] + p["Initial(x)"] ** 2)(p)
    assert grads["alpha"] == 0.3
    assert grads["tank.k"] == 0.55
    assert grads[mtk.Initial("x")] == 3
    with pytest.raises(mtk.errors.PortionError, match="'order' is not in this object"):
        grads["order"]


def test_jax_grad_where_all_leaves_are_floats():
    p = mtk.parameters({"a": 2.0, "k": mtk.Parameter([1.0, 3.0], tunable=False)})
    grads = jax.grad(lambda p: (p["a"] ** 2 * p["k"]).sum())(p)
    assert grads["a"] == 16
    np.testing.assert_array_equal(grads["k"], [4, 4])
    assert grads.index is p.index


def test_a_gradient_has_no_dependent_parameters(p):
    grads = eqx.filter_grad(lambda p: p["gain"])(p)
    assert grads["alpha"] == 2
    with pytest.raises(mtk.errors.BoundParameterError, match="where a binding means nothing"):
        grads["gain"]


@pytest.mark.usefixtures("standard_promotion")
def test_optimizer_states_are_read_by_name(p):
    free, rest = mtk.partition(p, mtk.Tunable)
    optimizer = optax.adam(0.1)
    state = optimizer.init(free)
    grads = eqx.filter_grad(lambda free: mtk.combine(free, rest)["tau"][1] * 3)(free)
    step: Any = optimizer.update(grads, state)
    updates, (moments, *_) = step
    np.testing.assert_allclose(moments.mu["tau"], [0, 0.3, 0])
    np.testing.assert_allclose(moments.nu["tau[1]"], 0.009)
    assert updates["tau[1]"] == pytest.approx(-0.1)
    new: Any = optax.apply_updates(free, updates)
    assert new["tau[1]"] == pytest.approx(1.9)


def test_states_of_a_masked_optimizer(p):
    spec = mtk.filter_spec(p, mtk.Tunable)
    state: Any = optax.masked(optax.adam(0.1), spec).init(p)
    mu = state.inner_state[0].mu
    np.testing.assert_array_equal(mu["tau"], [0, 0, 0])
    with pytest.raises(mtk.errors.PortionError, match="'tank.k' is not in this object"):
        mu["tank.k"]
    with pytest.raises(mtk.errors.BoundParameterError):
        mu["gain"]
    assert not mtk.hasportion(mtk.Constants, mu)


def test_tangents_are_read_by_name():
    p = mtk.parameters({"a": 2.0, "b": 3.0})
    tangent = mtk.parameters({"a": 1.0, "b": 0.0})
    _, dp = jax.jvp(lambda p: p.set({"b": p["a"] ** 2}), (p,), (tangent,))
    assert dp["b"] == 4


def make(a: Any, tau: Any) -> mtk.MTKParameters:
    return mtk.parameters(
        {
            "a": a,
            "tau": tau,
            "k": mtk.Parameter(3.0, tunable=False),
            "n": 3,
            "pair": {"w": [a, 2 * a]},
            "sum": mtk.Parameter(bind=lambda p: p.k * jnp.sum(p.tau) + p.a),
            "twice": mtk.Parameter(bind=lambda p: 2 * p.tau),
            "chain": mtk.Parameter(bind=lambda p: p.sum + p.twice[0]),
            mtk.Initial("x"): [a, a],
        }
    )


def one() -> mtk.MTKParameters:
    return make(1.0, [1.0, 2.0])


BATCHES = {
    "vmap of declarations": lambda: jax.vmap(make)(jnp.arange(3.0), jnp.ones((3, 2))),
    "vmap of set": lambda: jax.vmap(lambda a: one().set({"a": a}))(jnp.arange(3.0)),
    "tunables only": lambda: mtk.replace(mtk.Tunable, one(), jnp.arange(15.0).reshape(3, 5)),
    "initials only": lambda: mtk.replace(mtk.Initials, one(), jnp.arange(6.0).reshape(3, 2)),
    "two axes": lambda: mtk.replace(mtk.Tunable, one(), jnp.arange(30.0).reshape(2, 3, 5)),
    "two axes and one": lambda: mtk.replace(
        mtk.Initials,
        mtk.replace(mtk.Tunable, one(), jnp.arange(30.0).reshape(2, 3, 5)),
        jnp.arange(6.0).reshape(3, 2),
    ),
}
OF_A_BATCH = ["a", "tau", "tau[1]", "tau[::-1]", "k", "n", "pair", "pair['w'][1]", "sum", "twice"]
OF_A_BATCH += ["twice[1]", "chain", "Initial(x)", "Initial(x)[0]", ["a", ("sum",)]]


@pytest.mark.parametrize("make_batch", BATCHES.values(), ids=BATCHES)
def test_a_batch_reads_as_its_members_do(make_batch):
    batch = make_batch()
    specs = [*OF_A_BATCH, lambda v: v.tau @ v.tau, lambda v: jnp.sum(v.tau) + v.chain]
    read = lambda p: [p[spec] for spec in specs]
    lead = max((x.shape[:-1] for x in jax.tree.leaves(batch)), key=len)
    everyone = jax.tree.map(lambda x: jnp.broadcast_to(x, (*lead, x.shape[-1])), batch)
    one_by_one = read
    for _ in lead:
        one_by_one = jax.vmap(one_by_one)
    expected = jax.jit(one_by_one)(everyone)
    for found in (read(batch), jax.jit(read)(batch)):
        for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            # What is the same for all members may come without the axes of the batch.
            np.testing.assert_allclose(np.broadcast_to(x, y.shape), y)


@pytest.mark.parametrize("make_batch", BATCHES.values(), ids=BATCHES)
def test_set_on_a_batch(make_batch):
    batch = make_batch()
    for_all = batch.set({"tau": [7.0, 8.0], "a": 1.0})
    assert for_all["tau"].shape == batch["tau"].shape
    np.testing.assert_array_equal(for_all["tau[1]"], np.full(batch["tau[1]"].shape, 8))
    values = np.arange(batch["tau"].size, dtype=float).reshape(batch["tau"].shape)
    for_each = batch.set({"tau": values, "a": 1.0})
    np.testing.assert_array_equal(for_each["tau"], values)
    np.testing.assert_array_equal(for_each["pair['w'][1]"], batch["pair['w'][1]"])


def test_a_batch_of_gradients():
    batch = BATCHES["tunables only"]()
    grads = jax.vmap(jax.grad(lambda v: mtk.replace(mtk.Tunable, one(), v)["sum"]))(batch.tunable)
    whole = mtk.replace(mtk.Tunable, one(), grads)
    np.testing.assert_array_equal(whole["tau"], np.full((3, 2), 3))


def test_names_on_host_copies(p):
    host = jax.device_get(p)
    assert all(isinstance(x, np.ndarray | jax.Array) for x in jax.tree.leaves(host))
    assert host["tau[1]"] == 2
    assert host["gain"] == 1.1
    assert host == p
