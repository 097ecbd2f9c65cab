"""Blocks evaluated by the whole residual, of which each takes its own rows: for any function."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, PyTree

from ..structure import Structure
from .colored import Colored
from .implicit import Residual
from .newton import Equations
from .schedule import Schedule, bucket, schedule
from .sizes import sizes
from .sweep import Blocks, Plan
from .triangular import Factors, Parts


class WholePlan(Plan):
    """Blocks of similar size side by side, and where the entries of the Jacobian go."""

    def __init__(self, structure: Structure):
        blocks = structure.parts.blocks
        n = structure.incidence.shape[1]
        sizes = [bucket(len(b.unknowns)) for b in blocks]
        keys = [(size, bool(b.affine)) for size, b in zip(sizes, blocks, strict=True)]
        self.schedule = schedule(n, blocks, keys, [(size, 0) for size in sizes])
        self.affine = tuple(bool(blocks[kind.blocks[0, 0]].affine) for kind in self.schedule.kinds)
        self.caches = np.zeros(0, int)
        self.colored = Colored(structure.incidence)
        self.places = _entry_places(self.schedule, self.colored.row, self.colored.column)

    def equations(
        self, fn: Residual, args: PyTree, guess: Array, sized: bool = False
    ) -> WholeEquations:
        del guess, sized
        return WholeEquations(self, fn, args)


class WholeEquations(Blocks):
    all_together = True

    def __init__(self, plan: WholePlan, fn: Residual, args: PyTree):
        self.plan, self.fn, self.args = plan, fn, args

    def tables(self, k: int) -> PyTree:
        del k
        return ()

    def tail(self, dtype: DTypeLike) -> Array:
        return jnp.zeros(0, dtype)

    def block(self, k: int, places: dict[str, Array], table: PyTree, carried: Array) -> Equations:
        del table
        plan = self.plan.schedule
        kind = plan.kinds[k]
        rows, columns = places["rows"], places["columns"]
        everything = carried[plan.place_of]
        padding = (rows == plan.n)[:, None] & jnp.eye(kind.size, dtype=bool)[:, :, None]

        def take(full: Array) -> Array:
            return jnp.append(full, jnp.zeros(1, full.dtype))[rows]

        def whole(x: Array) -> Array:
            return everything.at[columns].set(x, mode="drop")

        def both(x: Array) -> tuple[Array, Array]:
            u = whole(x)
            f, push = jax.linearize(lambda u: self.fn(u, self.args), u)

            def column(seed: Array) -> Array:
                seeded = jnp.broadcast_to(seed[:, None], x.shape)
                return take(push(jnp.zeros_like(u).at[columns].set(seeded, mode="drop")))

            jacobian = jax.vmap(column, out_axes=1)(jnp.eye(kind.size, dtype=x.dtype))
            f = jnp.where(rows == plan.n, x, take(f))
            return f, jnp.where(padding, 1, jacobian).astype(x.dtype)

        residual = lambda x: jnp.where(rows == plan.n, x, take(self.fn(whole(x), self.args)))
        return Equations(both, residual, lambda x: take(sizes(self.fn, whole(x), self.args)))

    def caches(self, k: int, table: PyTree, carried: Array, x: Array) -> Array:
        raise NotImplementedError("These blocks have no caches: they leave their unknowns only.")

    def residual(self, z: Array) -> Array:
        plan = self.plan.schedule
        f = self.fn(z[plan.place_of], self.args)
        padded = jnp.append(f, jnp.zeros(1, f.dtype))
        return jnp.where(plan.row_of < plan.n, padded[plan.row_of], z)

    def largest(self, z: Array) -> Array:
        plan = self.plan.schedule
        rows = jnp.abs(self.residual(z))
        return jnp.zeros(plan.n_slots, z.dtype).at[plan.slot_at].max(rows)

    def factors(self, z: Array, usable: Bool[Array, " slots"]) -> Factors:
        plan = self.plan.schedule
        _, push = jax.linearize(lambda u: self.fn(u, self.args), z[plan.place_of])
        entries = self.plan.colored.entries(push, z.dtype)
        padded = jnp.concatenate([entries, jnp.array([0, 1], z.dtype)])
        parts = []
        for diagonal, beside, source in self.plan.places:
            inside = jnp.moveaxis(padded[diagonal], 0, -2)
            parts.append(Parts(inside, None, padded[beside], source))
        return Factors(plan, parts, usable)


def _entry_places(
    plan: Schedule, row: np.ndarray, column: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each kind which entries are within its blocks, which are beside them, and what they read.

    Shapes `(steps, size, size, width)`, and twice `(steps, size, width, most)`. Where there is no
    entry it is the number of a zero, or on the diagonal of padding of a one, after all entries.
    """
    zero_at, one_at = row.size, row.size + 1
    row_place = np.zeros(plan.n, int)
    row_place[plan.row_of[plan.row_of < plan.n]] = np.nonzero(plan.row_of < plan.n)[0]
    kind, step, local, slot = (f[row_place] for f in _coordinates(plan))
    kind_c, step_c, local_c, slot_c = (f[plan.place_of] for f in _coordinates(plan))
    same = (kind[row] == kind_c[column]) & (step[row] == step_c[column])
    same &= slot[row] == slot_c[column]
    places = []
    for k, each in enumerate(plan.kinds):
        shape = each.rows.shape
        entry = np.full((shape[0], each.size, each.size, each.width), zero_at)
        for i in range(each.size):
            entry[:, i, i, :] = np.where(each.rows[:, i] == plan.n, one_at, zero_at)
        e = np.nonzero(same & (kind[row] == k))[0]
        r, c = row[e], column[e]
        entry[step[r], local[r], local_c[c], slot[r]] = e

        e = np.nonzero(~same & (kind[row] == k))[0]
        r = row[e]
        flat = np.ravel_multi_index((step[r], local[r], slot[r]), shape)
        order = np.argsort(flat, kind="stable")
        e, flat = e[order], flat[order]
        counts = np.bincount(flat, minlength=int(np.prod(shape)))
        nth = np.arange(flat.size) - (np.cumsum(counts) - counts)[flat]
        most = int(counts.max(initial=0))
        value, place = (
            np.full((counts.size, most), zero_at),
            np.zeros((counts.size, most), np.int32),
        )
        value[flat, nth], place[flat, nth] = e, plan.place_of[column[e]]
        places.append((entry, value.reshape(*shape, most), place.reshape(*shape, most)))
    return places


def _coordinates(plan: Schedule) -> tuple[np.ndarray, ...]:
    """Kind, step, number in the block and place among the step's blocks, for each place."""
    coordinates = tuple(np.zeros(plan.length, int) for _ in range(4))
    for k, kind in enumerate(plan.kinds):
        where = np.indices(kind.places.shape)
        for array, value in zip(coordinates, (k, *where), strict=True):
            array[kind.places] = value
    return coordinates
