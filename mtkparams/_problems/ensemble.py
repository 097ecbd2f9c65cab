"""Many solves of one problem: the call, and what comes out of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .._parameters import fingerprint, in_axes, is_list, members, plain
from .._text import counted
from ..errors import KindError, ShapeError, SolveError
from .failure import advice, kind_of
from .problem import ODEProblem
from .remake import remake
from .shard import sharded, sharded_in_reverse
from .solution.solution import Solution
from .solve import solve
from .values import UNSET


class Ensemble(eqx.Module):
    """The solves of an ensemble, members in front, read by name.

    `len(ensemble)` is the number of members; `ensemble["x"]` has the shape `(members, times)`;
    `ensemble[3]` is the solution of one member, `ensemble[3:7]` or `ensemble[ensemble.arrived]` a
    smaller ensemble, and a loop goes through the members.

    **Attributes:**

    - `output`: a `mtk.Solution` with a leading axis, or with `output=` what that function returned,
      with a leading axis.
    - `result`: how each member ended, a `diffrax.RESULTS` with a leading axis.
    - `values`: what differs between the members, by name.
    """

    output: Any
    result: Any
    values: dict[Any, Any]

    @property
    def arrived(self) -> Array:
        """Whether each member arrived at its end, or at the event that ended it; shape `(members,)`."""

        return arrived(self.result)

    def __len__(self) -> int:
        return self.result._value.shape[0]

    def __getitem__(self, spec: Any) -> Any:
        """Values of all members by name, or one member, or some of them.

        **Arguments:**

        - `spec`: as for `mtk.Solution`, with the members in front; a number of a member; a slice or an
          array of numbers or of truth values, which gives an ensemble.

        `UnknownNameError` with the nearest names; `IndexError` for a member that there is not.
        """
        if isinstance(spec, int | np.integer) and not isinstance(spec, bool):
            if not -len(self) <= spec < len(self):
                raise IndexError(f"No member {spec}: the ensemble has {len(self)}.")
            return _member(self.output, int(spec))
        if isinstance(spec, slice | np.ndarray | jax.Array):
            where = spec if isinstance(spec, slice) else np.asarray(spec)
            if isinstance(where, np.ndarray) and where.dtype == bool and where.size != len(self):
                raise IndexError(f"{where.size} truth values for an ensemble of {len(self)}.")
            return _member(self, where)
        return self._solution()[spec]

    def __call__(self, t: Any, spec: Any = None) -> Any:
        """Values of all members between the save times, of solves with `dense=True`."""
        return self._solution()(t, spec)

    def _solution(self) -> Solution:
        if not isinstance(self.output, Solution):
            raise KindError(
                "This ensemble kept what output= returned, and no solutions: read `ensemble.output`."
            )
        return self.output

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def to_dict(self, spec: Any = None) -> dict[str, Any]:
        """Values of all members by name, as `mtk.Solution.to_dict`."""
        return self._solution().to_dict(spec)

    def to_pandas(self, spec: Any = None) -> Any:
        """A `pandas.DataFrame` with the index `(member, t)`, as `mtk.Solution.to_pandas`."""
        return self._solution().to_pandas(spec)

    def to_xarray(self, spec: Any = None) -> Any:
        """An `xarray.Dataset` with the dimension `member`, as `mtk.Solution.to_xarray`."""
        return self._solution().to_xarray(spec)

    def plot(
        self, spec: Any = None, *, ax: Any = None, band: bool | None = None, **line: Any
    ) -> Any:
        """A line for each member, or a band of many; as `mtk.Solution.plot`."""
        return self._solution().plot(spec, ax=ax, band=band, **line)

    def __contains__(self, name: object) -> bool:
        return isinstance(self.output, Solution) and name in self.output

    @property
    def ts(self) -> Array:
        """Save times, shape `(members, times)`."""
        return self._solution().ts

    @property
    def p(self) -> Any:
        """The parameters of all members."""
        return self._solution().p

    def __repr__(self) -> str:
        bad = ~self.arrived
        failed = "" if isinstance(bad, Tracer) or not bad.any() else f", {int(bad.sum())} failed"
        names = ", ".join(str(name) for name in self.values)
        return f"Ensemble({counted(len(self), 'member')}{failed}; {names or 'a batch of problems'})"


def _member(tree: Any, where: Any) -> Any:
    return jax.tree.map(lambda x: x[where] if eqx.is_array(x) else x, tree)


def solve_ensemble(
    problem: ODEProblem,
    values: Mapping[Any, Any] | None = None,
    solver: Any = "auto",
    *,
    output: Callable[[Solution], Any] | None = None,
    chunk: int = 1000,
    memory: int | None = None,
    devices: Sequence[Any] | None = None,
    throw: bool = True,
    **options: Any,
) -> Ensemble:
    """Many solves of one problem with different values, in one compiled call.

    The members are solved side by side, `chunk` at a time, on all devices that there are. What they
    share is there once. Derivatives with respect to `values`, and to what the members share, are
    those of a loop of `mtk.solve`.

    **Main arguments:**

    - `problem`: what the members have in common; or a batch of problems, from `mtk.stack`.
    - `values`: for each name what `mtk.remake` takes, with the members in front: shape
      `(members,)` for a number. A function `lambda p: ...` holds for every member.
    - `solver`, and as keywords `saveat`, `rtol`, `atol`, `adjoint` and all else: as for `mtk.solve`.
    - `output`: what to keep of each solution, a function of it: `lambda sol: sol["x"][-1]`. Without
      it the solutions are kept, with all their parameters.
    - `throw`: raise `SolveError` if any member did not arrive; the message tells how many, which
      ones, and their values. With `False` all values and derivatives of the failed members are NaN,
      and `ensemble.arrived` tells which those are.

    **Other arguments:**

    - `chunk`: how many members each device solves at a time, at most. It bounds the memory that
      solving takes, and that of derivatives in reverse mode too: what a chunk leaves behind is its
      output, and the backward pass solves a chunk once more.
    - `memory`: a bound in bytes for what the solutions of one chunk take; makes chunks smaller
      where they would take more.
    - `devices`: devices to share the members out among, by default all of `jax.local_devices()`.

    **Raises:** `SolveError`; as `mtk.remake` and `mtk.solve`; `ShapeError` for values without members
    in front, or with different numbers of them.

    !!! Example

        >>> import mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ... )
        >>> problem = mtk.ODEProblem(decay, {}, (0.0, 2.0))
        >>> ensemble = mtk.solve_ensemble(problem, {"k": [0.1, 0.5, 2.0]})
        >>> [round(x, 4) for x in ensemble["x"][:, -1].tolist()]
        [0.8187, 0.3679, 0.0183]
    """
    if values is not None and not isinstance(values, Mapping):
        raise KindError(f"Values are a dictionary by name, got {type(values).__name__}.")
    for name, size in (("chunk", chunk), ("memory", memory)):
        if size is not None and (not isinstance(size, int | np.integer) or size < 1):
            raise KindError(f"{name}= is a positive whole number, got {size!r}.")
    if not isinstance(problem, ODEProblem):
        raise KindError(f"solve_ensemble takes an mtk.ODEProblem, got {type(problem).__name__}.")
    given = values or {}
    rules = {name: value for name, value in given.items() if _is_rule(value)}
    values = {name: _arrays(value) for name, value in given.items() if name not in rules}
    if rules:
        problem = remake(problem, rules)
    own, common = _taken_apart(problem)
    sizes = {members(values)} if values or not jax.tree.leaves(own) else set()
    sizes |= {x.shape[0] for x in jax.tree.leaves(own)}
    if len(sizes) > 1:
        raise ShapeError(f"The values and the problems have {sorted(sizes)} members.")
    (size,) = sizes
    if not size:
        raise ShapeError("This is an ensemble of no members: the axis in front has length 0.")
    owners = tuple(jax.local_devices() if devices is None else devices)
    if not owners:
        raise KindError("devices= is a sequence of JAX devices, got an empty one.")
    # A Module may hold arrays, which are arguments of what is compiled; a function is a part of it.
    keep = _Output(output) if isinstance(output, FunctionType) else output
    task = _Task(common, solver, _as_arrays(options), keep)
    kept, result, started, good = _all(task, (own, values), size, int(chunk), memory, owners)
    ensemble = Ensemble(kept, result, values)
    if not throw or (not isinstance(good, Tracer) and good):
        return ensemble
    texts = advice(problem.model, options.get("max_steps", 100_000))
    names = problem.model.algebraic or problem.model.differential
    texts.append(_NOT_STARTED.format(names=", ".join(names[:6])))
    kinds = jnp.where(started, kind_of(result), len(texts) - 1)
    return _raise_failure(ensemble, kinds, texts)


# As many failed members are described in the text of an error.
_SHOWN = 3


def arrived(result: Any) -> Array:
    """Whether each solve arrived."""
    good = lambda value: diffrax.is_okay(eqx.tree_at(lambda r: r._value, result, value))
    for _ in range(result._value.ndim):
        good = jax.vmap(good)
    return good(result._value)


@dataclasses.dataclass(frozen=True)
class _Plan:
    """`devices`, each with `chunks` chunks of `width` members."""

    devices: tuple[Any, ...]
    chunks: int
    width: int

    @staticmethod
    def of(size: int, chunk: int, devices: tuple[Any, ...]) -> _Plan:
        # Chunks of equal width, as few members as possible solved for nothing at the end.
        devices = devices[:size]
        chunks = math.ceil(size / (chunk * len(devices)))
        return _Plan(devices, chunks, math.ceil(size / (chunks * len(devices))))

    @property
    def room(self) -> int:
        return len(self.devices) * self.chunks * self.width


class _Output:
    """The function `output=`. Written as a lambda in each call it is a new one, and yet the same."""

    def __init__(self, f: FunctionType):
        self.f = f
        self.key = fingerprint(f)

    def __call__(self, solution: Solution) -> Any:
        return self.f(solution)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Output) and (self.f is other.f or self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.f.__code__.co_code)


class _Task(eqx.Module):
    """What is done for each member. A Module, so that its arrays are arguments of what is compiled."""

    common: Any
    solver: Any
    options: dict[str, Any]
    output: Callable[[Solution], Any] | None

    def __call__(self, own: Any, values: dict[Any, Any]) -> tuple[Any, Any, Array]:
        """What is kept of one member, how it ended, and whether it started."""
        problem = eqx.combine(own, self.common)
        problem = remake(problem, values) if values else problem
        solution = solve(problem, self.solver, throw=False, **self.options)
        kept = solution if self.output is None else self.output(solution)
        # Python numbers among the statistics become arrays like all else.
        kept = jax.tree.map(lambda x: jnp.asarray(x) if eqx.is_array_like(x) else x, kept)
        return kept, solution.result, solution.stats["phase"] >= 0


def _taken_apart(problem: ODEProblem) -> tuple[Any, Any]:
    """The arrays of `problem` that have the members in front, and the others."""
    axes = jax.tree.leaves(in_axes(problem), is_leaf=lambda x: x is None)
    spec = jax.tree.structure(problem).unflatten([axis == 0 for axis in axes])
    return eqx.partition(problem, spec)


def _is_rule(value: Any) -> bool:
    # A network is callable too, and has arrays with the members in front.
    return value is UNSET or (
        callable(value) and not any(map(eqx.is_array, jax.tree.leaves(value)))
    )


def _arrays(value: Any) -> Any:
    if is_list(value):
        return jnp.asarray(value)
    # Numbers of Python's own inside of a Module are its settings.
    return jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, np.ndarray) else x, value)


def _as_arrays(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with save times as an array: as numbers they would be a part of the program."""
    options = dict(options)
    if isinstance(options.get("saveat"), list | tuple | np.ndarray):
        options["saveat"] = jnp.asarray(options["saveat"])
    return options


