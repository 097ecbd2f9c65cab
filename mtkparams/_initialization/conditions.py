"""Which values at the start are given, and which are found."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from .._parameters import View, fingerprint

_interned: weakref.WeakValueDictionary[Hashable, Conditions] = weakref.WeakValueDictionary()
_lock = threading.Lock()


class Conditions:
    """What of the start is found rather than given: static, interned, compared by identity.

    A value that is found has a slot in the parameters like any other; the slot holds its guess, and
    after initialization what was found. So guesses are leaves, and new ones compile nothing anew.

    **Attributes:**

    - `free`: for each name with entries that are found (`"Initial(y)"`, or a parameter), which ones:
      truth values of the name's shape.
    - `rules`: the guesses that are functions of other values.
    """

    __slots__ = ("__dict__", "__weakref__", "_key", "free", "rules")

    free: Mapping[str, np.ndarray]
    rules: Mapping[str, Callable[[View], Any]]

    @staticmethod
    def of(
        free: Mapping[str, np.ndarray], rules: Mapping[str, Callable[[View], Any]] | None = None
    ) -> Conditions:
        """The one object that says this."""
        free = {name: mask for name, mask in free.items() if mask.any()}
        rules = {name: rule for name, rule in (rules or {}).items() if name in free}
        key = (
            tuple((name, mask.shape, mask.tobytes()) for name, mask in free.items()),
            tuple((name, fingerprint(rule)) for name, rule in rules.items()),
        )
        with _lock:
            conditions = _interned.get(key)
            if conditions is None:
                conditions = object.__new__(Conditions)
                conditions._key = key
                conditions.free = MappingProxyType(free)
                conditions.rules = MappingProxyType(rules)
                _interned[key] = conditions
        return conditions

    def __init__(self) -> None:
        raise TypeError("Conditions are made by Conditions.of, which returns the interned ones.")

    def __copy__(self) -> Conditions:
        return self

    def __deepcopy__(self, memo: object) -> Conditions:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (Conditions.of, (dict(self.free), dict(self.rules)))

    def __repr__(self) -> str:
        return f"<conditions; found are {', '.join(self.free) or 'none'}>"

    @functools.cached_property
    def memo(self) -> dict[Any, Any]:
        """Room for what is worked out once for these conditions, such as plans."""
        return {}
