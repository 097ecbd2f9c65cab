"""Which optimizer a user means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
from jaxtyping import Array

from ..._parameters import Initial, plain, select
from ...errors import KindError, unknown_name
from ..objective.objective import Objective
from .loop import AbstractMethod
from .optax import Optax
from .optimistix import Optimistix, bfgs, levenberg_marquardt

LEAST_SQUARES_OF_SCIPY = ("trf", "dogbox", "lm")
MINIMISERS_OF_SCIPY = (
    "Nelder-Mead",
    "Powell",
    "CG",
    "BFGS",
    "L-BFGS-B",
    "TNC",
    "SLSQP",
    "COBYLA",
    "COBYQA",
)
OF_SCIPY = (*LEAST_SQUARES_OF_SCIPY, *MINIMISERS_OF_SCIPY)


Rates: TypeAlias = Mapping[Any, float | int | optax.GradientTransformation]
Method: TypeAlias = (
    optax.GradientTransformation
    | optx.AbstractLeastSquaresSolver
    | optx.AbstractMinimiser
    | AbstractMethod
    | Rates
    | str
)


def method_of(method: object, objective: Objective, tol: float) -> AbstractMethod | str:
    """An optimizer as a method, or the name of one of scipy's."""
    residuals = objective.kind == "least_squares"
    if method is None:
        solver = levenberg_marquardt(tol) if residuals else bfgs(tol)
        return Optimistix.of(solver, tol)
    if isinstance(method, str):
        if method not in OF_SCIPY:
            raise unknown_name(method, OF_SCIPY, "the methods of scipy.optimize")
        if method in LEAST_SQUARES_OF_SCIPY:
            _needs_residuals(method, objective)
        return method
    if isinstance(method, optx.AbstractLeastSquaresSolver | optx.AbstractMinimiser):
        if isinstance(method, optx.AbstractLeastSquaresSolver):
            _needs_residuals(type(method).__name__, objective)
        return Optimistix.of(method, tol)
    if isinstance(method, Mapping):
        return Optax(by_name(method, objective))
    if isinstance(method, optax.GradientTransformation):
        return Optax(method)
    if isinstance(method, AbstractMethod):
        return method
    raise KindError(
        "method= is a transformation of optax, a solver of optimistix, the name of a method of "
        "scipy.optimize, or {name: learning rate}; "
        f"got {type(method).__name__} {method!r}."
    )


def _needs_residuals(name: str, objective: Objective) -> None:
    if objective.kind != "least_squares":
        why = {
            "likelihood": "a likelihood with estimated scales or priors",
            "loss": "a loss",
        }[objective.kind]
        raise KindError(
            f"{name} minimizes sums of squares, and this objective is {why}. Use optimistix.BFGS, "
            "'L-BFGS-B', or a transformation of optax."
        )


def by_name(rates: Rates, objective: Objective) -> optax.GradientTransformation:
    """One transformation that treats each entry of the vector by the name it has.

    **Arguments:**

    - `rates`: for each name a learning rate of Adam, or a transformation; `...` stands for all
      others, which otherwise stay where they are.
    """
    labels = list(objective.labels)
    group = np.full(len(labels), -1)
    transformations: dict[str, optax.GradientTransformation] = {}
    for number, (name, rate) in enumerate(rates.items()):
        transformations[str(number)] = optax.adam(rate) if isinstance(rate, int | float) else rate
        if name is ...:
            continue
        entries = select(stored_label(name, objective), objective.p.index, objective.p.buffers)
        for label in entries.labels():
            if label not in labels:
                raise unknown_name(plain(name), labels, "the free parameters (method=)")
            group[labels.index(label)] = number
    rest = list(rates).index(...) if ... in rates else len(rates)
    group[group < 0] = rest
    transformations.setdefault(str(rest), optax.set_to_zero())
    places = {key: np.flatnonzero(group == int(key)) for key in transformations}
    places = {key: at for key, at in places.items() if at.size}
    inner = optax.multi_transform(
        {key: transformations[key] for key in places}, {key: key for key in places}
    )
    split = lambda z: {key: z[at] for key, at in places.items()}

    def join(parts: Any) -> Array:
        whole = jnp.concatenate([parts[key] for key in places])
        return whole[np.argsort(np.concatenate(list(places.values())))]

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra: object,
    ) -> tuple[optax.Updates, optax.OptState]:
        values = None if params is None else split(params)
        new, state = inner.update(split(updates), state, values)
        return join(new), state

    return optax.GradientTransformationExtraArgs(lambda params: inner.init(split(params)), update)


def stored_label(name: object, objective: Objective) -> str:
    """The name of the parameter that `name` means: an unknown is its initial value."""
    name = plain(name)
    of_unknown = str(Initial(name))
    return of_unknown if name not in objective.p and of_unknown in objective.p else name


def describe(method: AbstractMethod | str, asked: object) -> str:
    """What a report calls a method that was `asked` for as a user does."""
    if isinstance(method, str):
        return f"scipy {method}"
    if isinstance(method, Optimistix):
        return f"optimistix {type(method.solver).__name__}"
    return "optax, learning rates by name" if isinstance(asked, Mapping) else "optax"
