"""One file that holds a parameter object: values bit for bit, and what is declared about them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .._parameters import VECTORS, At, MTKParameters, Portion
from .._text import listed
from ..errors import FileError
from .archive import pack, unpack
from .arrays import Host, from_npy, is_wide, to_npy
from .atomic import write_atomically
from .header import describe, described
from .like import Stored, load_like
from .mismatch import MOST
from .names import check_object, hosts_of, on_device


def save(path: str | os.PathLike[str], p: MTKParameters) -> None:
    """Writes `p` to one file: all values bit for bit, with names, portions, bounds and units.

    **Arguments:**

    - `path`: the file. What is there is replaced in one step: after a crash or a full disk the old
      file is still whole.
    - `p`: any parameter object: also a batch, a gradient, or a part with portions left out.

    Code is not saved. Of bindings, functions, priors and the static part of a Module the file says
    only that they were there, and `mtk.io.load(path, like=...)` takes them from a declaration.

    The file is a zip archive of `header.json` and one `.npy` for each buffer; equal objects give
    equal bytes. `numpy.load(path)` reads the buffers without this library.

    **Raises:** `KindError` for what is no parameter object, and inside of `jit`, where there are no
    values yet.

    !!! Example

        >>> import pathlib, tempfile
        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.55, "tau": [1.0, 2.0]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "run.mtk"
        ...     mtk.io.save(path, p)
        ...     mtk.io.load(path)["tau"].tolist()
        [1.0, 2.0]
    """
    check_object(p, "What mtk.io.save(path, p) writes")
    write_atomically(path, to_bytes(p))


def to_bytes(p: MTKParameters) -> bytes:
    """The content of a file that holds `p`."""
    buffers: dict[str, Any] = {}
    members: dict[str, bytes] = {}
    for at, host in hosts_of(p).items():
        if host is None:
            buffers[_key(at)] = None
            continue
        buffers[_key(at)] = {"dtype": host.dtype, "shape": list(host.shape)}
        members[f"{_key(at)}.npy"] = to_npy(host)
    return pack({"buffers": buffers, **describe(p.index)}, members)


def load(
    path: str | os.PathLike[str], like: MTKParameters | None = None, strict: bool = True
) -> MTKParameters:
    """The parameter object in a file that `mtk.io.save` wrote.

    **Arguments:**

    - `path`: the file.
    - `like`: a declaration to load into. Values, text and batch axes come from the file, by name;
      bindings, bounds, portions, order and dtypes from `like`. Without it the object is rebuilt
      from the file alone.
    - `strict`: whether names on one side only, another shape or kind, and rounding to a smaller
      dtype are errors. With `False` what fits is taken, the rest stays as in `like`, and a
      `MismatchWarning` says the same.

    The result has the treedef of an object with the same declaration, so that compiled functions
    are not traced again.

    **Raises:** `FileError` for a file that is damaged, of a newer format or of another kind, that
    needs `like=`, or whose 64 bits are off in this process; `MismatchError` with `missing`,
    `left_over` and `changed`; `FileNotFoundError`.

    !!! Example

        >>> import tempfile
        >>> import mtkparams as mtk
        >>> declared = {"k": 1.0, "double": mtk.Parameter(bind=lambda p: 2 * p.k)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mtk.io.save(f"{folder}/run.mtk", mtk.parameters(declared, {"k": 3.0}))
        ...     p = mtk.io.load(f"{folder}/run.mtk", like=mtk.parameters(declared))
        >>> p["double"].item()
        6.0
    """
    if like is not None:
        check_object(like, "What mtk.io.load(path, like=p) loads into")
    return from_bytes(Path(path).read_bytes(), repr(os.fspath(path)), like, strict)


def from_bytes(
    content: bytes, what: str, like: MTKParameters | None = None, strict: bool = True
) -> MTKParameters:
    """The object in the content of a file; `what` names it in errors."""
    header, members = unpack(content, what)
    stored = _read(header, members, what)
    if like is not None:
        return load_like(stored, like, strict, what)
    _check_alone(stored, what)
    return MTKParameters().from_buffers(on_device(stored.hosts), stored.described.index())


def _read(header: dict[str, Any], members: dict[str, bytes], what: str) -> Stored:
    try:
        hosts = {_at(key): _host(key, about, members) for key, about in header["buffers"].items()}
        return Stored(described(header), hosts)
    except FileError as error:
        raise FileError(f"{what} cannot be read here. {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileError(
            f"{what} gives its SHA-256, and its content makes no sense ({type(error).__name__}: "
            f"{error}). Another program than mtk.io.save wrote it."
        ) from error


def _check_alone(stored: Stored, what: str) -> None:
    if stored.described.needs:
        reasons = listed((f"{name!r} {why}" for name, why in stored.described.needs.items()), MOST)
        raise FileError(
            f"{what} does not stand alone: {reasons}. Files hold no code. Load it into a "
            "declaration that has them: mtk.io.load(path, like=mtk.parameters({...}))."
        )
    wide = {
        host.dtype: None for host in stored.hosts.values() if host is not None and is_wide(host)
    }
    if wide:
        raise FileError(
            f"{what} holds {', '.join(wide)}, and 64 bits are off in this process. Set "
            "jax.config.update('jax_enable_x64', True) before any array is made, or give like= to "
            "load into 32 bits."
        )


def _key(at: At) -> str:
    portion, number = at
    return portion.value if portion in VECTORS else f"{portion.value}.{number}"


def _at(key: str) -> At:
    portion, _, number = key.partition(".")
    return Portion(portion), int(number or 0)


def _host(key: str, found: Any, members: dict[str, bytes]) -> Host | None:
    if found is None:
        return None
    host = from_npy(members[f"{key}.npy"], found["dtype"])
    if list(host.shape) != found["shape"]:
        raise ValueError(f"{key} has shape {host.shape}")
    return host
