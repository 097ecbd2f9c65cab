"""Random sound systems of equations, with solutions and slopes to more digits than tests ask for.

A `Kind` is a set of equations as somebody might write them, fixed by its name. `drawn` gives values for
it: of parameters and guesses, and references in 80-bit numbers that owe nothing to the library.

Values are chosen in units in which all is about one: first the solution, then coefficients, and in each
equation one of them last, so that the solution is one. Then come the units, powers of ten for each
unknown and each equation. A system is sound if it is well conditioned in units of its own, and if
Newton's method, without damping, goes from the guess to the root.
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Random = np.random.Generator
Long: Any = np.longdouble


# The largest Skeel condition of a Jacobian that is sound, in units in which all is about one.
MOST_CONDITION = 1e3
# The largest bend: a double root is then some 1e-3 of an equation's terms away, or thousands of roundings
# in 32 bits.
MOST_BEND = 200.0


class Drawn(NamedTuple):
    """One set of values: all are vectors; `p` in the units of the model, `v` in units of its own."""

    p: np.ndarray
    v: np.ndarray
    units: np.ndarray  # of unknowns
    rows: np.ndarray  # of equations
    sizes: np.ndarray  # of parameters


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """Equations, and how values for them are drawn.

    - `unknowns`, `parameters`: their shapes; `equations`: the shapes of what `residual` gives.
    - `residual`: from functions, unknowns and parameters to a list of what is zero.
    - `blocks`: places in the vectors of equations and unknowns that are solved together, in order.
    - `draw`: from random numbers and how many powers of ten units may span, up and down, to one set of
      values; `None` where luck was bad.
    """

    name: str
    unknowns: tuple[tuple[int, ...], ...]
    parameters: tuple[tuple[int, ...], ...]
    equations: tuple[tuple[int, ...], ...]
    residual: Callable[[Any, Sequence[Any], Sequence[Any]], list[Any]]
    blocks: tuple[tuple[list[int], list[int]], ...]
    affine: bool
    draw: Callable[[Random, float], Drawn | None]


# Functions that equations are written with, for JAX and for numbers with a batch as their last axis


def _scan(step: Any, carry: Any, xs: Any) -> Any:
    out = []
    for x in xs:
        carry, y = step(carry, x)
        out.append(y)
    return np.stack(out)


def _repeat(times: int, step: Any, carry: Any) -> Any:
    for _ in range(times):
        carry = step(carry)
    return carry


class Numbers:
    """Of numpy: complex ones too, so that a step along the imaginary axis is a derivative."""

    exp, log, sqrt, sin, rule = np.exp, np.log, np.sqrt, np.sin, np.log
    dot = staticmethod(lambda m, x: np.einsum("ij...,j...->i...", m, x))
    constant = staticmethod(lambda m, like: m)
    roll = staticmethod(lambda x: np.roll(x, 1, 0))
    total = staticmethod(lambda x: x.sum(0))
    running = staticmethod(lambda x: x.cumsum(0))
    join = staticmethod(np.concatenate)
    each = staticmethod(lambda f, x: f(x))
    scan = staticmethod(_scan)
    cond = staticmethod(lambda on, yes, no, *x: yes(*x))  # what decides is positive in all values
    repeat = staticmethod(_repeat)


@jax.custom_jvp
def _log(x):
    return jnp.log(x)


_log.defjvp(lambda x, t: (_log(*x), t[0] / x[0]))


class Traced:
    """Of JAX."""

    exp, log, sqrt, sin, rule = jnp.exp, jnp.log, jnp.sqrt, jnp.sin, _log
    dot = staticmethod(lambda m, x: m @ x)
    constant = staticmethod(lambda m, like: jnp.asarray(m, like.dtype))
    roll = staticmethod(lambda x: jnp.roll(x, 1))
    total = staticmethod(jnp.sum)
    running = staticmethod(jnp.cumsum)
    join = staticmethod(jnp.concatenate)
    each = staticmethod(lambda f, x: lax.map(f, x))
    scan = staticmethod(lambda step, carry, xs: lax.scan(step, carry, xs)[1])
    cond = staticmethod(lambda on, yes, no, *x: lax.cond(on > 0, yes, no, *x))
    repeat = staticmethod(
        lambda times, step, carry: lax.fori_loop(0, times, lambda _, c: step(c), carry)
    )


# Terms of equations in scalars


class Term(NamedTuple):
    """`sign * literal * coefficient * shape(what it reads)`.

    Numbers of what is read are those of unknowns, and beyond those the ones of parameters.
    """

    sign: int
    literal: float
    shape: str
    reads: tuple[int, ...] = ()
    place: int | None = None  # its coefficient among the parameters, if it has one
    over: bool = False  # divided by that
    scale: tuple[int, ...] = ()  # parameters in units of what is read
    unit: float | None = None  # the coefficient where it is fixed, in units in which all is one


# Of what is read and its units; how many of each; powers of units; whether it is for positive ones only.
SHAPES: dict[str, tuple[Callable[..., Any], int, tuple[int, ...], bool]] = {
    "one": (lambda f, x, s: 1.0, 0, (), False),
    "same": (lambda f, x, s: x[0], 0, (1,), False),
    "square": (lambda f, x, s: x[0] ** 2, 0, (2,), True),
    "cube": (lambda f, x, s: x[0] ** 3, 0, (3,), False),
    "product": (lambda f, x, s: x[0] * x[1], 0, (1, 1), True),
    "ratio": (lambda f, x, s: x[0] / x[1], 0, (1, -1), True),
    "exp": (lambda f, x, s: f.exp(x[0] / s[0]), 1, (0,), True),
    "sin": (lambda f, x, s: f.sin(x[0] / s[0]), 1, (0,), False),
    "sqrt": (lambda f, x, s: f.sqrt(x[0] / s[0]), 1, (0,), True),
    "log": (lambda f, x, s: f.log(x[0] / s[0]), 1, (0,), True),
    "hill": (lambda f, x, s: x[0] / (s[0] + x[0]), 1, (0,), True),
}


class Equation(NamedTuple):
    terms: tuple[Term, ...]
    own: int  # which term reads the unknown that the equation is for
    single: bool  # whether that is all that its block finds
    grouped: bool  # first - (others)
    factor: tuple[str, int] | None  # all of it times or over a parameter


def _written(equation: Equation, f: Any, look: Callable[[int], Any], p: Any) -> Any:
    values = [_term(t, f, look, p) for t in equation.terms]
    signs = [t.sign for t in equation.terms]
    if equation.grouped and len(values) > 1 and signs[0] > 0:
        total = values[0] - _signed([-s for s in signs[1:]], values[1:])
    else:
        total = _signed(signs, values)
    if equation.factor is None:
        return total
    how, place = equation.factor
    return p[place] * total if how == "times" else total / p[place]


def _term(t: Term, f: Any, look: Callable[[int], Any], p: Any) -> Any:
    value = SHAPES[t.shape][0](f, [look(i) for i in t.reads], [p[i] for i in t.scale])
    if t.place is not None and t.shape == "one":
        value = 1.0 / p[t.place] if t.over else p[t.place]
    elif t.place is not None:
        value = value / p[t.place] if t.over else p[t.place] * value
    if t.literal == 0.5:
        return value / 2
    return value if t.literal == 1.0 else t.literal * value


def _signed(signs: Sequence[int], values: Sequence[Any]) -> Any:
    total = values[0] if signs[0] > 0 else -values[0]
    for sign, value in zip(signs[1:], values[1:], strict=True):
        total = total + value if sign > 0 else total - value
    return total


class _Writer:
    """Writes the equations of a kind at random, in the order in which they are solved."""

    def __init__(self, name: str, plan: str, n: int, literal: bool, nonlinear: bool):
        self.random = np.random.default_rng(zlib.crc32(name.encode()))
        self.plan, self.n, self.literal, self.nonlinear = plan, n, literal, nonlinear
        self.positive = nonlinear and bool(self.random.random() < 0.8)
        self.count = 0  # parameters
        sources = [self.parameter() for _ in range(2)]
        self.sources = [n + s for s in sources]
        self.groups = self.grouped()
        # With coefficients that are numbers in the text, the units of unknowns are, too.
        spread = 5.0 if literal else 0.0
        self.f = 10 ** self.random.uniform(-spread, spread, n + 2)
        self.r = 10 ** self.random.uniform(-spread, spread, n)
        self.equations = [self.equation(k, group) for group in self.groups for k in group]

    def parameter(self) -> int:
        self.count += 1
        return self.count - 1

    def grouped(self) -> list[list[int]]:
        """The blocks, each with its unknowns."""
        if self.plan == "loop":
            return [list(range(self.n))]
        if self.plan != "mixed":
            return [[i] for i in range(self.n)]
        cuts, at = [0], 0
        while at < self.n:
            at = min(at + int(self.random.integers(1, 5)), self.n)
            cuts.append(at)
        return [list(range(i, j)) for i, j in zip(cuts, cuts[1:], strict=False)]

    def readable(self, k: int, group: list[int]) -> list[int]:
        """What an equation reads beside its own unknown."""
        random, earlier = self.random, [*range(group[0]), *self.sources]
        ring = [group[(group.index(k) + 1) % len(group)]] if len(group) > 1 else []
        if self.plan in ("pairs", "triples"):
            return [k - 1] if k else [self.sources[0]]
        most = int(random.integers(1, 5)) - len(ring)
        chosen = random.permutation(earlier if random.random() < 0.7 else [*earlier, *group])
        return ring + [int(i) for i in chosen[: max(most, 0)] if i != k and i not in ring]

    def equation(self, k: int, group: list[int]) -> Equation:
        random = self.random
        reads = self.readable(k, group)
        own = self.own_term(k)
        anchored = own.place is None
        others = []
        for i in reads:
            bare = self.literal or (not anchored and random.random() < 0.6)
            anchored = anchored or bare
            others.append(self.other(i, k, bare))
        constant = self.plan == "triples" or len(group) > 1 or not others
        if constant or (self.plan != "pairs" and random.random() < 0.5):
            literal = float(random.choice([1.0, 0.5, 2.5]))
            others.append(Term(-1, literal, "one", place=self.parameter()))
        if self.nonlinear and own.shape == "same" and random.random() < 0.7:
            others.append(self.bent([k, *(i for i in reads if i < self.n)]))
        terms, first = [own, *others], 0
        if random.random() < 0.25:
            order = [int(i) for i in random.permutation(len(terms))]
            terms, first = [terms[i] for i in order], order.index(0)
        factor = None
        if random.random() < 0.25:
            factor = (str(random.choice(["times", "over"])), self.parameter())
        grouped = bool(random.random() < 0.3)
        return Equation(tuple(terms), first, len(group) == 1, grouped, factor)

    def own_term(self, k: int) -> Term:
        random = self.random
        if self.literal:
            unit = float(random.choice([1.0, 1.5, -0.7]))
            return Term(1, float(unit * self.r[k] / self.f[k]), "same", (k,), unit=unit)
        style = random.choice(["bare", "times", "over", "number"], p=[0.5, 0.2, 0.15, 0.15])
        shape = "same"
        if self.nonlinear and random.random() < 0.4:
            shape = str(
                random.choice(["cube", "exp", "sqrt", "square"] if self.positive else ["cube"])
            )
        scale = tuple(self.parameter() for _ in range(SHAPES[shape][1]))
        number = 10 ** random.uniform(-12, 12) if style == "number" else 1.0
        place = self.parameter() if style in ("times", "over") else None
        return Term(1, float(number), shape, (k,), place, bool(style == "over"), scale)

    def other(self, i: int, k: int, bare: bool) -> Term:
        random = self.random
        sign = int(random.choice([1, -1], p=[0.25, 0.75]))
        if self.literal:
            unit = float(random.uniform(0.1, 0.9))
            f = self.f[i] if i < self.n else self.f[self.n + self.sources.index(i)]
            return Term(sign, float(unit * self.r[k] / f), "same", (i,), unit=unit)
        if bare:
            return Term(-1 if self.positive else sign, 1.0, "same", (i,))
        over = bool(random.random() < 0.2)
        return Term(sign, float(random.choice([1.0, 3.0])), "same", (i,), self.parameter(), over)

    def bent(self, candidates: list[int]) -> Term:
        """A term that is not linear in some of its unknowns."""
        random = self.random
        sign = int(random.choice([1, -1]))
        shape = str(
            random.choice([n for n, s in SHAPES.items() if s[2] and (self.positive or not s[3])])
        )
        if len(SHAPES[shape][2]) > len(candidates):
            shape = "sin"
        reads = tuple(int(i) for i in random.permutation(candidates)[: len(SHAPES[shape][2])])
        scale = tuple(self.parameter() for _ in range(SHAPES[shape][1]))
        return Term(sign, 1.0, shape, reads, self.parameter(), scale=scale)

    def draw(self, random: Random, spread: float) -> Drawn | None:
        """Values in the order of solving."""
        n = self.n
        power = lambda size, by: 10 ** random.uniform(-by, by, size)
        if self.literal:
            common = power(None, spread - 5)  # what the numbers in the text span leaves
            units, rows = common * self.f, common * self.r
        else:
            units, rows = power(n + 2, spread), power(n, spread)
        v = (
            power(n + 2, 0.3)
            if self.positive
            else random.choice([-1, 1], n + 2) * power(n + 2, 0.5)
        )
        if not self.positive:
            some = 0.02 if self.plan == "pairs" else 0.1  # there a zero makes all later ones zero
            v = np.where(random.random(n + 2) < (1.0 if random.random() < 0.04 else some), 0.0, v)
        p, sizes = np.ones(self.count), np.ones(self.count)
        at = lambda i: i if i < n else n + self.sources.index(i)
        for s in range(2):
            p[s], sizes[s] = v[n + s] * units[n + s], units[n + s]
        for k, equation in enumerate(self.equations):
            for t in equation.terms:
                for s in t.scale:
                    sizes[s] = units[at(t.reads[0])]
                    p[s] = sizes[s] * random.uniform(0.7, 1.4)
            seen = [self._seen(t, v, p, sizes, at) for t in equation.terms]
            a = self._coefficients(random, equation)
            if not self._balanced(random, equation, k, a, seen, v):
                return None
            per = [np.prod([units[at(i)] ** e for i, e in zip(t.reads, SHAPES[t.shape][2], strict=True)])
                   for t in equation.terms]  # fmt: skip
            for t, c, unit in zip(equation.terms, a, per, strict=True):
                if t.place is None and t.unit is None:
                    rows[k] = t.literal * unit / c
            factor = 1.0
            if equation.factor is not None:
                how, place = equation.factor
                p[place] = sizes[place] = power(None, spread / 2)
                factor = p[place] if how == "times" else 1 / p[place]
            for t, c, unit in zip(equation.terms, a, per, strict=True):
                if t.place is not None:
                    whole = rows[k] / (t.literal * unit)
                    p[t.place] = 1 / (c * whole) if t.over else c * whole
                    sizes[t.place] = abs(1 / whole) if t.over else abs(whole)
            rows[k] *= factor
        return Drawn(p, v[:n], units[:n], np.abs(rows), sizes)

    def _seen(self, t: Term, v: Any, p: Any, sizes: Any, at: Any) -> float:
        x, s = [v[at(i)] for i in t.reads], [p[i] / sizes[i] for i in t.scale]
        return float(t.sign * SHAPES[t.shape][0](Numbers, x, s))

    def _coefficients(self, random: Random, equation: Equation) -> np.ndarray:
        a = []
        for i, t in enumerate(equation.terms):
            size = (
                10 ** random.uniform(-0.3, 0.3) if i == equation.own else random.uniform(0.1, 0.8)
            )
            if i != equation.own and t.place is not None:
                size *= random.choice([-1, 1])
                size = 0.0 if not t.over and random.random() < 0.1 else size
            a.append(size if t.unit is None else t.unit)
        return np.array(a)

    def _balanced(
        self, random: Random, equation: Equation, k: int, a: Any, seen: Any, v: Any
    ) -> bool:
        """Chooses one coefficient, or the unknown itself, so that the equation holds."""
        own, terms = equation.own, equation.terms
        which = [
            i for i, t in enumerate(terms) if i != own and t.place is not None and seen[i] != 0
        ]
        straight = terms[own].shape == "same" and sum(k in t.reads for t in terms) == 1
        rest = lambda i: sum(a[j] * seen[j] for j in range(len(terms)) if j != i)
        if equation.single and straight and (not which or random.random() < 0.3):
            v[k] = -rest(own) / (a[own] * terms[own].sign)
            return bool(v[k] > 0.1 if self.positive else v[k] == 0 or 0.02 < abs(v[k]) < 50)
        if not which and terms[own].place is not None and seen[own] != 0:
            which = [own]
        if not which:
            return bool(abs(rest(-1)) < 1e-15)
        i = int(random.choice(which))
        a[i] = -rest(i) / seen[i]
        return bool(abs(a[i]) < 10 and (abs(a[i]) > 0.01 or not terms[i].over))


def scalars(name: str, plan: str, n: int, literal: bool = False, nonlinear: bool = False) -> Kind:
    """Equations in scalars, declared in random order."""
    own = _Writer(name, plan, n, literal, nonlinear)
    unknown_at, equation_at = (own.random.permutation(n) for _ in range(2))
    rows = np.argsort(equation_at)  # of each place, which equation

    def residual(f: Any, u: Sequence[Any], p: Sequence[Any]) -> list[Any]:
        look = lambda i: u[int(unknown_at[i])] if i < n else p[i - n]
        return [_written(own.equations[k], f, look, p) for k in rows]

    def draw(random: Random, spread: float) -> Drawn | None:
        one = own.draw(random, spread)
        if one is None:
            return None
        place = np.argsort(unknown_at)
        return one._replace(v=one.v[place], units=one.units[place], rows=one.rows[rows])

    blocks = tuple((equation_at[g].tolist(), unknown_at[g].tolist()) for g in own.groups)
    shapes = ((),) * n
    return Kind(name, shapes, ((),) * own.count, shapes, residual, blocks, not nonlinear, draw)


# Equations in arrays, stage by stage


class Stage(NamedTuple):
    """What finds a vector `y`, from another vector `x` and parameters.

    - `row`: the unit of the equation: that of `y`, one, or any.
    - `own`: of each parameter its shape (`L` as long as `y`), the powers of the units of equation, `y`
      and `x` that are its unit, and how it is drawn. The last, `b`, makes the equation hold.
    """

    equation: Callable[[Any, Any, Any, Any], Any]
    row: str
    own: dict[str, tuple[str, tuple[int, int, int], str]]
    bent: bool = False


_MATRIX = np.array([[2.0, 0.0, -0.5, 0.0], [0.3, 1.5, 0, 0], [0, 0, -1.0, 0], [0.4, 0, 0.0, 1.2]])


def _two(f, y, w):
    """Results of two places, and the rest as they were."""
    return y - f.join([w[0][None], w[1][None], 0.0 * y[2:]])


STAGES: dict[str, Stage] = {
    "each": Stage(
        lambda f, y, x, p: y - p["c"] * x - p["b"], "y", {"c": ("", (0, 1, -1), "off")}
    ),
    "each of each": Stage(
        lambda f, y, x, p: p["d"] * y - x * p["c"] - p["b"] / 2,
        "any",
        {"d": ("L", (1, -1, 0), "own"), "c": ("L", (1, 0, -1), "off")},
    ),
    "matrix": Stage(
        lambda f, y, x, p: f.dot(p["m"], y) - p["c"] * x - p["b"],
        "any",
        {"m": ("LL", (1, -1, 0), "matrix"), "c": ("", (1, 0, -1), "off")},
    ),
    "numbers": Stage(
        lambda f, y, x, p: f.dot(f.constant(_MATRIX[: len(y), : len(y)], y), y) + p["c"] * x - p["b"],
        "y",
        {"c": ("L", (0, 1, -1), "off")},
    ),
    "ring": Stage(
        lambda f, y, x, p: y - p["c"] * f.roll(y) - p["b"], "y", {"c": ("L", (0, 0, 0), "off")}
    ),
    "ladder": Stage(
        lambda f, y, x, p: f.join([y[:1], y[1:] - p["c"] * y[:-1]]) - p["e"] * x - p["b"],
        "y",
        {"c": ("", (0, 0, 0), "off"), "e": ("", (0, 1, -1), "off")},
    ),
    "running": Stage(
        lambda f, y, x, p: p["c"] * f.running(y) - p["b"], "any", {"c": ("", (1, -1, 0), "own")}
    ),
    "total": Stage(
        lambda f, y, x, p: y - p["c"] * f.total(x) - p["b"], "y", {"c": ("L", (0, 1, -1), "off")}
    ),
    "field": Stage(
        lambda f, y, x, p: y / p["d"] - p["c"] * f.total(y) - p["b"],
        "any",
        {"d": ("", (-1, 1, 0), "own"), "c": ("", (1, -1, 0), "small")},
    ),
    "cubes": Stage(
        lambda f, y, x, p: p["a"] * y**3 + y - p["c"] * x - p["b"],
        "y",
        {"a": ("L", (0, -2, 0), "own"), "c": ("", (0, 1, -1), "off")},
        True,
    ),
    "exponents": Stage(
        lambda f, y, x, p: f.exp(y / p["s"]) + p["d"] * y - p["b"],
        "one",
        {"s": ("", (0, 1, 0), "own"), "d": ("", (1, -1, 0), "own")},
        True,
    ),
    "products": Stage(
        lambda f, y, x, p: y + p["a"] * f.roll(y) * y - p["c"] * x - p["b"],
        "y",
        {"a": ("", (0, -1, 0), "small"), "c": ("", (0, 1, -1), "off")},
        True,
    ),
    # Operations that are computed whole, with bodies that are not defined at zero, or not smooth
    "mapped": Stage(
        lambda f, y, x, p: y - p["c"] * f.each(lambda y: f.sqrt(p["q"] * y), y) - p["b"],
        "y",
        {"q": ("", (0, -1, 0), "own"), "c": ("", (0, 1, 0), "off")},
        True,
    ),
    "mapped logarithms": Stage(
        lambda f, y, x, p: y - p["c"] * f.each(lambda y: f.log(y / p["q"]), y) - p["e"] * x - p["b"],
        "y",
        {"q": ("", (0, 1, 0), "own"), "c": ("", (0, 1, 0), "off"), "e": ("", (0, 1, -1), "off")},
        True,
    ),
    "a rule": Stage(
        lambda f, y, x, p: y + p["c"] * f.rule(p["q"] * y) - p["b"],
        "y",
        {"q": ("", (0, -1, 0), "own"), "c": ("", (0, 1, 0), "small")},
        True,
    ),
    "scanned": Stage(
        lambda f, y, x, p: (
            y
            - p["c"] * f.scan(lambda s, y: (0.5 * s + f.sqrt(p["q"] * y), s), p["one"], y)
            - p["b"]
        ),
        "y",
        {
            "q": ("", (0, -1, 0), "own"),
            "c": ("", (0, 1, 0), "off"),
            "one": ("", (0, 0, 0), "own"),
        },
        True,
    ),
    "chosen": Stage(
        lambda f, y, x, p: (
            _two(
                f,
                y,
                f.cond(
                    p["on"],
                    lambda y, z: (p["c"] * f.sqrt(p["q"] * y), p["d"] * z),
                    lambda y, z: (y, 2 * z),
                    y[0],
                    y[1],
                ),
            )
            - p["b"]
        ),
        "y",
        {
            "on": ("", (0, 0, 0), "own"),
            "c": ("", (0, 1, 0), "off"),
            "q": ("", (0, -1, 0), "own"),
            "d": ("", (0, 0, 0), "off"),
        },
        True,
    ),
    "repeated": Stage(
        lambda f, y, x, p: (
            _two(f, y, f.repeat(2, lambda s: (0.5 * s[0], p["d"] * s[1]), (y[0], y[1]))) - p["b"]
        ),
        "y",
        {"d": ("", (0, 0, 0), "off")},
        True,
    ),
}  # fmt: skip


def _any(random: Random, how: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of a parameter where all is about one."""
    some = 10 ** random.uniform(-0.3, 0.3, shape)
    if how == "own":
        return some
    if how == "small":
        return random.uniform(0.02, 0.15, shape)
    signed = random.uniform(0.1, 0.7, shape) * random.choice([-1, 1], shape)
    signed = np.where(random.random(shape) < 0.15, 0.0, signed)
    return signed / 2 + np.diag(some[0]) if how == "matrix" else signed


