"""Vectors out of an object and whole objects back: canonicalize, repack, replace, hasportion."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_own_buffers, derivatives, equal, everything

import mtkparams as mtk


@pytest.fixture
def p():
    return mtk.parameters(everything())


# What a vector is made of

TUNABLES = [0.55, 1, 2, 3, 0, 1, 2, 3, 4, 5, 2, 1, 2, 0.25, 1, -1]

VECTORS = {
    "portion": (mtk.Tunable, TUNABLES),
    "initials": (mtk.Initials, [1.5, 0.1, 0.2]),
    "name": ("tau", [1, 2, 3]),
    "Initial": (mtk.Initial("x"), [1.5]),
    "list": (["tau", "alpha"], [1, 2, 3, 0.55]),
    "tuple": (("tau[1]", "alpha"), [2, 0.55]),
    "parts": (["f[1]", "tau[::-2]", "f[0,:2]"], [3, 4, 5, 3, 1, 0, 1]),
    "tunables and initials": (["alpha", mtk.Initial("x"), "Initial(tank.h)[1]"], [0.55, 1.5, 0.2]),
    "portions": ([mtk.Initials, mtk.Discrete], [1.5, 0.1, 0.2, 1, 1]),
    "names and portions": ([mtk.Initials, "alpha"], [1.5, 0.1, 0.2, 0.55]),
    "constants": (["tank.k", "order", "on"], [0.3, 3, 1]),
    "Module": ("spring", [1, 2]),
    "array of a Module": ("spring.stiffness[1]", [2]),
    "integer of a Module": ("spring.coils", [7]),
    "dictionary": ("pair", [0.25, 1, -1]),
    "fixed Module": (["table.stiffness", "table.coils"], [5, 7]),
    "nothing": ([], []),
    "generator": ((name for name in ("alpha", "tau")), [0.55, 1, 2, 3]),
}


@pytest.mark.parametrize(("what", "values"), VECTORS.values(), ids=VECTORS)
def test_vectors(p, what, values):
    vector, repack, aliases = mtk.canonicalize(what, p)
    np.testing.assert_allclose(vector, values)
    assert vector.ndim == 1
    assert aliases is False
    assert repack(vector) == p
    assert_own_buffers((repack(vector), vector), p)


def test_the_order_is_that_of_the_list():
    """Upstream's reordering of tunables, where arrays are column-major."""
    p = mtk.parameters({"p": 1.0, "q": [3.0] * 3, "r": [[4.0, 4], [4, 4]], "s": 0.0})
    order = lambda *names: mtk.canonicalize(names, p)[0].tolist()
    assert order("q", "r", "p") == [3, 3, 3, 4, 4, 4, 4, 1]
    assert order("r", "p", "q") == [4, 4, 4, 4, 1, 3, 3, 3]
    assert order("q[0]", "r[:,0]", "q[1]", "r[:,1]", "q[2]", "p") == [3, 4, 4, 3, 4, 4, 3, 1]


def test_discrete_and_fixed_values_of_every_dtype():
    """Upstream's split parameters, from bare buffers."""
    p = mtk.MTKParameters(
        tunable=np.arange(1.0, 11),
        initials=np.arange(11.0, 21),
        discrete=([True, False, False, True], [1.0, 2, 3, 4, 2, 4, 6, 8]),
        constants=([5, 6],),
    )
    half = lambda portion: mtk.replace(portion, p, mtk.canonicalize(portion, p)[0] + 0.5)
    np.testing.assert_array_equal(half(mtk.Tunable).tunable, np.arange(1, 11) + 0.5)
    np.testing.assert_array_equal(half(mtk.Initials).initials, np.arange(11, 21) + 0.5)
    vector, repack, _ = mtk.canonicalize(mtk.Discrete, p)
    np.testing.assert_array_equal(vector, [1, 0, 0, 1, 1, 2, 3, 4, 2, 4, 6, 8])
    assert repack(vector) == p


