"""What `remake_buffer` returns has buffers of its own, for every kind of input it takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk


def pointers(tree):
    return {x.unsafe_buffer_pointer() for x in jax.tree.leaves(tree)}


def donated(tree):
    """What shares a buffer with the argument is deleted with it."""
    jax.block_until_ready(
        jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)(tree)
    )


KINDS = {
    "dictionary": (lambda a, b: {"a": a, "b": b}, "b"),
    "list": (lambda a, b: [a, b], 1),
    "tuple": (lambda a, b: (a, b), 1),
    "parameters": (lambda a, b: mtk.parameters({"a": a, "b": b}), "b"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_and_what_is_written(kind):
    make, second = KINDS[kind]
    old = make(jnp.asarray([1.0, 2.0]), jnp.asarray([3.0, 4.0]))
    values = {second: jnp.asarray([30.0, 40.0])}
    new = mtk.remake_buffer(old, values)
    assert not pointers(new) & (pointers(old) | pointers(values))
    donated((old, values))
    first = "a" if isinstance(second, str) else 0
    np.testing.assert_array_equal(new[first], [1.0, 2.0])
    np.testing.assert_array_equal(new[second], [30.0, 40.0])


def test_an_array_of_numpy_is_copied():
    old, value = np.asarray([1.0, 2.0, 3.0]), np.asarray([3.0, 4.0])
    new = mtk.remake_buffer(old, {1: 20.0})
    also = mtk.remake_buffer({"a": old, "b": value}, {"b": value})
    old[:], value[:] = 0.0, 0.0
    np.testing.assert_array_equal(new, [1.0, 20.0, 3.0])
    np.testing.assert_array_equal(also["a"], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(also["b"], [3.0, 4.0])


def test_nothing_changed_is_a_copy_too():
    old = {"a": jnp.asarray([1.0, 2.0])}
    new = mtk.remake_buffer(old, {})
    assert not pointers(new) & pointers(old)
