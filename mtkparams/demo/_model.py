"""Hares and lynxes: the equations, the parameters, and how likely they make the data."""

from __future__ import annotations

from collections.abc import Mapping

import diffrax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jax.typing import ArrayLike
from jaxtyping import Array, Float

import mtkparams as mtk

from ._data import pelts

SPECIES = ("hare", "lynx")

# What the fit moves: all eight. An order of portions, and so the order of vectors and tables.
FREE = (mtk.Tunable, mtk.Initials)


def declare() -> mtk.MTKParameters:
    """The eight parameters of the model at the values where the fit starts.

    The start is read off the data by eye, not taken from any fit. The peaks are ten years apart, so
    `sqrt(alpha * gamma)` is about `2 pi / 10`, 0.6 a year. The populations average 34 and 20, and a
    Lotka-Volterra cycle averages `gamma / delta` hares and `alpha / beta` lynxes: 0.6 / 34 and
    0.6 / 20. Initial values are the first observations. With a noise as large as 1 a wrong phase
    costs little at first; from rates of 1 and 0.05 the fit ends in a false minimum at 39.3.
    """

    initial = {mtk.Initial(name): _positive(*about) for name, about in _INITIALS.items()}
    return mtk.parameters({**_parameters(), **initial})


def problem() -> mtk.ODEProblem:
    """The same model as a system of equations by name, from 1900 to 1920."""

    def unknown(value: float, unit: str, description: str) -> mtk.Unknown:
        return mtk.Unknown(value, bounds=(0.0, None), unit=unit, description=description)

    system = mtk.System(
        parameters=_parameters(),
        unknowns={name: unknown(*about) for name, about in _INITIALS.items()},
        derivatives=lambda t, u, p: {
            "hare": (p.alpha - p.beta * u.lynx) * u.hare,
            "lynx": (p.delta * u.hare - p.gamma) * u.lynx,
        },
    )
    return mtk.ODEProblem(system, {}, (0.0, 20.0))


def _positive(value: float, unit: str, description: str) -> mtk.Parameter:
    return mtk.Parameter(value, bounds=(0.0, None), unit=unit, description=description)


def _parameters() -> dict[str, mtk.Parameter]:
    return {
        "alpha": _positive(0.6, "1/year", "birth rate of hares"),
        "beta": _positive(0.03, "1/year/klynx", "loss of hares to each lynx"),
        "gamma": _positive(0.6, "1/year", "death rate of lynxes"),
        "delta": _positive(0.02, "1/year/khare", "growth of lynxes by each hare"),
        "sigma_hare": _positive(1.0, "1", "noise in log hares"),
        "sigma_lynx": _positive(1.0, "1", "noise in log lynxes"),
    }


_INITIALS = {"hare": (30.0, "khare", "hares in 1900"), "lynx": (4.0, "klynx", "lynxes in 1900")}


def vector_field(
    t: ArrayLike, populations: Mapping[str, Float[Array, ""]], p: mtk.MTKParameters
) -> dict[str, Float[Array, ""]]:
    """How fast hares and lynxes grow, in thousands a year (Lotka 1925, Volterra 1926).

    **Arguments:**

    - `t`: years since 1900, unused: the equations are the same every year.
    - `populations`: thousands of `"hare"` and `"lynx"`.
    - `p`: the parameters.
    """
    del t
    hare, lynx = populations["hare"], populations["lynx"]
    return {
        "hare": (p["alpha"] - p["beta"] * lynx) * hare,
        "lynx": (p["delta"] * hare - p["gamma"]) * lynx,
    }


def simulate(
    p: mtk.MTKParameters,
    years: Float[Array, " years"],
    adjoint: diffrax.AbstractAdjoint | None = None,
) -> dict[str, Float[Array, " years"]]:
    """The populations at `years`, in thousands, shape `(years,)` for each species.

    **Arguments:**

    - `p`: the parameters, in double precision.
    - `years`: years since 1900, increasing, shape `(years,)`.
    - `adjoint`: how to differentiate; by default for gradients in reverse mode. Give
      `diffrax.ForwardMode()` for `jax.jacfwd`.

    **Raises:** `ValueError` in single precision. A solve that does not reach the last year is an
    error too, and never a number.
    """
    if years.dtype != jnp.float64 or p.tunable.dtype != jnp.float64:
        raise ValueError(
            "The tolerances of this model need double precision. Call "
            'jax.config.update("jax_enable_x64", True) before anything makes an array.'
        )
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(vector_field),
        diffrax.Tsit5(),
        t0=0.0,
        t1=years[-1],
        dt0=None,
        y0=p[{species: mtk.Initial(species) for species in SPECIES}],
        args=p,
        saveat=diffrax.SaveAt(ts=years),
        # At 1e-9 gradients agree with a reference to 1e-8, at 1e-7 only to 2e-6.
        stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9),
        adjoint=diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
        throw=True,
    )
    assert solution.ys is not None
    return solution.ys


def negative_log_likelihood(
    p: mtk.MTKParameters, adjoint: diffrax.AbstractAdjoint | None = None
) -> Float[Array, ""]:
    """Minus the log density of the logarithms of all observations, where the noise is lognormal.

    `log y ~ Normal(log z, sigma)` for each species and each year, 1900 included. The density is
    that of `log y`; that of `y` has `1 / y` in addition, which no parameter enters.

    **Arguments:**

    - `p`: the parameters.
    - `adjoint`: as for `simulate`.
    """
    data = pelts()
    model = simulate(p, data.years, adjoint)
    log_density = [
        norm.logpdf(jnp.log(data.populations[s]), jnp.log(model[s]), p["sigma_" + s]).sum()
        for s in SPECIES
    ]
    return -sum(log_density[1:], log_density[0])
