"""One index for equal declarations: no comparisons when compiled functions are called again."""

from __future__ import annotations

import copy
import dataclasses
import functools
import pickle
import types
from collections.abc import Callable
from typing import Any

import cloudpickle
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import everything, spring

import mtkparams as mtk
from mtkparams._parameters.names.index import Index


def bound_by(binding: Callable[[Any], Any]) -> Index:
    return mtk.parameters({"a": 1.0, "g": mtk.Parameter(bind=binding)}).index


def with_closure(value: Any) -> Index:
    return bound_by(lambda p: jnp.sum(jnp.asarray(value, dtype=float)) * p.a)


def with_default(value: Any) -> Index:
    return bound_by(lambda p, k=value: k * p.a)


def test_equal_declarations_with_everything_in_them():
    # The random key among them is equal by value, the functions by code.
    assert mtk.parameters(everything()).index is mtk.parameters(everything()).index


@dataclasses.dataclass(frozen=True)
class Setting:
    size: Any


EQUAL_CLOSURES = {
    "number": lambda: 2.0,
    "numpy array": lambda: np.arange(3.0),
    "jax array": lambda: jnp.arange(3.0),
    "list": lambda: [1.0, 2.0],
}


@pytest.mark.parametrize("make", EQUAL_CLOSURES.values(), ids=EQUAL_CLOSURES)
def test_bindings_with_equal_closures(make):
    assert with_closure(make()) is with_closure(make())


DIFFERENT_CLOSURES = {
    "value": (2.0, 3.0),
    "kind": (2, 2.0),
    "truth": (1, True),
    "sign of zero": (0.0, -0.0),
    "entry": (np.array([1.0, 2.0]), np.array([1.0, 3.0])),
    "shape": (np.ones((2, 3)), np.ones((3, 2))),
    "dtype": (np.ones(2, "float64"), np.ones(2, "int64")),
    "library": (np.ones(2), jnp.ones(2)),
    "weak type": (jnp.asarray(2.0), jnp.asarray(2.0, dtype=float)),
    "list or tuple": ([1.0], (1.0,)),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT_CLOSURES.values(), ids=DIFFERENT_CLOSURES)
def test_bindings_with_different_closures(one, other):
    assert with_closure(one) is not with_closure(other)


def test_defaults_of_a_binding_count():
    assert with_default(2.0) is with_default(2.0)
    assert with_default(2.0) is not with_default(3.0)


FACTOR = 2.0
a = 5.0  # a global with the name of a parameter, which `p.a` does not read
settings: Any = types.ModuleType("settings")
settings.factor = 2.0


def scaled(x: Any) -> Any:
    return FACTOR * x


READERS = {
    "lambda": lambda: bound_by(lambda p: FACTOR * p.a),
    "through a function": lambda: bound_by(lambda p: scaled(p.a)),
    "in an inner function": lambda: bound_by(lambda p: (lambda: FACTOR * p.a)()),
    "attribute of a module": lambda: bound_by(lambda p: settings.factor * p.a),
}


@pytest.mark.parametrize("declare", READERS.values(), ids=READERS)
def test_globals_that_a_binding_reads(declare, monkeypatch):
    first = declare()
    assert declare() is first
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    monkeypatch.setattr(settings, "factor", 3.0)
    assert declare() is not first


def test_globals_that_a_binding_does_not_read(monkeypatch):
    declare = lambda: bound_by(lambda p: 2 * p.a)
    first = declare()
    monkeypatch.setitem(globals(), "a", "another value")
    assert declare() is first
    gone = jnp.ones(3)
    gone.delete()
    monkeypatch.setitem(globals(), "a", gone)
    assert declare() is first


def test_functions_that_call_each_other():
    def declare() -> Index:
        def even(p: Any, n: int) -> Any:
            return p.a if n == 0 else odd(p, n - 1)

        def odd(p: Any, n: int) -> Any:
            return even(p, n - 1)

        return bound_by(lambda p: even(p, 4))

    assert declare() is declare()


STATIC = {
    "text": ("run 7", "run 8"),
    "bytes": (b"x", b"y"),
    "kind of number in a record": (Setting(1), Setting(1.0)),
    "function": (jnp.sin, jnp.cos),
    "part of a function": (functools.partial(jnp.sum, axis=0), functools.partial(jnp.sum, axis=1)),
    "array of text": (np.array(["a"]), np.array(["b"])),
    "description": (mtk.Parameter(1.0, description="x"), mtk.Parameter(1.0, description="y")),
    "bounds": (mtk.Parameter(1.0, bounds=(0, 2)), mtk.Parameter(1.0, bounds=(0, 3))),
    "setting in a Module": (eqx.nn.Dropout(0.5), eqx.nn.Dropout(0.4)),
    "shape": ([1.0], [1.0, 2.0]),
    "portion": (1.0, mtk.Parameter(1.0, tunable=False)),
}


@pytest.mark.parametrize(("one", "other"), STATIC.values(), ids=STATIC)
def test_static_values_are_told_apart(one, other):
    declare = lambda value: mtk.parameters({"k": value, "a": 1.0}).index
    assert declare(one) is declare(one if callable(one) else copy.deepcopy(one))
    assert declare(one) is not declare(other)


