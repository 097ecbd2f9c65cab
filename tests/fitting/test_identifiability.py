"""Open directions in words: what is found is what was put in, for powers, sums and neither."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtkparams._fitting.answer.directions import directions
from mtkparams._fitting.answer.spread import from_jacobian

T = np.linspace(0.1, 2.0, 15)
K = np.array([2.0, 3.0, 0.7, 0.7, 1.3])
NAMES = ["a", "b", "c", "d", "tank.e"]

MODELS = {
    "a and b only as the product a*b": lambda k: k[0] * k[1] * jnp.exp(-k[2] * T) + k[3] * T + k[4],
    "a and b only as the ratio a/b": lambda k: k[0] / k[1] * jnp.exp(-k[2] * T) + k[3] * T + k[4],
    "c and d only as the sum c + d": lambda k: (k[2] + k[3]) * T**k[0] + k[1] * jnp.exp(-T) + k[4],
    "c and d only as the product c*d": lambda k: k[2] * k[3] * T**k[0] + k[1] * jnp.exp(-T) + k[4],
    "c and d only as the difference c - d": lambda k: (k[2] - k[3] + 1) * T**k[0] + k[1] * jnp.exp(-T) + k[4],
    "a and b only as a**2*b": lambda k: k[0] ** 2 * k[1] * jnp.exp(-k[2] * T) + k[3] * T + k[4],
    "a and b only as 2*a + 3*b": lambda k: (2 * k[0] + 3 * k[1]) * jnp.exp(-k[2] * T) + k[3] * T + k[4],
    "tank.e has no influence on the data": lambda k: k[0] * jnp.exp(-k[1] * T) + k[2] * T**k[3],
    "a, b and tank.e can change together by a common factor: only a*b and b*tank.e are determined": (
        lambda k: jnp.exp(-k[0] * k[1] * T) * k[2] + k[1] * k[4] * T**k[3]
    ),
    "a, b and c can change together by a common shift: only a - c and b - c are determined": (
        lambda k: (k[0] - k[2]) * T ** (k[1] - k[2]) + jnp.exp(-k[3] * T) * k[4]
    ),
}  # fmt: skip


def found(model, k=K, names=NAMES, tried=True):
    jacobian = np.asarray(jax.jacfwd(model)(k))
    spread = from_jacobian(jacobian, k, np.zeros(k.size, bool), 1.0, 1e-8)
    try_out = (lambda v: np.asarray(model(v))) if tried else None
    return directions(spread.null, k, names, spread.unit, try_out)


@pytest.mark.parametrize("text", MODELS)
def test_says_what_was_put_in(text):
    (one,) = found(MODELS[text])
    assert one.text == text
    # The direction is one that the model does not see.
    change = jax.jvp(MODELS[text], (K,), (one.vector,))[1]
    scale = jnp.abs(jax.jacfwd(MODELS[text])(K)) @ jnp.abs(one.vector)
    assert jnp.abs(change).max() <= 1e-7 * max(scale.max(), 1e-30)


def test_several_at_once_are_told_apart():
    # Two products, a sum and one without influence: four directions of eight values.
    model = lambda k: (
        k[0] * k[1] * jnp.exp(-k[2] * k[3] * T) + (k[4] + k[5]) * T**2 + 0 * k[6] + k[7]
    )
    k = np.array([2.0, 3.0, 0.7, 0.5, 0.5, 0.9, 1.0, 4.0])
    texts = {d.text for d in found(model, k, list("abcdefgh"))}
    assert texts == {
        "a and b only as the product a*b",
        "c and d only as the product c*d",
        "e and f only as the sum e + f",
        "g has no influence on the data",
    }


def test_a_direction_of_this_point_only_is_no_product():
    # At the fit the two slopes agree as for a product, and away from it they do not.
    k = np.array([1.0, 2.0])
    model = lambda k: T * (k[0] + k[1] / 2 + (k[0] - 1) ** 2)
    (one,) = found(model, k, ["a", "b"])
    assert one.kind == "trade-off"
    assert one.determined == ()
    assert one.text.startswith("a and b trade off against each other: to change a by")
    assert found(model, k, ["a", "b"], tried=False)[0].kind == "product"


def test_a_model_that_fails_away_from_the_fit_supports_no_claim():
    def model(k):
        product = k[0] * k[1] * T
        return jnp.where(k[0] == 2.0, product, jnp.nan) + 0 * k[2]

    k = np.array([2.0, 3.0, 1.0])
    kinds = {d.names: d.kind for d in found(model, k, list("abc"))}
    assert kinds == {("a", "b"): "trade-off", ("c",): "no influence"}


def test_zero_values_have_no_logarithm():
    k = np.array([0.0, 0.0])
    (one,) = found(lambda k: (k[0] + k[1]) * T, k, ["a", "b"])
    assert one.text == "a and b only as the sum a + b"
