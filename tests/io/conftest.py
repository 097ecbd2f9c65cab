"""Comparison bit for bit, and one declaration of everything that a file can hold alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def _bits(p):
    found = []
    for path, x in jax.tree_util.tree_leaves_with_path(p):
        kind = str(x.dtype)
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            kind, x = str(jax.random.key_impl(x)), jax.random.key_data(x)
        data = np.asarray(x)
        found.append((jax.tree_util.keystr(path), kind, data.shape, data.tobytes()))
    return found


@pytest.fixture(scope="session")
def bits():
    """Each leaf of a pytree as its path, dtype, shape and bytes."""
    return _bits


@pytest.fixture
def plain():
    """An object of all portions, kinds and metadata whose declaration is data alone."""
    import mtkparams as mtk

    declared = {
        "alpha": mtk.Parameter(
            0.55,
            bounds=(0.0, None),
            scale="log",
            unit="1/year",
            description="Häufigkeit \ud83d\udc07",
        ),
        "tau": mtk.Parameter([1.0, 2.0, 3.0], guess=np.ones(3), prior=("normal", 0, (1.0, None))),
        "empty": np.zeros((0, 3)),
        "tank.k": mtk.Parameter(0.3, tunable=False, dtype="float32", guess=jnp.zeros(2)),
        "tank.inner.area": mtk.Parameter(2.0, bounds=(None, 9.0), scale=10.0),
        "mode": mtk.Parameter(1.0, discrete=True),
        "switch": mtk.Parameter([True, False], discrete=True),
        "order": 3,
        "large": np.uint64(2**64 - 1),
        "z": 1.0 + 2.0j,
        "half": mtk.Parameter(jnp.ones(2, jnp.bfloat16), tunable=False),
        "nibble": jnp.array([-8, 7], jnp.int4),
        "pair": {"w": [1.0, -1.0], "b": (0.25, "text", None), "n": 3},
        "words": mtk.Parameter({"a": "x", "b": ["y"]}),
        "label": 'run 7, \ud800\n"quoted"',
        "seed": jax.random.key(7),
        "seeds": jax.random.split(jax.random.key(1), (2, 2)),
        mtk.Initial("x"): 1.5,
        mtk.Initial("tank.h"): [0.1, 0.2],
    }
    return mtk.parameters(declared)
