"""Results of fits in files: values, errors and report as they were, without code and without pickle."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .._io import (
    NotPlainError,
    decode,
    encode,
    from_bytes,
    from_npy,
    on_host,
    pack,
    to_bytes,
    to_npy,
    unpack,
    write_atomically,
)
from .._parameters import MTKParameters, Portion
from .._problems import ODEProblem
from ..errors import FileError, KindError, MismatchError
from .answer.directions import Direction
from .answer.of_file import OfFile
from .answer.result import FitResult
from .answer.spread import Spread
from .answer.summary import Row, Summary
from .answer.uncertainty import Uncertainty
from .objective.objective import Objective
from .search.starts import StartTable

_FORMAT = "mtkparams fit"
_PARAMETERS = "parameters.mtk"


def save(path: str | os.PathLike[str], result: FitResult) -> None:
    """Writes a fit to one file: values and errors bit for bit, with the report that it prints.

    **Arguments:**

    - `path`: the file. What is there is replaced in one step.
    - `result`: any fit.

    Equations, data and bindings are not saved: they are code, or belong elsewhere. The uncertainty
    is computed first, if nobody has asked for it yet.

    !!! Example

        >>> import tempfile
        >>> import jax.numpy as jnp, mtkparams as mtk
        >>> x, y = jnp.arange(4.0), jnp.asarray([1.1, 2.9, 5.2, 6.8])
        >>> p = mtk.parameters({"slope": 2.0, "start": 1.0})
        >>> result = mtk.fitting.least_squares(lambda p: p["slope"] * x + p["start"] - y, p)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mtk.fitting.save(f"{folder}/line.fit", result)
        ...     loaded = mtk.fitting.load(f"{folder}/line.fit")
        >>> loaded.stderr == result.stderr, str(loaded.report()) == str(result.report())
        (True, True)
    """
    if not isinstance(result, FitResult):
        raise KindError(
            f"mtk.fitting.save writes what a fit gave, got {type(result).__name__}. For parameters "
            "there is mtk.io.save."
        )
    members: dict[str, bytes] = {_PARAMETERS: to_bytes(result.p)}
    objective = result.objective
    fields = {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
    del fields["objective"]
    free = [item.value if isinstance(item, Portion) else str(item) for item in objective.free]
    header = {
        "format": _FORMAT,
        "result": encoded(fields, members),
        "objective": encoded(
            {
                "start": np.asarray(objective.start),
                "kind": objective.kind,
                "mode": objective.mode,
                "labels": objective.labels,
                "units": objective.units,
                "pieces": len(objective.priors),
            },
            members,
        ),
        "free": [
            [isinstance(item, Portion), text]
            for item, text in zip(objective.free, free, strict=True)
        ],
        "uncertainty": encoded(None if result.kind == "loss" else result.uncertainty, members),
        "summary": encoded(result.summary, members),
    }
    write_atomically(path, pack(header, members))


def load(
    path: str | os.PathLike[str],
    like: MTKParameters | ODEProblem | Objective | FitResult | None = None,
) -> FitResult:
    """The fit in a file that `mtk.fitting.save` wrote. It prints the same report.

    **Arguments:**

    - `path`: the file.
    - `like`: the objective that was fitted (or a fit of it): the result then has it, with the
      treedef that the fit had, and can be asked for bands and profiles. Or a declaration, a problem
      or a parameter object, where the parameters hold code, such as bindings. Without it there are
      values, errors and the report.

    **Raises:** `FileError` for a file that is damaged or of another kind, or whose parameters need
    `like=`; `MismatchError` where `like` is another objective.
    """
    what = repr(os.fspath(path))
    header, members = unpack(Path(path).read_bytes(), what, _FORMAT)
    try:
        fields = decoded(header["result"], members)
        about = decoded(header["objective"], members)
        errors, summary = (decoded(header[key], members) for key in ("uncertainty", "summary"))
        free = tuple(Portion(text) if is_one else text for is_one, text in header["free"])
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(
            f"{what} gives its SHA-256, and its content makes no sense ({type(error).__name__}: "
            f"{error}). Another program than mtk.fitting.save wrote it."
        ) from error
    if isinstance(like, FitResult):
        like = like.objective
    if isinstance(like, Objective):
        objective = _checked(like, about, members, fields["v"], what)
    else:
        p = like.p if isinstance(like, ODEProblem) else like
        objective = Objective(
            target=OfFile(what, errors, summary),
            p=from_bytes(members[_PARAMETERS], what, p),
            start=jnp.asarray(about["start"]),
            kind=about["kind"],
            mode=about["mode"],
            free=free,
            labels=about["labels"],
            units=about["units"],
            priors=(None,) * about["pieces"],
        )
    result = FitResult(objective=objective, **fields)
    # What was computed is not computed again; it is no part of the pytree.
    vars(result)["summary"] = summary
    if errors is not None:
        vars(result)["uncertainty"] = errors
    return result


def _checked(
    objective: Objective, about: dict[str, Any], members: dict[str, bytes], v: np.ndarray, what: str
) -> Objective:
    """The given objective, if the file holds a fit of it."""
    differ = [
        f"{key} ({about[key]} there, {getattr(objective, key)} here)"
        for key in ("kind", "labels")
        if about[key] != getattr(objective, key)
    ]
    if not differ:
        now = objective.parameters(v)
        then = from_bytes(members[_PARAMETERS], what, now)
        differ = [name for name in now.names() if not _equal(now[name], then[name])]
    if differ:
        raise MismatchError(
            f"{what} holds the fit of another objective. It differs in {', '.join(differ)}.",
            changed=tuple(differ),
        )
    return objective


def _equal(a: PyTree, b: PyTree) -> bool:
    leaves = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(leaves[0]) == len(leaves[1]) and all(
        np.array_equal(x, y, equal_nan=True) if isinstance(x, jax.Array | np.ndarray) else x == y
        for x, y in zip(*leaves, strict=True)
    )


# What a file may make. Nothing else is looked up, and so nothing else can be called.
_CLASSES = {cls.__name__: cls for cls in (Direction, Row, Spread, StartTable, Summary, Uncertainty)}
_EARLIER = {"Starts": StartTable}  # as files of earlier versions call it


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


def decoded(stored: Any, members: dict[str, bytes]) -> Any:
    """What `encoded` was given; arrays are NumPy arrays."""
    if "class" in stored:
        cls = {**_EARLIER, **_CLASSES}.get(stored["class"])
        if cls is None:
            raise FileError(
                f"The file holds a {stored['class']!r}, which this version does not know."
            )
        return cls(**{key: decoded(item, members) for key, item in stored["fields"].items()})
    if "array" in stored:
        return from_npy(members[stored["array"]], stored["dtype"]).data
    if "dict" in stored:
        return {key: decoded(item, members) for key, item in stored["dict"].items()}
    if "tuple" in stored:
        return tuple(decoded(item, members) for item in stored["tuple"])
    if "list" in stored:
        return [decoded(item, members) for item in stored["list"]]
    return decode(stored["value"])
