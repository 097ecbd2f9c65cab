"""Pelts that the Hudson's Bay Company collected, 1900 to 1920, and what others found in them."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Year, hares, lynxes, in thousands of pelts. From P. Howard, "Modeling basics" (2009), as typed in
# for the Stan case study by B. Carpenter, "Predator-prey population dynamics" (2018).
_PELTS = (
    (1900, 30.0, 4.0),
    (1901, 47.2, 6.1),
    (1902, 70.2, 9.8),
    (1903, 77.4, 35.2),
    (1904, 36.3, 59.4),
    (1905, 20.6, 41.7),
    (1906, 18.1, 19.0),
    (1907, 21.4, 13.0),
    (1908, 22.0, 8.3),
    (1909, 25.4, 9.1),
    (1910, 27.1, 7.4),
    (1911, 40.3, 8.0),
    (1912, 57.0, 12.3),
    (1913, 76.6, 19.5),
    (1914, 52.3, 45.7),
    (1915, 19.5, 51.1),
    (1916, 11.2, 29.7),
    (1917, 7.6, 15.8),
    (1918, 14.6, 9.7),
    (1919, 16.2, 10.1),
    (1920, 24.7, 8.6),
)

FIRST_YEAR = _PELTS[0][0]


class Pelts(NamedTuple):
    """Observed populations.

    **Attributes:**

    - `years`: years since 1900, shape `(21,)`.
    - `populations`: thousands of pelts of `"hare"` and of `"lynx"`, shape `(21,)` each.
    """

    years: Float[Array, " years"]
    populations: dict[str, Float[Array, " years"]]


def pelts() -> Pelts:
    """The 21 years of observed hares and lynxes."""
    # Made at each call: JAX fixes the precision when an array is made, and this module may be
    # imported before the caller has switched on double precision.
    year, hare, lynx = np.asarray(_PELTS).T
    return Pelts(
        jnp.asarray(year - FIRST_YEAR), {"hare": jnp.asarray(hare), "lynx": jnp.asarray(lynx)}
    )


class Published(NamedTuple):
    """A marginal posterior: its mean, and its standard deviation, in the parameter's unit."""

    mean: float
    sd: float


# Means: reference draws of posteriordb, "hudson_lynx_hare-lotka_volterra". Standard deviations: the
# Stan case study, which prints three decimals. Both are of a posterior with priors, which a
# likelihood alone need not meet: expect agreement within a standard deviation, not digits.
PUBLISHED: Mapping[str, Published] = types.MappingProxyType(
    {
        "alpha": Published(0.546864499783931, 0.064),
        "beta": Published(0.0277472877678081, 0.004),
        "gamma": Published(0.800095360233122, 0.092),
        "delta": Published(0.0240859152534545, 0.004),
        "sigma_hare": Published(0.24805686320252, 0.045),
        "sigma_lynx": Published(0.251016914583618, 0.044),
        "Initial(hare)": Published(34.0352224770469, 2.856),
        "Initial(lynx)": Published(5.93589713368062, 0.535),
    }
)
