"""Declarations that differ in one thing, whichever it is, have indices of their own.

Equal ones share an index. If a field were no part of what makes them equal, the second declaration would
answer with the first one's.
"""

from typing import Any

import numpy as np
import pytest
import scipy.stats

import mtkparams as mtk

PRIOR, OTHER_PRIOR = scipy.stats.norm(2.0, 0.1), scipy.stats.norm(2.0, 0.2)

FIELDS: dict[str, tuple[Any, Any]] = {
    "unit": ("1/s", "1/h"),
    "description": ("birth rate", "death rate"),
    "bounds": ((0.0, 2.0), (0.0, 3.0)),
    "scale": ("log", "log10"),
    "tunable": (True, False),
    "discrete": (True, False),
    "dtype": ("float32", "float64"),
    "prior": (PRIOR, OTHER_PRIOR),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("swapped", [False, True])
def test_declarations_that_differ_in_one_field(field, swapped):
    pair = FIELDS[field][::-1] if swapped else FIELDS[field]
    more: dict[str, Any] = {"bounds": (0.1, 5.0)} if field == "scale" else {}
    declared = [
        mtk.parameters({"a": mtk.Parameter(1.0, **{field: value}, **more)}) for value in pair
    ]
    first, second = declared
    assert first.index is not second.index
    again = mtk.parameters({"a": mtk.Parameter(1.0, **{field: pair[0]}, **more)})
    assert again.index is first.index


@pytest.mark.parametrize("field", ["unit", "description", "bounds"])
def test_each_answers_with_its_own(field):
    for value in FIELDS[field]:
        p = mtk.parameters({"a": mtk.Parameter(1.0, **{field: value})})
        if field == "bounds":
            lower, upper = mtk.bounds(p)
            np.testing.assert_array_equal([lower[0], upper[0]], value)
        else:
            assert value in str(mtk.describe(p))


def test_initial_values_of_unknowns_that_differ_in_one_field():
    def system(**field):
        return mtk.System(
            parameters={"k": 1.0},
            unknowns={"x": mtk.Unknown(1.0, **field)},
            derivatives=equations,
        )

    def equations(t, u, p):
        return {"x": -p.k * u.x}

    for field in ("unit", "description", "bounds"):
        one, two = (mtk.ODEProblem(system(**{field: v}), {}, (0, 1)) for v in FIELDS[field])
        assert one.p.index is not two.p.index


# The free coordinate of a = 0.5 is log(0.5) or log10(0.5).
def test_scales_keep_apart():
    for scale, coordinate in (("log", np.log(0.5)), ("log10", np.log10(0.5)), ("log", np.log(0.5))):
        p = mtk.parameters({"a": mtk.Parameter(0.5, bounds=(0.0, None), scale=scale)})
        np.testing.assert_allclose(mtk.to_unconstrained(p)[0], coordinate, rtol=1e-14)
