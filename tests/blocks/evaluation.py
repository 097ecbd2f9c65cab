"""Computes a residual from its element graph, operation by operation, as a check of the graph itself."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def evaluate(
    graph: Any, u: Any, args: Any, wanted: Any = None, filler: float = 0.5
) -> dict[int, Any]:
    """The values of the wanted nodes (default: all), by number; operands that are not there: `filler`."""
    wanted = np.arange(graph.size) if wanted is None else np.asarray(wanted)
    values: dict[int, Any] = {}
    values.update(zip(graph.unknowns.tolist(), np.asarray(u), strict=True))
    for ids, leaf in zip(graph.arguments, jax.tree.leaves(args), strict=True):
        values.update(zip(ids.ravel().tolist(), np.asarray(leaf).ravel(), strict=True))
    for ids, value in graph.closed:
        if value is not None:
            values.update(zip(ids.ravel().tolist(), np.asarray(value).ravel(), strict=True))
    constants = wanted[graph.is_constant(wanted)]
    values.update((i, graph.constant(np.array([i]))[0]) for i in constants.tolist())
    chosen = set(wanted.tolist())
    for number in np.unique(graph.op[wanted][graph.op[wanted] >= 0]):
        op = graph.ops[number]
        mine = np.concatenate([o.ravel() for o in op.outputs])
        if op.kind == "whole":
            places = slice(None)
            arrays = list(op.operands)
        else:
            places = np.array([i for i, node in enumerate(mine.tolist()) if node in chosen])
            arrays = [o[places] for o in op.operands]
        operands = []
        for ids in arrays:
            dtype = graph.dtypes[graph.kind[ids.flat[0]]] if ids.size else float
            found = [values.get(i, filler) for i in ids.ravel().tolist()]
            operands.append(jnp.asarray(np.array(found).astype(dtype).reshape(ids.shape)))
        results = op.bind(*operands)
        flat = np.concatenate([np.asarray(r).ravel() for r in results])
        values.update(zip(mine[places].tolist(), flat, strict=True))
    return values
