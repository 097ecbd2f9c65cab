"""Incidence of linear solves: never less than the dense Jacobian at random points, and not all of it.

Where it is cut short, blocks are cut wrongly. Solves mix their right sides as their matrix does: columns
of a right side stay apart, and a triangular one reads the rows before it alone.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mtkparams._blocks import incidence

N = 6
RNG = np.random.default_rng(5)
LOWER = np.tril(RNG.uniform(0.5, 1.5, (3, 3))) + 2 * np.eye(3)
# Two pairs that do not read each other, and two alone.
PAIRS = np.eye(N) * 3.0
PAIRS[0, 1] = PAIRS[1, 0] = PAIRS[2, 4] = PAIRS[4, 2] = 0.7
BEFORE = np.tril(np.ones((3, 3), bool))


def triangular(u, **how):
    return lax.linalg.triangular_solve(jnp.asarray(LOWER), u, lower=True, **how)


def by_columns(u):
    return triangular(u.reshape(3, 2), left_side=True).ravel()


def by_columns_transposed(u):
    return triangular(u.reshape(3, 2), left_side=True, transpose_a=True).ravel()


def from_the_right(u):
    return triangular(u.reshape(2, 3), left_side=False).ravel()


def batches(u):
    many = jnp.stack([jnp.asarray(LOWER), 2 * jnp.asarray(LOWER)])
    return lax.linalg.triangular_solve(many, u.reshape(2, 3, 1), left_side=True, lower=True).ravel()


def of_a_function(u):
    pairs = jnp.asarray(PAIRS)
    return lax.custom_linear_solve(
        lambda x: pairs @ x, u, lambda matvec, b: jnp.linalg.solve(pairs, b), symmetric=True
    )


def of_several_columns(u):
    pairs = jnp.asarray(PAIRS[:3, :3] + PAIRS[:3, :3].T)
    return lax.custom_linear_solve(
        lambda x: pairs @ x,
        u.reshape(3, 2),
        lambda matvec, b: jnp.linalg.solve(pairs, b),
        symmetric=True,
    ).ravel()


def matrix_of_unknowns(u):
    matrix = jnp.eye(2) * 3 + jnp.outer(u[:2], u[2:4])
    return jnp.concatenate([jnp.linalg.solve(matrix, u[4:]), u[:4]])


COLUMNS = np.kron(BEFORE, np.eye(2, dtype=bool))
FUNCTIONS = {
    "columns": (by_columns, COLUMNS),
    "columns, transposed": (by_columns_transposed, COLUMNS.T),
    "from the right": (from_the_right, np.kron(np.eye(2, dtype=bool), BEFORE.T)),
    "batches": (batches, np.kron(np.eye(2, dtype=bool), BEFORE)),
    "of a function": (of_a_function, None),
    "of several columns": (of_several_columns, None),
    "a matrix of unknowns": (matrix_of_unknowns, None),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_jacobian_lies_in_the_pattern(name):
    f, exact = FUNCTIONS[name]
    pattern = incidence(lambda u, args: f(u), jnp.zeros(N), None).toarray()
    at = jnp.asarray(RNG.uniform(0.2, 1.0, (3, N)))
    slopes = np.asarray(jax.jit(jax.vmap(jax.jacfwd(f)))(at))
    reached = (slopes != 0).any(0)
    assert pattern[reached].all()
    if exact is not None:
        # Nothing that it reads is missing in this list either.
        np.testing.assert_array_equal(reached, exact)
