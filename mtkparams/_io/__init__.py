"""Objects as bytes and as plain dictionaries, by name."""

from .archive import pack as pack
from .archive import unpack as unpack
from .arrays import Host as Host
from .arrays import from_npy as from_npy
from .arrays import on_host as on_host
from .arrays import to_npy as to_npy
from .atomic import write_atomically as write_atomically
from .dict import from_dict as from_dict
from .dict import from_json as from_json
from .dict import to_dict as to_dict
from .dict import to_json as to_json
from .file import from_bytes as from_bytes
from .file import load as load
from .file import save as save
from .file import to_bytes as to_bytes
from .static import NotPlainError as NotPlainError
from .static import decode as decode
from .static import encode as encode
