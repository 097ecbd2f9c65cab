"""The roles that a parameter can have."""

import enum


class Portion(enum.Enum):
    """A parameter's role: who may change it, and when.

    - `Tunable`: what a fit may change; constant during a solve.
    - `Initials`: the values of unknowns at the start; used before time stepping only.
    - `Discrete`: what events change during a solve.
    - `Constants`: numbers that nothing changes.
    - `Nonnumeric`: strings, functions, Modules that are not tuned; their arrays are leaves.
    - `Caches`: what earlier blocks leave for later ones; written before it is read, so that no
      result depends on what was in it before.

    The names are SciMLStructures.jl's, with `Nonnumeric` from ModelingToolkit.

    !!! Example

        >>> import mtkparams as mtk
        >>> mtk.Tunable is mtk.Portion.TUNABLE
        True
    """

    TUNABLE = "tunable"
    INITIALS = "initials"
    DISCRETE = "discrete"
    CONSTANTS = "constants"
    NONNUMERIC = "nonnumeric"
    CACHES = "caches"

    def __repr__(self) -> str:
        return f"mtk.{self.name.title()}"

    def __lt__(self, other: object) -> bool:
        # JAX sorts the keys of a dictionary, and portions may be keys.
        if not isinstance(other, Portion):
            return NotImplemented
        return list(Portion).index(self) < list(Portion).index(other)


Tunable = Portion.TUNABLE
Initials = Portion.INITIALS
Discrete = Portion.DISCRETE
Constants = Portion.CONSTANTS
Nonnumeric = Portion.NONNUMERIC
Caches = Portion.CACHES

PORTIONS = tuple(Portion)
# A portion that is one vector; the others are tuples of buffers, one for each dtype.
VECTORS = (Tunable, Initials)
