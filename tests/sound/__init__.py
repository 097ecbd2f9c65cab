"""Random sound systems of equations, with solutions and slopes to more digits than tests ask for.

A `Kind` is a set of equations as somebody might write them, fixed by its name. `drawn` gives values for
it: of parameters and guesses, and references in 80-bit numbers that owe nothing to the library.

Values are chosen in units in which all is about one: first the solution, then coefficients, and in each
equation one of them last, so that the solution is one. Then come the units, powers of ten for each
unknown and each equation. A system is sound if it is well conditioned in units of its own, and if
Newton's method, without damping, goes from the guess to the root.
"""

from .arrays import arrays
from .kind import Kind
from .kind import Traced as Traced
from .kind import split as split
from .kind import traced as traced
from .references import MOST_BEND as MOST_BEND
from .references import MOST_CONDITION as MOST_CONDITION
from .references import Systems as Systems
from .references import bend as bend
from .references import condition as condition
from .references import drawn as drawn
from .references import jacobian as jacobian
from .references import newton as newton
from .references import residuals as residuals
from .scalars import scalars


def _kinds() -> dict[str, Kind]:
    out: list[Kind] = []
    for plan, lengths in (
        ("pairs", (4, 12)),
        ("triples", (3, 10)),
        ("tree", (4, 6)),
        ("loop", (2, 3, 6)),
        ("mixed", (5, 7)),
    ):
        out.extend(scalars(f"{plan} of {n}", plan, n) for n in lengths)
    for plan, lengths in (("pairs", (3, 8)), ("tree", (6,)), ("loop", (3,)), ("mixed", (7,))):
        out.extend(scalars(f"{plan} of {n}, numbers", plan, n, literal=True) for n in lengths)
    for plan, lengths in (
        ("pairs", (4,)),
        ("tree", (3, 5)),
        ("loop", (2, 3, 5)),
        ("mixed", (4, 6)),
    ):
        out.extend(scalars(f"{plan} of {n}, bent", plan, n, nonlinear=True) for n in lengths)
    for name, stages, length in (
        ("each", ["each", "ladder", "each of each"], 3),
        ("matrices", ["matrix", "numbers"], 4),
        ("sums", ["ring", "total", "running", "field"], 3),
        ("bent", ["exponents", "cubes", "products"], 3),
        ("maps", ["mapped", "mapped logarithms"], 3),
        ("scans", ["a rule", "scanned"], 3),
        ("choices", ["chosen", "matrix"], 3),
        ("repetitions", ["each", "repeated"], 3),
    ):
        out.append(arrays(f"arrays, {name}", stages, length))
    return {kind.name: kind for kind in out}


def _models() -> dict[str, Kind]:
    out: list[Kind] = []
    for plan, n in (("triples", 4), ("tree", 4), ("mixed", 5)):
        out.append(scalars(f"model, {plan}", plan, n))
        out.append(scalars(f"model, {plan}, bent", plan, n, nonlinear=True))
    out.append(arrays("model, arrays", ["ladder", "matrix", "total"], 3))
    out.append(arrays("model, arrays, bent", ["cubes", "ring", "products"], 2))
    return {kind.name: kind for kind in out}


KINDS, MODELS = _kinds(), _models()