def test_edit_write_and_read():
    """Upstream's canonical write-back."""
    p = mtk.parameters({"p1": 1.0, "p2": mtk.Parameter(bind=lambda p: 2 * p.p1)})
    p = p.set({"p1": 3.0})
    assert p["p2"] == 6
    vector, repack, _ = mtk.canonicalize(mtk.Tunable, p)
    assert repack(vector.at[0].set(4.0))["p2"] == 8
    assert mtk.replace(mtk.Tunable, p, jnp.ones(1))[["p1", "p2"]] == [1, 2]


# Kinds of numbers


def mixed() -> mtk.MTKParameters:
    constant = lambda value: mtk.Parameter(value, tunable=False)
    return mtk.parameters({"k": constant(0.5), "n": 3, "on": True, "m": [4, 5], "z": constant(2.0)})


def test_a_vector_of_several_kinds_comes_back_in_its_kinds():
    p = mixed()
    vector, repack, _ = mtk.canonicalize(mtk.Constants, p)
    np.testing.assert_array_equal(vector, [0.5, 3, 1, 4, 5, 2])
    assert vector.dtype == float
    new = repack(jnp.asarray([1.5, 7, 0, -1, 2, 3.5]))
    assert [x.dtype for x in new.constants] == [float, int, bool]
    assert new["n"] == 7
    assert not new["on"]


LOSSES = {
    "fraction": ([0.5, 3.5, 1, 4, 5, 2], "'n', 'm' is an integer"),
    "infinity": ([0.5, 3, 1, np.inf, 5, 2], "'n', 'm' is an integer"),
    "not a number": ([0.5, np.nan, 1, 4, 5, 2], "'n', 'm' is an integer"),
    "two for true": ([0.5, 3, 2, 4, 5, 2], "'on' is True or False"),
}


@pytest.mark.parametrize(("values", "text"), LOSSES.values(), ids=LOSSES)
def test_integers_refuse_what_they_cannot_hold(values, text):
    with pytest.raises(mtk.errors.KindError, match=text):
        mtk.replace(mtk.Constants, mixed(), jnp.asarray(values))


def test_integers_refuse_it_where_it_is_traced():
    p = mixed()
    values = jnp.asarray(LOSSES["fraction"][0])
    with pytest.raises(Exception, match="is an integer, got a value that is not"):
        jax.block_until_ready(jax.jit(lambda v: mtk.replace(mtk.Constants, p, v)["n"])(values))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_integers_survive_a_vector_of_floats(dtype):
    constant = lambda value: mtk.Parameter(np.asarray(value, dtype), tunable=False)
    large = [2**53 + 1, -(2**62) - 1, 2**63 - 1]
    p = mtk.parameters({"k": constant(0.5), "n": large, "u": np.uint64(2**64 - 1)})
    vector, repack, _ = mtk.canonicalize(mtk.Constants, p)
    assert repack(vector) == p
    new = repack(vector.at[0].set(1.5).at[1].set(7))
    assert new["n"].tolist() == [7, *large[1:]]
    assert int(new["u"]) == 2**64 - 1
    through_names = mtk.canonicalize(["n", "k", "u"], p)
    assert through_names[1](through_names[0]) == p


def test_integers_become_floats_where_they_are_alone():
    p = mtk.parameters({"n": 3, "m": 4})
    new = mtk.replace(mtk.Constants, p, jnp.asarray([3.5, 4.0]))
    assert new["n"] == 3.5
    assert mtk.replace(mtk.Constants, p, [5, 6])["n"].dtype == int


def test_an_integer_beside_one_that_becomes_a_float_is_never_changed():
    p = mtk.parameters({"n": 2**53 + 1, "m": 1})
    for attempt in (lambda: p.set({"m": 0.5}), lambda: mtk.replace(["m"], p, [0.5])):
        with pytest.raises(mtk.errors.KindError, match="shares a buffer of int64 with integers"):
            attempt()
    small = mtk.parameters({"n": 2**53 - 1, "m": 1}).set({"m": 0.5})
    assert small[["n", "m"]] == [2**53 - 1, 0.5]


