"""Writing in one step: whatever stops it, the path holds the old file or the new one."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mtkparams as mtk
from mtkparams._io import atomic as _atomic
from mtkparams._io.atomic import write_atomically


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step, error):
    path = tmp_path / "run.mtk"
    old = mtk.parameters({"a": 1.0})
    mtk.io.save(path, old)

    def fail(*args, **kwargs):
        raise error

    name, where = {"write": ("open", _atomic), "fsync": ("fsync", os), "replace": ("replace", os)}[
        step
    ]
    with monkeypatch.context() as patched:
        patched.setattr(where, name, fail, raising=False)
        with pytest.raises(type(error)):
            mtk.io.save(path, mtk.parameters({"a": 2.0}))
    assert os.listdir(tmp_path) == ["run.mtk"]
    assert mtk.io.load(path) == old


def test_an_object_that_cannot_be_saved_leaves_the_old_file(tmp_path):
    path = tmp_path / "run.mtk"
    old = mtk.parameters({"a": 1.0})
    mtk.io.save(path, old)
    with pytest.raises(mtk.errors.KindError):
        mtk.io.save(path, mtk.filter_spec(old, mtk.Tunable))
    assert mtk.io.load(path) == old


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        mtk.io.save(tmp_path / "no" / "run.mtk", mtk.parameters({"a": 1.0}))


def test_links_are_followed_and_permissions_kept(tmp_path):
    target, link = tmp_path / "1.mtk", tmp_path / "latest.mtk"
    write_atomically(target, b"old")
    link.symlink_to(target)
    target.chmod(0o640)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    write_atomically(tmp_path / "a", b"")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


# Only the module that writes: with all of JAX it would be seconds to each kill.
WRITER = """
import importlib.util, sys
source, path, *contents = sys.argv[1:]
spec = importlib.util.spec_from_file_location("atomic", source)
atomic = importlib.util.module_from_spec(spec)
spec.loader.exec_module(atomic)
contents = [open(name, "rb").read() for name in contents]
for i in range(10**9):
    atomic.write_atomically(path, contents[i % 2])
    if i == 1:
        print("ready", flush=True)
"""


def test_killed_at_any_moment_the_file_is_whole(tmp_path):
    folder, path = tmp_path / "saved", tmp_path / "saved" / "run.mtk"
    folder.mkdir()
    objects = [mtk.parameters({"a": np.full(100_000, x), "n": 3}) for x in (1.0, 2.0)]
    for name, p in zip("ab", objects, strict=True):
        mtk.io.save(tmp_path / name, p)
    command = [sys.executable, "-c", WRITER, _atomic.__file__, path, tmp_path / "a", tmp_path / "b"]
    r = np.random.default_rng(0)
    half_written = 0
    for _ in range(12):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(r.uniform(0.0, 0.03))
            process.send_signal(signal.SIGKILL)
        left = [name for name in os.listdir(folder) if name != "run.mtk"]
        half_written += len(left)
        for name in left:
            (folder / name).unlink()
        assert mtk.io.load(path) in objects
    assert half_written > 0, "no kill came between the start of a save and its end"


def test_two_writers_at_once(tmp_path):
    path = Path(tmp_path / "run.mtk")
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode() * 100_000)
    command = [sys.executable, "-c", WRITER, _atomic.__file__, path, tmp_path / "a", tmp_path / "b"]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        for _ in range(50):
            assert len(set(path.read_bytes())) == 1
            assert path.stat().st_size == 100_000
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