def test_values_are_no_part_of_it():
    assert mtk.parameters({"k": 1.0}).index is mtk.parameters({"k": 2.0}).index
    net = lambda seed: eqx.nn.MLP(2, 1, 3, 1, key=jax.random.key(seed))
    assert mtk.parameters({"net": net(0)}).index is mtk.parameters({"net": net(1)}).index


def test_order_is_a_part_of_it():
    one, other = mtk.parameters({"k": 1.0, "a": 2.0}), mtk.parameters({"a": 2.0, "k": 1.0})
    assert one.index is not other.index
    assert not one == other


def named(p: Any) -> Any:
    return 2 * p.alpha


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "cloudpickle": lambda p: cloudpickle.loads(cloudpickle.dumps(p)),
    "set": lambda p: p.set({"alpha": p["alpha"]}),
    "jit": lambda p: jax.jit(lambda p: p)(p),
    "tree_map": lambda p: jax.tree.map(lambda x: x, p),
    "flatten": lambda p: jax.tree.unflatten(jax.tree.structure(p), jax.tree.leaves(p)),
}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_copies_have_the_same_index(make):
    p = mtk.parameters(everything())
    assert make(p).index is p.index
    assert make(p) == p


def test_pickle():
    p = mtk.parameters(
        {
            "alpha": 1.0,
            "g": mtk.Parameter(bind=named),
            "key": jax.random.key(3),
            "spring": spring(law=jax.nn.relu),  # which pickle alone does not find under its name
        }
    )
    again = pickle.loads(pickle.dumps(p))
    assert again.index is p.index
    assert again == p


def test_cloudpickle_of_a_binding_that_reads_globals():
    p = mtk.parameters({"a": 1.0, "g": mtk.Parameter(bind=lambda p: FACTOR * scaled(p.a))})
    again = cloudpickle.loads(cloudpickle.dumps(p))
    assert again.index is p.index
    assert again["g"] == 4.0


def test_an_index_is_made_by_declarations_only():
    with pytest.raises(TypeError, match=r"Index\.of"):
        Index()


def test_indices_are_let_go_with_their_last_object():
    import gc
    import weakref

    p = mtk.parameters({"only_here": 1.0})
    index = weakref.ref(p.index)
    del p
    gc.collect()
    assert index() is None


# Compiled functions


def equal_objects() -> list[mtk.MTKParameters]:
    p = mtk.parameters(everything())
    return [p, mtk.parameters(everything()), *(make(p) for make in COPIES.values())]


@pytest.fixture
def comparisons(monkeypatch):
    """A list that grows with every comparison of two indices."""
    seen: list[None] = []

    def compare(self: Index, other: object) -> bool:
        seen.append(None)
        return self is other

    monkeypatch.setattr(Index, "__eq__", compare)
    monkeypatch.setattr(Index, "__hash__", object.__hash__)
    return seen


def test_equal_objects_are_neither_compared_nor_traced_again(comparisons):
    traces = []

    @jax.jit
    def f(p: mtk.MTKParameters) -> Any:
        traces.append(None)
        return p["twice"]

    objects = equal_objects()
    f(objects[0])
    comparisons.clear()
    for p in objects:
        f(p)
    assert len(traces) == 1
    assert not comparisons


SAME_SHAPES = {
    "set of a Python number": lambda p: p.set({"alpha": 3, "order": 4}),
    "set of everything": lambda p: p.set({name: p[name] for name in p.names(mtk.Tunable)}),
    "set of a whole buffer": lambda p: p.set({"mode": 2.0, "switch": False}),
    "replace by weak numbers": lambda p: mtk.replace(mtk.Initials, p, jnp.full(3, 2.0)),
    "replace by a list": lambda p: mtk.replace(mtk.Initials, p, [1, 2, 3]),
    "repack": lambda p: mtk.canonicalize(mtk.Constants, p)[1](
        mtk.canonicalize(mtk.Constants, p)[0]
    ),
    "combine": lambda p: mtk.combine(*mtk.partition(p, mtk.Tunable)),
    "combine by name": lambda p: mtk.combine(*mtk.partition(p, "alpha", "spring")),
    "built of bare buffers": lambda p: mtk.MTKParameters(
        p.tunable, p.initials, p.discrete, p.constants, p.nonnumeric, p.caches, p.index
    ),
}


@pytest.mark.parametrize("make", SAME_SHAPES.values(), ids=SAME_SHAPES)
def test_new_values_are_not_traced_again(make):
    traces = []
    f = jax.jit(lambda p: traces.append(None) or p["twice"])
    p = mtk.parameters(everything())
    f(p)
    f(make(p))
    assert len(traces) == 1


def test_new_text_is_traced_again():
    f = jax.jit(lambda p: {"run 7": 1, "run 8": 2}[p["label"]])
    p = mtk.parameters(everything())
    assert f(p) == 1
    assert f(p.set({"label": "run 8"})) == 2
