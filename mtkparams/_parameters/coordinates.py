"""Free coordinates: bounded values as a vector of numbers without bounds, and back.

Which coordinate an entry has follows from its bounds, as in Stan: none, a logarithm of the distance
to one bound, a logit between two. `scale=` in the declaration overrides it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, overload

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._failure import raise_where
from ..errors import KindError, OutOfBoundsError
from .buffers.dtypes import family
from .buffers.reader import Buffers
from .buffers.selection import Piece, Selection, What, select
from .buffers.vector import Values, check_vector, gather, take, vector_dtype
from .lens import lens_of
from .names.names import Tunable

# The kinds of coordinate, each on entries of its own with constants `a` and `b`.
Kind: TypeAlias = Literal["identity", "divide", "above", "below", "between", "log", "log10"]
Change: TypeAlias = Callable[[Array, Array, Array], Array]


def _logit(x: Array, low: Array, high: Array) -> Array:
    # Two logarithms: (x - low) / (high - low) would round to 1 next to the upper bound.
    return jnp.log(x - low) - jnp.log(high - x)


def _between(z: Array, low: Array, high: Array) -> Array:
    # From the nearer bound, so that neither end loses its digits.
    width = high - low
    return jnp.where(z < 0, low + width * jax.nn.sigmoid(z), high - width * jax.nn.sigmoid(-z))


_LN10 = float(np.log(10.0))

_TO_FREE: dict[Kind, Change] = {
    "identity": lambda x, a, b: x,
    "divide": lambda x, a, b: x / a,
    "above": lambda x, a, b: jnp.log(x - a),
    "below": lambda x, a, b: -jnp.log(b - x),
    "between": _logit,
    "log": lambda x, a, b: jnp.log(x),
    "log10": lambda x, a, b: jnp.log(x) / _LN10,
}
_FROM_FREE: dict[Kind, Change] = {
    "identity": lambda z, a, b: z,
    "divide": lambda z, a, b: z * a,
    "above": lambda z, a, b: a + jnp.exp(z),
    "below": lambda z, a, b: b - jnp.exp(-z),
    "between": _between,
    "log": lambda z, a, b: jnp.exp(z),
    "log10": lambda z, a, b: jnp.exp(z * _LN10),
}
_LOG_SLOPE: dict[Kind, Change] = {  # log |d value / d free| at the free coordinate z
    "identity": lambda z, a, b: jnp.zeros_like(z),
    "divide": lambda z, a, b: jnp.broadcast_to(jnp.log(a), z.shape),
    "above": lambda z, a, b: z,
    "below": lambda z, a, b: -z,
    "between": lambda z, a, b: jnp.log(b - a) + jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z),
    "log": lambda z, a, b: z,
    "log10": lambda z, a, b: z * _LN10 + float(np.log(_LN10)),
}


@overload
def to_unconstrained(
    p: object,
    vector: Values | None = None,
    what: What = Tunable,
    *,
    log_jacobian: Literal[False] = False,
) -> Array: ...
@overload
def to_unconstrained(
    p: object, vector: Values | None = None, what: What = Tunable, *, log_jacobian: Literal[True]
) -> tuple[Array, Array]: ...
def to_unconstrained(
    p: object, vector: Values | None = None, what: What = Tunable, *, log_jacobian: bool = False
) -> Array | tuple[Array, Array]:
    """The free coordinates of a vector of values: numbers that an optimizer may move anywhere.

    | declared | free coordinate |
    | --- | --- |
    | no bounds | the value |
    | `bounds=(a, None)` | `log(value - a)` |
    | `bounds=(None, b)` | `-log(b - value)` |
    | `bounds=(a, b)` | `log((value - a) / (b - value))` |
    | `scale="identity"`, `"log"`, `"log10"`, or a number `s` | the value, its logarithm, or `value / s` |

    With `scale=` the coordinate is the declared one whatever the bounds are, and does not keep them.

    **Arguments:**

    - `p`: the object, or problem, that has the declarations; its own values are not used if `vector` is given.
    - `vector`: values of shape `(..., entries)`; by default those of `p`.
    - `what`: which entries the vector holds: a portion, a name, or a list of both.
    - `log_jacobian`: also return `log |d value / d free|`, summed over the entries.

    **Raises:** `OutOfBoundsError` naming an entry outside its bounds, or on a bound that its
    coordinate does not reach; the same as a runtime error where values are traced.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"k": mtk.Parameter(1.0, bounds=(0.0, None))})
        >>> mtk.to_unconstrained(p).tolist()
        [0.0]
    """
    lens = lens_of(p)
    p = lens.p
    selection = select(lens.what(what), p.index, p.buffers)
    dtype = float_dtype(selection, p.buffers)
    values = (
        gather(selection, p.buffers) if vector is None else check_vector(vector, selection, dtype)
    )
    kinds = _kinds(selection)
    values = _check_inside(values, selection, kinds)
    free = _apply(_TO_FREE, values, kinds)
    return (free, _apply(_LOG_SLOPE, free, kinds).sum(-1)) if log_jacobian else free


@overload
def from_unconstrained(
    p: object, free: Values, what: What = Tunable, *, log_jacobian: Literal[False] = False
) -> Array: ...
@overload
def from_unconstrained(
    p: object, free: Values, what: What = Tunable, *, log_jacobian: Literal[True]
) -> tuple[Array, Array]: ...
def from_unconstrained(
    p: object, free: Values, what: What = Tunable, *, log_jacobian: bool = False
) -> Array | tuple[Array, Array]:
    """The values at free coordinates, inside their bounds; undoes `mtk.to_unconstrained`.

    **Arguments:**

    - `p`: the object, or problem, that has the declarations; its values are not used.
    - `free`: free coordinates of shape `(..., entries)`.
    - `what`: which entries they are: a portion, a name, or a list of both.
    - `log_jacobian`: also return `log |d value / d free|`, summed over the entries: what a density
      of values gains when it is written in free coordinates.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"k": mtk.Parameter(1.0, bounds=(0.0, 4.0))})
        >>> mtk.from_unconstrained(p, [0.0]).tolist()
        [2.0]
    """
    lens = lens_of(p)
    p = lens.p
    selection = select(lens.what(what), p.index, p.buffers)
    free = check_vector(free, selection, float_dtype(selection, p.buffers))
    kinds = _kinds(selection)
    values = _apply(_FROM_FREE, free, kinds)
    return (values, _apply(_LOG_SLOPE, free, kinds).sum(-1)) if log_jacobian else values


Kinds: TypeAlias = "dict[Kind, tuple[np.ndarray, np.ndarray, np.ndarray]]"


def _kinds(selection: Selection) -> Kinds:
    """For each kind of coordinate the entries that have it, with their two constants."""
    lower, upper = limits(selection)
    scales = [
        piece.target.entry.about.scale if piece.target else None
        for piece in selection.pieces
        for _ in range(piece.positions.size)
    ]
    entries_of: dict[Kind, list[int]] = {}
    for i, scale in enumerate(scales):
        entries_of.setdefault(_kind(scale, lower[i], upper[i]), []).append(i)
    kinds: Kinds = {}
    for kind, entries in entries_of.items():
        at = np.asarray(entries)
        a = np.asarray([scales[i] for i in entries], float) if kind == "divide" else lower[at]
        kinds[kind] = (at, a, upper[at])
    return kinds


def _kind(scale: str | int | float | None, lower: float, upper: float) -> Kind:
    if isinstance(scale, int | float):
        return "divide"
    if scale in ("identity", "log", "log10"):
        return scale
    kinds: dict[tuple[bool, bool], Kind] = {
        (False, False): "identity",
        (True, False): "above",
        (False, True): "below",
        (True, True): "between",
    }
    return kinds[bool(np.isfinite(lower)), bool(np.isfinite(upper))]


def _apply(changes: dict[Kind, Change], x: Array, kinds: Kinds) -> Array:
    """Each entry by the change of its kind. Only its own is computed: no NaN from another's."""
    if not kinds:
        return x
    parts = []
    for kind, (at, a, b) in kinds.items():
        values = take(x, at)
        ends = (jnp.broadcast_to(jnp.asarray(end, x.dtype), values.shape) for end in (a, b))
        parts.append(changes[kind](values, *ends))
    order = np.argsort(np.concatenate([at for at, _, _ in kinds.values()]))
    return take(parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1), order)