@eqx.filter_jit
def _all(
    task: _Task,
    inputs: Any,
    size: int,
    chunk: int,
    memory: int | None,
    devices: tuple[Any, ...],
) -> tuple[Any, Any, Array, Array]:
    inputs, settings = eqx.partition(inputs, eqx.is_array)
    if memory is not None:
        one = jax.tree.map(lambda x: x[0], inputs)
        chunk = min(chunk, max(1, memory // _bytes(task, eqx.combine(one, settings))))
    plan = _Plan.of(size, chunk, devices)
    inputs = jax.tree.map(lambda x: _padded(x, plan.room), inputs)
    shared, static = eqx.partition(task, eqx.is_array)
    statics: list[Any] = []

    def side_by_side(shared: Any, inputs: Any) -> Any:
        task = eqx.combine(shared, static)

        def arrays(inputs: Any) -> Any:
            found, rest = eqx.partition(task(*eqx.combine(inputs, settings)), eqx.is_array)
            statics.append(rest)
            return found

        return jax.vmap(arrays)(inputs)

    def in_chunks(shared: Any, inputs: Any) -> Any:
        if plan.chunks == 1:
            return side_by_side(shared, inputs)
        cut = lambda x: x.reshape(plan.chunks, plan.width, *x.shape[1:])
        # Solved once more in the backward pass, so that a chunk leaves only its output behind.
        step = jax.checkpoint(side_by_side, prevent_cse=False)
        found = jax.lax.map(lambda own: step(shared, own), jax.tree.map(cut, inputs))
        return jax.tree.map(lambda x: x.reshape(plan.chunks * plan.width, *x.shape[2:]), found)

    if len(plan.devices) == 1:
        found = in_chunks(shared, inputs)
    else:
        both_ways = isinstance(
            task.options.get("adjoint"), diffrax.ForwardMode | diffrax.DirectAdjoint
        )
        spread = sharded if both_ways else sharded_in_reverse
        found = spread(in_chunks, plan.devices, shared, inputs)
    found = jax.tree.map(lambda x: x[:size], found)
    kept, result, started = eqx.combine(found, statics[0])
    return kept, result, started, jnp.all(arrived(result))


def _padded(x: Array, size: int) -> Array:
    missing = size - x.shape[0]
    if not missing:
        return x
    return jnp.concatenate([x, jnp.broadcast_to(x[-1:], (missing, *x.shape[1:]))])


def _bytes(task: _Task, one: Any) -> int:
    """What the solution of one member takes."""
    whole = eqx.tree_at(lambda t: t.output, task, None, is_leaf=lambda x: x is None)
    leaves = jax.tree.leaves(eqx.filter_eval_shape(lambda t, x: t(*x), whole, one))
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves if hasattr(x, "dtype"))


def _raise_failure(ensemble: Ensemble, kinds: Array, texts: list[str]) -> Ensemble:
    bad = ~ensemble.arrived
    if not isinstance(bad, Tracer):
        raise SolveError(_message(ensemble, np.asarray(bad), np.asarray(kinds), texts))
    first = jnp.take(kinds.ravel(), jnp.argmax(bad.ravel()))
    some = [f"Some members of the ensemble failed. {text} {_CURE}" for text in texts]
    one = eqx.branched_error_if(jnp.ones(()), bad, first, some)
    output = jax.tree.map(
        lambda x: x * one.astype(x.dtype) if eqx.is_inexact_array(x) else x, ensemble.output
    )
    return Ensemble(output, ensemble.result, ensemble.values)


_NOT_STARTED = (
    "No consistent initial values were found (unknowns {names}). Other guesses may do, and so may other "
    "values; mtk.initialize tells for one member which equations failed."
)
_CURE = "With throw=False they are NaN, and ensemble.arrived tells which."


def _message(ensemble: Ensemble, bad: np.ndarray, kinds: np.ndarray, texts: list[str]) -> str:
    failed = np.flatnonzero(bad)
    shown = []
    for i in failed[:_SHOWN]:
        own = ", ".join(
            f"{plain(name)}={float(value[i]):.6g}"
            for name, value in ensemble.values.items()
            if jnp.ndim(value) == 1 and jnp.issubdtype(value.dtype, jnp.number)
        )
        shown.append(f"{i} ({own})" if own else f"{i}")
    more = ", ..." if len(failed) > _SHOWN else ""
    reasons = " ".join(
        f"{text} ({int((kinds[failed] == kind).sum())} of them.)"
        for kind, text in enumerate(texts)
        if (kinds[failed] == kind).any()
    )
    return f"{len(failed)} of {len(ensemble)} members failed: {', '.join(shown)}{more}. {reasons} {_CURE}"
