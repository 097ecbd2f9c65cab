"""Reading by place and by name, with one split of each buffer in each trace."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jax.extend.core import get_opaque_trace_state
from jax.typing import ArrayLike
from jaxtyping import Array

from ...errors import BoundParameterError, CycleError, PortionError
from ..names.index import Entry, Index, Leaf, Place, Target, part_of, rebuild
from ..names.names import Name, Portion

# Arrays, of NumPy as well; nothing (`is_absent`) in a part; whatever `jax.tree.map` has made of them.
Buffers: TypeAlias = "Mapping[Portion, tuple[Any, ...]]"
Pieces: TypeAlias = "dict[Any, Any]"

# A buffer of more places than this is split in two steps, first into groups of `_GROUP`. Reading one
# name of 10,000 then costs 157 + 64 pieces rather than 10,000; the gradient of all stays linear.
_AT_ONCE = 1024
_GROUP = 64


@runtime_checkable
class ParameterObject(Protocol):
    """A parameter object, as far as those know it that it is made with: its class comes after them."""

    index: Index

    @property
    def buffers(self) -> Buffers: ...

    def from_buffers(
        self, buffers: Mapping[Portion, tuple[Any, ...]], index: Index | None = None
    ) -> Any: ...

    def __getitem__(self, spec: Any) -> Any: ...


class Reader:
    """Reads names from buffers, and remembers the pieces that each trace has split them into.

    `x[i:j]` once for each of K names transposes into K additions of whole vectors, so that a
    gradient costs K squared; one `lax.split` transposes into one concatenation.
    """

    __slots__ = ("buffers", "index", "pieces")

    def __init__(self, index: Index, buffers: Buffers):
        self.index = index
        self.buffers = buffers
        # By the identity of a trace, which is kept here so that no other can take its address.
        self.pieces: dict[int, tuple[Any, Pieces]] = {}

    def is_batch(self) -> bool:
        """Whether all buffers are here, and any of them has leading axes of a batch."""
        every = [buffer for buffers in self.buffers.values() for buffer in buffers]
        return not any(map(is_absent, every)) and any(buffer.ndim > 1 for buffer in every)

    def place(self, place: Place, name: str) -> Array:
        """The array at `place`, with the leading axes of a batch in front."""
        buffer = self.buffer(place, name)
        if not isinstance(buffer, Tracer):
            return _read(buffer, place.start, place.shape)
        pieces = self._pieces(buffer)
        if pieces is None:
            flat = lax.slice_in_dim(buffer, place.start, place.stop, axis=-1)
            return flat.reshape(flat.shape[:-1] + place.shape)
        if place not in pieces:
            flat = self._split(place, buffer, pieces)
            pieces[place] = flat.reshape(flat.shape[:-1] + place.shape)
        return pieces[place]

    def buffer(self, place: Place, name: str) -> Array:
        buffer = self.buffers[place.portion][place.buffer]
        if is_absent(buffer):
            raise PortionError(
                f"{name!r} is not in this object: its portion {place.portion!r} was partitioned "
                "away. Read it after mtk.combine(free, rest), or from the other part."
            )
        return as_array(buffer)

    def _pieces(self, buffer: Array) -> Pieces | None:
        """What is remembered in the trace that runs; `None` where nothing can be.

        The buffer may belong to an outer trace: in the body of a `vmap` or a `scan`, for one, that
        closes over the object. Pieces are used in their own trace only, and kept no longer than
        the buffer itself, which is a tracer too. JAX's search for leaks would take them for one.
        """
        trace = current_trace()
        if trace is None:  # in some later JAX: every read slices, right, with a slower gradient
            return None
        if trace is not buffer._trace and jax.config.jax_check_tracer_leaks:  # pyright: ignore
            return None
        if id(trace) not in self.pieces:
            self.pieces = {i: entry for i, entry in self.pieces.items() if _is_running(entry[0])}
            self.pieces[id(trace)] = (trace, {})
        return self.pieces[id(trace)][1]

    def _split(self, place: Place, buffer: Array, pieces: Pieces) -> Array:
        at = (place.portion, place.buffer)
        groups, firsts = _groups(self.index, at)
        number = bisect.bisect_right(firsts, _position(self.index, place)) - 1
        if at not in pieces:
            pieces[at] = _split_at(buffer, [sum(p.size for p in g) for g in groups])
        if (at, number) not in pieces:
            pieces[at, number] = _split_at(pieces[at][number], [p.size for p in groups[number]])
        return pieces[at, number][_position(self.index, place) - firsts[number]]

    def leaf(self, leaf: Leaf, name: str) -> Array | None:
        return None if leaf.place is None else self.place(leaf.place, name + leaf.path)

    def value(self, entry: Entry, bound: BoundValues) -> Any:
        """The value of an entry: an array, a pytree, a string; dependent ones are evaluated."""
        if entry.bind is not None:
            refuse_parts(self.buffers, entry.name)
            return bound.value(entry)
        if entry.is_array:
            return self.leaf(entry.leaves[0], entry.name)
        # Arrays that were partitioned away are None, as in a Module that Equinox has partitioned.
        here = [self._has(leaf) for leaf in entry.leaves]
        if here and not any(here):
            self.leaf(entry.leaves[0], entry.name)  # for its error
        arrays = [
            self.leaf(leaf, entry.name) if has else None
            for leaf, has in zip(entry.leaves, here, strict=True)
        ]
        return rebuild(entry.skeleton, arrays)

    def _has(self, leaf: Leaf) -> bool:
        place = leaf.place
        return place is not None and not is_absent(self.buffers[place.portion][place.buffer])

    def name(self, name: Name, bound: BoundValues) -> Any:
        """The value under `name`, which may be an entry, an array inside a pytree, or a part."""
        target = self.index.find(name)
        bound.note(target.entry.name)
        if target.leaf is None:
            value = self.value(target.entry, bound)
        else:
            value = self.leaf(target.leaf, target.entry.name)
        return value if target.items is None else self._part(target, value)

    def _part(self, target: Target, value: Any) -> Array:
        leaf = target.leaf
        shape = jnp.shape(value) if leaf is None or leaf.place is None else leaf.place.shape
        part_of(target, shape)  # for its error: JAX clamps an index that is out of range
        lead = (slice(None),) * (jnp.ndim(value) - len(shape))
        return value[(*lead, *(target.items or ()))]


class BoundValues:
    """Dependent parameters during one read: each evaluated once, with the path that led to it.

    `reads` collects, for each of them, the names that its binding looked at.

    Each trace has its own `values`: what was evaluated in the body of a loop is of no use outside.
    Those of the trace in which the read began are good everywhere.
    """

    __slots__ = ("home", "make_view", "path", "reads", "values")

    def __init__(self, make_view: Callable[[BoundValues], Any]):
        self.make_view = make_view
        self.path: tuple[str, ...] = ()
        self.home = current_trace()
        self.values: dict[int, tuple[Any, dict[str, Any]]] = {}
        self.reads: dict[str, dict[str, None]] = {}

    def note(self, name: str) -> None:
        if self.path:
            self.reads.setdefault(self.path[-1], {})[name] = None

    def value(self, entry: Entry) -> Any:
        if entry.name in self.path:
            start = self.path.index(entry.name)
            cycle = " -> ".join((*self.path[start:], entry.name))
            raise CycleError(
                f"These bindings depend on themselves: {cycle}. Give one of them a value."
            )
        trace = current_trace()
        for where in (trace, self.home):
            known = self.values.get(id(where), (None, {}))[1]
            if entry.name in known:
                return known[entry.name]
        value = self._evaluated(entry)
        if trace is not None:  # kept here, so that no other can take its address
            self.values.setdefault(id(trace), (trace, {}))[1][entry.name] = value
        return value

    def _evaluated(self, entry: Entry) -> Any:
        assert entry.bind is not None
        inner = BoundValues(self.make_view)
        inner.path = (*self.path, entry.name)
        inner.home, inner.values, inner.reads = self.home, self.values, self.reads
        try:
            value = entry.bind(self.make_view(inner))
        except CycleError:
            raise
        except Exception as error:
            error.add_note(f"This happened in the binding of parameter {entry.name!r}.")
            raise
        # The numbers of a Module are its settings, and stay as they are.
        whole = lambda x: isinstance(x, eqx.Module)
        return jax.tree.map(_as_array, value, is_leaf=whole)


def _as_array(x: object) -> Any:
    return jnp.asarray(x) if eqx.is_array_like(x) and not isinstance(x, jax.Array) else x


def is_absent(buffer: object) -> bool:
    """Whether a part of an object stands here without this buffer: `None`, `optax.MaskedNode`."""
    return not hasattr(buffer, "dtype")


def as_array(buffer: ArrayLike) -> Array:
    """A buffer as a JAX array; `jax.device_get` makes NumPy arrays of them."""
    return buffer if isinstance(buffer, jax.Array) else jnp.asarray(buffer)


def refuse_parts(buffers: Buffers, name: str) -> None:
    """Raises where a dependent parameter is asked of a part: a gradient or an optimizer's state.

    A binding maps values to values. Applied to a gradient it would give a number, and a wrong one.
    """
    for portion, portion_buffers in buffers.items():
        if any(map(is_absent, portion_buffers)):
            raise BoundParameterError(
                f"{name!r} is a dependent parameter, and this object is a part without its "
                f"{portion!r} (a gradient, an optimizer's state or a partition), where a binding "
                "means nothing. Read it after mtk.combine(free, rest)."
            )


@functools.partial(jax.jit, static_argnums=2, inline=True)
def _read(buffer: Array, start: int | Array, shape: tuple[int, ...]) -> Array:
    # With a start that is no part of the program: compiled once, not once for each name.
    size = math.prod(shape)
    flat = lax.dynamic_slice_in_dim(
        buffer, start, size, axis=buffer.ndim - 1, allow_negative_indices=False
    )
    return flat.reshape(buffer.shape[:-1] + shape)


def current_trace() -> Any:
    """The trace that runs; `None` in some later JAX that does not tell."""
    current = getattr(get_opaque_trace_state(convention="mtkparams"), "_trace_ref", None)
    return current() if current is not None else None


def _is_running(trace: object) -> bool:
    return getattr(trace, "is_valid", lambda: True)()


def _split_at(flat: Array, sizes: list[int]) -> list[Array]:
    return [flat] if len(sizes) == 1 else list(lax.split(flat, sizes, axis=flat.ndim - 1))


def _groups(index: Index, at: tuple[Portion, int]) -> tuple[list[tuple[Place, ...]], list[int]]:
    key = ("groups", at)
    if key not in index.memo:
        places = index.runs[at]
        size = _GROUP if len(places) > _AT_ONCE else max(len(places), 1)
        firsts = list(range(0, len(places), size))
        index.memo[key] = ([places[i : i + size] for i in firsts], firsts)
    return index.memo[key]


def _position(index: Index, place: Place) -> int:
    key = ("positions", place.portion, place.buffer)
    if key not in index.memo:
        places = index.runs[place.portion, place.buffer]
        index.memo[key] = {p: i for i, p in enumerate(places)}
    return index.memo[key][place]
