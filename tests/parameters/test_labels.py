"""A name for every entry of a vector."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import everything, with_caches

import mtkparams as mtk


@pytest.fixture
def p():
    return mtk.parameters(everything())


LABELS = {
    "tunables": (
        mtk.Tunable,
        "alpha tau[0] tau[1] tau[2] f[0,0] f[0,1] f[0,2] f[1,0] f[1,1] f[1,2] tank.area "
        "spring.stiffness[0] spring.stiffness[1] pair['b'] pair['w'][0] pair['w'][1]",
    ),
    "initials": (mtk.Initials, "Initial(x) Initial(tank.h)[0] Initial(tank.h)[1]"),
    "discrete": (mtk.Discrete, "mode switch"),
    "constants": (mtk.Constants, "tank.k order on z spring.coils"),
    "fixed arrays": (mtk.Nonnumeric, "table.stiffness[0] table.coils"),
    "caches": (mtk.Caches, "caches[0][0] caches[0][1] caches[1][0]"),
    "part": ("tau[1:]", "tau[1] tau[2]"),
    "backwards": ("tau[::-1]", "tau[2] tau[1] tau[0]"),
    "from the end": ("f[-1,-1]", "f[1,2]"),
    "list": (["alpha", mtk.Initial("x"), "f[1]"], "alpha Initial(x) f[1,0] f[1,1] f[1,2]"),
    "Module": ("spring", "spring.stiffness[0] spring.stiffness[1]"),
    "nothing": ([], ""),
}


@pytest.mark.parametrize(("what", "labels"), LABELS.values(), ids=LABELS)
def test_labels(p, what, labels):
    p = with_caches(p, np.ones(2), np.ones(1))
    assert mtk.labels(p, what) == tuple(labels.split())


def test_every_label_reads_its_entry_of_the_vector(p):
    for portion in mtk.Portion:
        vector, _, _ = mtk.canonicalize(portion, p)
        for label, value in zip(
            mtk.labels(p, portion), [] if vector is None else vector, strict=True
        ):
            np.testing.assert_array_equal(p[label], value)


def test_the_tunables_are_the_default(p):
    assert mtk.labels(p) == mtk.labels(p, mtk.Tunable)


def test_without_names():
    p = mtk.MTKParameters(tunable=[1.0, 2.0], constants=([1], [2.0]))
    assert mtk.labels(p) == ("tunable[0]", "tunable[1]")
    assert mtk.labels(p, mtk.Constants) == ("constants[0][0]", "constants[1][0]")
    wider = mtk.MTKParameters(tunable=[1.0, 2.0, 3.0])
    assert len(mtk.labels(wider, [mtk.Tunable])) == 3
