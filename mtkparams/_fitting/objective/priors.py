"""The log densities of declared priors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import jax.scipy.stats
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._parameters import Piece, Selection, plain
from ...errors import DeclarationError, unknown_name

LogDensity: TypeAlias = Callable[[Array], Array]


def priors_of(selection: Selection, priors: bool | Mapping[Any, object]) -> tuple[object, ...]:
    """The prior of each piece of a selection, or `None`.

    **Arguments:**

    - `priors`: `True` for the declared ones, `False` for none, or a dictionary by name, which
      takes the place of what is declared for those names.
    """
    by_name = (
        {plain(name): prior for name, prior in priors.items()}
        if isinstance(priors, Mapping)
        else {}
    )
    known = {piece.label for piece in selection.pieces} | {piece.name for piece in selection.pieces}
    for name in by_name:
        if name not in known:
            raise unknown_name(name, known, "the free parameters")
    return tuple(_prior(piece, by_name, priors is not False) for piece in selection.pieces)


def _prior(piece: Piece, by_name: Mapping[str, object], declared: bool) -> object:
    for name in (piece.label, piece.name):
        if name in by_name:
            return by_name[name]
    about = piece.target.entry.about if piece.target and declared else None
    return None if about is None else about.prior


def log_density(prior: object, label: str) -> LogDensity:
    """The log density of a prior as a function that JAX can trace.

    **Arguments:**

    - `prior`: a distribution of numpyro, distreqx or another library with `log_prob`; one of
      `scipy.stats` with its parameters, where `jax.scipy.stats` has it or it is `lognorm`; an
      object with `logpdf`; or a function, the log density itself.
    """
    scipy_name = getattr(getattr(prior, "dist", None), "name", None)
    arguments, options = getattr(prior, "args", None), getattr(prior, "kwds", None)
    if scipy_name is not None and arguments is not None and options is not None:
        return _of_scipy(scipy_name, arguments, options, label)
    for attribute in ("log_prob", "logpdf"):
        density: Any = getattr(prior, attribute, None)
        if density is not None:
            return density
    if callable(prior):
        function: Any = prior
        return function
    raise DeclarationError(
        f"The prior of {label!r} has neither log_prob nor logpdf and is no function: {prior!r}."
    )


def _of_scipy(
    name: str, args: tuple[ArrayLike, ...], kwds: Mapping[str, ArrayLike], label: str
) -> LogDensity:
    if name == "lognorm":
        return lambda x: _lognorm(x, *args, **kwds)
    distribution: Any = getattr(jax.scipy.stats, name, None)
    if distribution is None or not hasattr(distribution, "logpdf"):
        raise DeclarationError(
            f"The prior of {label!r} is scipy.stats.{name}, which JAX cannot trace: jax.scipy.stats "
            "has no such distribution. Give a function, the log density, in its place."
        )
    density: Any = distribution.logpdf
    return lambda x: density(x, *args, **kwds)


def _lognorm(x: Array, s: ArrayLike, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Array:
    away = x - loc
    inside = away > 0
    safe = jnp.where(inside, away, 1.0)
    log = jnp.log(safe)
    density = jax.scipy.stats.norm.logpdf(log, jnp.log(scale), s) - log
    return jnp.where(inside, density, -jnp.inf)


def check(prior: LogDensity, value: Array, label: str) -> None:
    """An error with the parameter's name, where a prior does not take its value."""
    try:
        out = jax.eval_shape(lambda x: jnp.sum(jnp.asarray(prior(x))), value)
    except Exception as error:
        error.add_note(f"This is the prior of {label!r}, asked for the log density of its value.")
        raise
    if not jnp.issubdtype(out.dtype, jnp.floating):
        raise DeclarationError(f"The prior of {label!r} returns {out.dtype.name}, not a float.")