def arrays(name: str, stages: Sequence[str], length: int) -> Kind:
    """Equations in arrays: each stage reads the one before, the first one a parameter."""
    own = [STAGES[s] for s in stages]
    bent = any(s.bent for s in own)
    sizes = {"": (), "L": (length,), "LL": (length, length)}
    tables = [{**s.own, "b": ("L", (1, 0, 0), "")} for s in own]
    shapes = [(length,), *(sizes[shape] for table in tables for shape, _, _ in table.values())]
    count = length * len(own)

    def residual(f: Any, u: Sequence[Any], p: Sequence[Any]) -> list[Any]:
        before, given, out = p[0], list(p[1:]), []
        for stage, table, y in zip(own, tables, u, strict=True):
            values = {key: given.pop(0) for key in table}
            out.append(stage.equation(f, y, before, values))
            before = y
        return out

    def draw(random: Random, spread: float) -> Drawn | None:
        units = 10 ** random.uniform(-spread, spread, len(own) + 1)
        value = lambda: (
            10 ** random.uniform(-0.3, 0.3, length)
            if bent
            else np.where(random.random(length) < 0.1, 0, random.uniform(-3, 3, length))
        )
        v = [value() for _ in units]
        p, sized, rows = [v[0] * units[0]], [np.full(length, units[0])], []
        for i, (stage, table) in enumerate(zip(own, tables, strict=True)):
            row = {"y": units[i + 1], "one": 1.0, "any": 10 ** random.uniform(-spread, spread)}
            per = (row[stage.row], units[i + 1], units[i])
            values = {}
            for key, (shape, powers, how) in table.items():
                unit = np.prod(np.array(per) ** np.array(powers))
                values[key] = _any(random, how, sizes[shape]) * unit if how else np.zeros(length)
                sized.append(np.full(sizes[shape], unit))
            y, x = (Long(v[j][:, None]) * units[j] for j in (i + 1, i))
            given = {key: Long(w[..., None]) for key, w in values.items()}
            left = stage.equation(Numbers, y, x, given)[:, 0].astype(float)
            values["b"] = 2 * left if stages[i] == "each of each" else left
            p.extend(values.values())
            rows.append(np.full(length, per[0]))
        flat = lambda parts: np.concatenate([np.ravel(x) for x in parts])
        own_units = np.repeat(units[1:], length)
        return Drawn(flat(p), flat(v[1:]), own_units, flat(rows), flat(sized))

    places = np.split(np.arange(count), len(own))
    blocks = tuple((x.tolist(), x.tolist()) for x in places)
    each = ((length,),) * len(own)
    return Kind(name, each, tuple(shapes), each, residual, blocks, not bent, draw)


