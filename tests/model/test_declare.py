"""From declarations to an object: what goes where, values, and what cannot be declared."""

from __future__ import annotations

import enum
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from helpers import equal, spring

import mtkparams as mtk
from mtkparams import Constants, Discrete, Initials, Nonnumeric, Parameter, Tunable, errors

# L1: the portion and the dtype of each kind of value


class Color(enum.Enum):
    RED = 1


ROLES: dict[str, tuple[Any, mtk.Portion, str | None]] = {
    "float": (0.5, Tunable, "float64"),
    "numpy float": (np.float64(0.5), Tunable, "float64"),
    "single precision": (np.float32(0.5), Tunable, "float32"),
    "bfloat16": (jnp.bfloat16(0.5), Tunable, "bfloat16"),
    "array": (np.ones((2, 3)), Tunable, "float64"),
    "jax array": (jnp.ones(2, "float32"), Tunable, "float32"),
    "list": ([1.0, 2.0], Tunable, "float64"),
    "nested list": ([[1.0, 2.0], [3.0, 4.0]], Tunable, "float64"),
    "tuple": ((1.0, 2.0), Tunable, "float64"),
    "list of both": ([1, 2.0], Tunable, "float64"),
    "no entries": (np.zeros((0, 3)), Tunable, "float64"),
    "fixed float": (Parameter(0.5, tunable=False), Constants, "float64"),
    "discrete float": (Parameter(0.5, discrete=True), Discrete, "float64"),
    "tuned integer": (Parameter(3, tunable=True), Tunable, "float64"),
    "tuned list of integers": (Parameter([1, 2], tunable=True), Tunable, "float64"),
    "integer": (3, Constants, "int64"),
    "small integer": (np.int8(3), Constants, "int8"),
    "list of integers": ([1, 2], Constants, "int64"),
    "integer array": (np.arange(6).reshape(2, 3), Constants, "int64"),
    "discrete integer": (Parameter(3, discrete=True), Discrete, "int64"),
    "truth value": (True, Constants, "bool"),
    "list of truth values": ([True, False], Constants, "bool"),
    "discrete truth value": (Parameter(True, discrete=True), Discrete, "bool"),
    "complex": (1 + 2j, Constants, "complex128"),
    "discrete complex": (Parameter(1j, discrete=True), Discrete, "complex128"),
    "given dtype": (Parameter(1.0, dtype="float32"), Tunable, "float32"),
    "integer as float": (Parameter(3, dtype="float32"), Tunable, "float32"),
    "integer as byte": (Parameter(5, dtype="uint8"), Constants, "uint8"),
    "truth value as integer": (Parameter(True, dtype=int), Constants, "int64"),
    "float as complex": (Parameter(1.0, dtype=complex), Constants, "complex128"),
    "dictionary": ({"w": 1.0}, Tunable, "float64"),
    "nested dictionary": ({"a": {"w": [1.0, 2.0]}}, Tunable, "float64"),
    "dictionary of integers": ({"w": 1}, Constants, "int64"),
    "fixed dictionary": (Parameter({"w": 1.0}, tunable=False), Constants, "float64"),
    "discrete dictionary": (Parameter({"w": 1.0}, discrete=True), Discrete, "float64"),
    "rows of two lengths": ([[1.0], [1.0, 2.0]], Tunable, "float64"),
    "Module": (eqx.nn.Linear(2, 1, key=jax.random.key(0)), Tunable, "float64"),
    "fixed Module": (Parameter(spring(), tunable=False), Nonnumeric, "float64"),
    "Module without arrays": (eqx.nn.Dropout(0.5), Nonnumeric, None),
    "text": ("run 7", Nonnumeric, None),
    "bytes": (b"run 7", Nonnumeric, None),
    "function": (jnp.sin, Nonnumeric, None),
    "class": (dict, Nonnumeric, None),
    "member of an enumeration": (Color.RED, Nonnumeric, None),
    "array of text": (np.array(["a", "b"]), Nonnumeric, None),
    "date": (np.datetime64("2020-01-01"), Nonnumeric, None),
    "array of objects": (np.array([1, "a"], dtype=object), Nonnumeric, None),
    "empty list": ([], Tunable, "float64"),
    "random key": (jax.random.key(0), Nonnumeric, "key<fry>"),
    "random keys": (jax.random.split(jax.random.key(0), 2), Nonnumeric, "key<fry>"),
}


