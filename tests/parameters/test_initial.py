"""Names of initial values: written and read in one place."""

from __future__ import annotations

import pytest

import mtkparams as mtk
from mtkparams._parameters import by_stored_name, stored_name, unknown_of
from mtkparams.errors import OverlapError, UnknownNameError

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


def test_a_dictionary_under_the_names_of_parameters():
    stored = lambda name: stored_name(name, {"x"})
    assert by_stored_name({"x": 1, "k": 2}, stored) == {"Initial(x)": 1, "k": 2}
    assert by_stored_name({mtk.Initial("x"): 1}) == {"Initial(x)": 1}
    with pytest.raises(OverlapError, match=r"'Initial\(x\)' is given twice, in two spellings"):
        by_stored_name({"x": 1, mtk.Initial("x"): 2}, stored)


PACKED_TWICE = {"x": 1.0, mtk.Initial("x"): 2.0}


def test_a_value_that_is_given_twice_is_neither(decay):
    with pytest.raises(OverlapError, match="given twice"):
        mtk.pack(decay, mtk.Initials, PACKED_TWICE)
    with pytest.raises(OverlapError, match="given twice"):
        mtk.io.from_dict(decay.p, {"Initial(x)": 1.0, mtk.Initial("x"): 2.0, "k": 1.0})


@pytest.fixture
def decay():
    system = mtk.System(
        parameters={"k": 0.5}, unknowns={"x": 1.0}, derivatives=lambda t, u, p: {"x": -p.k * u.x}
    )
    return mtk.ODEProblem(system)
