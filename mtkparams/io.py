"""Keeping values: one file for an object, and plain dictionaries and JSON by name."""

from ._io import from_dict as from_dict
from ._io import from_json as from_json
from ._io import load as load
from ._io import save as save
from ._io import to_dict as to_dict
from ._io import to_json as to_json