@pytest.mark.parametrize(("value", "portion", "dtype"), ROLES.values(), ids=ROLES)
def test_roles(value, portion, dtype):
    p = mtk.parameters({"k": value})
    assert p.names(portion) == ("k",)
    assert [str(x.dtype) for x in p.buffers[portion]][:1] == ([dtype] if dtype else [])
    assert p.set({"k": p["k"]}) == p
    given = value.default if isinstance(value, Parameter) else value
    if p.index.entries["k"].is_array and portion is not Nonnumeric:
        np.testing.assert_array_equal(p["k"], given)
        assert p["k"].shape == np.shape(given)


INITIALS: dict[str, Any] = {
    "float": 1.5,
    "integer": 2,
    "array": [0.1, 0.2],
    "single": np.float32(1),
}


@pytest.mark.parametrize("value", INITIALS.values(), ids=INITIALS)
def test_initial_values(value):
    p = mtk.parameters({mtk.Initial("x"): value})
    assert p.names(Initials) == ("Initial(x)",)
    np.testing.assert_array_equal(p[mtk.Initial("x")], value)
    assert jnp.issubdtype(p.initials.dtype, jnp.floating)
    assert mtk.parameters({"Initial(x)": value}) == p


def test_modules_and_dictionaries_with_several_kinds():
    p = mtk.parameters({"s": spring(), "d": {"w": 1.0, "n": 2, "key": jax.random.key(3), "t": "x"}})
    assert p.names(Tunable) == ("s", "d")
    assert mtk.labels(p) == ("s.stiffness[0]", "s.stiffness[1]", "d['w']")
    assert mtk.labels(p, Constants) == ("s.coils", "d['n']")
    assert equal(p["s"], spring())
    assert p["d"]["t"] == "x"
    assert p["d"]["key"] == jax.random.key(3)
    new = p.set({"s": spring([5.0, 6.0], law=jnp.sin), "d": {**p["d"], "t": "y"}})
    assert new["s"].law is jnp.sin
    assert new["d"]["t"] == "y"


# One vector for all tunables, whatever their precision


def dtype_of(*values: Any) -> Any:
    return mtk.parameters({f"k{i}": value for i, value in enumerate(values)}).tunable.dtype


def test_the_common_dtype_of_the_tunables():
    single, double = np.float32(1), np.float64(1)
    assert dtype_of(1.0, 2.0) == "float64"
    assert dtype_of(single, single) == "float32"
    assert dtype_of(single, double) == "float64"
    assert dtype_of(single, [double, double]) == "float64"
    assert dtype_of(single, 1.0) == "float32"  # a plain number has no precision of its own
    assert dtype_of(single, [1.0, 2.0], Parameter(3, tunable=True)) == "float32"
    assert dtype_of(np.float16(1), jnp.bfloat16(1)) == "float32"
    assert dtype_of("text") == "float64"


def test_arrays_are_row_major_however_they_lie_in_memory():
    f = np.arange(6.0).reshape(2, 3)
    for given in (np.asfortranarray(f), f.T.copy().T, np.arange(12.0).reshape(2, 6)[:, ::2] / 2):
        p = mtk.parameters({"f": given})
        np.testing.assert_array_equal(p.tunable, given.ravel())
        np.testing.assert_array_equal(p.set({"f": given.T.copy().T})["f[1]"], given[1])


def test_other_portions_have_a_buffer_for_each_dtype():
    p = mtk.parameters({"a": 1, "b": True, "c": 2, "d": np.float32(1) + 1j, "e": np.int8(3)})
    assert [x.dtype for x in p.constants] == ["int64", "bool", "complex64", "int8"]
    assert p.constants[0].tolist() == [1, 2]


# Values in place of defaults


