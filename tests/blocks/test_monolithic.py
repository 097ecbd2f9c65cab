"""Solves of all equations at once, square or not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize


def too_many(u, p):
    return jnp.stack([u[0] + u[1] - p[0], u[0] - u[1] - p[1], u[0] * u[1] - p[2]])


def curve(u, p):
    """Fewer equations than unknowns: an ellipse through space."""
    return jnp.stack([u[0] ** 2 + 2 * u[1] ** 2 - p[0], u[2] - jnp.sin(u[0]) - p[1]])


@pytest.fixture(scope="module")
def over():
    from mtkparams._blocks import least_squares

    found = lambda p: least_squares(too_many, jnp.ones(2), p)
    u = lambda p: found(p).u
    return jax.jit(
        lambda p: (
            found(p),
            jax.jacfwd(u)(p),
            jax.jacrev(u)(p),
            jax.hessian(lambda p: u(p).sum())(p),
        )
    )


@pytest.mark.slow
def test_more_equations_than_unknowns(over):
    p = jnp.array([3.0, 1.0, 2.0])
    found, forward, backward, hessian = over(p)
    assert found.status.tolist() == [0]
    np.testing.assert_allclose(found.u, [2, 1], rtol=1e-14)

    # Where all equations hold, the derivative is the pseudoinverse of the Jacobian.
    want = np.linalg.pinv(np.array([[1.0, 1], [1, -1], [1, 2]]))
    np.testing.assert_allclose(forward, want, atol=1e-14)
    np.testing.assert_allclose(backward, want, atol=1e-14)

    # The second derivative looks at systems that do not hold: scipy minimizes those. Differences
    # of its minima with h = 1e-2 have a truncation of about 1e-5.
    def minimum(q):
        residual = lambda u: np.asarray(too_many(u, q))
        options = dict.fromkeys(("xtol", "ftol", "gtol"), 1e-15)
        return scipy.optimize.least_squares(residual, [2.0, 1.0], method="lm", **options).x.sum()

    h = 1e-2 * np.eye(3)
    difference = [
        [
            (minimum(p + a + b) - minimum(p + a - b) - minimum(p - a + b) + minimum(p - a - b))
            / 4e-4
            for b in h
        ]
        for a in h
    ]
    np.testing.assert_allclose(hessian, difference, atol=1e-4)


@pytest.mark.slow
def test_equations_that_contradict_each_other_have_no_solution(over):
    found, forward, backward, _ = over(jnp.array([3.0, 1.0, 2.5]))
    assert found.status.tolist() == [1]
    assert found.residual[0] > 0.1
    for value in (found.u, forward, backward):
        assert np.isnan(value).all()


@pytest.mark.slow
def test_fewer_equations_than_unknowns_give_the_nearest_solution():
    from mtkparams._blocks import least_squares

    guess, p = jnp.array([1.0, 1.5, 0.2]), jnp.array([1.0, 0.3])
    u = lambda guess, p: least_squares(curve, guess, p).u
    found, forward, backward = jax.jit(
        lambda guess, p: (
            least_squares(curve, guess, p),
            jax.jacfwd(u, (0, 1))(guess, p),
            jax.jacrev(u, (0, 1))(guess, p),
        )
    )(guess, p)
    assert found.status.tolist() == [0]

    def nearest(guess, p):
        a, b = (float(x) for x in p)

        def distance(angle):
            x, y = np.sqrt(a) * np.cos(angle), np.sqrt(a / 2) * np.sin(angle)
            return np.sum((np.array([x, y, np.sin(x) + b]) - guess) ** 2)

        angle = scipy.optimize.minimize_scalar(distance, (0.5, 1.0), tol=1e-15).x
        x, y = np.sqrt(a) * np.cos(angle), np.sqrt(a / 2) * np.sin(angle)
        return np.array([x, y, np.sin(x) + b])

    # A minimum is found to half the digits, and differences with h = 1e-3 lose three more.
    np.testing.assert_allclose(found.u, nearest(guess, p), atol=3e-8)
    h = 1e-2
    for argument, count in ((0, 3), (1, 2)):
        columns = []
        for i in range(count):
            ends = []
            for sign in (1, -1):
                inputs = [np.array(guess), np.array(p)]
                inputs[argument][i] += sign * h
                ends.append(nearest(*inputs))
            columns.append((ends[0] - ends[1]) / (2 * h))
        want = np.stack(columns, 1)
        np.testing.assert_allclose(forward[argument], want, atol=2e-4)
        np.testing.assert_allclose(backward[argument], forward[argument], atol=1e-13)


def test_all_at_once_is_as_honest_as_block_by_block():
    from mtkparams._blocks import solve_whole

    # A double root, no root, and one that Newton alone does not find.
    fn = lambda u, p: jnp.stack([u[0] ** 2 - p[0], jnp.arctan(u[1]) - p[1]])
    found = lambda p: solve_whole(fn, jnp.array([1.0, 20.0]), p)
    both = jax.jit(jax.vmap(lambda p: (found(p), jax.jacrev(lambda p: found(p).u)(p))))
    got, slope = both(jnp.array([[4.0, 0.5], [-1.0, 0.5], [0.0, 0.5]]))
    assert got.status[:, 0].tolist()[:2] == [0, 1]
    assert got.status[2, 0] in (1, 3)
    np.testing.assert_allclose(got.u[0], [2, np.tan(0.5)], rtol=1e-12)
    np.testing.assert_allclose(slope[0], np.diag([1 / 4, 1 / np.cos(0.5) ** 2]), rtol=1e-12)
    assert np.isnan(slope[1:]).all()
