"""Keeping values: one file for an object, and plain dictionaries and JSON by name."""

from ._dict import (
    from_dict as from_dict,
)
from ._dict import (
    from_json as from_json,
)
from ._dict import (
    to_dict as to_dict,
)
from ._dict import (
    to_json as to_json,
)
from ._file import load as load
from ._file import save as save
