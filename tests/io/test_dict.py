"""Values by name as dictionaries and JSON: exact, standard, and with errors that name the place."""

import json

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import mtkparams as mtk
from mtkparams.errors import (
    FileError,
    KindError,
    MismatchError,
    MismatchWarning,
    OverlapError,
    PortionError,
    UnknownNameError,
)

FLOATS = "float16 bfloat16 float32 float64 float8_e4m3fn float8_e5m2".split()
INTEGERS = "int4 uint4 int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()


def standard(text):
    """What a parser says that knows no NaN and no infinity."""

    def refuse(word):
        raise AssertionError(f"{word} is not in the standard")

    return json.loads(text, parse_constant=refuse)


def test_everything_goes_out_by_name_and_comes_back(plain, bits):
    values = mtk.io.to_dict(plain)
    assert values["tau"] == [1.0, 2.0, 3.0]
    assert values["large"] == 2**64 - 1
    assert values["z"] == 1.0 + 2.0j
    assert values["nibble"] == [-8, 7]
    assert values["pair['b'][0]"] == 0.25
    assert values["pair['b'][1]"] == "text"
    assert values["switch"] == [True, False]
    assert values["Initial(tank.h)"] == [0.1, 0.2]
    assert values["seed"] == {"impl": "threefry2x32", "data": [0, 7]}
    changed = plain.set({"alpha": 9.0, "label": "other", "words": {"a": "p", "b": ["q"]}})
    text = mtk.io.to_json(plain)
    standard(text)
    for loaded in (
        mtk.io.from_dict(plain, values),
        mtk.io.from_dict(changed, values),
        mtk.io.from_json(changed, text),
    ):
        assert bits(loaded) == bits(plain)
        assert loaded.index is plain.index


@given(st.sampled_from(FLOATS), st.sampled_from(((), (3,), (2, 2))), st.integers(0, 99))
@settings(max_examples=60)
def test_floats_keep_their_bits(bits, dtype, shape, seed):
    dtype = np.dtype(jnp.dtype(dtype))
    content = np.random.default_rng(seed).bytes(int(np.prod(shape)) * dtype.itemsize)
    p = mtk.parameters({"x": mtk.Parameter(np.zeros(shape, dtype), tunable=False)})
    data = np.frombuffer(content, dtype)
    with np.errstate(invalid="ignore"):  # of a NaN that signals
        is_nan = np.isnan(data.astype(float))
    data = np.where(is_nan, np.full_like(data, np.nan), data)  # one NaN
    q = p.from_buffers({**p.buffers, mtk.Constants: (jnp.array(data),)})
    text = mtk.io.to_json(q)
    standard(text)
    for loaded in (mtk.io.from_json(p, text), mtk.io.from_dict(p, mtk.io.to_dict(q))):
        same = np.asarray(loaded.constants[0]).tobytes() == data.tobytes()
        assert same or np.array_equal(
            np.asarray(loaded.constants[0]).astype(float), data.astype(float), equal_nan=True
        )


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_exact_and_stay_in_range(bits, dtype):
    limits = jnp.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    p = mtk.parameters({"n": np.zeros(2, jnp.dtype(dtype))})
    loaded = mtk.io.from_dict(p, {"n": [low, high]})
    assert loaded.constants[0].dtype == dtype
    assert mtk.io.to_dict(loaded) == {"n": [low, high]}
    assert bits(mtk.io.from_json(p, mtk.io.to_json(loaded))) == bits(loaded)
    for wrong in (low - 1, high + 1, 10**400):
        with pytest.raises(MismatchError, match=f"which does not fit into {dtype}"):
            mtk.io.from_dict(p, {"n": [wrong, 0]})


def test_numbers_in_json_are_short_and_exact():
    p = mtk.parameters({"a": jnp.float32(0.1), "n": 1, "b": jnp.float32([0.3, 1e-45, 3e38])})
    assert standard(mtk.io.to_json(p)) == {"a": 0.1, "n": 1, "b": [0.3, 1e-45, 3e38]}
    assert mtk.io.from_json(p, mtk.io.to_json(p)) == p
    assert mtk.io.to_dict(p)["a"] == 0.10000000149011612
    z = mtk.parameters({"z": jnp.complex64(0.1 + 0.2j)})
    assert standard(mtk.io.to_json(z)) == {"z": {"re": 0.1, "im": 0.2}}
    assert mtk.io.from_json(z, mtk.io.to_json(z)) == z


