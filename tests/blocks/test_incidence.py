"""Which entry depends on which: exact where exactness is claimed, never too little anywhere."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from blocks import functions
from blocks.evaluation import evaluate
from hypothesis import given, settings
from hypothesis import strategies as st

POINT = np.random.default_rng(0).uniform(0.2, 1.0, functions.N)

# JAX has only a backward rule, or no derivative (of repeated indices; of mutable arrays under vmap).
BACKWARDS = {"a backward rule of its own"}
NO_DERIVATIVE = {
    "scatter product",
    "scatter of a function",
    "mutable array",
    "mutable array in a loop",
}


def found(f):
    from mtkparams._blocks import incidence

    return incidence(lambda u, args: f(u), jnp.zeros(functions.N), None).toarray()


@pytest.mark.parametrize("name", functions.EXACT)
def test_pattern(name):
    f, pattern = functions.EXACT[name]
    np.testing.assert_array_equal(found(f), pattern)


@pytest.mark.parametrize("name", sorted(functions.EXACT.keys() - NO_DERIVATIVE))
def test_the_jacobian_lies_in_the_pattern(name):
    f, pattern = functions.EXACT[name]
    slopes = jax.jacrev if name in BACKWARDS else jax.jacfwd
    assert not (np.asarray(jax.jit(slopes(f))(POINT)) != 0)[~pattern].any()


@pytest.mark.parametrize("name", functions.EXACT)
def test_operations_compute_what_the_function_does(name):
    from mtkparams._blocks.trace.graph import element_graph

    f, _ = functions.EXACT[name]
    graph = element_graph(lambda u, args: f(u), POINT, None)
    values = evaluate(graph, POINT, None)
    found = np.array([values[i] for i in graph.residual.tolist()])
    np.testing.assert_allclose(found, f(jnp.asarray(POINT)), rtol=1e-13, atol=1e-13)


@pytest.mark.slow
@given(
    st.lists(st.sampled_from(sorted(functions.PIECES)), min_size=1, max_size=5),
    st.integers(0, 99),
)
@settings(max_examples=15)
def test_jacobian_of_any_composition_lies_in_the_pattern(names, seed):
    rng = np.random.default_rng(seed)
    constants = jnp.asarray(rng.normal(size=functions.N))

    def f(u):
        for name in names:
            u = functions.PIECES[name](u, constants)
        return u

    pattern = found(f)
    at = jnp.asarray(rng.normal(size=(3, functions.N)))
    slopes = np.asarray(jax.jit(jax.vmap(jax.jacfwd(f)))(at))
    assert pattern[(slopes != 0).any(0)].all()


def test_parameters_are_traced():
    from mtkparams._blocks import incidence

    # A parameter that is zero now may be another one tomorrow; a constant stays what it is.
    residual = lambda u, p: p * u[::-1] + 0.0 * u
    assert (
        incidence(residual, jnp.ones(3), jnp.zeros(())).toarray().tolist()
        == np.eye(3)[::-1].tolist()
    )


def test_mutable_arrays_of_the_residual_itself():
    from mtkparams._blocks import analyze

    def residual(u, p):
        ref = jax.new_ref(jnp.zeros(2))
        ref[...] = u * p
        return ref[...]

    structure = analyze(residual, jnp.ones(2), jnp.ones(()))
    assert structure.incidence.toarray().all()
    assert not structure.blocks[0].affine


def test_python_numbers_are_weak_as_in_a_call():
    from mtkparams._blocks import incidence

    u = jnp.ones(2, jnp.float32)
    assert incidence(lambda u, p: u * p, u, 2.0).nnz == 2


def test_inside_of_jit():
    from mtkparams._blocks import incidence

    seen = []

    @jax.jit
    def run(u, p, k):
        seen.append(incidence(lambda u, p: u[1:] * p - k * u[:-1], u, p).toarray())
        return u

    run(jnp.ones(3), jnp.ones(()), jnp.ones(()))
    assert seen[0].tolist() == [[True, True, False], [False, True, True]]


def test_unknown_primitive_is_dense_and_named():
    from jax.extend.core import Primitive

    from mtkparams._blocks import analyze, incidence
    from mtkparams.errors import StructureWarning

    odd = Primitive("odd_one")
    odd.def_abstract_eval(lambda x: x)
    residual = lambda u, p: jnp.concatenate([odd.bind(u[:2]), u[2:]])
    with pytest.warns(StructureWarning, match="No rule for the primitive `odd_one`") as record:
        pattern = incidence(residual, jnp.ones(3), None).toarray()
    assert len(record) == 1
    assert pattern.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    with pytest.warns(StructureWarning):
        assert analyze(residual, jnp.ones(3), None).opaque == ("odd_one",)


def test_callback_is_dense_without_a_warning():
    from mtkparams._blocks import analyze

    def residual(u, p):
        like = jax.ShapeDtypeStruct((2,), u.dtype)
        return jnp.concatenate([jax.pure_callback(np.sin, like, u[:2]), u[2:]])

    structure = analyze(residual, jnp.ones(3), None)
    assert structure.opaque == ("pure_callback",)
    assert structure.incidence.toarray().tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("residual", "u", "error", "text"),
    [
        (
            lambda u, p: u,
            jnp.ones((2, 2)),
            "ShapeError",
            "must be a vector; these have the shape (2, 2)",
        ),
        (
            lambda u, p: u[0],
            jnp.ones(2),
            "ShapeError",
            "must be a vector; this one has the shape ()",
        ),
        (lambda u, p: (u, u), jnp.ones(2), "KindError", "must be one array"),
    ],
)
def test_what_is_no_vector(residual, u, error, text):
    from mtkparams import errors
    from mtkparams._blocks import analyze

    with pytest.raises(getattr(errors, error)) as caught:
        analyze(residual, u, None)
    assert text in str(caught.value)


def test_sizes_of_zero():
    from mtkparams._blocks import analyze

    structure = analyze(lambda u, p: u * p, jnp.ones(0), jnp.ones(()))
    assert structure.incidence.shape == (0, 0)
    assert structure.blocks == ()
    assert structure.parts.is_square


def test_float32_and_other_leaves():
    from mtkparams._blocks import incidence

    def residual(u, args):
        k, which, key = args
        return u * k + jnp.where(which > 1, u[::-1], 0.0) + jax.random.normal(key, (4,), u.dtype)

    args = (jnp.ones((), jnp.float32), jnp.zeros((), jnp.int32), jax.random.key(0))
    pattern = incidence(residual, jnp.ones(4, jnp.float32), args).toarray()
    np.testing.assert_array_equal(pattern, np.eye(4) + np.eye(4)[::-1] > 0)