def test_values_take_the_place_of_defaults():
    declared = {
        "a": Parameter(bounds=(0.0, None)),
        "tau": [1.0, 2.0, 3.0],
        "s": spring(),
        mtk.Initial("x"): Parameter(),
        "twice": Parameter(bind=lambda p: 2 * p.a),
    }
    values = {"a": 2.0, mtk.Initial("x"): 5.0, "tau[1]": 7.0, "s.stiffness": [3.0, 4.0]}
    p = mtk.parameters(declared, values)
    assert p[["a", "twice", "Initial(x)", "tau[1]", "s.stiffness[1]"]] == [2, 4, 5, 7, 4]
    assert mtk.parameters({"k": 1.0}, {"k": jnp.ones(4)})["k"].shape == (4,)


def test_declarations_are_not_changed():
    declared = {"a": Parameter(1.0), "b": 2.0}
    mtk.parameters(declared, {"a": 3.0, "b": 4.0})
    assert declared["a"].default == 1
    assert declared["b"] == 2


# What cannot be declared

chain = {f"k{i}": Parameter(bind=lambda p, i=i: p[f"k{i - 1}"]) for i in range(1, 4)}

WRONG: dict[str, tuple[Any, type[Exception], list[str]]] = {
    # Names
    "index in a name": ({"tau[0]": 1.0}, errors.DeclarationError, ["'tau[0]' cannot be a name", "one array"]),
    "blank": ({"a b": 1.0}, errors.DeclarationError, ["'a b' cannot be a name", "not an identifier"]),
    "digit": ({"tank.1k": 1.0}, errors.DeclarationError, ["'1k' is not an identifier"]),
    "empty": ({"": 1.0}, errors.DeclarationError, ["'' cannot be a name"]),
    "dot at the end": ({"tank.": 1.0}, errors.DeclarationError, ["'tank.' cannot be a name"]),
    "number": ({3: 1.0}, errors.UnknownNameError, ["A name is a string", "3 of type int"]),
    "initial of an entry": ({mtk.Initial("x[0]"): 1.0}, errors.DeclarationError, ["cannot be a name"]),
    "parameter and namespace": (
        {"tank": 1.0, "tank.k": 2.0},
        errors.DeclarationError,
        ["'tank' is a parameter and also the namespace of 'tank.k'", "Rename one"],
    ),
    "namespace and parameter": (
        {"a.b.c": 1.0, "a.b": 2.0}, errors.DeclarationError, ["namespace of 'a.b.c'"]
    ),
    "two spellings": (
        {"Initial(x)": 1.0, mtk.Initial("x"): 2.0}, errors.OverlapError, ["'Initial(x)' is declared twice"]
    ),
    "a list": ([1.0, 2.0], errors.KindError, ["a dictionary {name: value}", "got list"]),
    # Values
    "no value": ({"a": None, "b": 1.0}, errors.MissingValueError, ["No value for 'a'", "Give a default"]),
    "no value, and who waits": (
        {
            "a": Parameter(),
            "b": Parameter(bind=lambda p: 2 * p.a),
            "c": Parameter(bind=lambda p: p.b + p.a),
            mtk.Initial("x"): None,
        },
        errors.MissingValueError,
        ["'a' (read by 'b', 'c')", "'Initial(x)'"],
    ),
    "not a number": ({"a": np.nan}, errors.NonFiniteError, ["'a' is nan", "finite"]),
    "infinite entry": ({"f": [[1.0, 2.0], [np.inf, 4.0]]}, errors.NonFiniteError, ["'f[1,0]' is inf"]),
    "infinite complex": ({"z": complex(1, np.inf)}, errors.NonFiniteError, ["'z'"]),
    "in a Module": (
        {"s": spring([1.0, np.nan])}, errors.NonFiniteError, ["'s.stiffness[1]' is nan"]
    ),
    "below a bound": (
        {"a": Parameter(-1.0, bounds=(0.0, None))},
        errors.OutOfBoundsError,
        ["'a' is -1.0, outside its bounds (0.0, inf)"],
    ),
    "above a bound, one of many": (
        {"a": Parameter([1.0, 5.0], bounds=(0.0, [2.0, 4.0]))},
        errors.OutOfBoundsError,
        ["'a[1]' is 5.0, outside its bounds (0.0, 4.0)"],
    ),
    "integer out of bounds": (
        {"n": Parameter(7, bounds=(0, 5))}, errors.OutOfBoundsError, ["'n' is 7.0", "(0.0, 5.0)"]
    ),
    "bounds of another shape": (
        {"a": Parameter([1.0, 2.0], bounds=([0.0] * 3, None))},
        errors.ShapeError,
        ["The bounds of 'a' have shape (3,), its value has (2,)"],
    ),
    "bounds of text": ({"t": Parameter("x", bounds=(0, 1))}, errors.DeclarationError, ["'t' holds no numbers"]),
    "declaration in a declaration": (
        {"a": Parameter(Parameter(1.0))}, errors.KindError, ["'a' is itself an mtk.Parameter"]
    ),
    # Kinds
    "tuned truth value": (
        {"a": Parameter(True, tunable=True)}, errors.KindError, ["'a' holds bool", "leave tunable out"]
    ),
    "tuned complex": (
        {"a": Parameter(1j, tunable=True)}, errors.KindError, ["'a' holds complex128", "real and imaginary parts"]
    ),
    "tuned text": (
        {"a": Parameter("x", tunable=True)}, errors.KindError, ["'a' is tunable=True", "it is text"]
    ),
    "tuned key": ({"a": Parameter(jax.random.key(0), tunable=True)}, errors.KindError, ["'a' is a random key"]),
    "discrete text": (
        {"a": Parameter("x", discrete=True)}, errors.KindError, ["'a' is discrete=True", "got text"]
    ),
    "discrete Module": (
        {"a": Parameter(spring(), discrete=True)}, errors.KindError, ["numbers or arrays only, got a Spring"]
    ),
    "initial truth value": ({mtk.Initial("x"): True}, errors.KindError, ["'Initial(x)' holds bool"]),
    "initial text": ({mtk.Initial("x"): "a"}, errors.KindError, ["'Initial(x)' is a number or an array, got str"]),
    "tuned initial": (
        {mtk.Initial("x"): Parameter(1.0, tunable=True)},
        errors.DeclarationError,
        ["neither tunable= nor discrete= applies"],
    ),
    "fraction as integer": (
        {"a": Parameter(1.5, dtype=int)}, errors.KindError, ["'a' is declared with dtype=int64 and holds float64"]
    ),
    "complex as float": ({"a": Parameter(1j, dtype=float)}, errors.KindError, ["'a'", "holds complex128"]),
    "too large for a byte": (
        {"a": Parameter(300, dtype="int8")}, errors.KindError, ["'a' does not fit into int8"]
    ),
    "negative without a sign": (
        {"a": Parameter(-1, dtype="uint8")}, errors.KindError, ["'a' does not fit into uint8"]
    ),
    "too large for half precision": (
        {"a": Parameter(1e6, dtype="float16")}, errors.KindError, ["'a' does not fit into float16"]
    ),
    "too large beside single precision": (
        {"a": np.float32(1), "b": 1e300}, errors.KindError, ["'b' does not fit into float32"]
    ),
    "too large for any integer": ({"a": 2**70}, errors.KindError, ["'a' is 1180591620717411303424"]),
    "hole in a list": ({"a": [1.0, None]}, errors.KindError, ["'a' is [1.0, None]", "no number"]),
    # Bindings
    "cycle": (
        {
            "x": Parameter(bind=lambda p: 2 * p.y + 3),
            "y": Parameter(bind=lambda p: p.z),
            "z": Parameter(bind=lambda p: 2 * p.x + 1),
        },
        errors.CycleError,
        ["x -> y -> z -> x", "Give one of them a value"],
    ),
    "short cycle": ({"x": Parameter(bind=lambda p: p.x)}, errors.CycleError, ["x -> x"]),
    "cycle behind a chain": (
        {**chain, "k0": Parameter(bind=lambda p: p.k2)}, errors.CycleError, ["k1 -> k0 -> k2 -> k1"]
    ),
    "unknown name in a binding": (
        {"alpha": 1.0, "g": Parameter(bind=lambda p: p.alpa)},
        errors.UnknownNameError,
        ["'alpa'", "Did you mean 'alpha'"],
    ),
}  # fmt: skip


