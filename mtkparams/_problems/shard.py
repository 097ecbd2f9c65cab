"""A function of many members shared out among devices, differentiable as it is on one.

Left to itself, the compiler shares a batched loop out so that all devices wait for each other in
each of its steps. `jax.shard_map` gives each device a loop of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
import jax
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import Mesh, PartitionSpec

# Of what all members share, and of the members' own, with these in front.
ByMember: TypeAlias = Callable[[Any, Any], Any]

_AXIS = "members"
_SHARED, _OWN = PartitionSpec(), PartitionSpec(_AXIS)


def sharded(f: ByMember, devices: tuple[Any, ...], shared: Any, own: Any) -> Any:
    """`f(shared, own)`, with the members in as many pieces as there are `devices`."""
    (piece,) = _pieces(devices, own)
    return _on(devices, _traced(f, shared, piece), (_SHARED, _OWN), _OWN)(shared, own)


def sharded_in_reverse(f: ByMember, devices: tuple[Any, ...], shared: Any, own: Any) -> Any:
    """The same, for an `f` whose derivatives are taken in reverse mode alone.

    By hand, because the loops of equinox cannot be transposed inside of `shard_map` (diffrax issue
    765). The backward pass goes through `f` once more.
    """
    smooth, rest = eqx.partition((shared, own), eqx.is_inexact_array)

    @jax.custom_vjp
    def run(smooth: Any, rest: Any) -> Any:
        return sharded(f, devices, *eqx.combine(smooth, rest))

    def forward(smooth: Any, rest: Any) -> Any:
        return run(smooth, rest), (smooth, rest)

    def backward(residuals: Any, cotangent: Any) -> Any:
        smooth, rest = residuals

        def pull(shared: Any, own: Any) -> Any:
            smooth_shared, rest_shared = shared
            smooth_own, rest_own, slope = own
            g = lambda s, o: f(eqx.combine(s, rest_shared), eqx.combine(o, rest_own))
            return jax.vjp(g, smooth_shared, smooth_own)[1](slope)

        shared, own = (smooth[0], rest[0]), (smooth[1], rest[1], cotangent)
        pull_piece = _traced(pull, shared, *_pieces(devices, own))

        def local(shared: Any, own: Any) -> Any:
            to_shared, to_own = pull_piece(shared, own)
            return jax.lax.psum(to_shared, _AXIS), to_own

        gradient = _on(devices, local, (_SHARED, _OWN), (_SHARED, _OWN))(shared, own)
        return gradient, None

    run.defvjp(forward, backward)
    return run(smooth, rest)


def _on(devices: tuple[Any, ...], f: ByMember, in_specs: Any, out_specs: Any) -> ByMember:
    mesh = Mesh(np.array(devices), (_AXIS,))
    return jax.shard_map(f, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def _pieces(devices: tuple[Any, ...], *own: Any) -> Any:
    cut = lambda x: x[: x.shape[0] // len(devices)]
    return jax.eval_shape(lambda own: jax.tree.map(cut, own), own)


def _traced(f: ByMember, *like: Any) -> ByMember:
    """`f` traced here: inside of `shard_map` arrays know their mesh and constants do not, which
    equinox takes for two kinds of input.
    """
    closed, shape = jax.make_jaxpr(f, return_shape=True)(*like)
    call, structure = jaxpr_as_fun(closed), jax.tree.structure(shape)
    return lambda *args: structure.unflatten(call(*jax.tree.leaves(args)))
