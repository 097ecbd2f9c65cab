"""Values alone."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_own_buffers

import mtkparams as mtk
from mtkparams import errors, remake_buffer


def test_of_a_parameter_object(problem):
    new = remake_buffer(problem.p, {"a": 5.0, "tau[1]": 6.0})
    assert new[["a", "twice"]] == [5.0, 10.0]
    assert_own_buffers(new, problem.p)
    with pytest.raises(errors.BoundParameterError, match="'twice'"):
        remake_buffer(problem.p, {"twice": 1.0})
    narrow = remake_buffer(problem.p, {"a": np.float32(5.0)})
    assert narrow.tunable.dtype == jnp.float64
    p = mtk.parameters({"n": 3})
    assert remake_buffer(p, {"n": np.float32(2.5)})["n"].dtype == jnp.float32  # as JAX promotes


def test_of_an_array():
    old = jnp.array([1, 2, 3])
    assert remake_buffer(old, {1: 2.5}).tolist() == [1.0, 2.5, 3.0]
    assert remake_buffer(old, {-1: 7}).dtype == old.dtype
    assert_own_buffers(remake_buffer(old, {}), old)
    assert remake_buffer(jnp.ones(2, jnp.float32), {0: 2.5}).dtype == jnp.float32
    assert remake_buffer(jnp.ones(2, jnp.float32), {0: np.float64(2.5)}).dtype == jnp.float64
    assert remake_buffer(jnp.ones(2), {0: np.float32(2.5)}, cast=True).dtype == jnp.float64
    matrix = remake_buffer(np.eye(2), {(0, 1): 3.0, 1: [5.0, 6.0]})
    assert matrix.tolist() == [[1.0, 3.0], [5.0, 6.0]]
    assert jax.grad(lambda x: remake_buffer(jnp.ones(3), {1: x}).sum())(2.0) == 1.0


class Two(NamedTuple):
    a: float
    b: object


def test_of_the_rest():
    assert remake_buffer(None, {"a": 1.0}) is None
    new = remake_buffer({"a": 1.0, "b": jnp.ones(2)}, {"b": np.zeros(2, np.float32)})
    assert new["a"] == 1.0
    assert new["b"].dtype == jnp.float64
    assert new["b"].tolist() == [0.0, 0.0]
    assert remake_buffer([1.0, 2], {1: 3}) == [1.0, 3]
    assert remake_buffer((1.0, 2), {0: 3}) == (3, 2)
    assert remake_buffer((1.0, 2), {0: 3}, cast=True) == (3.0, 2)
    two = remake_buffer(Two(1.0, jnp.ones(2)), {0: 4.0})
    assert isinstance(two, Two)
    assert two.a == 4.0


WRONG = {
    "name": ({"alpha": 1.0}, {"alpa": 1.0}, errors.UnknownNameError, "Did you mean 'alpha'"),
    "shape": ({"a": 1.0}, {"a": np.ones(2)}, errors.ShapeError, "'a' has shape"),
    "text": ({"a": 1.0}, {"a": "fast"}, errors.KindError, "'a' is a number or an array, got str"),
    "place": ([1.0], {1: 2.0}, errors.UnknownNameError, "No entry 1 in a buffer of 1"),
    "name of a place": ([1.0], {"a": 2.0}, errors.KindError, "have integers for names, got 'a'"),
    "place in an array": (np.ones(2), {2: 1.0}, errors.UnknownNameError, "No entry 2"),
    "axis": (np.ones(2), {(0, 0): 1.0}, errors.UnknownNameError, r"No entry \(0, 0\)"),
    "shape of a row": (np.eye(2), {0: 1.0}, errors.ShapeError, r"Entry 0 has shape \(2,\), got"),
    "text in an array": (
        np.ones(2),
        {0: "a"},
        errors.KindError,
        "'0' is a number or an array, got str",
    ),
    "list": ([1.0], [2.0], errors.KindError, "The new values are a dictionary, got list"),
    "system": (3.0, {}, errors.KindError, "got float. For a problem use mtk.remake"),
}


@pytest.mark.parametrize(("buffer", "values", "kind", "text"), WRONG.values(), ids=WRONG)
def test_refused(buffer, values, kind, text):
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(kind, match=text):
            remake_buffer(buffer, values)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_a_cast_that_loses():
    with pytest.raises(errors.KindError, match="holds int64, got float64"):
        remake_buffer(jnp.array([1, 2]), {0: 2.5}, cast=True)
