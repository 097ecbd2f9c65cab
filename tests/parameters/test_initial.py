"""Names of initial values: written and read in one place."""

from __future__ import annotations

import pytest

import mtkparams as mtk
from mtkparams._parameters import stored_name, unknown_of
from mtkparams.errors import UnknownNameError

UNKNOWNS = ["x", "tank.h", "x[1]", "tank.h[0,1:2]", "µ"]


@pytest.mark.parametrize("unknown", UNKNOWNS)
def test_what_is_written_is_read(unknown):
    assert unknown_of(str(mtk.Initial(unknown))) == unknown


@pytest.mark.parametrize("name", ["x", "Initial", "Initial_x", "x(Initial)", "Initial(x", "D(x)"])
def test_other_names_are_those_of_no_unknown(name):
    assert unknown_of(name) is None


STORED = {
    "unknown": ("x", "Initial(x)"),
    "entry of one": ("x[1]", "Initial(x)[1]"),
    "parameter": ("k", "k"),
    "entry of a parameter": ("k[1]", "k[1]"),
    "stored already": (mtk.Initial("x"), "Initial(x)"),
    "entry that is stored already": (mtk.Initial("x[1]"), "Initial(x)[1]"),
}


@pytest.mark.parametrize(("name", "stored"), STORED.values(), ids=STORED)
def test_an_unknown_stands_for_its_initial_value(name, stored):
    assert stored_name(name, {"x", "tank.h"}) == stored


def test_an_index_that_is_none():
    with pytest.raises(UnknownNameError, match="Cannot read the index in 'x"):
        stored_name("x[first]", {"x"})
