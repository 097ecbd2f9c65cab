"""What does not fit between stored values and a declaration, in one message."""

from __future__ import annotations

import dataclasses
import difflib
import warnings

from .._text import listed, quoted
from ..errors import MismatchError, MismatchWarning

MOST = 12  # names of each sort in one message


@dataclasses.dataclass(eq=False)
class Mismatch:
    """Names on one side only, and for names on both sides what is different about them."""

    missing: list[str] = dataclasses.field(default_factory=list)
    left_over: list[str] = dataclasses.field(default_factory=list)
    changed: dict[str, str] = dataclasses.field(default_factory=dict)

    def settle(self, stored: str, here: str, strict: bool) -> None:
        """Raises or warns where there is anything to say, `stored` being where the values are."""
        if not (self.missing or self.left_over or self.changed):
            return
        text = self._text(stored, here)
        if strict:
            names = (tuple(self.missing), tuple(self.left_over), tuple(self.changed))
            raise MismatchError(text, *names)
        warnings.warn(text, MismatchWarning, stacklevel=4)

    def _text(self, stored: str, here: str) -> str:
        lines = [f"The values in {stored} do not fit {here}."]
        if self.missing:
            lines.append(f"  Missing, declared and not given: {quoted(self.missing, MOST)}.")
        if self.left_over:
            lines.append(
                f"  Left over, given and not declared: {listed(map(self._left_over, self.left_over), MOST)}."
            )
        if self.changed:
            changes = (f"{name!r} {text}" for name, text in self.changed.items())
            lines.append(f"  Changed: {listed(changes, MOST, '; ')}.")
        lines.append(f"strict=False takes what fits and keeps the other values of {here}.")
        return "\n".join(lines)

    def _left_over(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.missing, n=1)
        return f"{name!r} (now {near[0]!r}?)" if near else repr(name)