def _check_inside(x: Array, selection: Selection, kinds: Kinds) -> Array:
    if not selection.size:
        return x
    lower, upper = limits(selection)
    # A coordinate that goes to infinity at a bound does not reach it.
    open_lower, open_upper = np.zeros(lower.size, bool), np.zeros(lower.size, bool)
    positive = np.zeros(lower.size, bool)
    for kind, (at, _, _) in kinds.items():
        open_lower[at] |= kind in ("above", "between")
        open_upper[at] |= kind in ("below", "between")
        positive[at] |= kind in ("log", "log10")
    low, high = (jnp.broadcast_to(jnp.asarray(end, x.dtype), x.shape) for end in (lower, upper))
    above = (x > low) | ((x == low) & ~_like(open_lower, x))
    below = (x < high) | ((x == high) & ~_like(open_upper, x))
    outside = ~(above & below & (~_like(positive, x) | (x > 0)))
    labels = selection.labels()

    def texts() -> tuple[Array, list[str]]:
        every = zip(labels, lower.tolist(), upper.tolist(), positive.tolist(), strict=True)
        anywhere = outside.reshape(-1, outside.shape[-1]).any(0)
        return jnp.argmax(anywhere), [_message(*of) for of in every]

    def error() -> OutOfBoundsError:
        first = np.argwhere(np.asarray(outside))[0]
        i = first[-1]
        ends = (lower[i].item(), upper[i].item(), bool(positive[i]))
        return OutOfBoundsError(_message(labels[i], *ends, np.asarray(x)[tuple(first)].item()))

    return raise_where(outside, x, error, texts)


