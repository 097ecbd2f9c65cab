"""Writing a file so that its path holds the old content or the new one, and never a part of it."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Puts `content` under `path` in one step; a process killed on the way leaves the old."""
    # Through links, as opening the file would go; a rename would put a file in the link's place.
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".mtkparams-{secrets.token_hex(8)}.tmp")
    # Not by `tempfile`: its files are for their owner only, whatever the umask says.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    # The rename itself survives a power failure only with its folder. Some systems cannot do it.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