WRONG_KIND = {
    "integers for floats": (mtk.Tunable, jnp.arange(16), r"astype\('float64'\)"),
    "truth values for floats": (mtk.Tunable, jnp.ones(16, bool), "was given a vector of bool"),
    "complex for floats": (mtk.Tunable, jnp.ones(16, complex), "was given complex numbers"),
    "text": (mtk.Tunable, "text", "got str"),
    "list of text": (mtk.Initials, ["x", "y", "z"], "a vector of numbers"),
    "nothing": (mtk.Tunable, None, "got NoneType"),
    "a dictionary": (mtk.Tunable, {"alpha": 1.0}, "got dict"),
    "too large a number": (mtk.Initials, [1, 2, 2**70], "a vector of numbers"),
}


@pytest.mark.parametrize(("what", "vector", "text"), WRONG_KIND.values(), ids=WRONG_KIND)
def test_vectors_of_another_kind_are_errors(p, what, vector, text):
    with pytest.raises(mtk.errors.KindError, match=text):
        mtk.replace(what, p, vector)


def test_floats_follow_the_precision_of_a_whole_portion(p):
    new = mtk.replace(mtk.Tunable, p, jnp.ones(16, "float32"))
    assert new["alpha"].dtype == new["spring.stiffness"].dtype == "float32"
    assert new["Initial(x)"].dtype == float
    part = mtk.replace(["alpha"], p, jnp.ones(1, "float32"))
    assert part["alpha"].dtype == float  # its neighbors keep their digits
    wide = mtk.replace(["alpha"], new, jnp.ones(1, "float64"))
    assert wide["tau"].dtype == float


def test_plain_numbers_have_no_precision_of_their_own():
    p = mtk.parameters({"a": np.float32(1), "b": np.float32(2)})
    assert mtk.replace(mtk.Tunable, p, [1, 2.5]).tunable.dtype == "float32"
    assert p.set({"a": 3, "b": 2.5}).tunable.dtype == "float32"
    assert p.set({"a": np.float64(3)}).tunable.dtype == float  # NumPy's numbers have one
    assert p.set({"a": np.float64(3)}, cast=True).tunable.dtype == "float32"


# Batches


def test_a_vector_may_have_leading_axes(p):
    rows = jnp.arange(32.0).reshape(2, 16)
    batch = mtk.replace(mtk.Tunable, p, rows)
    np.testing.assert_array_equal(mtk.canonicalize(mtk.Tunable, batch)[0], rows)
    np.testing.assert_array_equal(
        mtk.canonicalize(["tau[1]", "Initial(x)"], batch)[0], [[2, 1.5], [18, 1.5]]
    )
    part = mtk.replace(["tau[1]", mtk.Initial("x")], p, jnp.asarray([[8.0, 9], [10, 11]]))
    np.testing.assert_array_equal(part["tau"], [[1, 8, 3], [1, 10, 3]])
    np.testing.assert_array_equal(part["Initial(x)"], [9, 11])
    one_for_all = mtk.replace(mtk.Tunable, batch, jnp.ones(16))
    assert one_for_all["tau"].shape == (2, 3)


# Derivatives: never silently wrong

DOORS: dict[str, Any] = {
    "repack": lambda p, v: mtk.canonicalize(mtk.Tunable, p)[1](v),
    "replace": lambda p, v: mtk.replace(mtk.Tunable, p, v),
    "replace by names": lambda p, v: mtk.replace(
        ["f", "tau"], p, jnp.concatenate([v[1:], v[:1], v[:2]])
    ),
    "set": lambda p, v: p.set({"alpha": v[0], "tau": v[1:4], "f[0]": v[4:7]}),
    "set by casting": lambda p, v: p.set({"alpha": v[0], "tau[1:]": v[1:3]}, cast=True),
    "combine": lambda p, v: mtk.combine(
        mtk.replace(mtk.Tunable, mtk.partition(p, "alpha", "tau")[0], v[:4]), p
    ),
    "two doors": lambda p, v: mtk.replace(["alpha"], p.set({"f": v[1:].reshape(2, 3)}), v[:1]),
}


def value(p: mtk.MTKParameters) -> Any:
    """A function of everything, through parts and a chain of dependent parameters."""
    terms = p["twice"] * p["f[1,2]"] + jnp.sin(p["tau[::-1]"]) @ jnp.arange(1.0, 4.0)
    return terms + p["gain"] ** 2 * p["tank.k"] + (p["f"] ** 2).sum() + p["alpha"]


