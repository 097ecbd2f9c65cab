"""One file: what is saved is what is loaded, bit for bit, with the same treedef."""

import gc
import hashlib
import io
import subprocess
import sys
import zipfile

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import mtkparams as mtk
from mtkparams._io.names import check_object

# All that JAX has on a CPU. The second are those of less than a byte, where not all bits count.
DTYPES = """bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64
complex64 complex128 float8_e4m3fn float8_e5m2 float8_e4m3b11fnuz float8_e8m0fnu""".split()
SMALL = "int4 uint4 int2 uint2 float4_e2m1fn".split()
NAMES = ("a", "b", "tank.k", "tank.inner.area", "_x", "é", "c0")
SHAPES = ((), (2,), (0,), (2, 3), (3, 0))
KEYS = (jax.random.key(0), jax.random.split(jax.random.key(0, impl="rbg"), (2, 0)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.mtk"


@pytest.fixture
def again(path):
    """What comes back after saving."""

    def save_and_load(p, **options):
        mtk.io.save(path, p)
        return mtk.io.load(path, **options)

    return save_and_load


def with_random_bits(p, lead, seed):
    """`p` with leading axes of a batch and any bits that its dtypes have: NaNs of all kinds too."""
    r = np.random.default_rng(seed)

    def random(x):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.random.split(
                jax.random.key(seed, impl=jax.random.key_impl(x)), (*lead, *x.shape)
            )
        shape, dtype = (*lead, *x.shape), np.dtype(x.dtype)
        if dtype.name == "bool" or dtype.name in SMALL:
            return jnp.array(r.integers(0, 2, shape).astype(dtype))
        return jnp.array(
            np.frombuffer(r.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)
        )

    return jax.tree.map(random, p)


@st.composite
def declarations(draw):
    def number():
        dtype, shape = draw(st.sampled_from(DTYPES + SMALL)), draw(st.sampled_from(SHAPES))
        roles = ({"tunable": False}, {"discrete": True})
        return mtk.Parameter(np.zeros(shape, jnp.dtype(dtype)), **draw(st.sampled_from(roles)))

    def tuned():
        text = draw(st.none() | st.text())
        number = st.floats(allow_nan=False, allow_infinity=False)
        bounds = draw(st.none() | st.just((-1.0, None)) | st.just((-1.0, 1.0)))
        shape = draw(st.sampled_from(SHAPES))
        guess = draw(st.none() | number | st.lists(number) | number.map(np.asarray))
        value = np.zeros(shape, draw(st.sampled_from(("float32", "float64"))))
        return mtk.Parameter(value, bounds=bounds, unit=text, description=text, guess=guess)

    def nested():
        text = st.text(max_size=3)
        tree = st.recursive(text | st.none(), lambda x: st.lists(x) | st.tuples(x, x), max_leaves=3)
        return {"w": np.zeros(draw(st.sampled_from(SHAPES))), "t": draw(tree), "n": 3}

    kinds = {
        "number": number,
        "tuned": tuned,
        "nested": nested,
        "text": lambda: draw(st.text(st.characters())),
        "key": lambda: draw(st.sampled_from(KEYS)),
    }
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    found = {name: kinds[draw(st.sampled_from(sorted(kinds)))]() for name in names}
    initials = draw(st.lists(st.sampled_from(("x", "tank.h")), unique=True))
    return found | {mtk.Initial(name): np.zeros(draw(st.sampled_from(SHAPES))) for name in initials}


@pytest.mark.slow
@given(declarations(), st.sampled_from(((), (2,), (0,), (2, 1))), st.integers(0, 9))
@settings(max_examples=25)
def test_what_is_saved_is_what_is_loaded(tmp_path_factory, bits, declared, lead, seed):
    path = tmp_path_factory.mktemp("file") / "run.mtk"
    p = with_random_bits(mtk.parameters(declared), lead, seed)
    mtk.io.save(path, p)
    content = path.read_bytes()
    for loaded in (mtk.io.load(path), mtk.io.load(path, like=mtk.parameters(declared))):
        assert bits(loaded) == bits(p)
        assert loaded.index is p.index
        assert jax.tree.structure(loaded) == jax.tree.structure(p)
        mtk.io.save(path, loaded)
        assert path.read_bytes() == content


@pytest.mark.slow
@given(declarations(), st.sampled_from(((), (2,), (0,))), st.integers(0, 9), st.randoms())
@settings(max_examples=25)
def test_by_name_into_another_order_and_back(tmp_path_factory, bits, declared, lead, seed, random):
    path = tmp_path_factory.mktemp("file") / "run.mtk"
    p = with_random_bits(mtk.parameters(declared), lead, seed)
    names = list(declared)
    random.shuffle(names)
    mtk.io.save(path, p)
    mixed = mtk.io.load(path, like=mtk.parameters({name: declared[name] for name in names}))
    assert mixed.names() == tuple(map(str, names))
    mtk.io.save(path, mixed)
    assert bits(mtk.io.load(path, like=mtk.parameters(declared))) == bits(p)


def test_all_metadata_comes_from_the_file_alone(plain, path, bits):
    mtk.io.save(path, plain)
    assert mtk.io.load(path).index is plain.index
    content, before = path.read_bytes(), bits(plain)
    about = [(e.name, e.about.unit, e.about.description) for e in plain.index.entries.values()]
    old = id(plain.index)
    del plain
    gc.collect()
    loaded = mtk.io.load(path)
    assert bits(loaded) == before
    assert [
        (e.name, e.about.unit, e.about.description) for e in loaded.index.entries.values()
    ] == about
    assert mtk.bounds(loaded, "alpha")[0].tolist() == [0.0]
    mtk.io.save(path, loaded)
    assert path.read_bytes() == content, old


def test_a_new_process_reads_it(plain, path, bits):
    mtk.io.save(path, plain)
    code = """
import sys, jax
jax.config.update("jax_enable_x64", True)
import mtkparams as mtk
p = mtk.io.load(sys.argv[1])
mtk.io.save(sys.argv[1] + "2", p)
assert p["pair"]["b"][1:] == ("text", None)
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=100)
    assert path.with_name("run.mtk2").read_bytes() == path.read_bytes()


def test_compiled_functions_are_not_traced_again(plain, again):
    traces = []

    @jax.jit
    def f(p):
        traces.append(1)
        return p["alpha"] * p["tau"][0]

    f(plain)
    assert f(again(plain)) == f(again(plain, like=plain)) == f(plain)
    assert len(traces) == 1


def test_numbers_that_are_none(again, bits):
    p = mtk.parameters({"a": [1.0, 2.0, 3.0, 4.0], "z": 1j})
    payload = np.array([0x7FF8000000000ABC, 0xFFF0000000000001], np.uint64).view(np.float64)
    p = mtk.replace(mtk.Tunable, p, [np.nan, -np.inf, -0.0, 5e-324]).set(
        {"z": complex(np.nan, -np.inf)}
    )
    p = p.from_buffers({**p.buffers, mtk.Caches: (jnp.array(payload),)})
    assert bits(again(p)) == bits(p)


def test_portions_that_are_empty(again, bits):
    for p in (mtk.parameters({}), mtk.parameters({"n": 3}), mtk.parameters({"label": "x"})):
        assert bits(again(p)) == bits(p)
        assert again(p).index is p.index


def test_a_batch_and_a_part_of_one(again, bits, plain):
    p = mtk.parameters({"a": 1.0, "n": 3})
    batch = jax.vmap(lambda x: p.set({"a": x}))(jnp.arange(3.0))
    assert bits(again(batch)) == bits(batch)
    assert again(batch, like=p)["a"].tolist() == [0.0, 1.0, 2.0]
    tuned = eqx.tree_at(lambda p: p.tunable, p, batch.tunable)
    assert bits(again(tuned, like=p)) == bits(tuned)


def test_parts_and_gradients(again, bits):
    p = mtk.parameters({"a": 1.0, "n": 3, "net": eqx.nn.MLP(1, 1, 2, 1, key=jax.random.key(0))})
    free, rest = mtk.partition(p, mtk.Tunable)
    for part in (free, rest, eqx.filter_grad(lambda p: p["a"] ** 2)(p)):
        loaded = again(part, like=p)
        assert bits(loaded) == bits(part)
        assert jax.tree.structure(loaded) == jax.tree.structure(part)
    named, rest = mtk.partition(p, "a", "net.layers[0].bias")
    assert bits(again(named, like=named)) == bits(named)
    small, _ = mtk.partition(mtk.parameters({"tau": [1.0, 2.0]}), "tau[1]")
    assert again(small).index is small.index


def test_derivatives_by_integers_have_shapes_and_no_numbers(again):
    p = mtk.parameters({"a": 2.0, "n": [1, 2]})
    grads = jax.grad(lambda p: p["a"] ** 2, allow_int=True)(p)
    for loaded in (again(grads), again(grads, like=p)):
        assert loaded.constants[0].dtype == jax.dtypes.float0
        assert loaded.constants[0].shape == (2,)
        assert loaded["a"] == 4.0
    assert mtk.io.to_dict(grads) == {"a": 4.0}


def test_objects_without_names_and_reduced_ones(again, bits):
    bare = mtk.MTKParameters([1.0, 2.0], caches=([3.0], [True]))
    assert bits(again(bare)) == bits(bare)
    assert again(bare).index is bare.index
    sums = jax.tree.map(jnp.sum, mtk.parameters({"a": [1.0, 2.0]}))
    assert bits(again(sums)) == bits(sums)


def test_caches_are_there_as_they_were(again, bits):
    p = mtk.parameters({"a": jnp.float32(1.0), "n": 3})
    p = p.from_buffers({**p.buffers, mtk.Caches: (jnp.arange(3.0), jnp.zeros(2, jnp.int32))})
    assert bits(again(p)) == bits(again(p, like=p)) == bits(p)


def test_the_result_has_buffers_of_its_own(again, plain):
    loaded = again(plain, like=plain)
    donate = jax.jit(lambda p: jax.tree.map(lambda x: x, p), donate_argnums=0)
    donate(loaded)
    assert plain["alpha"] == 0.55


def test_equal_objects_give_equal_bytes(tmp_path):
    declared = lambda: {"a": mtk.Parameter(1.0, bounds=(0, 2)), "b": {"x": "y", "w": [1.0]}}
    for name in ("1", "2"):
        mtk.io.save(tmp_path / name, mtk.parameters(declared()))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_numpy_and_zip_tools_read_the_file(plain, path):
    mtk.io.save(path, plain)
    arrays = np.load(path, allow_pickle=False)
    assert arrays["tunable"].tolist() == np.asarray(plain.tunable).tolist()
    assert arrays["initials"].tolist() == [1.5, 0.1, 0.2]
    archive = zipfile.ZipFile(path)
    assert archive.testzip() is None
    assert archive.namelist()[0] == "header.json"
    assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_the_digest_is_that_of_everything_before_it(plain, path):
    mtk.io.save(path, plain)
    content = path.read_bytes()
    assert content[-64:].decode() == hashlib.sha256(content[:-64]).hexdigest()


def test_paths_are_text_or_paths(tmp_path):
    p = mtk.parameters({"a": 1.0})
    mtk.io.save(str(tmp_path / "x"), p)
    assert mtk.io.load(tmp_path / "x") == p
    with pytest.raises(FileNotFoundError):
        mtk.io.load(tmp_path / "y")


def test_what_has_no_values_is_refused(path):
    p = mtk.parameters({"a": 1.0})
    with pytest.raises(mtk.errors.KindError, match=r"tunable is being traced.*outside of jit"):
        jax.jit(lambda p: mtk.io.save(path, p))(p)
    with pytest.raises(mtk.errors.KindError, match=r"tunable is a bool and no array"):
        mtk.io.save(path, mtk.filter_spec(p, mtk.Tunable))
    with pytest.raises(
        mtk.errors.KindError, match=r"What is saved is an MTKParameters, got an int"
    ):
        check_object(3, "What is saved")
    with pytest.raises(TypeError):
        mtk.io.save(path, {"a": 1.0})  # pyright: ignore[reportArgumentType]
    assert not path.exists()


def test_files_hold_no_pickles(plain, path):
    mtk.io.save(path, plain)
    archive = zipfile.ZipFile(path)
    for name in archive.namelist():
        if name.endswith(".npy"):
            np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
        else:
            archive.read(name).decode("ascii")