@pytest.fixture
def no_type_checks():
    """As users run it: without beartype, which refuses some of these calls in words of its own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("no_type_checks")
@pytest.mark.parametrize(("declarations", "error", "texts"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_declared(declarations, error, texts):
    with pytest.raises(error) as caught:
        mtk.parameters(declarations)
    for text in texts:
        assert text in str(caught.value)


DECLARED: dict[Any, Any] = {
    "a": Parameter(1.0, bounds=(0.0, 2.0)),
    "tau": Parameter([1.0, 2.0], bounds=(0.0, 9.0)),
    "s": spring(),
    "g": Parameter(bind=lambda p: p.a),
    mtk.Initial("x"): 1.0,
}

WRONG_VALUES: dict[str, tuple[dict[Any, Any], type[Exception], list[str]]] = {
    "misspelled": ({"b": 1.0, "aa": 1.0}, errors.UnknownNameError, ["'b' among the declarations"]),
    "misspelled entry": ({"taus[0]": 1.0}, errors.UnknownNameError, ["Did you mean 'tau'"]),
    "misspelled array": ({"s.stifness": 1.0}, errors.UnknownNameError, ["Did you mean 's.stiffness'"]),
    "dependent": ({"g": 1.0}, errors.BoundParameterError, ["'g' is declared with bind="]),
    "entry of a dependent one": ({"g[0]": 1.0}, errors.BoundParameterError, ["'g' is declared with bind="]),
    "array and entry": (
        {"tau": [1.0, 1.0], "tau[0]": 1.0}, errors.OverlapError, ["'tau' and its entry 'tau[0]'"]
    ),
    "entry and array": (
        {"tau[0]": 1.0, "tau": [1.0, 1.0]}, errors.OverlapError, ["'tau' and its entry 'tau[0]'"]
    ),
    "Module and its array": (
        {"s": spring(), "s.stiffness": [1.0, 1.0]}, errors.OverlapError, ["'s' and its entry 's.stiffness'"]
    ),
    "entry and slice": ({"tau[0]": 1.0, "tau[:]": [1.0, 1.0]}, errors.OverlapError, ["same entry"]),
    "two spellings": (
        {"Initial(x)": 1.0, mtk.Initial("x"): 2.0}, errors.OverlapError, ["'Initial(x)' is given twice"]
    ),
    "out of bounds": ({"a": 3.0}, errors.OutOfBoundsError, ["'a' is 3.0"]),
    "entry out of bounds": ({"tau[1]": -1.0}, errors.OutOfBoundsError, ["'tau[1]' is -1.0"]),
    "entry not a number": ({"tau[1]": np.nan}, errors.NonFiniteError, ["'tau[1]' is nan"]),
    "entry of a Module": ({"s.stiffness[0]": np.inf}, errors.NonFiniteError, ["'s.stiffness[0]' is inf"]),
    "entry of another shape": ({"tau[1]": [1.0]}, errors.ShapeError, ["'tau[1]' has shape ()"]),
    "entry out of range": ({"tau[2]": 1.0}, errors.UnknownNameError, ["No entry [2] in 'tau'"]),
    "text": ({"a": "x"}, errors.DeclarationError, ["'a' holds no numbers"]),
}  # fmt: skip


@pytest.mark.parametrize(("values", "error", "texts"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_values_that_do_not_suit(values, error, texts):
    with pytest.raises(error) as caught:
        mtk.parameters(DECLARED, values)
    for text in texts:
        assert text in str(caught.value)


def test_a_missing_value_may_not_be_given_by_its_entries():
    """Upstream's holes: an array exists as a whole or not at all."""
    with pytest.raises(errors.MissingValueError, match="'r' .read by 'p'."):
        mtk.parameters({"r": Parameter(), "p": Parameter(bind=lambda p: 2 * p.r[0])}, {"r[1]": 1.0})


