"""A file that is cut short, altered, newer or foreign: always an error, which says so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams._io import archive as _archive
from mtkparams._io.archive import pack, unpack
from mtkparams.errors import FileError


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.mtk"
    mtk.io.save(path, mtk.parameters({"alpha": 1.0, "tau": [1.0, 2.0], "n": 3, "label": "x"}))
    return path


def test_every_truncation_is_found(path):
    content = path.read_bytes()
    for length in range(1, len(content)):
        with pytest.raises(FileError, match="is cut short"):
            unpack(content[:length], "run.mtk")
    with pytest.raises(FileError, match="is empty"):
        unpack(b"", "run.mtk")
    with pytest.raises(FileError, match="is cut short, or something was appended"):
        unpack(content + b"x", "run.mtk")


def test_every_altered_byte_is_found(path):
    content = path.read_bytes()
    r = np.random.default_rng(0)
    for position in range(len(content)):
        altered = bytearray(content)
        altered[position] ^= int(r.integers(1, 256))
        with pytest.raises(FileError, match="altered|cut short|no parameter file"):
            unpack(bytes(altered), "run.mtk")


@pytest.mark.parametrize("like", [False, True])
def test_the_errors_come_out_of_load(path, like):
    other = mtk.io.load(path) if like else None
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FileError, match=r"run\.mtk' is cut short.*Nothing was loaded.*backup"):
        mtk.io.load(path, like=other)
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(FileError, match=r"run\.mtk' was altered after it was saved"):
        mtk.io.load(path, like=other)


def test_a_newer_format_says_which_version_reads_it(path, monkeypatch):
    monkeypatch.setattr(_archive, "VERSION", 7)
    monkeypatch.setattr(_archive, "_library", lambda: "2.5.0")
    mtk.io.save(path, mtk.parameters({"a": 1.0}))
    monkeypatch.undo()
    text = r"run\.mtk' has format 7, .*reads format 1\. .*mtkparams 2\.5\.0.*--upgrade"
    with pytest.raises(FileError, match=text):
        mtk.io.load(path)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b'{"alpha": 1.0}', r"For JSON there is mtk\.io\.from_json"),
        (b"\x93NUMPY\x01\x00", "mtk.io.save did not write it"),
        (b"\x00" * 4000, "mtk.io.save did not write it"),
        (b"P", "is cut short"),
    ],
)
def test_other_files_are_told_apart(path, content, hint):
    path.write_bytes(content)
    with pytest.raises(FileError, match=hint):
        mtk.io.load(path)


def test_an_archive_of_numpy_is_told_apart(tmp_path):
    np.savez(tmp_path / "x.npz", tunable=np.zeros(2))
    with pytest.raises(FileError, match=r"no parameter file.*numpy\.savez"):
        mtk.io.load(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("header", "members", "text"),
    [
        ({"format": "images"}, {}, "its header does not say 'mtkparams parameters'"),
        ({}, {}, r"makes no sense \(KeyError: 'buffers'\)"),
        ({"buffers": {"tunable": {"dtype": "float64", "shape": [1]}}}, {}, "makes no sense"),
        ({"buffers": {}, "widths": {}, "entries": [{"name": "a"}]}, {}, "makes no sense"),
        ({"buffers": {"ideas": None}, "widths": {}, "entries": []}, {}, "makes no sense"),
    ],
)
def test_a_whole_file_of_another_program(path, header, members, text):
    path.write_bytes(pack(header, members))
    with pytest.raises(FileError, match=text):
        mtk.io.load(path)


def test_a_dtype_of_a_newer_jax(path):
    header, members = unpack(path.read_bytes(), "run.mtk")
    header["buffers"]["tunable"]["dtype"] = "float3_e1m1"
    path.write_bytes(pack(header, members))
    with pytest.raises(FileError, match=r"cannot be read here.*float3_e1m1.*newer one"):
        mtk.io.load(path)


def test_a_generator_that_this_jax_does_not_know(path):
    mtk.io.save(path, mtk.parameters({"seed": jax.random.key(0)}))
    header, members = unpack(path.read_bytes(), "run.mtk")
    header["buffers"]["nonnumeric.0"]["dtype"] = "key<dice>"
    path.write_bytes(pack(header, members))
    with pytest.raises(FileError, match=r"cannot be read here.*random keys of 'dice'"):
        mtk.io.load(path)


def test_64_bits_are_never_halved_silently(path):
    p = mtk.io.load(path)
    with jax.enable_x64(False):
        with pytest.raises(
            FileError, match=r"holds float64, int64, and 64 bits are off.*jax_enable_x64"
        ):
            mtk.io.load(path)
        small = mtk.parameters({"alpha": 0.0, "tau": [0.0, 0.0], "n": 0, "label": ""})
        loaded = mtk.io.load(path, like=small)
        assert loaded.tunable.dtype == jnp.float32
        assert loaded["tau"].tolist() == [1.0, 2.0]
    mtk.io.save(path, p.set({"n": 2**40, "alpha": 0.1}))
    with jax.enable_x64(False):
        text = "'alpha' is given as float64, and float32 rounds it; 'n' is given as int64, and int32 cannot"
        with pytest.raises(mtk.errors.MismatchError, match=text):
            mtk.io.load(path, like=small)
        with pytest.warns(mtk.errors.MismatchWarning, match=text):
            loaded = mtk.io.load(path, like=small, strict=False)
        assert loaded["alpha"] == np.float32(0.1)
        assert loaded["n"] == 0
        assert loaded["tau"].tolist() == [1.0, 2.0]
        assert loaded["label"] == "x"


def test_what_is_not_data_is_named(path):
    mtk.io.save(
        path,
        mtk.parameters(
            {
                "k": mtk.Parameter(1.0, prior=jnp.sin),
                "gain": mtk.Parameter(bind=lambda p: 2 * p.k),
                "curve": jnp.sin,
                "choice": mtk.Tunable,
                "mixed": {"w": [1.0], "f": jnp.cos},
            }
        ),
    )
    with pytest.raises(FileError) as caught:
        mtk.io.load(path)
    text = str(caught.value)
    assert "'k' has a prior (PjitFunction)" in text
    assert "'gain' is a binding" in text
    assert "'curve' is a function" in text
    assert "'choice' is an enum (Portion)" in text
    assert "'mixed' holds a function" in text
    assert "mtk.io.load(path, like=mtk.parameters({...}))" in text
