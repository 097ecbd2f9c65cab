"""Which values at the start are given, and which are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from .._interned import Interned
from .._parameters import View, fingerprint


class Conditions(Interned):
    """What of the start is found rather than given: static, interned, compared by identity.

    A value that is found has a slot in the parameters like any other; the slot holds its guess, and
    after initialization what was found. So guesses are leaves, and new ones compile nothing anew.

    **Attributes:**

    - `free`: for each name with entries that are found (`"Initial(y)"`, or a parameter), which ones:
      truth values of the name's shape.
    - `rules`: the guesses that are functions of other values.
    """

    __slots__ = ("free", "rules")

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
        return Conditions._interned(
            key, lambda: {"free": MappingProxyType(free), "rules": MappingProxyType(rules)}
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (Conditions.of, (dict(self.free), dict(self.rules)))

    def __repr__(self) -> str:
        return f"<conditions; found are {', '.join(self.free) or 'none'}>"
