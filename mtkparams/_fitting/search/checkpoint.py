"""A run that goes on after its process was killed, from what it last kept, bit for bit."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from ..._io import Host, from_npy, on_host, pack, to_npy, unpack, write_atomically
from ...errors import FileError, KindError, MismatchError, MismatchWarning
from .coordinates import Landscape
from .loop import AbstractMethod, begin

T = TypeVar("T")

_FORMAT = "mtkparams checkpoint"
# What may differ and only deserves a word: another version of JAX may round differently.
SOFTWARE = "software"


class CheckpointFolder:
    """The folder in which a run keeps its state: the last one, in one file that is always whole.

    **Arguments:**

    - `folder`: made if it is not there. Another process that uses it is an error.
    - `every`: how many steps lie between two checkpoints.
    - `about`: what the run is, by what a user would call it: `{"data": "...", "method": "..."}`. A
      checkpoint that says another thing is refused. Only `"software"` may differ, with a warning.

    **Raises:** `FileError` where another process uses the folder.

    Use it as a context, so that the folder is free again afterwards.
    """

    def __init__(self, folder: str | os.PathLike[str], every: int, about: Mapping[str, str]):
        self.folder = Path(folder)
        self.every = every
        self.about = dict(about)
        self.name = "checkpoint"
        self._lock: IO[str] | None = None

    def __enter__(self) -> CheckpointFolder:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.folder / ".lock", self.folder)
        # A process that was killed while it wrote has left its half of a file.
        for old in self.folder.glob(".mtkparams-*.tmp"):
            old.unlink(missing_ok=True)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"{self.name}.mtk"

    def part(self, number: int) -> CheckpointFolder:
        """A checkpoint of its own for one part of the run, in the same folder."""
        part = copy.copy(self)
        part.name = f"{self.name}-{number}"
        return part

    def load(self, like: T) -> T | None:
        """What was kept last, or `None` where nothing is kept yet.

        **Arguments:**

        - `like`: a pytree with the structure, shapes and dtypes of the state. An array whose last
          axis has no entries stands for one that grows. What is no array is taken from here.

        **Raises:** `MismatchError` that says what differs, for the checkpoint of another run;
        `FileError` for one that is damaged.
        """
        what = repr(os.fspath(self.path))
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        header, members = unpack(content, what, _FORMAT)
        self._compare(header["about"], what)
        stored = {about["path"]: about for about in header["state"]}
        arrays, others = eqx.partition(like, eqx.is_array)
        leaves, structure = jax.tree_util.tree_flatten_with_path(arrays)
        state = []
        for number, (path, leaf) in enumerate(leaves):
            name = jax.tree_util.keystr(path)
            here, there = _about(name, on_host(leaf, name)), stored.get(name)
            if len(stored) != len(leaves) or there is None or not _is_like(there, here):
                raise MismatchError(
                    f"{what} holds another state than this run has: {name} is {there} there, and {here} "
                    f"here. {self._advice()}"
                )
            host = from_npy(members[f"{number}.npy"], there["dtype"])
            state.append(host.data if isinstance(leaf, np.ndarray) else host.on_device())
        return eqx.combine(jax.tree.unflatten(structure, state), others)

    def save(self, steps: int, state: PyTree) -> None:
        """Keeps a state in place of what was kept before.

        **Arguments:**

        - `steps`: how many were made; for people who look into the file.
        - `state`: a pytree, of which the arrays are kept.
        """
        members, about = {}, []
        arrays = eqx.filter(state, eqx.is_array)
        for number, (path, leaf) in enumerate(jax.tree_util.tree_flatten_with_path(arrays)[0]):
            name = jax.tree_util.keystr(path)
            host = on_host(leaf, name)
            about.append(_about(name, host))
            members[f"{number}.npy"] = to_npy(host)
        header = {"format": _FORMAT, "steps": steps, "about": self.about, "state": about}
        write_atomically(self.path, pack(header, members))

    def _compare(self, stored: Mapping[str, str], what: str) -> None:
        now = self.about
        differ = [key for key in {**now, **stored} if now.get(key) != stored.get(key)]
        if not differ:
            return
        if differ == [SOFTWARE]:
            warnings.warn(
                f"{what} was written with {stored.get(SOFTWARE)}, and this is {now.get(SOFTWARE)}. "
                "The run goes on, and may differ in its last digits.",
                MismatchWarning,
                stacklevel=4,
            )
            return
        differences = [
            f"{key} ({stored.get(key, 'nothing')} there, {now.get(key, 'nothing')} here)"
            for key in differ
        ]
        raise MismatchError(
            f"{what} is the checkpoint of another run: it differs in {', '.join(differences)}. "
            + self._advice(),
            changed=tuple(differ),
        )

    def _advice(self) -> str:
        return f"Give another folder, or delete {os.fspath(self.folder)!r} to start from the beginning."


def _about(name: str, host: Host) -> dict[str, Any]:
    return {"path": name, "dtype": host.dtype, "shape": list(host.shape)}


def _is_like(there: dict[str, Any], here: dict[str, Any]) -> bool:
    shape = here["shape"]
    if shape[-1:] == [0]:  # grows
        return there["dtype"] == here["dtype"] and there["shape"][:-1] == shape[:-1]
    return there == here


def _locked(path: Path, folder: Path) -> IO[str]:
    """An open file that this process alone holds. The system frees it when the process dies."""
    file = path.open("w")
    with contextlib.suppress(ImportError):  # there is none on Windows
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise FileError(
                f"Another process uses the checkpoint folder {os.fspath(folder)!r}. Wait for it, or "
                "give another folder."
            ) from error
    return file


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

    def step(arrays: PyTree) -> PyTree:
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


def of_arrays(tree: PyTree) -> str:
    """A digest of all arrays in a pytree: values, shapes and dtypes, in order."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(path)
        is_array = isinstance(leaf, jax.Array | np.ndarray)
        text = _ADDRESS.sub("", repr(leaf))
        digest.update(to_npy(on_host(leaf, name)) if is_array else text.encode())
    return digest.hexdigest()[:16]


def of_program(f: Callable[..., PyTree], *arguments: PyTree) -> str:
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
