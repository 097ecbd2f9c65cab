"""Every error that mtkparams raises for a mistake in a call, with a standard base class each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UnknownNameError(KeyError, AttributeError):
    """A name that nothing declares; the message suggests the nearest names."""

    # `KeyError` prints the repr of its argument: quotes and escapes would hide the advice.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ShapeError(ValueError):
    """A value or a vector whose shape is not the declared one."""


class KindError(TypeError):
    """A value of the wrong kind: text for a number, integers for a vector of floats, and so on."""


class UnknownOptionError(KindError):
    """A keyword that a call does not take; the message suggests the nearest one."""


class BoundParameterError(ValueError):
    """A dependent parameter (`bind=`) that was given a value; only the names it reads can be set."""


class OverlapError(ValueError):
    """One entry named twice in one call: a name and its element, or two spellings of one name."""


class CycleError(ValueError):
    """Bindings that depend on themselves; the message shows the path of the cycle."""


class MissingValueError(ValueError):
    """A parameter without a value; the message names what waits for it."""


class NonFiniteError(ValueError):
    """A declared value that is NaN or infinite."""


class OutOfBoundsError(ValueError):
    """A value outside its declared bounds, or on one that its free coordinate does not reach."""


class PortionError(ValueError):
    """A portion that this object does not have, or that was partitioned away."""


class DeclarationError(ValueError):
    """A declaration that contradicts itself, or a name that cannot be a name."""


class MissingGuessError(MissingValueError):
    """Something that initialization finds, and that has no guess where to start from."""


class StructureError(ValueError):
    """Equations that cannot determine their unknowns, whatever the values are.

    **Attributes:**

    - `equations`: those that are too many, or contradict each other.
    - `unknowns`: those that nothing determines.
    """

    def __init__(
        self, message: str, equations: tuple[str, ...] = (), unknowns: tuple[str, ...] = ()
    ):
        super().__init__(message)
        self.equations = equations
        self.unknowns = unknowns


class ExtraEquationsError(StructureError):
    """More equations than values to find."""


class ExtraUnknownsError(StructureError):
    """More values to find than equations."""


class UnderdeterminedWarning(UserWarning):
    """Fewer equations than values to find, so that the guesses decide."""


class SolveError(RuntimeError):
    """A solve that did not arrive; the message has the reason and advice."""


class HigherIndexError(StructureError):
    """Algebraic equations that cannot give the algebraic unknowns; the message names both."""


class DataError(ValueError):
    """Data that cannot be compared with a model; the message names the table and the column."""


class FitError(RuntimeError):
    """A fit that cannot begin: the objective has no value at its start."""


class InitializationError(SolveError):
    """No consistent start was found; the message names the equations and unknowns concerned."""


class FileError(ValueError):
    """A file that is not a whole, unaltered parameter file of a version that this library reads."""


class MismatchError(ValueError):
    """A file or dictionary and a declaration that do not hold the same names.

    **Attributes:**

    - `missing`: names that the declaration has and the file has not.
    - `left_over`: names that the file has and the declaration has not.
    - `changed`: names that both have, with another shape or kind.
    """

    def __init__(
        self,
        message: str,
        missing: tuple[str, ...] = (),
        left_over: tuple[str, ...] = (),
        changed: tuple[str, ...] = (),
    ):
        super().__init__(message)
        self.missing = missing
        self.left_over = left_over
        self.changed = changed


class MismatchWarning(UserWarning):
    """What `MismatchError` says, where the caller asked to go on (`strict=False`)."""


class StructureWarning(UserWarning):
    """A part of an equation that structural analysis cannot look into; the message names it."""


def unknown_option(
    call: str, name: str, known: Iterable[str], place: str = ""
) -> UnknownOptionError:
    """An `UnknownOptionError` for the option `name` of a call, with the nearest of those that it has.

    **Arguments:**

    - `place`: where else this option belongs, if that is known.
    """
    known = list(known)
    if place:
        return UnknownOptionError(f"{call} has no option {name!r}: give {place}.")
    hint = nearest(name, known) or f" Its options are {', '.join(known)}."
    return UnknownOptionError(f"{call} has no option {name!r}.{hint}")


def nearest(name: str, known: Iterable[str]) -> str:
    """The question whether one of those was meant that are near to `name`; nothing if none is."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def unknown_name(
    name: str, known: Iterable[str], where: str = "these parameters"
) -> UnknownNameError:
    """An `UnknownNameError` for `name` with the nearest of the `known` names in its message."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if not near:
        # A short name inside a namespace ("k" for "tank.k") is far in edit distance, near in mind.
        near = [k for k in known if k.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]][:3]
    if near:
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?"
    elif not known:
        hint = " They have no names at all."
    elif len(known) <= 8:
        hint = f" They are {', '.join(repr(n) for n in known)}."
    else:
        hint = " `p.names()` lists them."
    error = UnknownNameError(f"No {name!r} among {where}.{hint}")
    error.name = name
    return error
