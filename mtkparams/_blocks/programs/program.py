"""The program of one block: what it computes from its unknowns and from values from outside.

Blocks that compute the same from different places share one program, and run side by side: every
value has the blocks in its last axis.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from ..trace.jaxprs import aval
from ..trace.nodes import DType, Op

# More operations than these are put together where they are the same and equally deep.
_ONE_BY_ONE = 150
# Longer sums than this are left to XLA's reduction, that nothing fuses with.
_SHORT_SUM = 8


class Where(enum.IntEnum):
    """What a value is: an unknown of the block, something computed, read, or fixed."""

    UNKNOWN = 0
    STEP = 1
    READ = 2
    FIXED = 3


Ref: TypeAlias = tuple[int, int]  # a `Where`, and a number among those


class Row(NamedTuple):
    """A step that computes one element from others."""

    op: Op
    operands: tuple[Ref, ...]


class Part(NamedTuple):
    """An operand of a whole operation of which some places matter.

    The other places are filled from an array given as such, by its number; without one there are none.
    """

    places: tuple[int, ...]
    refs: tuple[Ref, ...]
    rest: int | None


class Whole(NamedTuple):
    """A step that runs a whole operation: each operand is an array given as such, or parts of one."""

    op: Op
    operands: tuple[int | Part, ...]


class Element(NamedTuple):
    """A step that takes one element of one result of an earlier whole operation."""

    call: int
    result: int
    place: int


Step: TypeAlias = Row | Whole | Element


class Inputs(NamedTuple):
    """What a program is given: values of earlier blocks, fixed ones, and whole arrays.

    Fixed values depend on no unknown: arrays, or scalars of numpy where they are constants.

    `hoisted` are values of steps that depend on no unknown of the block, once somebody has computed them.
    """

    read: Sequence[Array]
    fixed: Sequence[Array | np.generic]
    arrays: Sequence[Array]
    hoisted: Sequence[Array] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """Steps in an order in which they can run, and which of their values count.

    **Attributes:**

    - `residual`: the values that are to be zero, one for each unknown.
    - `caches`: the values that later blocks read.
    - `read_dtypes`: of what is read, which comes as numbers of the unknowns' dtype.
    """

    size: int
    steps: tuple[Step, ...]
    residual: tuple[Ref, ...]
    caches: tuple[Ref, ...]
    read_dtypes: tuple[DType, ...]
    n_fixed: int

    @property
    def n_read(self) -> int:
        return len(self.read_dtypes)

    @functools.cached_property
    def hoisted(self) -> tuple[int, ...]:
        """The steps that depend on no unknown of the block, and that others need."""
        depends: list[bool] = []
        for step in self.steps:
            direct = any(where == Where.UNKNOWN for where, _ in _operands(step))
            depends.append(direct or any(depends[i] for i in _reads(step)))
        read = {i for i, step in enumerate(self.steps) if depends[i] for i in _reads(step)}
        read |= {i for where, i in self.residual + self.caches if where == Where.STEP}
        # A whole operation counts by the elements that are taken of its results.
        taken = {
            i
            for i, step in enumerate(self.steps)
            if isinstance(step, Element) and step.call in read and not depends[i]
        }
        return tuple(
            i
            for i in sorted(read | taken)
            if not depends[i] and not isinstance(self.steps[i], Whole)
        )

    def with_hoisted(self, x: Sequence[Array], inputs: Inputs) -> Inputs:
        """`inputs` with everything computed that an iteration would only repeat."""
        refs = tuple((int(Where.STEP), i) for i in self.hoisted)
        return inputs._replace(hoisted=self._run(x, inputs, refs))

    def evaluate_residual(self, x: Sequence[Array], inputs: Inputs) -> list[Array]:
        return self._run(x, inputs, self.residual)

    def evaluate_caches(self, x: Sequence[Array], inputs: Inputs) -> list[Array]:
        return self._run(x, inputs, self.caches)

    def evaluate_all(self, x: Sequence[Array], inputs: Inputs) -> list[Array]:
        return self._run(x, inputs, self.residual + self.caches)

    @property
    def has_wholes(self) -> bool:
        return any(isinstance(step, Whole) for step in self.steps)

    @property
    def cost(self) -> int:
        """About how many operations the compiler sees for one evaluation."""
        if len(self.steps) <= _ONE_BY_ONE:
            return len(self.steps)
        return 4 * len(_layers(self, self.residual + self.caches))

    def _run(self, x: Sequence[Array], inputs: Inputs, wanted: tuple[Ref, ...]) -> list[Array]:
        read = [_cast(v, d) for v, d in zip(inputs.read, self.read_dtypes, strict=True)]
        inputs = inputs._replace(read=read)
        if len(self.steps) <= _ONE_BY_ONE:
            return _one_by_one(self, x, inputs, wanted)
        return _by_layers(self, x, inputs, wanted)


def _cast(value: Array, dtype: DType) -> Array:
    # Random keys, for one, can be no other than they are.
    return value if value.dtype == dtype else value.astype(dtype)


def _needed(program: Program, wanted: Sequence[Ref], inputs: Inputs | None) -> list[bool]:
    """Which steps run: those that the wanted values take, and that are not hoisted already."""
    done = set() if inputs is None or inputs.hoisted is None else set(program.hoisted)
    needed = [False] * len(program.steps)
    for where, i in wanted:
        if where == Where.STEP:
            needed[i] = True
    for i in range(len(program.steps) - 1, -1, -1):
        if i in done:
            needed[i] = False
        if needed[i]:
            for j in _reads(program.steps[i]):
                needed[j] = True
    return needed


def _reads(step: Step) -> list[int]:
    """The steps that a step reads."""
    if isinstance(step, Element):
        return [step.call]
    return [i for where, i in _operands(step) if where == Where.STEP]


def _operands(step: Step) -> list[Ref]:
    if isinstance(step, Row):
        return list(step.operands)
    if isinstance(step, Element):
        return []
    return [ref for o in step.operands if not isinstance(o, int) for ref in o.refs]


def _one_by_one(
    program: Program, x: Sequence[Array], inputs: Inputs, wanted: tuple[Ref, ...]
) -> list[Array]:
    values: list[Any] = [None] * len(program.steps)
    sources = {
        Where.UNKNOWN: x,
        Where.STEP: values,
        Where.READ: inputs.read,
        Where.FIXED: inputs.fixed,
    }

    def get(ref: Ref) -> Array:
        value = sources[Where(ref[0])][ref[1]]
        return jnp.full(x[0].shape, jnp.asarray(value)) if isinstance(value, np.generic) else value

    def table(refs: Sequence[Ref]) -> Array:
        # Many places may hold one value, and many values are constants.
        where = lambda ref: isinstance(sources[Where(ref[0])][ref[1]], np.generic)
        constants, others = _parted(where, dict.fromkeys(refs))
        parts = [jnp.stack([get(ref) for ref in others])] if others else []
        if constants:
            known = np.array([sources[Where(i)][n] for i, n in constants])
            parts.append(jnp.broadcast_to(jnp.asarray(known)[:, None], (known.size, *x[0].shape)))
        number = {ref: i for i, ref in enumerate([*others, *constants])}
        return _picked(jnp.concatenate(parts), [number[ref] for ref in refs])

    needed = _needed(program, wanted, inputs)
    for i, value in zip(program.hoisted, inputs.hoisted or (), strict=False):
        values[i] = value
    for i, step in enumerate(program.steps):
        if not needed[i]:
            continue
        if isinstance(step, Row):
            values[i] = _row(step.op, [get(ref) for ref in step.operands])
        elif isinstance(step, Element):
            values[i] = values[step.call][step.result][step.place]
        else:
            values[i] = _whole(step, table, inputs, x)
    return [get(ref) for ref in wanted]


def _parted(test: Callable[[Ref], bool], refs: Iterable[Ref]) -> tuple[list[Ref], list[Ref]]:
    """Those that pass a test, and the others."""
    parts: tuple[list[Ref], list[Ref]] = ([], [])
    for ref in refs:
        parts[not test(ref)].append(ref)
    return parts


def _picked(rows: Array, numbers: Sequence[int]) -> Array:
    """Rows of these numbers, by a slice where they follow each other."""
    where = np.array(numbers)
    if (np.diff(where) == 1).all():
        return lax.slice_in_dim(rows, int(where[0]), int(where[-1]) + 1)
    return rows[where]


def _row(op: Op, operands: list[Array]) -> Array:
    """One element, by operands of shape `(blocks,)`."""
    if op.kind == "elementwise":
        return op.bind(*operands)[0]
    if op.kind == "sum" and len(operands) <= _SHORT_SUM:
        return _added(operands)
    if op.kind == "dot" and len(operands) <= 2 * _SHORT_SUM and _one_dtype(operands):
        half = len(operands) // 2
        return _added([a * b for a, b in zip(operands[:half], operands[half:], strict=True)])
    tables = 2 if op.kind == "dot" else 1
    width = len(operands) // tables
    split = [operands[i * width : (i + 1) * width] for i in range(tables)]
    return op.bind(*(jnp.stack(part, axis=-1) for part in split))[0]


def _added(values: list[Array]) -> Array:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _one_dtype(values: Sequence[Array]) -> bool:
    return len({v.dtype for v in values}) == 1


def _whole(
    step: Whole, table: Callable[[Sequence[Ref]], Array], inputs: Inputs, x: Sequence[Array]
) -> list[Array]:
    """The results of a whole operation, each as a table `(elements, blocks)`.

    Few of the elements may be wanted, and each that is taken costs time when the program is traced.

    **Arguments:**

    - `table`: the values of some references, `(references, blocks)`.
    """
    blocks = x[0].shape[-1]
    avals = [aval(v) for v in step.op.whole_equation.invars]
    values, axes = [], []
    for operand, shaped in zip(step.operands, avals, strict=True):
        if isinstance(operand, int):
            values.append(inputs.arrays[operand])
            axes.append(None)
            continue
        elements = _cast(table(operand.refs), shaped.dtype)
        if operand.rest is not None:
            # A function of the user's may have no sense, no slope or no end at any other values.
            rest = lax.stop_gradient(_cast(inputs.arrays[operand.rest], shaped.dtype))
            full = jnp.broadcast_to(rest.reshape(-1, 1), (shaped.size, blocks))
            elements = full.at[np.array(operand.places)].set(elements)
        values.append(elements.reshape(*shaped.shape, blocks))
        axes.append(-1)
    if all(axis is None for axis in axes):
        results = [
            jnp.broadcast_to(r[..., None], (*r.shape, blocks)) for r in step.op.bind(*values)
        ]
    else:
        results = jax.vmap(step.op.bind, in_axes=axes, out_axes=-1)(*values)
    return [r.reshape(-1, blocks) for r in results]


# A layer: steps of one operation and one depth, or one step that is no `Row`.
Layer: TypeAlias = tuple[int, ...]


def _layers(program: Program, wanted: tuple[Ref, ...], inputs: Inputs | None = None) -> list[Layer]:
    needed = _needed(program, wanted, inputs)
    depth = [0] * len(program.steps)
    groups: dict[tuple[int, Hashable, int], list[int]] = {}
    for i, step in enumerate(program.steps):
        if not needed[i]:
            continue
        depth[i] = 1 + max((depth[j] for j in _reads(step)), default=0)
        if isinstance(step, Row):
            key = (depth[i], step.op.key, len(step.operands))
        elif isinstance(step, Element):
            key = (depth[i], step.call, step.result)
        else:
            key = (depth[i], "whole", i)
        groups.setdefault(key, []).append(i)
    return [tuple(group) for _, group in sorted(groups.items(), key=lambda item: item[0][0])]


class _Store:
    """All values so far, one array for each dtype, so that any of them come with one gather."""

    def __init__(self, room: int, blocks: int):
        self.room, self.blocks = room, blocks
        self.arrays: dict[DType, Array] = {}
        self.used: dict[DType, int] = {}
        self.at: dict[Ref, tuple[DType, int]] = {}

    def keep(self, values: Array, refs: Sequence[Ref]) -> None:
        if not len(refs):
            return
        dtype = values.dtype
        start = self.used.get(dtype, 0)
        array = self.arrays.get(dtype, jnp.zeros((self.room, self.blocks), dtype))
        self.arrays[dtype] = lax.dynamic_update_slice(array, values, (start, 0))
        self.used[dtype] = start + len(refs)
        for i, ref in enumerate(refs):
            self.at[ref] = (dtype, start + i)

    def fetch(self, refs: Sequence[Ref]) -> Array:
        """Values of one dtype, `(refs, blocks)`."""
        dtype = self.at[refs[0]][0]
        return _picked(self.arrays[dtype], [self.at[ref][1] for ref in refs])


def _by_layers(
    program: Program, x: Sequence[Array], inputs: Inputs, wanted: tuple[Ref, ...]
) -> list[Array]:
    """The same steps, with those of one kind and depth as one operation on arrays."""
    blocks = x[0].shape[-1]
    room = len(program.steps) + program.size + program.n_read + program.n_fixed
    store = _Store(room, blocks)
    sources = ((Where.UNKNOWN, x), (Where.READ, inputs.read), (Where.FIXED, inputs.fixed))
    for where, values in sources:
        for kind in dict.fromkeys((v.dtype, isinstance(v, np.generic)) for v in values):
            numbers = [
                i for i, v in enumerate(values) if (v.dtype, isinstance(v, np.generic)) == kind
            ]
            chosen = [values[i] for i in numbers]
            if kind[1]:
                constants = jnp.asarray(np.array(chosen))[:, None]
                stacked = jnp.broadcast_to(constants, (len(numbers), blocks))
            else:
                stacked = jnp.stack([jnp.asarray(v) for v in chosen])
            store.keep(stacked, [(int(where), i) for i in numbers])
    for number, value in zip(program.hoisted, inputs.hoisted or (), strict=False):
        store.keep(value[None], [(int(Where.STEP), number)])
    calls: dict[int, list[Array]] = {}
    for layer in _layers(program, wanted, inputs):
        step = program.steps[layer[0]]
        refs = [(int(Where.STEP), i) for i in layer]
        if isinstance(step, Whole):
            calls[layer[0]] = _whole(step, store.fetch, inputs, x)
        elif isinstance(step, Element):
            places = [program.steps[i].place for i in layer]  # pyright: ignore[reportAttributeAccessIssue]
            store.keep(calls[step.call][step.result][np.array(places)], refs)
        else:
            store.keep(_rows(step.op, [_operands(program.steps[i]) for i in layer], store), refs)
    return [store.fetch([ref])[0] for ref in wanted]


def _rows(op: Op, rows: list[list[Ref]], store: _Store) -> Array:
    """Many elements of one operation: `(elements, blocks)`."""
    if op.kind == "elementwise":
        return op.bind(*(store.fetch(column) for column in zip(*rows, strict=True)))[0]
    count = 2 if op.kind == "dot" else 1
    width = len(rows[0]) // count
    tables = []
    for i in range(count):
        flat = store.fetch([ref for row in rows for ref in row[i * width : (i + 1) * width]])
        table = jnp.moveaxis(flat.reshape(len(rows), width, store.blocks), 1, -1)
        tables.append(table.reshape(len(rows) * store.blocks, width))
    return op.bind(*tables)[0].reshape(len(rows), store.blocks)