def test_what_json_has_no_number_for(bits):
    p = mtk.parameters({"a": [1.0, 2.0, 3.0], "z": [1j, 2j], "label": "NaN"})
    p = p.set({"a": [np.nan, np.inf, -np.inf], "z": [complex(np.nan, -0.0), complex(0.0, np.inf)]})
    found = standard(mtk.io.to_json(p))
    assert found["a"] == ["NaN", "Infinity", "-Infinity"]
    assert found["z"] == [{"re": "NaN", "im": -0.0}, {"re": 0.0, "im": "Infinity"}]
    loaded = mtk.io.from_json(p, mtk.io.to_json(p))
    assert bits(loaded) == bits(p)
    assert loaded["label"] == "NaN"
    # What Python writes without being asked is read as well.
    assert np.isnan(mtk.io.from_json(p, json.dumps(found | {"a": [np.nan] * 3}))["a"]).all()


def test_a_page_of_json_is_for_people(tmp_path):
    p = mtk.parameters(
        {"tank.k": 0.3, "tau": [[1.0, 2.0], [3.0, 4.0]], "label": "Häuf\nig", "on": True}
    )
    text = mtk.io.to_json(p, tmp_path / "p.json")
    assert text == (
        '{\n  "tank.k": 0.3,\n  "tau": [[1.0, 2.0], [3.0, 4.0]],\n'
        '  "label": "Häuf\\nig",\n  "on": true\n}\n'
    )
    assert (tmp_path / "p.json").read_text("utf-8") == text
    (tmp_path / "p.json").write_text("\ufeff" + text.replace("0.3", "3"), "utf-8")
    assert mtk.io.from_json(p, tmp_path / "p.json")["tank.k"] == 3.0
    assert mtk.io.to_json(mtk.parameters({})) == "{}\n"


def test_a_choice_of_names():
    p = mtk.parameters(
        {
            "a": 1.0,
            "tau": [1.0, 2.0],
            "net": {"w": np.array([3.0]), "kind": "x"},
            "gain": mtk.Parameter(bind=lambda p: 2 * p.a),
            "f": jnp.sin,
            mtk.Initial("x"): 4.0,
        }
    )
    assert set(mtk.io.to_dict(p)) == {"a", "tau", "net['w']", "net['kind']", "Initial(x)"}
    assert mtk.io.to_dict(p, ["tau[1]", "a"]) == {"tau[1]": 2.0, "a": 1.0}
    assert mtk.io.to_dict(p, ["gain", mtk.Initial("x")]) == {"gain": 2.0, "Initial(x)": 4.0}
    assert mtk.io.to_dict(p, ["net"]) == {"net['kind']": "x", "net['w']": [3.0]}
    assert mtk.io.to_dict(p, ["net['kind']"]) == {"net['kind']": "x"}
    assert mtk.io.to_dict(p, p.names(mtk.Initials)) == {"Initial(x)": 4.0}
    with pytest.raises(UnknownNameError, match="Did you mean 'tau'"):
        mtk.io.to_dict(p, ["tua"])
    with pytest.raises(KindError, match="'f' is a function: it has no plain value"):
        mtk.io.to_dict(p, ["f"])
    with pytest.raises(PortionError, match="'a' is not in this object"):
        mtk.io.to_dict(mtk.partition(p, mtk.Initials)[0], ["a"])


def test_settings_of_a_module_go_along():
    p = mtk.parameters({"drop": eqx.nn.Dropout(0.5), "n": 3})
    assert mtk.io.to_dict(p)["drop.p"] == 0.5
    loaded = mtk.io.from_dict(p, mtk.io.to_dict(p) | {"drop.p": 0.25})
    assert loaded["drop"].p == 0.25
    with pytest.raises(MismatchError, match=r"'drop\.p' is given as 'x' and declared as float"):
        mtk.io.from_dict(p, mtk.io.to_dict(p) | {"drop.p": "x"})


