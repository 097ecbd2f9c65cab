"""The parameter object: six portions of buffers, and the index that names their entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..errors import KindError, ShapeError
from .buffers.copies import fresh_buffers, own_copy
from .buffers.read import View, read
from .buffers.reader import Buffers, is_absent
from .buffers.vector import Values
from .buffers.write import write
from .names.index import Index
from .names.names import PORTIONS, VECTORS, Caches, Initial, Portion
from .show.html import html
from .show.table import short, table

_BARE = Index.of((), {})


class MTKParameters(eqx.Module):
    """Parameters of a model: named outside, flat inside, each in its role.

    `mtk.parameters({...})` makes one from declarations. Every leaf is a JAX array and the names are
    static, so it goes through `jax.jit`, `grad`, `vmap` and `lax.scan` as it is. It is never
    changed: `set`, `mtk.replace` and a repack return new objects with buffers of their own.

    **Attributes:**

    - `tunable`: what a fit may change; one vector, in declaration order.
    - `initials`: initial values of unknowns; one vector, in declaration order.
    - `discrete`, `constants`: what events change, and what nothing changes; one buffer for each dtype.
    - `nonnumeric`: arrays inside functions and Modules that are not tuned; one buffer for each dtype.
    - `caches`: scratch buffers, written before they are read.
    - `index`: the names and the place of each; static, one object for equal declarations.

    A batch has its leading axes in front of every buffer. Gradients and optimizer states with this
    structure are read by the same names.

    !!! Example

        >>> import mtkparams as mtk
        >>> p = mtk.parameters({"alpha": 0.55, "tau": [1.0, 2.0, 3.0]})
        >>> p = p.set({"alpha": 0.6, "tau[1]": 2.5})
        >>> float(p["alpha"]), p["tau"].tolist()
        (0.6, [1.0, 2.5, 3.0])
    """

    # What was read in this trace. In a slot: anything more in `__dict__` changes the treedef.
    __slots__ = ("_reader",)

    tunable: Float[Array, "..."]  # noqa: UP037, dots in quotes are any axes
    initials: Float[Array, "..."]  # noqa: UP037
    discrete: tuple[Array, ...]
    constants: tuple[Array, ...]
    nonnumeric: tuple[Array, ...]
    caches: tuple[Array, ...]
    index: Index = eqx.field(static=True)

    def __init__(
        self,
        tunable: Values = (),
        initials: Values = (),
        discrete: Iterable[Any] = (),
        constants: Iterable[Any] = (),
        nonnumeric: Iterable[Any] = (),
        caches: Iterable[Any] = (),
        index: Index = _BARE,
    ):
        """**Arguments:**

        - `tunable`, `initials`: one vector of floats each.
        - `discrete`, `constants`, `nonnumeric`, `caches`: vectors of any dtype.
        - `index`: the names. Without one the entries have places and no names.

        All buffers are copied. `ShapeError` for a buffer that is no vector, `KindError` for a
        vector that does not hold floats.
        """
        self.tunable = _vector(tunable, "tunable")
        self.initials = _vector(initials, "initials")
        self.discrete = _own(discrete, "discrete")
        self.constants = _own(constants, "constants")
        self.nonnumeric = _own(nonnumeric, "nonnumeric")
        self.caches = _own(caches, "caches")
        self.index = index

    def __check_init__(self) -> None:
        if not self.index.entries:
            return
        for portion in PORTIONS:
            widths = tuple(buffer.shape[-1] for buffer in self.buffers[portion])
            if portion is not Caches and widths != (self.index.widths[portion] or widths[:0]):
                raise ShapeError(
                    f"The index has buffers of widths {self.index.widths[portion]} in {portion!r}, "
                    f"got {widths}. Build named objects with mtk.parameters({{...}})."
                )

    @property
    def buffers(self) -> Buffers:
        """The buffers of each portion, a tuple each, also for the two that are one vector."""
        return {
            portion: (field,) if portion in VECTORS else field
            for portion, field in zip(PORTIONS, self._fields(), strict=True)
        }

    def _fields(self) -> tuple[Any, ...]:
        return (
            self.tunable,
            self.initials,
            self.discrete,
            self.constants,
            self.nonnumeric,
            self.caches,
        )

    def with_buffers(self, buffers: Buffers, index: Index | None = None) -> MTKParameters:
        """A new object from `buffers`, each of them copied, with caches in the tunables' dtype."""
        return self.from_buffers(fresh_buffers(buffers), index)

    def from_buffers(
        self, buffers: Mapping[Portion, tuple[Any, ...]], index: Index | None = None
    ) -> Any:
        """An object of this structure from `buffers` as they are, copied by nobody."""
        fields = [buffers[q][0] if q in VECTORS else buffers[q] for q in PORTIONS]
        return from_fields(index if index is not None else self.index, *fields)

    # Reading

    def __getitem__(self, spec: PyTree) -> Any:
        """The value under a name, or a structure of values for a structure of names.

        **Arguments:**

        - `spec`: a name (`"tank.k"`, `"tau[1]"`, `"f[1,2]"`, `"tau[0:2]"`, `"net.layers[0].bias"`,
          `mtk.Initial("x")`), a function of the view (`lambda p: p.a * p.b`), or lists, tuples and
          dictionaries of those; dictionaries keep their keys.

        `UnknownNameError` with the nearest names for a name that nothing declares.
        """
        return read(self, spec)

    @property
    def view(self) -> View:
        """The names as attributes: `p.view.tank.k`; what equations and bindings get."""
        return View(self.index, lambda name: read(self, name))

    def names(self, portion: Portion | None = None) -> tuple[str, ...]:
        """The declared names in declaration order, of one portion or all with dependent ones."""
        return self.index.names(portion)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str | Initial) and name in self.index

    def __iter__(self) -> Iterator[str]:
        return iter(self.index)

    def __len__(self) -> int:
        return len(self.index.entries)

    def __bool__(self) -> bool:
        return True  # by its length, an object from bare buffers would count as false

    def keys(self) -> tuple[str, ...]:
        """The declared names, so that `dict(p)` gives all values by name."""
        return self.names()

    def _ipython_key_completions_(self) -> list[str]:
        return [*self.index.entries, *self.index.leaf_names]

    # Writing

    def set(self, values: Mapping[Any, Any], *, cast: bool = False) -> MTKParameters:
        """A new object with `values` under their names, and everything else as it was.

        **Arguments:**

        - `values`: for each name or indexed name a value of the declared shape; for a pytree the
          same structure with arrays of the same shapes. On a batch a value may have the leading
          axes of the batch, or none and then goes to every member.
        - `cast`: keep each buffer's dtype. Without it a buffer gets the common dtype of what it
          holds and what it is given.

        `UnknownNameError`, `ShapeError`, `KindError`; `BoundParameterError` for a dependent
        parameter; `OverlapError` for a name and its element in one call. New text or a new function
        changes what is static, so that compiled functions are traced again.
        """
        index, buffers = write(self.index, self.buffers, values, cast)
        return self.with_buffers(buffers, index)

    # Showing

    def __str__(self) -> str:
        return table(self)

    def __repr__(self) -> str:
        return short(self)

    def _repr_html_(self) -> str:
        return html(self)

    # Being an object

    def __eq__(self, other: object) -> Any:
        """Whether all portions are equal by value; of caches only shapes and dtypes count."""
        if not isinstance(other, MTKParameters):
            return NotImplemented
        if self.index is not other.index:
            return False
        mine, theirs = self.buffers, other.buffers
        likes = [_shapes(b[Caches]) for b in (mine, theirs)]
        values = [tuple(b[q] for q in PORTIONS if q is not Caches) for b in (mine, theirs)]
        return likes[0] == likes[1] and eqx.tree_equal(*values)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __copy__(self) -> MTKParameters:
        return self.with_buffers(self.buffers)

    def __deepcopy__(self, memo: object) -> MTKParameters:
        return self.with_buffers(self.buffers)

    def __reduce__(self) -> tuple[Any, ...]:
        return (from_fields, (self.index, *self._fields()))


