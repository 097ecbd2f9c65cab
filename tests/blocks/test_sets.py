"""Sets of leaves that nodes share."""

from __future__ import annotations

import numpy as np
import pytest


def layers(width, depth, seed):
    """A graph of layers, and for each node its set, worked out one by one."""
    from mtkparams._blocks.trace.nodes import ARGUMENT, UNKNOWN, Nodes

    rng = np.random.default_rng(seed)
    nodes = Nodes()
    leaves = nodes.leaf(UNKNOWN, (width,), float)
    other = nodes.leaf(ARGUMENT, (2,), float)
    sets = {int(i): {k} for k, i in enumerate(leaves)}
    sets.update({int(i): set() for i in other})
    layer = np.concatenate([leaves, other])
    for _ in range(depth):
        counts = rng.integers(0, 5, width)
        members = rng.choice(layer, counts.sum())
        made = nodes.junctions(counts, members)
        for i, part in zip(made, np.split(members, np.cumsum(counts)[:-1]), strict=True):
            sets[int(i)] = set().union(*(sets[int(m)] for m in part))
        layer = np.concatenate([layer[-3:], made])
    return nodes, leaves, sets


@pytest.mark.parametrize("long", [0, 10**9])
@pytest.mark.parametrize("seed", range(5))
def test_against_sets_of_python(long, seed, monkeypatch):
    from mtkparams._blocks.trace import dependence as sets

    monkeypatch.setattr(sets, "_LONG", long)
    nodes, leaves, expected = layers(9, 6, seed)
    found = sets.dependence(nodes, leaves)
    for i, members in expected.items():
        s = found.of[i]
        assert found.members[found.ptr[s] : found.ptr[s + 1]].tolist() == sorted(members)
    # Equal sets have one number.
    assert len(np.unique(found.of)) == len({frozenset(s) for s in expected.values()})


def test_layers_that_are_dense_share_one_set():
    from mtkparams._blocks.trace.dependence import dependence
    from mtkparams._blocks.trace.nodes import UNKNOWN, Nodes

    nodes = Nodes()
    leaves = layer = nodes.leaf(UNKNOWN, (200,), float)
    for _ in range(20):
        layer = nodes.junction(np.broadcast_to(layer, (200, 200)))
    found = dependence(nodes, leaves)
    assert len(np.unique(found.of[layer])) == 1
    assert len(found.members) == 400
