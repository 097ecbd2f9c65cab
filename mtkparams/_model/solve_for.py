"""The value of a parameter that initialization finds."""

from __future__ import annotations


class SolveFor:
    """The type of `mtk.SOLVE`, of which there is one."""

    def __repr__(self) -> str:
        return "mtk.SOLVE"

    def __copy__(self) -> SolveFor:
        return self

    def __deepcopy__(self, memo: object) -> SolveFor:
        return self

    def __reduce__(self) -> str:
        return "SOLVE"


SOLVE = SolveFor()
