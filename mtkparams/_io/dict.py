"""Values by name as plain dictionaries and as JSON, for people and programs to read and edit."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._parameters import MTKParameters
from ..errors import FileError, KindError, OverlapError
from .atomic import write_atomically
from .by_name import Names, to_plain_values, with_plain_values
from .plain import to_json_value


def to_dict(p: MTKParameters, names: Names | None = None) -> dict[str, Any]:
    """The values of `p` by name: Python numbers, nested lists of them, and text.

    **Arguments:**

    - `p`: the object. On a batch the outer lists are the batch.
    - `names`: what to write; by default all names but those of dependent parameters. A pytree is
      written as its arrays, each under its own name (`"net.layers[0].weight"`).

    Numbers are exact. A random key is `{"impl": "threefry2x32", "data": [0, 7]}`. Functions are
    left out: `mtk.io.from_dict(p, values)` takes them from `p`.

    **Raises:** `UnknownNameError`; `KindError` for an object without names, and inside of `jit`.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.55, "tau": [1.0, 2.0], "n": 3, "label": "run 7"})
        >>> mtk.io.to_dict(p)
        {'alpha': 0.55, 'tau': [1.0, 2.0], 'n': 3, 'label': 'run 7'}
    """
    return to_plain_values(p, names, short=False)


def from_dict(p: MTKParameters, values: Mapping[Any, Any], strict: bool = True) -> MTKParameters:
    """`p` with the values of a dictionary as `mtk.io.to_dict` makes it.

    **Arguments:**

    - `p`: the declaration, and whatever the dictionary does not hold. Dtypes stay as they are.
    - `values`: numbers, nested lists, arrays and text by name. Where there is a number, the texts
      `"NaN"`, `"Infinity"` and `"-Infinity"` are read as such.
    - `strict`: whether a name on one side only, another shape or another kind is an error. With
      `False` what fits is taken, and a `MismatchWarning` says the same. To change a few values of
      many, `p.set` is simpler.

    **Raises:** `MismatchError` with `missing`, `left_over` and `changed`; `OverlapError` for a name
    and an entry of it.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.55, "n": 3})
        >>> mtk.io.from_dict(p, {"alpha": 0.6, "n": 4})["n"].item()
        4
    """
    if not isinstance(values, Mapping):
        raise KindError(
            f"Values are a dictionary {{name: value}}, got {type(values).__name__}. "
            "For JSON there is mtk.io.from_json."
        )
    return with_plain_values(p, values, strict, "the dictionary")


def to_json(
    p: MTKParameters, path: str | os.PathLike[str] | None = None, names: Names | None = None
) -> str:
    """The values of `p` by name as standard JSON, one name on each line.

    **Arguments:**

    - `p`: the object.
    - `path`: a file to write it to as well, in one step, as `mtk.io.save` does.
    - `names`: as for `mtk.io.to_dict`.

    Numbers have the fewest digits that give them back exactly in their dtype. JSON has no NaN, no
    infinity and no complex numbers: they are `"NaN"`, `"Infinity"`, `"-Infinity"` and
    `{"re": 1.0, "im": 2.0}`.

    !!! Example

        >>> import mtkparams as mtk
        >>> print(mtk.io.to_json(mtk.parameters({"alpha": 0.55, "tau": [1.0, 2.0]})), end="")
        {
          "alpha": 0.55,
          "tau": [1.0, 2.0]
        }
    """
    values = to_plain_values(p, names, short=True)
    lines = ",\n".join(f"  {_dumps(k)}: {_dumps(to_json_value(v))}" for k, v in values.items())
    text = f"{{\n{lines}\n}}\n" if lines else "{}\n"
    if path is not None:
        write_atomically(path, text.encode("utf-8"))
    return text


def from_json(p: MTKParameters, text: str | Path, strict: bool = True) -> MTKParameters:
    """`p` with the values of a JSON text as `mtk.io.to_json` makes it.

    **Arguments:**

    - `p`: the declaration, and whatever the text does not hold.
    - `text`: the JSON, or a `pathlib.Path` to a file of it.
    - `strict`: as for `mtk.io.from_dict`.

    **Raises:** as `mtk.io.from_dict`; `FileError` for a text that is no JSON, with line and column;
    `OverlapError` for a name that stands in it twice.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.55, "limit": 1.0})
        >>> mtk.io.from_json(p, '{"alpha": 0.6, "limit": "Infinity"}')["limit"].item()
        inf
    """
    where = "the text"
    if isinstance(text, os.PathLike):
        where = repr(os.fspath(text))
        try:
            text = Path(text).read_text("utf-8-sig")  # some editors put a mark in front
        except UnicodeDecodeError as error:
            raise FileError(f"{where} is no text in UTF-8: {error}.") from error
    return with_plain_values(p, _parsed(text, where), strict, where)


def _dumps(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(value, allow_nan=False)
    return text


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        values = json.loads(text, object_pairs_hook=_pairs, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise FileError(
            f"{where} is no JSON: {error}. To read a file, give a pathlib.Path."
        ) from error
    except TypeError as error:
        raise KindError(f"JSON is text or a pathlib.Path, got {type(text).__name__}.") from error
    if not isinstance(values, dict):
        raise FileError(f"{where} is no object {{name: value}} but a {type(values).__name__}.")
    return values


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise OverlapError(f"{twice!r} stands twice in the JSON. Keep one of them.")
    return values


def _finite(text: str) -> float:
    # Python reads 1e999 as infinity, which nobody means who writes it.
    number = float(text)
    if math.isinf(number):
        raise FileError(f'{text} is too large for a float. Write "Infinity" if that is meant.')
    return number
