"""Equations in scalars, written at random: their terms, and values that make them hold."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .kind import Drawn, Kind, Numbers, Random


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
