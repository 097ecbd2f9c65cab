"""A run that goes on after its process was killed, from what it last kept, bit for bit."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import jax
import numpy as np

from ..errors import FileError, MismatchError, MismatchWarning
from ..io._archive import pack, unpack
from ..io._arrays import Host, from_npy, on_host, to_npy
from ..io._atomic import write_atomically

_FORMAT = "mtkparams checkpoint"
_FILE = "checkpoint.mtk"
# What may differ and only deserves a word: another version of JAX may round differently.
SOFTWARE = "software"


class Kept(NamedTuple):
    """What a checkpoint holds.

    **Attributes:**

    - `step`: how many steps were made; `state`: the pytree of arrays after them.
    - `history`: what has grown by the steps, such as the losses, shape `(any, ...)`.
    - `seconds`: the time that they took.
    """

    step: int
    state: Any
    history: np.ndarray
    seconds: float


class Checkpoint:
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
        self._last: int | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> Checkpoint:
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
        return self.folder / _FILE

    def load(self, like: Any) -> Kept | None:
        """What was kept last, or `None` where nothing is kept yet.

        **Arguments:**

        - `like`: a pytree of arrays with the structure, shapes and dtypes of the state.

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
        leaves, structure = jax.tree_util.tree_flatten_with_path(like)
        stored = {one["path"]: one for one in header["state"]}
        found = []
        for number, (path, leaf) in enumerate(leaves):
            name = jax.tree_util.keystr(path)
            host = on_host(leaf, name)
            now = {"path": name, "dtype": host.dtype, "shape": list(host.shape)}
            if stored.get(name) != now or len(stored) != len(leaves):
                raise MismatchError(
                    f"{what} holds another state than this run has: {name} is {stored.get(name)} "
                    f"there, and {now} here. {self._advice()}"
                )
            found.append(_as(from_npy(members[f"{number}.npy"], host.dtype), leaf))
        self._last = header["step"]
        history = from_npy(members["history.npy"], header["history"]).data
        state = jax.tree.unflatten(structure, found)
        return Kept(header["step"], state, history, header["seconds"])

    def is_due(self, step: int) -> bool:
        """Whether so many steps were made since the last checkpoint that one is due."""
        return step >= (self._last or 0) + self.every

    def save(self, step: int, state: Any, history: np.ndarray, seconds: float = 0.0) -> None:
        """Keeps a state in place of what was kept before; the arguments are those of `Kept`."""
        grown = on_host(np.asarray(history), "history")
        members, about = {"history.npy": to_npy(grown)}, []
        for number, (path, leaf) in enumerate(jax.tree_util.tree_flatten_with_path(state)[0]):
            name = jax.tree_util.keystr(path)
            host = on_host(leaf, name)
            about.append({"path": name, "dtype": host.dtype, "shape": list(host.shape)})
            members[f"{number}.npy"] = to_npy(host)
        header = {"format": _FORMAT, "step": step, "about": self.about, "state": about}
        header |= {"history": grown.dtype, "seconds": seconds}
        write_atomically(self.path, pack(header, members))
        self._last = step

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
        said = [
            f"{key} ({stored.get(key, 'nothing')} there, {now.get(key, 'nothing')} here)"
            for key in differ
        ]
        raise MismatchError(
            f"{what} is the checkpoint of another run: it differs in {', '.join(said)}. "
            + self._advice(),
            changed=tuple(differ),
        )

    def _advice(self) -> str:
        return f"Give another folder, or delete {os.fspath(self.folder)!r} to start from the beginning."


def _as(host: Host, like: Any) -> Any:
    return host.data if isinstance(like, np.ndarray) else host.on_device()


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
