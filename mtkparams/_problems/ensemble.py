"""Many solves of one problem, in chunks of bounded memory and on all devices."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, Literal, Unpack

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Int

from .._failure import raise_where
from .._parameters import fingerprint, in_axes, is_list, members
from .._results import RESULTS, number, succeeded
from ..errors import KindError, ShapeError, SolveError
from .failure import advice
from .option_names import check_names
from .options import SolveOptions, Solver, max_steps_of
from .problem import ODEProblem
from .remake import remake
from .shard import sharded, sharded_in_reverse
from .solution.ensemble import EnsembleSolution
from .solution.report import described
from .solution.solution import Solution
from .solve import solve
from .values import UNSET


def solve_ensemble(
    problem: ODEProblem,
    values: Mapping[Any, Any] | None = None,
    solver: diffrax.AbstractSolver | Literal["auto"] = "auto",
    *,
    output: Callable[[Solution], Any] | None = None,
    chunk: int = 1000,
    memory: int | None = None,
    devices: Sequence[Any] | None = None,
    throw: bool = True,
    **options: Unpack[SolveOptions],
) -> EnsembleSolution:
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
      `ensemble.succeeded` tells which those are, and `ensemble.report()` why.

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
    check_names(solve_ensemble, options, SolveOptions)
    if values is not None and not isinstance(values, Mapping):
        raise KindError(f"Values are a dictionary by name, got {type(values).__name__}.")
    for name, size in (("chunk", chunk), ("memory", memory)):
        if size is not None and (not isinstance(size, int | np.integer) or size < 1):
            raise KindError(f"{name}= is a positive whole number, got {size!r}.")
    if not isinstance(problem, ODEProblem):
        raise KindError(f"solve_ensemble takes an mtk.ODEProblem, got {type(problem).__name__}.")
    rules = {name: value for name, value in (values or {}).items() if _is_rule(value)}
    values = {name: _arrays(x) for name, x in (values or {}).items() if name not in rules}
    if rules:
        problem = remake(problem, rules)
    of_members, common = _taken_apart(problem)
    sizes = {members(values)} if values or not jax.tree.leaves(of_members) else set()
    sizes |= {x.shape[0] for x in jax.tree.leaves(of_members)}
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
    outputs, result, all_succeeded = _all(
        task, (of_members, values), size, int(chunk), memory, owners
    )
    ensemble = EnsembleSolution(outputs, result, values)
    # Known where all of it went well: nothing more is computed then.
    if not throw or (not isinstance(all_succeeded, Tracer) and all_succeeded):
        return ensemble
    return _raise_failure(ensemble, advice(problem.model, max_steps_of(options)))


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

    common: ODEProblem
    solver: Solver
    options: dict[str, Any]
    output: Callable[[Solution], Any] | None

    def __call__(self, member: ODEProblem, values: dict[Any, Any]) -> tuple[Any, RESULTS]:
        """What is kept of one member, and how it ended."""
        problem = eqx.combine(member, self.common)
        problem = remake(problem, values) if values else problem
        solve_member: Any = solve
        solution = solve_member(problem, self.solver, throw=False, **self.options)
        output = solution if self.output is None else self.output(solution)
        # Python numbers among the statistics become arrays like all else.
        output = jax.tree.map(lambda x: jnp.asarray(x) if eqx.is_array_like(x) else x, output)
        return output, solution.result


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
) -> tuple[Any, RESULTS, Bool[Array, ""]]:
    """What is kept of each member, how it ended, and whether all of them arrived."""
    inputs, settings = eqx.partition(inputs, eqx.is_array)
    if memory is not None:
        member = jax.tree.map(lambda x: x[0], inputs)
        chunk = min(chunk, max(1, memory // _bytes(task, eqx.combine(member, settings))))
    plan = _Plan.of(size, chunk, devices)
    inputs = jax.tree.map(lambda x: _padded(x, plan.room), inputs)
    shared, static = eqx.partition(task, eqx.is_array)
    statics: list[Any] = []

    def side_by_side(shared: Any, inputs: Any) -> Any:
        task = eqx.combine(shared, static)

        def arrays(inputs: Any) -> Any:
            outputs, rest = eqx.partition(task(*eqx.combine(inputs, settings)), eqx.is_array)
            statics.append(rest)
            return outputs

        return jax.vmap(arrays)(inputs)

    def in_chunks(shared: Any, inputs: Any) -> Any:
        if plan.chunks == 1:
            return side_by_side(shared, inputs)
        cut = lambda x: x.reshape(plan.chunks, plan.width, *x.shape[1:])
        # Solved once more in the backward pass, so that a chunk leaves only its output behind.
        step = jax.checkpoint(side_by_side, prevent_cse=False)
        outputs = jax.lax.map(lambda chunk: step(shared, chunk), jax.tree.map(cut, inputs))
        return jax.tree.map(lambda x: x.reshape(plan.chunks * plan.width, *x.shape[2:]), outputs)

    if len(plan.devices) == 1:
        outputs = in_chunks(shared, inputs)
    else:
        both_ways = isinstance(
            task.options.get("adjoint"), diffrax.ForwardMode | diffrax.DirectAdjoint
        )
        spread = sharded if both_ways else sharded_in_reverse
        outputs = spread(in_chunks, plan.devices, shared, inputs)
    outputs = jax.tree.map(lambda x: x[:size], outputs)
    output, result = eqx.combine(outputs, statics[0])
    return output, result, jnp.all(succeeded(result))


def _padded(x: Array, size: int) -> Array:
    missing = size - x.shape[0]
    if not missing:
        return x
    return jnp.concatenate([x, jnp.broadcast_to(x[-1:], (missing, *x.shape[1:]))])


def _bytes(task: _Task, member: Any) -> int:
    """What the solution of one member takes."""
    whole = eqx.tree_at(lambda t: t.output, task, None, is_leaf=lambda x: x is None)
    leaves = jax.tree.leaves(eqx.filter_eval_shape(lambda t, x: t(*x), whole, member))
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves if hasattr(x, "dtype"))


_CURE = "With throw=False they are NaN, and ensemble.succeeded tells which."


def _raise_failure(ensemble: EnsembleSolution, texts: list[str]) -> EnsembleSolution:
    """`ensemble`, or an error with the failed members and the reasons, now or in a traced program."""
    failed, kinds = ~ensemble.succeeded, number(ensemble.result)

    def of_first() -> tuple[Int[Array, ""], list[str]]:
        some = [f"Some members of the ensemble failed. {text} {_CURE}" for text in texts]
        return jnp.take(kinds.ravel(), jnp.argmax(failed.ravel())), some

    def error() -> SolveError:
        return SolveError(_message(ensemble, np.asarray(kinds), texts))

    output = raise_where(failed, ensemble.output, error, of_first)
    return EnsembleSolution(output, ensemble.result, ensemble.values)


def _message(ensemble: EnsembleSolution, kinds: np.ndarray, texts: list[str]) -> str:
    failed = np.flatnonzero(~np.asarray(ensemble.succeeded))
    members = described(failed, ensemble.values)
    reasons = " ".join(
        f"{text} ({int((kinds[failed] == kind).sum())} of them.)"
        for kind, text in enumerate(texts)
        if (kinds[failed] == kind).any()
    )
    return f"{len(failed)} of {len(ensemble)} members failed: {members}. {reasons} {_CURE}"