def _like(flags: np.ndarray, x: Array) -> Array:
    return jnp.broadcast_to(jnp.asarray(flags), x.shape)


def _message(
    label: str, lower: float, upper: float, positive: bool, value: float | None = None
) -> str:
    state = "has a value" if value is None else f"is {value}"
    if positive:
        return f"{label!r} {state}, and its coordinate is a logarithm: it must be positive."
    return (
        f"{label!r} {state} outside of its bounds ({lower}, {upper}), or on one that its free "
        "coordinate does not reach. Start strictly inside."
    )


def bounds(p: object, what: What = Tunable) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds of each entry of `mtk.canonicalize(what, p)[0]`, in its order.

    **Arguments:**

    - `p`: the object, or a problem, where an unknown's name means its initial value.
    - `what`: a portion, a name, or a list of both.

    **Returns:** two arrays of shape `(entries,)` in the dtype of the vector, with infinities where
    nothing is declared. They suit `scipy.optimize.Bounds` and `optax.projections.projection_box`.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"k": mtk.Parameter(0.5, bounds=(0.0, 1.0)), "x": 2.0})
        >>> lower, upper = mtk.bounds(p)
        >>> lower.tolist(), upper.tolist()
        ([0.0, -inf], [1.0, inf])
    """
    lens = lens_of(p)
    p = lens.p
    selection = select(lens.what(what), p.index, p.buffers)
    dtype = float_dtype(selection, p.buffers)
    lower, upper = limits(selection)
    return lower.astype(dtype), upper.astype(dtype)


def limits(selection: Selection) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of each entry of a selection, in double precision."""
    ends = []
    for nothing, side in ((-np.inf, "lower"), (np.inf, "upper")):
        parts = []
        for piece in selection.pieces:
            about = piece.target.entry.about if piece.target else None
            bound = of_piece(getattr(about, side, None), piece)
            parts.append(np.full(piece.positions.size, nothing) if bound is None else bound.ravel())
        ends.append(np.concatenate(parts) if parts else np.zeros(0))
    return ends[0], ends[1]


def of_piece(bound: np.ndarray | None, piece: Piece) -> np.ndarray | None:
    """The bound of the entries that a piece picks out of its parameter, in the piece's shape."""
    if bound is None:
        return None
    if bound.ndim == 0:
        return np.broadcast_to(bound, piece.shape)
    return bound.ravel()[piece.positions - piece.place.start].reshape(piece.shape)


def float_dtype(selection: Selection, buffers: Buffers) -> np.dtype:
    """The dtype of a selection's vector, which must hold floats to have bounds or coordinates."""
    if not selection.pieces:
        return np.dtype(float)
    for piece in selection.pieces:
        portion, number = piece.at
        buffer = buffers[portion][number]
        if buffer is not None and family(buffer.dtype) != "f":
            raise KindError(
                f"{piece.label!r} holds {buffer.dtype.name}, and bounds and free coordinates are those "
                "of floats. Leave it out of the list, or declare it as a float."
            )
    return vector_dtype(selection, buffers)
