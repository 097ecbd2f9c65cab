"""Equations in arrays, stage by stage: each finds a vector from another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .kind import Drawn, Kind, Long, Numbers, Random


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
