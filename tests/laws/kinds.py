"""What can be declared, as data: how each kind of value is made, and where its arrays belong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
from helpers import spring

import mtkparams as mtk
from mtkparams import Constants, Discrete, Initials, Nonnumeric, Tunable

NETWORK = eqx.nn.MLP(2, 1, 2, 1, key=jax.random.key(0))
SHAPES = ((), (2,), (0,), (2, 2), (0, 3))


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of value: how to make one, and the portion of each of its arrays in tree order.

    `home` is the portion of the name itself, `None` for a dependent parameter.
    """

    make: Callable[[np.random.Generator, str, tuple[int, ...]], Any]
    home: mtk.Portion | None
    arrays: tuple[mtk.Portion, ...]


def _normal(r: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return r.normal(size=shape).astype(dtype)


def _large(r: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Integers beyond 2**53, which no double holds exactly."""
    return r.integers(2**53, 2**62, size=shape) | 1


KINDS: dict[str, Kind] = {
    "number": Kind(lambda r, d, s: float(r.normal()), Tunable, (Tunable,)),
    "array": Kind(_normal, Tunable, (Tunable,)),
    "jax array": Kind(lambda r, d, s: jnp.asarray(_normal(r, d, s)), Tunable, (Tunable,)),
    "nested list": Kind(lambda r, d, s: [[1.0, 2], [3, 4]], Tunable, (Tunable,)),
    "tuned integer": Kind(lambda r, d, s: mtk.Parameter(3, tunable=True), Tunable, (Tunable,)),
    "initial": Kind(_normal, Initials, (Initials,)),
    "discrete": Kind(
        lambda r, d, s: mtk.Parameter(_normal(r, d, s), discrete=True), Discrete, (Discrete,)
    ),
    "counter": Kind(lambda r, d, s: mtk.Parameter(2, discrete=True), Discrete, (Discrete,)),
    "constant": Kind(
        lambda r, d, s: mtk.Parameter(_normal(r, d, s), tunable=False), Constants, (Constants,)
    ),
    "integer": Kind(lambda r, d, s: int(_large(r, d, ())), Constants, (Constants,)),
    "integers": Kind(_large, Constants, (Constants,)),
    "bytes": Kind(lambda r, d, s: r.integers(-9, 9, s).astype("int8"), Constants, (Constants,)),
    "truth": Kind(lambda r, d, s: True, Constants, (Constants,)),
    "truths": Kind(lambda r, d, s: r.random(s) < 0.5, Constants, (Constants,)),
    "complex": Kind(lambda r, d, s: _normal(r, d, s) + 1j, Constants, (Constants,)),
    "pair": Kind(
        lambda r, d, s: {"w": _normal(r, d, s), "b": [0.5, 1.5, 2]},
        Tunable,
        (Tunable,) * 2 + (Constants, Tunable),
    ),
    "fixed pair": Kind(
        lambda r, d, s: mtk.Parameter({"w": _normal(r, d, s)}, tunable=False),
        Constants,
        (Constants,),
    ),
    "spring": Kind(lambda r, d, s: spring(r.normal(size=2)), Tunable, (Tunable, Constants)),
    "fixed spring": Kind(
        lambda r, d, s: mtk.Parameter(spring(), tunable=False), Nonnumeric, (Nonnumeric,) * 2
    ),
    "network": Kind(lambda r, d, s: NETWORK, Tunable, (Tunable,) * 4),
    "text": Kind(lambda r, d, s: "run 7", Nonnumeric, ()),
    "function": Kind(lambda r, d, s: jnp.sin, Nonnumeric, ()),
    "key": Kind(lambda r, d, s: jax.random.key(7), Nonnumeric, ()),
    "keys": Kind(lambda r, d, s: jax.random.split(jax.random.key(7), s), Nonnumeric, ()),
    "bound": Kind(lambda r, d, s: None, None, ()),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A declaration that can be written twice: the same names, kinds and values each time."""

    rows: tuple[tuple[str, str, str, tuple[int, ...], int], ...]

    def declarations(self) -> dict[str | mtk.Initial, Any]:
        made: dict[str | mtk.Initial, Any] = {}
        for name, kind, dtype, shape, seed in self.rows:
            key = mtk.Initial(name) if kind == "initial" else name
            r = np.random.default_rng(seed)
            before = [str(k) for k in made]
            made[key] = _bound(before) if kind == "bound" else KINDS[kind].make(r, dtype, shape)
        return made

    def object(self) -> mtk.MTKParameters:
        return mtk.parameters(self.declarations())

    def kinds(self) -> dict[str, Kind]:
        return {
            str(key): KINDS[row[1]] for key, row in zip(self.declarations(), self.rows, strict=True)
        }

    def arrays(self, portion: mtk.Portion) -> list[np.ndarray]:
        """What belongs into `portion` by the table above, in declaration order."""
        found: list[np.ndarray] = []
        for declared, kind in zip(self.declarations().values(), self.kinds().values(), strict=True):
            if kind.arrays:
                arrays = _arrays(
                    declared.default if isinstance(declared, mtk.Parameter) else declared
                )
                homes = zip(arrays, kind.arrays, strict=True)
                found += [x for x, home in homes if home is portion]
        return found


def _arrays(value: Any) -> list[np.ndarray]:
    if isinstance(value, list):  # of numbers: one array
        return [np.asarray(value)]
    if isinstance(value, eqx.Module):  # whose numbers are settings, and static
        value = eqx.filter(value, eqx.is_array)
    return [np.asarray(x) for x in jax.tree.leaves(value)]


def _bound(before: list[str]) -> mtk.Parameter:
    """A link of a chain: it reads the name before it, be that a number, text or another link."""
    last = before[-1] if before else None
    return mtk.Parameter(bind=lambda p: 1.0 if last is None else p[last])


NAMES = ("a", "b", "c.d", "c.e.f", "g", "h1", "_get", "é")

_rows = st.tuples(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(("float32", "float64")),
    st.sampled_from(SHAPES),
    st.integers(0, 3),
)
cases = st.lists(_rows, min_size=1, max_size=5).flatmap(
    lambda rows: st.permutations(NAMES).map(
        lambda names: Case(tuple((name, *row) for name, row in zip(names, rows, strict=False)))
    )
)
"""Random declarations of up to five parameters of any kinds."""
