"""What holds for every structure of names: read what was written, and nothing else was changed."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import getp, getsym, setp, setsym

NAMES = {"a": (), "b": (), "tau": (3,), "c": (), "x": (), "y": (2,)}


def leaves(names):
    return st.permutations(list(names)).flatmap(
        lambda order: st.integers(1, len(order)).map(lambda n: list(order[:n]))
    )


def nested(names: list[str], shape: int):
    """The names in one of several structures."""
    first, *rest = names
    return [names, tuple(names), {"head": first, "rest": [rest]}, [(first,), {"k": tuple(rest)}]][
        shape
    ]


def values_of(spec, seed):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda name: jnp.asarray(rng.uniform(1, 9, NAMES[name])), spec)


@pytest.mark.slow
@hypothesis.given(leaves(NAMES), st.integers(0, 3), st.integers(0, 99))
def test_read_what_was_written(problem, names, shape, seed):
    spec = nested(names, shape)
    values = values_of(spec, seed)
    new = setsym(problem, spec)(problem, values)
    found = getsym(problem, spec)(new)
    assert jax.tree.structure(found) == jax.tree.structure(values)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(values), strict=True):
        np.testing.assert_array_equal(one, other)
    # All else is as it was, and setting twice is setting once.
    others = [name for name in NAMES if name not in names]
    for one, other in zip(new[others], problem[others], strict=True):
        np.testing.assert_array_equal(one, other)
    assert setsym(problem, spec)(new, values).p == new.p
    assert setsym(problem, spec)(new, getsym(problem, spec)(problem)).p == problem.p


@hypothesis.given(
    leaves([n for n in NAMES if n not in "xy"]), st.integers(0, 3), st.integers(0, 99)
)
def test_parameters_alone(problem, names, shape, seed):
    spec = nested(names, shape)
    values = values_of(spec, seed)
    put, get = setp(problem, spec), getp(problem, spec)
    assert put(problem, values).p == put(problem.p, values)
    for one, other in zip(
        jax.tree.leaves(get(put(problem.p, values))), jax.tree.leaves(values), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_precision(system, dtype):
    """In either precision: under strict promotion nothing is promoted on the way."""
    problem = mtk.ODEProblem(system)
    cast = lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x
    problem = jax.tree.map(cast, problem)
    spec = ["x", "xy", "more", "D(x)", "D(y)[1]", "D(more)", "twice", "t"]
    found = getsym(system, spec)(setsym(system, ["x", "a"])(problem, [2.0, 3.0]))
    assert {value.dtype for value in found} == {jnp.dtype(dtype)}
    assert [float(value) for value in found] == [2.0, 18.0, 18.0, -6.0, -10.0, -89.0, 6.0, 0.0]
    assert mtk.pack(problem, ["x", "a"]).dtype == dtype


def test_in_a_scan(system, problem):
    put, get = setsym(system, ["x", "a"]), getsym(system, ["xy", "twice"])

    def step(problem, _):
        xy, twice = get(problem)
        return put(problem, [xy / 10, twice]), xy

    last, series = jax.lax.scan(step, problem, None, length=3)
    np.testing.assert_allclose(series, [9.0, 8.1, 7.29])
    assert last["a"] == 8.0
