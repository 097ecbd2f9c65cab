"""Loading into a declaration: by name, and with everything that does not fit in one message."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams.errors import FileError, KindError, MismatchError, MismatchWarning


@pytest.fixture
def into(tmp_path):
    """What comes back when `p` is saved and loaded like `like`."""

    def into(p, like, strict=True):
        mtk.io.save(tmp_path / "run.mtk", p)
        return mtk.io.load(tmp_path / "run.mtk", like=like, strict=strict)

    return into


def refused(into, p, like):
    with pytest.raises(MismatchError) as caught:
        into(p, like)
    with pytest.warns(MismatchWarning) as warned:
        loaded = into(p, like, strict=False)
    assert str(caught.value) == str(warned[0].message)
    return caught.value, loaded


class Filter(eqx.Module):
    weight: jax.Array
    name: str
    rate: float
    law: object


def test_bindings_functions_and_modules_come_from_like(into, tmp_path):
    def declared(scale):
        return {
            "alpha": 1.0 * scale,
            "gain": mtk.Parameter(bind=lambda p: 2 * p.alpha),
            "curve": jnp.sin,
            "net": eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(scale)),
            "label": "first" if scale == 1 else "second",
        }

    p, like = mtk.parameters(declared(2)), mtk.parameters(declared(1))
    loaded = into(p, like)
    assert loaded == p
    assert loaded.index is p.index
    assert loaded["gain"] == 4.0
    assert loaded["label"] == "second"
    assert loaded["curve"] is jnp.sin
    x = jnp.ones(2)
    assert loaded["net"](x) == p["net"](x) != like["net"](x)
    with pytest.raises(
        FileError, match="'gain' is a binding, 'curve' is a function, 'net' is a Module"
    ):
        mtk.io.load(tmp_path / "run.mtk")


def test_settings_inside_of_a_module_come_from_the_file(into):
    old, new = ({"f": Filter(jnp.ones(2) * s, f"f{s}", 0.5 * s, jnp.tanh)} for s in (2, 1))
    loaded = into(mtk.parameters(old), mtk.parameters(new))
    assert (loaded["f"].name, loaded["f"].rate) == ("f2", 1.0)
    assert loaded == mtk.parameters(old)


def test_order_portions_bounds_and_metadata_come_from_like(into):
    p = mtk.parameters({"b": mtk.Parameter(2.0, unit="m"), "a": 1.0, "n": 3})
    like = mtk.parameters(
        {"n": 0, "a": mtk.Parameter(0.0, tunable=False), "b": mtk.Parameter(0.5, bounds=(0, 9))}
    )
    loaded = into(p, like)
    assert loaded.index is like.index
    assert (loaded["a"], loaded["b"], loaded["n"]) == (1.0, 2.0, 3)
    # The same places and other bounds: the values are the file's, the bounds those of `like`.
    like = mtk.parameters({"b": mtk.Parameter(0.5, bounds=(0, 9)), "a": 0.0, "n": 0})
    assert into(p, like).index is like.index
    assert into(p, like)["b"] == 2.0


def test_what_is_missing_left_over_and_changed(into):
    p = mtk.parameters({"alpha": 1.0, "tau": [1.0, 2.0, 3.0], "n": 3, "label": "x", "same": 5.0})
    like = mtk.parameters({"alhpa": 0.0, "tau": [0.0, 0.0], "n": 0.5, "label": 4, "same": 0.0})
    error, loaded = refused(into, p, like)
    assert error.missing == ("alhpa",)
    assert error.left_over == ("alpha",)
    assert error.changed == ("label", "tau")
    for text in (
        "run.mtk' do not fit `like`.",
        "Missing, declared and not given: 'alhpa'.",
        "Left over, given and not declared: 'alpha' (now 'alhpa'?).",
        "'tau' is given with shape (3,) and declared with (2,)",
        "'label' is given as text and declared as an array",
        "strict=False takes what fits and keeps the other values of `like`.",
    ):
        assert text in str(error)
    assert loaded.index is like.index
    assert mtk.io.to_dict(loaded) == {
        "alhpa": 0.0, "tau": [0.0, 0.0], "n": 3.0, "label": 4, "same": 5.0,
    }  # fmt: skip


def test_long_lists_of_names_are_cut(into):
    p = mtk.parameters({f"k{i}": 1.0 for i in range(30)})
    error, _ = refused(into, p, mtk.parameters({"x": 1.0}))
    assert len(error.left_over) == 30
    assert "'k11', and 18 more" in str(error)


def test_values_that_became_dependent_and_the_other_way(into):
    with_value = mtk.parameters({"k": 1.0, "gain": 3.0})
    with_bind = mtk.parameters({"k": 2.0, "gain": mtk.Parameter(bind=lambda p: 2 * p.k)})
    error, loaded = refused(into, with_value, with_bind)
    assert error.changed == ("gain",)
    assert "given as an array and declared as a dependent parameter" in str(error)
    assert loaded["gain"] == 2.0
    error, loaded = refused(into, with_bind, with_value)
    assert "given as a dependent parameter and declared as an array" in str(error)
    assert (loaded["k"], loaded["gain"]) == (2.0, 3.0)
    # Bindings hold no values, so one more or one less is no mismatch.
    alone = mtk.parameters({"k": 5.0})
    assert into(alone, with_bind)["gain"] == 10.0
    assert into(with_bind, alone)["k"] == 2.0


def test_kinds_and_precision(into):
    p = mtk.parameters({"a": 0.1, "b": mtk.Parameter(2**60 + 1), "c": True, "d": 0.5, "e": 1j})
    like = mtk.parameters(
        {
            "a": mtk.Parameter(0.0, tunable=False, dtype="float32"),
            "b": mtk.Parameter(0.0, tunable=False),
            "c": 5,
            "d": 7,
            "e": 0.5,
        }
    )
    error, loaded = refused(into, p, like)
    assert error.changed == ("a", "b", "d", "e")
    assert "'a' is given as float64, and float32 rounds it" in str(error)
    assert "'d' is given as float64, and int64 cannot hold it" in str(error)
    assert "'e' is given as complex128, and float64 cannot hold it" in str(error)
    assert loaded["a"] == np.float32(0.1)
    assert loaded["b"] == float(2**60)
    assert (loaded["c"], loaded["d"], loaded["e"]) == (1, 7, 0.5)


def test_dtypes_are_those_of_like_where_they_hold_the_values(into):
    small, large = (
        mtk.parameters({"a": mtk.Parameter([0.1, 1.0], dtype=d)}) for d in ("float32", "float64")
    )
    assert into(small, large).tunable.dtype == jnp.float64
    assert into(small, large)["a"].tolist() == small["a"].tolist()
    exact = large.set({"a": [0.25, np.inf]})
    assert into(exact, small).tunable.dtype == jnp.float32
    huge = large.set({"a": [1e300, 1.0]})
    error, loaded = refused(into, huge, small)
    assert "float32 cannot hold it" in str(error)
    assert loaded == small


def test_a_batch_into_a_changed_declaration(into):
    p = mtk.parameters({"a": 1.0, "seed": jax.random.key(0)})
    batch = jax.vmap(lambda x: p.set({"a": x}))(jnp.arange(3.0))
    like = mtk.parameters({"seed": jax.random.key(5), "a": 0.0, "n": 7})
    with pytest.warns(MismatchWarning, match="'n'"):
        loaded = into(batch, like, strict=False)
    assert loaded["a"].tolist() == [0.0, 1.0, 2.0]
    assert loaded["n"].tolist() == [7, 7, 7]
    assert loaded["seed"].shape == (3,)
    assert jax.vmap(lambda p: p["a"] * 2.0)(loaded).tolist() == [0.0, 2.0, 4.0]
    other = jax.vmap(lambda x: like.set({"a": x}))(jnp.arange(2.0))
    error, loaded = refused(into, batch, other)
    assert "'a' is given as a batch of (3,), for a batch of (2,)" in str(error)
    assert loaded["a"].tolist() == [0.0, 1.0]
    one, same = mtk.parameters({"a": 5.0}), mtk.parameters({"a": 0.0, "b": 1.0})
    many = jax.vmap(lambda x: same.set({"a": x}))(jnp.arange(2.0))
    with pytest.warns(MismatchWarning, match="'b'"):
        assert into(one, many, strict=False)["a"].tolist() == [5.0, 5.0]


def test_random_keys(into):
    old = mtk.parameters({"seed": jax.random.key(3), "x": 1.0})
    new = mtk.parameters({"x": 0.0, "seed": jax.random.key(0)})
    assert jax.random.key_data(into(old, new)["seed"]).tolist() == [0, 3]
    other = mtk.parameters({"x": 0.0, "seed": jax.random.key(0, impl="rbg")})
    error, _ = refused(into, old, other)
    assert "'seed' is given as key<threefry2x32>, and key<rbg> cannot hold it" in str(error)
    number = mtk.parameters({"x": 0.0, "seed": 5})
    error, _ = refused(into, old, number)
    assert "int64 cannot hold it" in str(error)


def test_pytrees_are_loaded_array_by_array(into):
    old = mtk.parameters({"net": {"w": np.array([1.0, 2.0]), "b": 3.0, "kind": "tanh"}})
    new = mtk.parameters({"net": {"w": np.zeros(2), "c": 0.0, "kind": "relu"}, "kind": "y"})
    error, loaded = refused(into, old, new)
    assert error.missing == ("net['c']", "kind")
    assert error.left_over == ("net['b']",)
    assert loaded["net"]["w"].tolist() == [1.0, 2.0]
    assert loaded["net"]["kind"] == "tanh"


def test_a_part_into_a_changed_declaration(into):
    p = mtk.parameters({"a": 1.0, "n": 3})
    free, _ = mtk.partition(p, mtk.Tunable)
    like = mtk.parameters({"n": 5, "a": 0.0, "b": 2.0})
    error, loaded = refused(into, free, like)
    assert error.missing == ("n", "b")
    assert mtk.io.to_dict(loaded) == {"n": 5, "a": 1.0, "b": 2.0}


def test_like_keeps_its_values(into):
    like = mtk.parameters({"a": 1.0, "b": 2.0})
    into(mtk.parameters({"b": 3.0, "a": 4.0}), like)
    assert (like["a"], like["b"]) == (1.0, 2.0)


def test_like_is_an_object(tmp_path):
    p = mtk.parameters({"a": 1.0})
    mtk.io.save(tmp_path / "x", p)
    with pytest.raises(TypeError):
        mtk.io.load(tmp_path / "x", like={"a": 1.0})  # pyright: ignore[reportArgumentType]
    with pytest.raises(KindError, match="outside of jit"):
        jax.jit(lambda p: mtk.io.load(tmp_path / "x", like=p))(p)