def test_a_batch():
    p = mtk.parameters({"a": [1.0, 2.0], "n": 3, "seed": jax.random.key(0)})
    batch = jax.vmap(lambda x: p.set({"a": x}))(jnp.arange(4.0).reshape(2, 2))
    values = mtk.io.to_dict(batch)
    assert values["a"] == [[0.0, 1.0], [2.0, 3.0]]
    assert values["n"] == [3, 3]
    assert mtk.io.from_dict(batch, values) == batch
    assert mtk.io.from_json(batch, mtk.io.to_json(batch)) == batch
    assert mtk.io.from_dict(batch, values | {"n": 5})["n"].tolist() == [5, 5]
    with pytest.raises(
        MismatchError, match=r"'a' is given with shape \(2, 2\) and declared with \(2,\)"
    ):
        mtk.io.from_dict(p, values)


def test_empty_arrays():
    p = mtk.parameters({"a": np.zeros((0, 3)), "b": np.zeros((2, 0)), "c": 1.0})
    assert mtk.io.to_dict(p) == {"a": [], "b": [[], []], "c": 1.0}
    assert mtk.io.from_json(p, mtk.io.to_json(p)) == p


def mismatch(p, values):
    with pytest.raises(MismatchError) as caught:
        mtk.io.from_dict(p, values)
    with pytest.warns(MismatchWarning) as warned:
        loaded = mtk.io.from_dict(p, values, strict=False)
    assert str(caught.value) == str(warned[0].message)
    return caught.value, loaded


def test_what_does_not_fit_is_said_at_once():
    p = mtk.parameters(
        {
            "alpha": 0.5,
            "tau": [1.0, 2.0],
            "n": 3,
            "on": True,
            "gain": mtk.Parameter(bind=lambda p: 2 * p.alpha),
            "net": {"w": np.ones(1)},
            "f": jnp.sin,
            "label": "x",
            "seed": jax.random.key(0),
            "beta": 5.0,
        }
    )
    error, loaded = mismatch(
        p,
        {
            "alhpa": 0.6,
            "tau": [1.0, 2.0, 3.0],
            "n": 3.5,
            "on": 1,
            "gain": 1.0,
            "net": {"w": [2.0]},
            "f": 1.0,
            "label": 7,
            "seed": 0,
            "beta": 6,
        },
    )
    assert error.missing == ("alpha", "net['w']")
    assert error.left_over == ("alhpa",)
    assert set(error.changed) == {"tau", "n", "on", "gain", "net", "f", "label", "seed"}
    for text in (
        "The values in the dictionary do not fit the declaration.",
        "'alhpa' (now 'alpha'?)",
        "'tau' is given with shape (3,) and declared with (2,)",
        "'n' is given as 3.5 and declared as int64",
        "'on' is given as 1 and declared as bool",
        "'gain' is given as a value and declared as a dependent parameter",
        "'net' is declared as a pytree, whose arrays have names such as \"net['w']\"",
        "'f' is declared as a function",
        "'label' is given as 7 and declared as text",
        "'seed' is given as 0 and declared as a random key: {'impl': ..., 'data': [...]}",
    ):
        assert text in str(error)
    assert loaded == p.set({"beta": 6.0})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1.0, [2.0]], "has rows of different lengths"),
        (["1.0", 2.0], "is given as '1.0' and declared as float64"),
        ([True, 2.0], "is given as True and declared as float64"),
        ([None, 2.0], "is given as None and declared as float64"),
        ([10**400, 2.0], r"is given as 1000000000.*…, which no float holds"),
        (np.array(["a", "b"]), "is given as <U1 and declared as float64"),
        (np.array([1j, 2.0]), "is given as complex128, and does not fit into float64"),
        (jax.random.split(jax.random.key(0)), "is given as key<fry> and declared as float64"),
    ],
)
def test_values_of_another_kind(value, text):
    with pytest.raises(MismatchError, match=text):
        mtk.io.from_dict(mtk.parameters({"a": [1.0, 2.0]}), {"a": value})