@pytest.fixture(scope="module")
def model():
    return mtk.parameters(
        {
            "alpha": 0.55,
            "tau": [1.0, 2.0, 3.0],
            "f": np.zeros((1, 3)) + np.ones((2, 3)),
            "gain": mtk.Parameter(bind=lambda p: 2 * p.alpha + p.tau[0]),
            "tank.k": mtk.Parameter(0.3, tunable=False),
            "twice": mtk.Parameter(bind=lambda p: 2 * p.gain + p.tank.k),
        }
    )


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_derivatives_through_every_door(model, door):
    v = jnp.linspace(0.3, 1.2, 10 if door in (DOORS["repack"], DOORS["replace"]) else 7)
    gradient, hessian = derivatives(lambda v: value(door(model, v)), v)
    assert np.count_nonzero(gradient) >= 3
    assert np.count_nonzero(hessian) >= 3


@pytest.mark.usefixtures("standard_promotion")
def test_derivatives_in_single_precision(model):
    gradient = jax.jit(jax.grad(lambda v: value(mtk.replace(mtk.Tunable, model, v))))
    v = jnp.linspace(0.3, 1.2, 10)
    narrow = gradient(v.astype("float32"))
    assert narrow.dtype == "float32"
    np.testing.assert_allclose(narrow, gradient(v), rtol=1e-5)


def test_the_derivative_of_a_sum_with_its_dependent_parameter():
    """The derivative of a + 2 a through an update is 3."""
    p = mtk.parameters({"a": 1.0, "b": mtk.Parameter(bind=lambda p: 2 * p.a)})
    loss = lambda a: (lambda q: q["a"] + q["b"])(p.set({"a": a}))
    assert jax.grad(loss)(1.5) == 3


MODES = {"grad": jax.grad, "jacfwd": jax.jacfwd, "jit of grad": lambda f: jax.jit(jax.grad(f))}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_a_derivative_with_respect_to_an_integer_is_an_error_and_no_zero(mode):
    p = mtk.parameters({"k": mtk.Parameter(0.5, tunable=False), "n": 3})
    vector, repack, _ = mtk.canonicalize(mtk.Constants, p)
    loss = lambda v: repack(v)["k"] * repack(v)["n"]
    with pytest.raises(mtk.errors.KindError, match="derivative with respect to 'n'"):
        mode(loss)(vector)
    floats = mtk.canonicalize(["k"], p)
    assert mode(lambda v: floats[1](v)["k"] ** 2)(floats[0])[0] == 1


def test_integers_that_became_floats_have_derivatives():
    p = mtk.parameters({"n": 3})
    assert jax.grad(lambda n: p.set({"n": n})["n"] ** 2)(3.0) == 6
    assert (
        jax.grad(lambda v: mtk.replace(mtk.Constants, p, v)["n"] ** 2)(jnp.asarray([3.0]))[0] == 6
    )


# The way back outlives what it came from


def test_repack_outlives_its_object(p):
    kept = jax.tree.map(lambda x: x, jax.device_get(p))
    vector, repack, _ = mtk.canonicalize(mtk.Tunable, p)
    for leaf in jax.tree.leaves(p):
        leaf.delete()
    assert equal(repack(vector)["f"], jnp.asarray(kept["f"]))


def test_hasportion(p):
    assert [portion for portion in mtk.Portion if mtk.hasportion(portion, p)] == [
        mtk.Tunable,
        mtk.Initials,
        mtk.Discrete,
        mtk.Constants,
        mtk.Nonnumeric,
    ]
    free, rest = mtk.partition(p, mtk.Tunable)
    assert mtk.hasportion(mtk.Tunable, free)
    assert not mtk.hasportion(mtk.Tunable, rest)
    assert mtk.canonicalize(mtk.Tunable, rest) == (None, None, None)
    only_text = mtk.parameters({"label": "x", "e": np.zeros(0)})
    assert not any(mtk.hasportion(portion, only_text) for portion in mtk.Portion)


def test_the_absent_portion_names_what_there_is():
    p = mtk.parameters({"a": 1.0, "n": 3})
    with pytest.raises(
        mtk.errors.PortionError, match=r"Discrete is absent.*Tunable, mtk.Constants"
    ):
        mtk.replace(mtk.Discrete, p, [1.0])
