"""An ensemble gives the same on one device and on eight."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import mtkparams as mtk

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
assert len(jax.devices()) == 8
ONE = jax.devices()[:1]
system = mtk.System(
    parameters={"k": 1.0, "n": 2},
    unknowns={"x": 1.0},
    derivatives=lambda t, u, p: {"x": p.k * u.x**2 * (p.n // 2).astype(float)},
)
problem = mtk.ODEProblem(system, {}, (0.0, 1.5))
ks = jnp.array([0.1, 0.2, 0.3, 1.0, 0.4, 0.5, 0.15, 0.25, 0.35, 0.45, 0.05, 0.55, 0.6])
TSIT = diffrax.Tsit5()

def final(z, ks, **options):
    own = mtk.remake(problem, {"x": z})
    last = lambda solution: solution["x"][-1]
    return mtk.solve_ensemble(
        own, {"k": ks}, options.pop("solver", TSIT), throw=False, output=last, **options
    ).output

def same(f, **options):
    one, eight = (f(devices=devices, **options) for devices in (ONE, None))
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-12)
    return eight

z = jnp.array(1.0)
"""

VALUES = """
for chunk in (1, 1000):
    values = same(lambda **options: final(z, ks, **options), chunk=chunk)
    assert values.shape == (13,)
    assert np.isnan(values).sum() == 1
same(lambda **options: final(z, ks[:3], **options))
same(lambda **options: final(z, ks, solver="auto", **options))
ensemble = mtk.solve_ensemble(problem, {"k": ks}, TSIT, throw=False, chunk=1)
assert ensemble[5]["k"] == ks[5] and ensemble["x"].shape == (13, 2)
try:
    mtk.solve_ensemble(problem, {"k": ks}, TSIT)
except mtk.errors.SolveError as error:
    assert "1 of 13 members failed: 3 (k=1)" in str(error)
else:
    raise AssertionError("a failed member was not reported")
"""

REVERSE = """
for chunk in (1, 1000):
    mean = lambda z, ks, **options: jnp.nanmean(final(z, ks, chunk=chunk, **options))
    slope = lambda **options: jax.jit(jax.grad(lambda *x: mean(*x, **options), argnums=(0, 1)))(z, ks)
    found = same(slope)
    good = ks[jnp.arange(13) != 3]
    np.testing.assert_allclose(found[0], (1 / (1 - 1.5 * good) ** 2).mean(), rtol=1e-4)
"""

FORWARD = """
along = lambda **options: jax.jvp(
    lambda z, ks: final(z, ks, adjoint=diffrax.ForwardMode(), **options), (z, ks), (z, ks)
)
values, slopes = same(along)
assert (np.isnan(slopes) == (np.arange(13) == 3)).all()
second = lambda **options: jax.jit(jax.hessian(lambda z: jnp.nanmean(
    final(z, ks[:3], adjoint=diffrax.DirectAdjoint(), max_steps=30, **options))))(z)
same(second)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", [VALUES, REVERSE, FORWARD], ids=["values", "reverse", "forward and second order"]
)
def test_eight_devices(program, tmp_path):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM + program],
        cwd=tmp_path,
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