def test_arrays_are_values_too():
    p = mtk.parameters({"a": [1.0, 2.0], "seed": jax.random.key(0)})
    new = {"a": np.array([3, 4]), "seed": jax.random.key(9)}
    assert mtk.io.from_dict(p, new)["a"].tolist() == [3.0, 4.0]
    assert mtk.io.from_dict(p, new | {"a": [jnp.float32(0.5), np.int8(2)]})["a"].tolist() == [
        0.5,
        2.0,
    ]
    assert jax.random.key_data(mtk.io.from_dict(p, new)["seed"]).tolist() == [0, 9]
    other = {"impl": "rbg", "data": [0, 1, 2, 3]}
    with pytest.raises(
        MismatchError, match="'seed' is a random key of 'rbg' and declared as one of"
    ):
        mtk.io.from_dict(p, new | {"seed": other})


def test_entries_of_an_array():
    p = mtk.parameters({"tau": [1.0, 2.0, 3.0]})
    assert mtk.io.from_dict(p, {"tau[0:2]": [5.0, 6.0], "tau[2]": 7})["tau"].tolist() == [
        5.0,
        6.0,
        7.0,
    ]
    error, loaded = mismatch(p, {"tau[1]": 9.0})
    assert error.missing == ("tau",)
    assert loaded["tau"].tolist() == [1.0, 9.0, 3.0]
    with pytest.raises(OverlapError, match="the same entry of 'tau'"):
        mtk.io.from_dict(p, {"tau": [0.0, 0.0, 0.0], "tau[1]": 9.0})
    with pytest.raises(MismatchError, match=r"names nothing: No entry \[5\] in 'tau'"):
        mtk.io.from_dict(p, {"tau": [0.0, 0.0, 0.0], "tau[5]": 9.0})


def test_numbers_too_large_for_their_dtype():
    p = mtk.parameters({"a": jnp.float32(1.0)})
    assert mtk.io.from_dict(p, {"a": 0.1})["a"] == np.float32(0.1)
    with pytest.raises(MismatchError, match="does not fit into float32"):
        mtk.io.from_dict(p, {"a": 1e300})
    assert mtk.io.from_json(p, '{"a": "Infinity"}')["a"] == np.inf
    with pytest.raises(FileError, match=r'1e999 is too large.*Write "Infinity"'):
        mtk.io.from_json(p, '{"a": 1e999}')


def test_text_that_is_no_json(tmp_path):
    p = mtk.parameters({"a": 1.0})
    with pytest.raises(FileError, match=r"the text is no JSON: .*line 1 column .*pathlib\.Path"):
        mtk.io.from_json(p, '{"a": 1.0 1}')
    with pytest.raises(FileError, match=r"no JSON.*To read a file, give a pathlib\.Path"):
        mtk.io.from_json(p, "p.json")
    with pytest.raises(FileError, match=r"no object \{name: value\} but a list"):
        mtk.io.from_json(p, "[1.0]")
    with pytest.raises(OverlapError, match="'a' stands twice"):
        mtk.io.from_json(p, '{"a": 1.0, "a": 2.0}')
    (tmp_path / "p.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(FileError, match=r"p\.json' is no text in UTF-8"):
        mtk.io.from_json(p, tmp_path / "p.json")
    (tmp_path / "p.json").write_text("{}")
    with pytest.raises(MismatchError, match=r"p\.json' do not fit the declaration"):
        mtk.io.from_json(p, tmp_path / "p.json")


def test_objects_without_names_or_values():
    with pytest.raises(KindError, match="bare buffers, or reduced"):
        mtk.io.to_dict(mtk.MTKParameters([1.0]))
    assert mtk.io.to_dict(mtk.MTKParameters()) == {}
    p = mtk.parameters({"a": 1.0})
    with pytest.raises(KindError, match="outside of jit"):
        jax.jit(mtk.io.to_dict)(p)
    with pytest.raises(KindError, match="outside of jit"):
        jax.jit(lambda p: mtk.io.from_dict(p, {"a": 2.0}))(p)
    with pytest.raises(MismatchError, match=r"being traced; inside of jit, p\.set takes it"):
        jax.jit(lambda x: mtk.io.from_dict(p, {"a": x}))(1.0)
    assert mtk.io.to_dict(mtk.partition(p, mtk.Initials)[0]) == {}