# What contradicts itself, in one declaration

CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "tunable and discrete": ({"tunable": True, "discrete": True}, "not both"),
    "bind that is no function": ({"bind": 3}, "bind= is a function of the parameters.*got 3"),
    "bind and default": ({"default": 1.0, "bind": lambda p: 1.0}, "takes no default="),
    "bind and tunable": ({"tunable": False, "bind": lambda p: 1.0}, "takes no tunable="),
    "bind and discrete": ({"discrete": True, "bind": lambda p: 1.0}, "takes no discrete="),
    "bind and bounds": ({"bounds": (0, 1), "bind": lambda p: 1.0}, "takes no bounds="),
    "bind and dtype": ({"dtype": float, "bind": lambda p: 1.0}, "takes no dtype="),
    "bounds the wrong way": ({"bounds": (1.0, 0.0)}, "lower bound must be below"),
    "equal bounds": ({"bounds": (1.0, 1.0)}, "write tunable=False"),
    "one bound": ({"bounds": (1.0,)}, r"a pair \(lower, upper\)"),
    "number for bounds": ({"bounds": 1.0}, r"a pair \(lower, upper\)"),
    "bounds not a number": ({"bounds": (np.nan, 1.0)}, "has a NaN; write None"),
    "text for a bound": ({"bounds": ("low", 1.0)}, "The bound 'low' is no number"),
    "bounds that do not match": ({"bounds": ([0.0] * 2, [1.0] * 3)}, r"shapes \(2,\) and \(3,\)"),
    "unknown scale": ({"scale": "cubic"}, "scale= is one of 'identity'.*got 'cubic'"),
    "negative scale": ({"scale": -1.0}, "positive number, got -1.0"),
    "scale of nothing": ({"scale": 0}, "positive number, got 0"),
    "truth for a scale": ({"scale": True}, "positive number, got True"),
    "logit without bounds": ({"scale": "logit"}, "needs bounds"),
    "logit with one bound": ({"scale": "logit", "bounds": (0.0, None)}, "two finite bounds"),
    "unknown dtype": ({"dtype": "float63"}, "dtype='float63' is no dtype"),
}


