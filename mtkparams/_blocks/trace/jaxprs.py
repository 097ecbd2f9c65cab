"""What all versions of JAX say about a program, each in its own way."""

from __future__ import annotations

from typing import Any, TypeAlias

from jax.extend import core
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

# jax 0.12 has one class where 0.10 has two, and exports this name no more, though it is still there.
ClosedJaxpr: TypeAlias = core.ClosedJaxpr  # pyright: ignore[reportPrivateImportUsage]
# Some calls hold a jaxpr without constants.
Closed: TypeAlias = ClosedJaxpr | Jaxpr
Atom: TypeAlias = Var | Literal


def opened(closed: Closed) -> Jaxpr:
    """The program without its constants."""
    program: Any = closed
    return getattr(program, "jaxpr", program)


def constants(closed: Closed) -> list[Any]:
    """The constants that a program brings along."""
    return list(getattr(closed, "consts", None) or ())


def called(eqn: JaxprEqn) -> Closed:
    """The program that a call runs."""
    return eqn.params["jaxpr" if "jaxpr" in eqn.params else "call_jaxpr"]


def aval(atom: Atom) -> Any:
    """Shape and dtype of a variable, of which JAX's own types do not tell."""
    return atom.aval
