"""Tables of names as vectors, and back: of parameter objects and of problems."""

from __future__ import annotations

import equinox as eqx
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_own_buffers

import mtkparams as mtk
from mtkparams import Initial, errors, pack, unpack

NAMES = ["b", "y[1]", "x", "tau[0:2]"]


def test_a_problem_by_its_names(problem):
    v = pack(problem, NAMES)
    assert v.tolist() == [2.0, 5.0, 1.0, 1.0, 2.0]
    assert mtk.labels(problem, NAMES) == ("b", "Initial(y)[1]", "Initial(x)", "tau[0]", "tau[1]")
    lower, upper = mtk.bounds(problem, ["a", "x"])
    assert (lower.tolist(), upper.tolist()) == ([0.0, -1.0], [10.0, np.inf])
    table = unpack(problem, 2 * v, NAMES)
    assert list(table) == NAMES
    assert [table[n].tolist() for n in NAMES] == [4.0, 10.0, 2.0, [2.0, 4.0]]
    new = mtk.replace(NAMES, problem, 2 * v)
    assert isinstance(new, mtk.ODEProblem)
    assert new[["b", "x"]] == [4.0, 2.0]
    assert new["y"].tolist() == [4.0, 10.0]


def test_values_by_name(problem):
    values = {"x": 7.0, Initial("y[0]"): 8.0}
    assert pack(problem, ["a", "y", "x"], values).tolist() == [1.0, 8.0, 5.0, 7.0]
    assert pack(problem, {"x": 7.0, "a": 3.0}).tolist() == [7.0, 3.0]
    assert pack(problem.p, mtk.Tunable, {"tau[2]": 9.0}).tolist() == [1.0, 2.0, 1.0, 2.0, 9.0]
    assert pack(problem, values={"b": 9.0}).tolist() == [1.0, 9.0, 1.0, 2.0, 3.0]
    assert problem["x"] == 1.0


def test_portions(problem):
    assert mtk.labels(problem, mtk.Initials) == ("Initial(x)", "Initial(y)[0]", "Initial(y)[1]")
    table = unpack(problem, [1.0, 2.0, 3.0], mtk.Initials)
    assert list(table) == ["Initial(x)", "Initial(y)"]
    assert table["Initial(y)"].tolist() == [2.0, 3.0]
    both = [mtk.Tunable, "x"]
    assert list(unpack(problem, pack(problem, both), both)) == ["a", "b", "tau", "x"]
    assert mtk.hasportion(mtk.Constants, problem)
    assert not mtk.hasportion(mtk.Discrete, problem)


def test_free_coordinates_of_a_problem(problem):
    names = ["a", "x"]
    z = mtk.to_unconstrained(problem, what=names)
    np.testing.assert_allclose(z, [np.log(1 / 9), np.log(2.0)])
    np.testing.assert_allclose(mtk.from_unconstrained(problem, z, names), [1.0, 1.0])


def test_a_pytree_is_one_name():
    net = eqx.nn.Linear(2, 1, key=jax.random.key(0))
    p = mtk.parameters({"k": 1.0, "net": net})
    table = unpack(p, jnp.arange(4.0))
    assert table["net"].weight.tolist() == [[1.0, 2.0]]
    assert pack(p, {"net": table["net"], "k": 5.0}).tolist() == [1.0, 2.0, 3.0, 5.0]


@hypothesis.given(
    st.lists(st.sampled_from(["a", "b", "tau", "x", "y"]), min_size=1, unique=True),
    st.integers(0, 1000),
)
def test_laws(problem, names, seed):
    v = jnp.asarray(np.random.default_rng(seed).uniform(0.1, 9.0, pack(problem, names).size))
    new = mtk.replace(names, problem, v)
    np.testing.assert_array_equal(pack(new, names), v)
    np.testing.assert_array_equal(pack(problem, unpack(problem, v, names)), v)
    _, repack, _ = mtk.canonicalize(names, problem)
    assert repack(v).p == new.p
    assert len(mtk.labels(problem, names)) == v.size == mtk.bounds(problem, names)[0].size


def test_repack_of_a_problem_has_its_own_buffers(problem):
    whole = jax.tree.map(jnp.copy, problem)
    v, repack, aliases = mtk.canonicalize(["a", "x"], whole)
    assert not aliases
    assert_own_buffers(repack(v), whole)
    jax.tree.map(lambda x: x.delete(), whole)  # as donation does
    assert repack(v)["x"] == 1.0


def test_transformations(problem):
    def loss(v):
        new = mtk.replace(["a", "x"], problem, v)
        return new["xy"] * new["twice"]

    v = pack(problem, ["a", "x"])
    np.testing.assert_array_equal(jax.jit(jax.grad(loss))(v), [18.0, 18.0])
    assert jax.vmap(loss)(jnp.stack([v, v])).tolist() == [18.0, 18.0]
    rows = unpack(problem, jnp.ones((3, 2)), ["a", "x"])
    assert rows["x"].shape == (3,)


REFUSED = {
    "misspelt": (["aa"], None, errors.UnknownNameError, "Did you mean 'a'"),
    "observed": (["xy"], None, errors.UnknownNameError, "No 'xy'"),
    "bound": (["twice"], None, errors.BoundParameterError, "'twice' is a dependent"),
    "twice": (["x", Initial("x")], None, errors.OverlapError, "named twice"),
    "value outside": (["a"], {"b": 1.0}, errors.KindError, "'b' was given a value and is not in"),
    "entry outside": (["tau[0]"], {"tau": [1.0, 2.0, 3.0]}, errors.KindError, "'tau' was given"),
    "portion that is not there": (mtk.Discrete, None, errors.PortionError, "is absent"),
}


@pytest.mark.parametrize(("what", "values", "kind", "text"), REFUSED.values(), ids=REFUSED)
def test_refused(problem, what, values, kind, text):
    with pytest.raises(kind, match=text):
        pack(problem, what, values)


def test_who_holds_no_parameters(system):
    with pytest.raises(errors.KindError, match="a parameter object or a problem, got System"):
        pack(system, ["a"])
    with pytest.raises(errors.KindError, match="a parameter object or a problem, got dict"):
        mtk.bounds({})