def from_fields(index: Index, *fields: Any) -> MTKParameters:
    """An object from its six fields as they are: nothing is checked and nothing is copied."""
    p = object.__new__(MTKParameters)
    names = ("tunable", "initials", "discrete", "constants", "nonnumeric", "caches")
    for name, field in zip(names, fields, strict=True):
        object.__setattr__(p, name, field)
    object.__setattr__(p, "index", index)
    return p


def _shapes(buffers: tuple[Any, ...]) -> list[Any]:
    return [None if is_absent(b) else (b.shape, b.dtype) for b in buffers]


def _vector(values: Values, name: str) -> Array:
    if isinstance(values, tuple | list) and not values:
        return jnp.zeros(0)
    (vector,) = _own((values,), name)
    if not jnp.issubdtype(vector.dtype, jnp.floating):
        raise KindError(f"{name} is a vector of floats, got {vector.dtype.name}.")
    return vector


def _own(buffers: Iterable[Any], name: str) -> tuple[Array, ...]:
    if eqx.is_array_like(buffers):
        raise KindError(f"{name} is a tuple of vectors, got one array. Write {name}=(array,).")
    return tuple(_buffer(b, f"{name}[{i}]") for i, b in enumerate(buffers))


def _buffer(values: object, name: str) -> Array:
    try:
        buffer = values if isinstance(values, jax.Array) else jnp.array(values)
    except (TypeError, ValueError) as error:
        raise KindError(f"{name} is a vector of numbers, got {values!r}.") from error
    if buffer.ndim == 0:
        raise ShapeError(f"{name} is a vector, got a single value. Write [{values!r}].")
    return own_copy(buffer)
