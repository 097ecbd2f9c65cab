"""What a run is, so that a checkpoint of another one is refused."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ..errors import KindError
from ..io._arrays import on_host, to_npy
from ._checkpoint import SOFTWARE
from ._coordinates import Landscape
from ._run import AbstractMethod, begin

# Where an object has no other name than its address.
_ADDRESS = re.compile(r"0x[0-9a-f]+")


def about_run(
    method: AbstractMethod | str, name: str, landscape: Landscape, limit: int, patience: int | None
) -> dict[str, str]:
    """What the checkpoints of a fit say of it.

    **Arguments:**

    - `name`: of the method, as a report has it.
    """
    if isinstance(method, str):
        raise KindError(
            f"checkpoint= keeps the state of optax and optimistix; {name} has its own, inside of scipy."
        )
    objective = landscape.objective
    z = landscape.coordinates.lower
    arrays, static = eqx.partition((method, landscape, begin(method, landscape, z)), eqx.is_array)

    def step(arrays: Any) -> Any:
        method, landscape, run = eqx.combine(arrays, static)
        return eqx.filter(method.step(landscape, run), eqx.is_array)

    value = lambda landscape, z: landscape.value(z)
    return {
        "free": ", ".join(objective.labels),
        "values and data": of_arrays(objective),
        "equations and noise": of_program(value, landscape, z),
        "method": f"{name}, {of_program(step, arrays)}",
        "coordinates": landscape.coordinates.kind,
        "steps": str(limit),
        "patience": str(patience),
        SOFTWARE: software(),
    }


def software() -> str:
    """What computes: versions and device. Equal software gives equal bits."""
    return f"jax {jax.__version__} on {jax.default_backend()}"


def of_arrays(tree: Any) -> str:
    """A digest of all arrays in a pytree: values, shapes and dtypes, in order."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(path)
        is_array = isinstance(leaf, jax.Array | np.ndarray)
        text = _ADDRESS.sub("", repr(leaf))
        digest.update(to_npy(on_host(leaf, name)) if is_array else text.encode())
    return digest.hexdigest()[:16]


def of_program(f: Callable[..., Any], *arguments: Any) -> str:
    """A digest of what JAX makes of `f`: the same program, with the same constants inside.

    Functions compare by what they compute, so that a run is known again in another process, and a
    learning rate inside of a closure counts.
    """
    program = jax.make_jaxpr(f)(*arguments)
    digest = hashlib.sha256(_ADDRESS.sub("", str(program)).encode())
    for constant in program.consts:
        is_array = isinstance(constant, jax.Array | np.ndarray)
        digest.update(to_npy(on_host(constant, "a constant")) if is_array else b"-")
    return digest.hexdigest()[:16]
