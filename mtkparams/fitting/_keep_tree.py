"""Results as JSON and `.npy` members, and back: arrays, plain data, and the few classes named here."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from ..errors import FileError, KindError
from ..io._arrays import from_npy, on_host, to_npy
from ..io._static import NotPlainError, decode, encode
from ._identifiability import Direction
from ._report_summary import Row, Summary
from ._starts import Starts
from ._uncertainty import Uncertainty
from ._uncertainty_linear import Spread

# What a file may make. Nothing else is looked up, and so nothing else can be called.
_CLASSES = {cls.__name__: cls for cls in (Direction, Row, Spread, Starts, Summary, Uncertainty)}


def encoded(value: Any, members: dict[str, bytes]) -> Any:
    """`value` in terms of JSON, with its arrays among the `members` of a file."""
    if type(value).__name__ in _CLASSES and type(value) in _CLASSES.values():
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"class": type(value).__name__, "fields": encoded(fields, members)["dict"]}
    if isinstance(value, jax.Array | np.ndarray):
        host = on_host(value, "a result")
        name = f"{len(members)}.npy"
        members[name] = to_npy(host)
        return {"array": name, "dtype": host.dtype}
    if type(value) is dict:
        return {"dict": {key: encoded(item, members) for key, item in value.items()}}
    if type(value) in (tuple, list):
        return {type(value).__name__: [encoded(item, members) for item in value]}
    if isinstance(value, np.generic):
        value = value.item()
    try:
        return {"value": encode(value)}
    except NotPlainError as error:
        raise KindError(f"The result of a fit holds {error}, which no file holds.") from error


def decoded(found: Any, members: dict[str, bytes]) -> Any:
    """What `encoded` was given; arrays are NumPy arrays."""
    if "class" in found:
        cls = _CLASSES.get(found["class"])
        if cls is None:
            raise FileError(
                f"The file holds a {found['class']!r}, which this version does not know."
            )
        return cls(**{key: decoded(item, members) for key, item in found["fields"].items()})
    if "array" in found:
        return from_npy(members[found["array"]], found["dtype"]).data
    if "dict" in found:
        return {key: decoded(item, members) for key, item in found["dict"].items()}
    if "tuple" in found:
        return tuple(decoded(item, members) for item in found["tuple"])
    if "list" in found:
        return [decoded(item, members) for item in found["list"]]
    return decode(found["value"])
