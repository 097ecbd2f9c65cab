"""Writing by name: `p.set`."""

from __future__ import annotations

import enum
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import equal, everything, spring

import mtkparams as mtk


@pytest.fixture
def p():
    return mtk.parameters(everything())


SET: dict[str, tuple[Any, Any, Any]] = {
    "number": ("alpha", 2.0, 2.0),
    "whole number for a float": ("alpha", 2, 2.0),
    "truth value for a float": ("alpha", True, 1.0),
    "array": ("tau", np.ones(3), [1, 1, 1]),
    "list of both": ("tau", [1, 2.5, 3], [1, 2.5, 3]),
    "list of arrays": ("tau", [jnp.asarray(1.0), 2.0, np.float64(3)], [1, 2, 3]),
    "tuple": ("tau", (4.0, 5.0, 6.0), [4, 5, 6]),
    "entry": ("tau[1]", 9.0, 9),
    "slice": ("tau[::-1]", [7.0, 8.0, 9.0], [7, 8, 9]),
    "row": ("f[1]", [7.0, 8.0, 9.0], [7, 8, 9]),
    "column": ("f[:,1]", [7.0, 8.0], [7, 8]),
    "namespace": ("tank.k", 0.4, 0.4),
    "Initial": (mtk.Initial("tank.h[1]"), 0.4, 0.4),
    "integer": ("order", 5, 5),
    "truth value": ("on", False, False),
    "discrete": ("switch", np.bool_(False), False),
    "complex": ("z", 2.0, 2 + 0j),
    "array in a Module": ("spring.stiffness[0]", 5.0, 5),
    "integer in a Module": ("spring.coils", 5, 5),
    "array in a dictionary": ("pair['w']", [5.0, 6.0], [5, 6]),
    "empty slice": ("tau[1:1]", np.zeros(0), []),
}


@pytest.mark.parametrize(("name", "value", "found"), SET.values(), ids=SET)
def test_set_and_read(p, name, value, found):
    new = p.set({name: value})
    np.testing.assert_array_equal(new[name], found)
    assert new[name].dtype == p[name].dtype
    assert new.index is p.index
    traced = jax.jit(lambda p: p.set({name: value}))(p)
    assert traced == new
    assert p == mtk.parameters(everything())


def test_several_names_at_once(p):
    new = p.set({"alpha": 1.0, "tau[2]": 5.0, "order": 9, "label": "x", mtk.Initial("x"): 0.0})
    assert new[["alpha", "gain", "tau[2]", "order", "label", "Initial(x)"]] == [1, 2, 5, 9, "x", 0]
    assert equal(new["f"], p["f"])


def test_text_functions_and_settings(p):
    new = p.set({"label": "run 8", "curve": jnp.cos, "spring": spring([3.0, 4.0], law=jnp.cos)})
    assert new["label"] == "run 8"
    assert new["curve"] is jnp.cos
    assert new["spring"].law is jnp.cos
    assert new["spring.stiffness[1]"] == 4
    assert new.index is not p.index
    assert new.set({"label": "run 7", "curve": jnp.sin, "spring": spring()}).index is p.index
    softer = eqx.tree_at(lambda s: s.damping, spring(), 1)
    assert p.set({"spring": softer})["spring"].damping == 1


class Color(enum.Enum):
    RED = 1
    BLUE = 2


STATIC: dict[str, tuple[Any, Any, list[Any]]] = {
    "enumeration": (Color.RED, Color.BLUE, [2, "RED", None]),
    "bytes": (b"x", b"y", ["y", 3]),
    "function": (jnp.sin, len, ["sin", 3]),
    "text": ("x", "y", [3, None, b"y", ["y"]]),
    "text in a dictionary": ({"t": "x"}, {"t": "y"}, [{"t": 3}, {"u": "y"}, "y"]),
    "array of text": (np.array(["a"]), np.array(["b", "c"]), ["b", 3]),
    "truth value of a Module": (eqx.nn.Dropout(0.5), eqx.nn.Dropout(0.1), [eqx.nn.Identity(), 0.1]),
}


@pytest.mark.parametrize(("value", "other", "wrong"), STATIC.values(), ids=STATIC)
def test_static_values_keep_their_kind(value, other, wrong):
    """What is no number must be an instance of what was declared."""
    p = mtk.parameters({"k": value, "a": 1.0})
    new = p.set({"k": other})
    assert equal(new["k"], other)
    for one in wrong:
        with pytest.raises(mtk.errors.KindError, match="'k'"):
            p.set({"k": one})


