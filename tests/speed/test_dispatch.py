"""Calling compiled functions of `p`: few leaves, no comparisons, no second trace for equal copies."""

from __future__ import annotations

import copy
import pickle

import cloudpickle
import equinox as eqx
import jax
import pytest
from helpers import everything
from speed.counts import comparisons

import mtkparams as mtk
from mtkparams._parameters.names.fingerprint import Same
from mtkparams._parameters.names.index import Entry, Hole, Index, Leaf, Metadata, Place

STATIC = (Index, Entry, Leaf, Place, Metadata, Hole, Same)


def double(p):
    return 2 * p.x0


def declared(n=10):
    """Names in each portion, and a dependent one."""
    kinds = (
        lambda i: (f"x{i}", mtk.Parameter(0.5, bounds=(0.0, None), unit="1/s")),
        lambda i: (mtk.Initial(f"x{i}"), 0.5),
        lambda i: (f"x{i}", mtk.Parameter(1.0, discrete=True)),
        lambda i: (f"x{i}", i),
        lambda i: (f"x{i}", mtk.Parameter(1.0, tunable=False)),
    )
    return dict(kinds[i % 5](i) for i in range(n)) | {"gain": mtk.Parameter(bind=double)}


def declared_with_lambda():
    return declared() | {"more": mtk.Parameter(bind=lambda p: p.gain + p.x0)}


def test_the_comparisons_that_are_counted(monkeypatch):
    one, other = Leaf("", None), Leaf("", None)
    with comparisons(monkeypatch, *STATIC) as found:
        assert one == other
        assert (Hole(),) == (Hole(),)
    assert found == [Leaf, Hole]


@pytest.mark.parametrize("n", [10, 100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_leaves_do_not_grow_with_names(n):
    of_one_portion = mtk.parameters({f"x{i}": 0.5 for i in range(n)})
    assert len(jax.tree.leaves(of_one_portion)) == 2
    assert len(jax.tree.leaves(mtk.parameters(declared(n)))) == 5


def loaded(p, path):
    mtk.io.save(path, p)
    return mtk.io.load(path, p)


COPIES = {
    "unpickled": lambda p, path: pickle.loads(pickle.dumps(p)),
    "unpickled by cloudpickle": lambda p, path: cloudpickle.loads(cloudpickle.dumps(p)),
    "loaded from a file": loaded,
    "copied": lambda p, path: copy.copy(p),
    "deeply copied": lambda p, path: copy.deepcopy(p),
    "declared again": lambda p, path: mtk.parameters(declared()),
    "flattened and back": lambda p, path: jax.tree.map(lambda x: x, p),
    "with other values": lambda p, path: p.set({"x0": 0.7}),
    "repacked": lambda p, path: mtk.replace(mtk.Tunable, p, 2 * p.tunable),
    "partitioned and combined": lambda p, path: mtk.combine(*mtk.partition(p, "x0")),
    "through jit": lambda p, path: jax.jit(lambda p: p)(p),
}


@pytest.mark.parametrize("jit", [jax.jit, eqx.filter_jit], ids=["jit", "filter_jit"])
@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_an_equal_copy_is_neither_traced_again_nor_compared(jit, make, monkeypatch, tmp_path):
    traces = []

    def f(p):
        traces.append(p)
        return p["x0"] + p["gain"]

    p = mtk.parameters(declared())
    equal = make(p, tmp_path / "p.mtk")
    f = jit(f)
    f(p)
    f(equal)  # the first call with other arrays may look further than later ones
    with comparisons(monkeypatch, *STATIC) as found:
        f(p)
        f(equal)
    assert (len(traces), found) == (1, [])


def test_bindings_written_in_place(monkeypatch):
    """The same lambda, run twice: Python calls the two functions unequal."""
    traces = []

    @jax.jit
    def f(p):
        traces.append(p)
        return p["more"]

    p, again = mtk.parameters(declared_with_lambda()), mtk.parameters(declared_with_lambda())
    f(p), f(again)
    with comparisons(monkeypatch, *STATIC) as found:
        f(p), f(again)
    assert (len(traces), found) == (1, [])


def test_every_kind_of_value(monkeypatch):
    """Modules, functions, text, a random key: all static parts come from the one index."""
    traces = []

    @jax.jit
    def f(p):
        traces.append(p)
        return p["alpha"]

    p, again = mtk.parameters(everything()), mtk.parameters(everything())
    f(p), f(again)
    with comparisons(monkeypatch, *STATIC) as found:
        f(p), f(again)
    assert (len(traces), found) == (1, [])


def test_jit_passes_all_leaves_through_its_fast_path():
    """Arrays only: nothing that `eqx.filter_jit` would have to sort out."""
    leaves = jax.tree.leaves(mtk.parameters(everything()))
    assert all(isinstance(x, jax.Array) for x in leaves)
