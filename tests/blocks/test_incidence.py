"""Which entry depends on which: exact where exactness is claimed, never too little anywhere."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from blocks import functions


@pytest.mark.parametrize("name", functions.EXACT)
def test_pattern(name):
    from mtkparams.blocks import incidence

    f, pattern = functions.EXACT[name]
    found = incidence(lambda u, args: f(u), jnp.zeros(functions.N), None)
    np.testing.assert_array_equal(found.toarray(), pattern)