def test_random_keys():
    keys = jax.random.split(jax.random.key(0), 3)
    p = mtk.parameters({"one": keys[0], "all": keys, "a": 1.0})
    new = p.set({"one": keys[2], "all[0:2]": keys[1:], "a": 2.0})
    assert new["one"] == keys[2]
    assert (new["all"] == keys[jnp.asarray([1, 2, 2])]).all()
    batch = jax.vmap(lambda key: p.set({"one": key}))(keys)
    assert (batch["one"] == keys).all()


def test_many_names_at_once():
    """More values than are joined one by one on the device."""
    names = [f"k{i}" for i in range(40)]
    p = mtk.parameters(dict.fromkeys(names, 1.0))
    values = dict(zip(names, range(40), strict=True))
    np.testing.assert_array_equal(p.set(values).tunable, np.arange(40))
    f = jax.jit(lambda x: p.set({name: x * i for name, i in values.items()}).tunable)
    np.testing.assert_array_equal(f(2.0), 2 * np.arange(40))
    some_traced = lambda x: p.set({**values, "k3": x})["k3"] ** 2
    assert jax.grad(some_traced)(3.0) == 6
    batch = jax.vmap(lambda x: p.set({**values, "k3": x}))(jnp.arange(2.0))
    np.testing.assert_array_equal(batch["k3"], [0, 1])
    np.testing.assert_array_equal(batch["k39"], [39, 39])


NARROW: dict[str, tuple[Any, Any]] = {
    "int8": (mtk.Parameter(3, dtype="int8"), 300),
    "int8 from below": (mtk.Parameter([3], dtype="int8"), [-129]),
    "uint8": (mtk.Parameter(3, dtype="uint8"), -1),
    "uint64": (mtk.Parameter(3, dtype="uint64"), -1),
    "int32": (mtk.Parameter(3, dtype="int32"), 2**31),
}


@pytest.mark.parametrize(("declared", "value"), NARROW.values(), ids=NARROW)
def test_integers_never_wrap_around(declared, value):
    p = mtk.parameters({"n": declared})
    for attempt in (
        lambda: p.set({"n": value}),
        lambda: p.set({"n": np.asarray(value)}, cast=True),
    ):
        with pytest.raises(mtk.errors.KindError, match="'n' is .*too narrow"):
            attempt()


def test_cast_keeps_the_dtype():
    p = mtk.parameters({"a": np.float32(1), "n": 3, "on": True})
    wide = p.set({"a": np.float64(2), "n": 2.0})
    assert (wide["a"].dtype, wide["n"].dtype) == ("float64", "float64")
    kept = p.set({"a": np.float64(2), "n": 2.0, "on": 1}, cast=True)
    assert kept == p.set({"a": 2.0, "n": 2})
    with pytest.raises(mtk.errors.KindError, match="'on' is True or False"):
        p.set({"on": 2}, cast=True)


def test_upstream_updates_keep_or_change_the_kind():
    """SymbolicIndexingInterface's remake_buffer; what is no number must be an instance of what was declared."""
    p = mtk.parameters({"x": 1, "y": 2, "z": 3})
    whole = p.set({"x": 2})
    assert (whole[["x", "y", "z"]], whole["x"].dtype) == ([2, 2, 3], int)
    floats = p.set({"x": 2.0})
    assert (floats[["x", "y", "z"]], floats["x"].dtype) == ([2, 2, 3], float)


def test_upstream_array_parameters():
    """Arrays, and their entries one by one."""
    p = mtk.parameters({"k": [1.0, 2.0, 3.0, 4.0], "m": np.ones((2, 2)), "q": np.ones(2)})
    assert p.set({"k": [2, 3, 4, 5]})["k"].tolist() == [2, 3, 4, 5]
    assert p.set({f"k[{i}]": i + 2.0 for i in range(4)})["k"].tolist() == [2, 3, 4, 5]
    assert p[lambda v: v.m @ v.q].tolist() == [2, 2]
    new = p.set({"m": np.full((2, 2), 2.0), "q": [3.0, 3.0]})
    assert new[lambda v: v.m @ v.q].tolist() == [12, 12]