@pytest.mark.usefixtures("no_type_checks")
@pytest.mark.parametrize(("fields", "text"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictions(fields, text):
    with pytest.raises(errors.DeclarationError, match=text):
        Parameter(**fields)


def test_bounds_are_static():
    with pytest.raises(errors.DeclarationError, match="Bounds are static"):
        jax.jit(lambda b: mtk.parameters({"a": Parameter(1.0, bounds=(0.0, b))})["a"])(2.0)


# Values of other libraries


class Labeled:
    """As a column of a table is: an array with something around it."""

    def __array__(self, dtype=None, copy=None):
        return np.asarray([1.0, 2.0], dtype)


def test_what_can_become_an_array_is_one():
    p = mtk.parameters({"column": Labeled(), "none": []})
    assert p["column"].tolist() == [1.0, 2.0]
    assert p["none"].shape == (0,)
    assert p.names(mtk.Tunable) == ("column", "none")


def test_a_masked_array_is_refused():
    with pytest.raises(mtk.errors.KindError, match="masked array has no values in places"):
        mtk.parameters({"a": np.ma.masked_array([1.0, 2.0], [True, False])})


def test_names_are_normalized_as_attributes_are():
    p = mtk.parameters({"\N{MICRO SIGN}": 1.0})
    assert p["\N{MICRO SIGN}"] == p["\N{GREEK SMALL LETTER MU}"] == p.view.μ == 1.0


def test_portions_are_keys_under_jit():
    p = mtk.parameters({"a": 1.0, mtk.Initial("x"): 2.0})
    parts = {q: mtk.canonicalize(q, p)[0] for q in (mtk.Initials, mtk.Tunable)}
    assert jax.jit(lambda parts: parts[mtk.Tunable] + parts[mtk.Initials])(parts).tolist() == [3.0]
