"""The container: a zip archive that ends in a digest of all its bytes.

Any zip tool opens it, and `numpy.load` reads its arrays. The last 64 bytes are the SHA-256, in
hexadecimal, of everything before them; every format version keeps to that, so that damage is told
from news: `head -c -64 FILE | sha256sum`.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from ..errors import FileError

FORMAT = "mtkparams parameters"
# Which call reads a format.
READERS = {FORMAT: "mtk.io.load", "mtkparams fit": "mtk.fitting.load"}
VERSION = 1
_MARK = b"sha256:"
_DIGITS = 64
_HEADER = "header.json"
_START = b"PK\x03\x04"  # of every zip archive; the name of its first member is at byte 30


def pack(header: Mapping[str, Any], members: Mapping[str, bytes]) -> bytes:
    """The bytes of a file; equal contents give equal bytes. A `header` may name another format."""
    header = {"format": FORMAT, "version": VERSION, "library": _library(), **header}
    text = json.dumps(header, allow_nan=False, separators=(",", ":"))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {_HEADER: text.encode("ascii"), **members}.items():
            about = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # no clock: equal bytes
            about.create_system, about.external_attr = 3, 0o644 << 16
            archive.writestr(about, content)
        archive.comment = _MARK + b"0" * _DIGITS
    with file.getbuffer() as content:
        content[-_DIGITS:] = _digest(content)
    return file.getvalue()


def unpack(
    content: bytes, path: str, kind: str = FORMAT
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The header and the members of a file of a `kind`, after all of its bytes were checked."""
    if _digest(memoryview(content)) != content[-_DIGITS:]:
        raise FileError(_what_is_wrong(content, path))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            header = json.loads(archive.read(_HEADER))
            _check_version(header, path, kind)
            members = {n: archive.read(n) for n in archive.namelist() if n != _HEADER}
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise FileError(_foreign(content, path)) from error
    return header, members


def _digest(content: memoryview) -> bytes:
    return hashlib.sha256(content[:-_DIGITS]).hexdigest().encode("ascii")


def _check_version(header: object, path: str, kind: str) -> None:
    written = header.get("format") if isinstance(header, dict) else None
    if not isinstance(header, dict) or written != kind:
        raise FileError(
            f"{path} is a file of another kind: its header does not say {kind!r}, it says {written!r}."
            + (f" {READERS[written]} reads it." if written in READERS else "")
        )
    version = header.get("version")
    if version != VERSION:
        raise FileError(
            f"{path} has format {version}, and this mtkparams ({_library()}) reads format {VERSION}. "
            f"It was written by mtkparams {header.get('library')}, which reads it: "
            "pip install --upgrade mtkparams."
        )


def _what_is_wrong(content: bytes, path: str) -> str:
    if not content:
        return f"{path} is empty. Save it again, or take it from a backup."
    named = content[30 : 30 + len(_HEADER)]
    if not (_START.startswith(content[:4]) and _HEADER.encode().startswith(named)):
        return _foreign(content, path)
    if content[-_DIGITS - len(_MARK) : -_DIGITS] == _MARK:
        damage = "was altered after it was saved: its bytes do not give its SHA-256"
    else:
        damage = "is cut short, or something was appended: it does not end in its SHA-256"
    return f"{path} {damage}. Nothing was loaded. Save it again, or take it from a backup."


def _foreign(content: bytes, path: str) -> str:
    hint = ""
    if content.lstrip()[:1] in (b"{", b"["):
        hint = " For JSON there is mtk.io.from_json(p, pathlib.Path(...))."
    elif content.startswith(b"PK"):
        hint = " It is a zip archive of another kind, such as numpy.savez writes."
    return f"{path} is no parameter file: mtk.io.save did not write it.{hint}"


def _library() -> str:
    try:
        return metadata.version("mtkparams")
    except metadata.PackageNotFoundError:
        return "not installed"
