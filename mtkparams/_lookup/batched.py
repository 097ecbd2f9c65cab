"""Names over several systems: some shared by all of them, some in one alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jaxtyping import PyTree

from .._parameters import plain
from .._text import counted, listed
from ..errors import DeclarationError, KindError, OverlapError, ShapeError
from .provider import names_of
from .spec import is_name, matched


class BatchedInterface:
    """The names of several systems as one list, in which a shared name is one.

    `mtk.getsym` and `mtk.getp` of it read from as many problems, `mtk.setsym` and `mtk.setp` write to
    them: so several experiments with common parameters are one vector of unknown values.

    **Arguments:**

    - `pairs`: for each system (or problem, or parameter object) a pair of it and a list of names.

    **Attributes:**

    - `names`: each name once, in the order of the lists.

    Reading, the first problem that has a name gives its value: `get(problem1, problem2)`, a list.
    Writing goes to every problem that has the name: `put((problem1, problem2), values)` returns as many
    new problems, and `put.one(number, problem, values)` only the one with that number, so that a loop
    over problems need not hold them all.

    **Raises:** `UnknownNameError` with the nearest names; `KindError` for expressions and numbers;
    `DeclarationError` for the time; `OverlapError` for a name twice in one list.

    !!! Example

        >>> import mtkparams as mtk
        >>> one, two = mtk.parameters({"k": 1.0, "a": 2.0}), mtk.parameters({"k": 3.0, "b": 4.0})
        >>> both = mtk.BatchedInterface((one, ["k", "a"]), (two, ["k", "b"]))
        >>> both.names
        ('k', 'a', 'b')
        >>> new_one, new_two = mtk.setp(both)((one, two), [7.0, 8.0, 9.0])
        >>> float(new_one["k"]), float(new_two["k"]), float(new_two["b"])
        (7.0, 7.0, 9.0)
    """

    __slots__ = ("names", "owners", "sources")

    def __init__(self, *pairs: tuple[Any, Iterable[Any]]):
        lists: list[tuple[str, ...]] = []
        self.sources = tuple(source for source, _ in pairs)
        for number, (source, names) in enumerate(pairs):
            if isinstance(names, str):
                raise KindError(f"System {number} has a list of names, got the text {names!r}.")
            lists.append(_checked(source, names, number))
        self.names = tuple(dict.fromkeys(name for group in lists for name in group))
        # For each name the numbers of the systems that have it.
        self.owners = {
            n: tuple(i for i, group in enumerate(lists) if n in group) for n in self.names
        }

    def of(self, number: int) -> tuple[str, ...]:
        """The names of one system, in the order of `names`."""
        return tuple(name for name, owners in self.owners.items() if number in owners)

    def first_in(self, number: int) -> tuple[str, ...]:
        """The names whose value one system gives."""
        return tuple(name for name, owners in self.owners.items() if owners[0] == number)

    def __len__(self) -> int:
        return len(self.sources)

    def __repr__(self) -> str:
        return f"BatchedInterface({counted(len(self), 'system')}, {listed(self.names)})"


def _checked(source: object, items: Iterable[Any], number: int) -> tuple[str, ...]:
    names = names_of(source)
    checked: list[str] = []
    for name in items:
        if not is_name(name):
            raise KindError(
                f"System {number} has a list of names, got {name!r}. Expressions and positions mean "
                "something else in each system."
            )
        if names.kind(name) == "time":
            raise DeclarationError("The time is no value of one system. Leave 't' out.")
        if plain(name) in checked:
            raise OverlapError(f"{plain(name)!r} is named twice for system {number}.")
        checked.append(plain(name))
    return tuple(checked)


class BatchedGetter:
    """A function of as many problems as there are systems: the values of all names, a list."""

    def __init__(self, interface: BatchedInterface, getters: tuple[Any, ...]):
        self.interface = interface
        self.getters = getters

    def __call__(self, *providers: Any) -> list[Any]:
        _check_count(self.interface, providers)
        values: dict[str, Any] = {}
        for number, (get, provider) in enumerate(zip(self.getters, providers, strict=True)):
            values.update(zip(self.interface.first_in(number), get(provider), strict=True))
        return [values[name] for name in self.interface.names]


class BatchedSetter:
    """A function of as many problems as there are systems, and of the values of all names."""

    def __init__(self, interface: BatchedInterface, setters: tuple[Any, ...]):
        self.interface = interface
        self.setters = setters

    def __call__(self, providers: Sequence[object], values: PyTree) -> tuple[Any, ...]:
        _check_count(self.interface, providers)
        return tuple(self.one(i, provider, values) for i, provider in enumerate(providers))

    def one(self, number: int, provider: object, values: PyTree) -> Any:
        """The problem with this number with its part of the values of all names."""
        by_name = dict(
            zip(self.interface.names, matched(list(self.interface.names), values), strict=True)
        )
        return self.setters[number](provider, [by_name[n] for n in self.interface.of(number)])


def _check_count(interface: BatchedInterface, providers: Sequence[object]) -> None:
    if len(providers) != len(interface):
        raise ShapeError(f"{len(interface)} systems need as many problems, got {len(providers)}.")


def refuse_spec(spec: object) -> None:
    """Raises where names are asked of an interface that has its own."""
    if spec is not None:
        raise KindError(
            "A BatchedInterface has its own list of names; leave the second argument out."
        )