# References


def split(flat: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """The parts of a vector by their shapes, each with what other axes the vector has."""
    out, start = [], 0
    for shape in shapes:
        size = int(np.prod(shape, dtype=int))
        part = flat[start] if shape == () else flat[start : start + size]
        out.append(part if len(shape) < 2 else part.reshape(*shape, *flat.shape[1:]))
        start += size
    return out


def traced(kind: Kind) -> Callable[[Any, Any], Any]:
    """The residual of vectors of JAX."""

    def fn(u: Any, p: Any) -> Any:
        parts = kind.residual(Traced, split(u, kind.unknowns), split(p, kind.parameters))
        return jnp.stack(parts) if () in kind.equations else jnp.concatenate(parts)

    return fn


class Systems(NamedTuple):
    """Many sets of values of a kind, the first axis for all; `v` and `slope` in units of their own."""

    p: np.ndarray
    guess: np.ndarray
    v: np.ndarray
    slope: np.ndarray
    units: np.ndarray
    rows: np.ndarray
    sizes: np.ndarray

    @property
    def per(self) -> np.ndarray:
        """The units of slopes."""
        return self.units[:, :, None] / self.sizes[:, None, :]


def residuals(kind: Kind, v: Any, p: Any, s: Any) -> Any:
    """What is left of each equation, in its own unit, at unknowns in theirs: `(batch, n)`."""
    u, p = (v * s.units).T, p.T
    parts = kind.residual(Numbers, split(u, kind.unknowns), split(p, kind.parameters))
    flat = [x.reshape(-1, u.shape[-1]) for x in parts]
    return np.concatenate(flat).T / s.rows


_STEP = Long("1e-300")


def jacobian(kind: Kind, v: Any, s: Any) -> Any:
    """Derivatives by the unknowns, exact to rounding: `(batch, n, n)`."""
    along = lambda e: residuals(kind, v + 1j * _STEP * e, s.p + 0j, s).imag / _STEP
    return np.stack([along(e) for e in np.eye(v.shape[1], dtype=Long)], -1)


def by_parameters(kind: Kind, v: Any, s: Any) -> Any:
    """Derivatives by the parameters, each times its size."""
    along = lambda e: residuals(kind, v + 0j, s.p + 1j * _STEP * s.sizes * e, s).imag / _STEP
    return np.stack([along(e) for e in np.eye(s.p.shape[1], dtype=Long)], -1)


def solve(matrix: Any, right: Any) -> Any:
    """Linear solves in 80 bits: in 64 bits, refined; NaN where a matrix is useless."""
    short = matrix.astype(float)
    useful = np.isfinite(short).all((-1, -2), keepdims=True)
    short = np.where(useful, short, 0.0)
    useful &= np.linalg.matrix_rank(short)[:, None, None] == short.shape[-1]
    short = np.where(useful, short, np.eye(short.shape[-1]))
    x = Long(0)
    left = np.where(np.isfinite(right), right, 0)
    right = left
    for _ in range(5):
        x = x + np.linalg.solve(short, left.astype(float)).astype(Long)
        left = right - np.where(useful, matrix, short) @ x
    return np.where(useful, x, np.nan)


def newton(kind: Kind, v: Any, s: Any, steps: int, block: Any = None) -> Any:
    """Newton's method without damping, on all equations or on a block of them."""
    every = range(v.shape[1])
    rows, columns = block or (every, every)
    for _ in range(steps):
        left = residuals(kind, v, s.p, s)[:, rows, None]
        matrix = jacobian(kind, v, s)[:, rows][:, :, columns]
        step = np.zeros_like(v)
        step[:, columns] = solve(matrix, left)[..., 0]
        v = v - step
    return v


def condition(matrix: Any) -> np.ndarray:
    """Skeel's condition numbers, and infinity where a matrix is useless."""
    eye = np.eye(matrix.shape[-1], dtype=Long)
    inverse = solve(matrix, np.broadcast_to(eye, matrix.shape))
    found = np.max(np.sum(np.abs(inverse) @ np.abs(matrix), -1), -1).astype(float)
    return np.where(np.isnan(found), np.inf, found)


def bend(kind: Kind, s: Systems) -> np.ndarray:
    """How fast the Jacobian changes, as seen by itself, when equations are moved by what is one."""
    matrix, found = jacobian(kind, s.v, s), np.zeros(len(s.p))
    for signs in np.random.default_rng(0).choice([-1, 1], (4, s.v.shape[1])):
        right = np.broadcast_to(Long(signs)[:, None], (*s.v.shape, 1))
        step = 1e-7 * solve(matrix, right)[..., 0]
        change = solve(matrix, jacobian(kind, s.v + step, s) - matrix) / 1e-7
        found = np.maximum(found, np.max(np.sum(np.abs(change), -1), -1).astype(float))
    return np.where(np.isnan(found), np.inf, found)


@functools.cache
def drawn(kind: Kind, count: int, single: bool = False) -> Systems:
    """Sound systems with their solutions; for 32 bits of narrower units, and rounded to that."""
    random = np.random.default_rng(zlib.crc32(f"{kind.name} {single}".encode()))
    found: list[Systems] = []
    for _ in range(30):
        some = _candidates(kind, random, 2 * count, single)
        good = _sound(kind, some, single)
        found.append(Systems(*(x[good] for x in some)))
        if sum(len(s.p) for s in found) >= count:
            break
    s = Systems(*(np.concatenate(x)[:count] for x in zip(*found, strict=True)))
    assert len(s.p) == count, f"{kind.name}: {len(s.p)} sound systems of {count}"
    slope = -solve(jacobian(kind, s.v, s), by_parameters(kind, s.v, s))
    return s._replace(slope=slope)


def _candidates(kind: Kind, random: Random, count: int, single: bool) -> Systems:
    sets: list[Drawn] = []
    for _ in range(400 * count):
        one = kind.draw(random, 6.0 if single else 12.0)
        if one is not None and np.isfinite(one.p).all():
            sets.append(one)
        if len(sets) == count:
            break
    assert len(sets) == count, f"{kind.name}: {len(sets)} candidates of {count}"
    p, v, units, rows, sizes = (np.stack(x) for x in zip(*sets, strict=True))
    off = random.choice([-1, 1], v.shape) * random.uniform(0.1, 0.3, v.shape)
    if kind.affine:
        off = random.choice([-1, 0, 10], v.shape) + off
    guess = units * np.where(v == 0, off, v * (1 + off))
    if single:
        p, guess = p.astype(np.float32), guess.astype(np.float32)
    s = Systems(Long(p), guess.astype(float), Long(v), v, Long(units), Long(rows), Long(sizes))
    with np.errstate(all="ignore"):
        return s._replace(v=newton(kind, s.v, s, 4), slope=s.v)


def _sound(kind: Kind, s: Systems, single: bool) -> np.ndarray:
    with np.errstate(all="ignore"):
        good = np.isfinite(s.v).all(1) & (condition(jacobian(kind, s.v, s)) < MOST_CONDITION)
        if single:  # whose squares 32 bits can hold, as derivatives of quotients need
            within = lambda x, most: ((x == 0) | (np.abs(np.log10(np.abs(x))) < most)).all(-1)
            good &= within(s.p, 18) & within(s.per, 30).all(1)
        if kind.affine:
            return good
        good &= bend(kind, s) < MOST_BEND
        start = s.guess / s.units
        arrives = lambda v: (np.abs(v - s.v) <= 1e-15 * (1 + np.abs(s.v))).all(1)
        good &= arrives(newton(kind, start, s, 12))
        for block in kind.blocks:
            before = s.v.copy()
            before[:, block[1]] = start[:, block[1]]
            good &= arrives(newton(kind, before, s, 12, block))
        return good


# The kinds


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
