"""Strict settings for every test under tests/, set before any of them makes an array."""

import os

import hypothesis
import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# No deadline: the first example of a property compiles, and the others do not.
hypothesis.settings.register_profile(
    "dev",
    deadline=None,
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "ci", hypothesis.settings.get_profile("dev"), derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture
def standard_promotion():
    """JAX's default promotion, for tests through optax, whose adam mixes floats and integers."""
    with jax.numpy_dtype_promotion("standard"):
        yield
