"""Structures written by hand, so that the solves are tested apart from how structure is found."""

import dataclasses
from typing import Any

import numpy as np
import scipy.sparse


@dataclasses.dataclass(frozen=True)
class Block:
    equations: tuple[int, ...]
    unknowns: tuple[int, ...]
    level: int
    reads: tuple[int, ...]
    affine: bool
    explicit: bool = False


@dataclasses.dataclass(frozen=True)
class Parts:
    blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Structure:
    incidence: Any
    parts: Parts
    graph: Any = None


def structure(incidence, *blocks):
    """A structure from a matrix and, for each block in order: equations, unknowns, whether affine."""
    incidence = scipy.sparse.csr_matrix(np.array(incidence, bool))
    made = []
    for equations, unknowns, affine in blocks:
        read = set(incidence[equations].indices.tolist()) - set(unknowns)
        reads = tuple(k for k, b in enumerate(made) if read & set(b.unknowns))
        level = 1 + max((made[k].level for k in reads), default=-1)
        made.append(Block(tuple(equations), tuple(unknowns), level, reads, affine))
    return Structure(incidence, Parts(tuple(made)))
