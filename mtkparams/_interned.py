"""One object for equal declarations, so that JAX compares static parts by `is` and traces them once."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

T = TypeVar("T", bound="Interned")

_objects: weakref.WeakValueDictionary[Hashable, Interned] = weakref.WeakValueDictionary()
# Attributes may be interned objects themselves, and are then made while this is held.
_lock = threading.RLock()


class Interned:
    """Static objects, compared by identity: there is one for each key, and copies are it.

    A subclass has a static method `of`, which works out a key of its arguments and returns
    `cls._interned(key, attributes)`. An object goes with the last of those who use it.
    """

    __slots__ = ("__dict__", "__weakref__", "_key")

    _key: Hashable

    @classmethod
    def _interned(cls: type[T], key: Hashable, attributes: Callable[[], Mapping[str, object]]) -> T:
        """The one object of this class with this key; `attributes` are those of a new one."""
        with _lock:
            known = _objects.get((cls, key))
            if isinstance(known, cls):
                return known
            new = object.__new__(cls)
            for name, value in attributes().items():
                setattr(new, name, value)
            new._key = key
            _objects[cls, key] = new
            return new

    def __init__(self) -> None:
        name = type(self).__name__
        raise TypeError(f"{name} objects are made by {name}.of, which returns the interned one.")

    def __copy__(self: T) -> T:
        return self

    def __deepcopy__(self: T, memo: object) -> T:
        return self

    @functools.cached_property
    def memo(self) -> dict[Any, Any]:
        """Room for what others work out once for this object, such as selections and plans."""
        return {}
