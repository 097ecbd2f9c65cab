"""Fits that go on: after a kill, after Ctrl-C, with more steps; and what is refused."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import optax
import pytest
from fitting.killed import fit

import mtkparams as mtk
from mtkparams.errors import KindError, MismatchError

PROGRAM = Path(__file__).with_name("killed.py")


def bits(result):
    return result.v.tobytes(), np.asarray(result.losses).tobytes(), result.evaluations


@pytest.fixture(scope="module")
def uninterrupted():
    return bits(fit(None))


def stopped(folder, at, error=None):
    """A run that ends after `at` steps as if its process died: without a word to the checkpoint."""

    def told(status):
        if status.steps >= at:
            raise error or RuntimeError("dies here")

    with pytest.raises(RuntimeError, match="dies here"):
        fit(folder, watch=told)


@pytest.mark.slow
def test_a_run_goes_on_bit_for_bit(tmp_path, uninterrupted):
    stopped(tmp_path, 40)
    stopped(tmp_path, 41)  # and again, before the next checkpoint
    stopped(tmp_path, 200)
    seen = []
    result = fit(tmp_path, watch=lambda status: seen.append(status.steps))
    assert seen[0] == 197  # after step 196, a multiple of 7
    assert bits(result) == uninterrupted


def test_a_run_that_is_done_is_not_made_again(tmp_path, uninterrupted):
    assert bits(fit(tmp_path)) == uninterrupted
    seen = []
    assert bits(fit(tmp_path, watch=seen.append)) == uninterrupted
    assert not seen


def test_ctrl_c_keeps_the_best_and_the_next_run_goes_on(tmp_path, uninterrupted):
    def told(status):
        if status.steps == 50:
            raise KeyboardInterrupt

    result = fit(tmp_path, watch=told)
    assert "interrupted" in result.message
    assert len(result.losses) == 50
    assert bits(fit(tmp_path)) == uninterrupted


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"a": -1.0}, "values and data"),
        ({"rate": 0.04}, "method"),
        ({"factor": 99.0}, "equations and noise"),
        ({"method": optax.sgd(1e-4)}, "method"),
        ({"free": ["a"]}, r"free \(a, b there, a here\)"),
        ({"patience": 5}, r"patience \(None there, 5 here\)"),
        ({"steps": 400}, r"steps \(300 there, 400 here\)"),
    ],
)
def test_another_run_is_refused(tmp_path, changed, text):
    stopped(tmp_path, 20)
    with pytest.raises(MismatchError, match=text):
        fit(tmp_path, **changed)


def test_a_method_that_cannot_be_kept_is_an_error(tmp_path):
    with pytest.raises(KindError, match="inside of scipy"):
        fit(tmp_path, method="L-BFGS-B")


@pytest.mark.slow
def test_many_starts_go_on_bit_for_bit(tmp_path):
    def many(folder, **options):
        values = {"a": np.linspace(-1.5, 1.5, 5), "b": np.linspace(2.0, -1.0, 5)}
        return fit(folder, starts=mtk.fitting.Starts(values, batch=2), steps=40, **options)

    whole = many(None)

    def told(status):
        calls.append(status.steps)
        if len(calls) == 61:  # in the second batch of two
            raise RuntimeError("dies here")

    calls = []
    with pytest.raises(RuntimeError, match="dies here"):
        many(tmp_path, watch=told)
    again = many(tmp_path)
    assert bits(again) == bits(whole)
    for name in ("v", "loss", "code", "evaluations"):
        found, expected = getattr(again.starts, name), getattr(whole.starts, name)
        assert found.tobytes() == expected.tobytes(), name
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [".lock", "checkpoint-0.mtk", "checkpoint-1.mtk", "checkpoint-2.mtk"]


def run(folder, out, pause):
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), str(out), str(pause)],
        env={**os.environ, "PYTHONHASHSEED": str(random.randrange(1000))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 on this system")
def test_kill_9_at_random_moments(tmp_path, uninterrupted):
    folder, out = tmp_path / "run", tmp_path / "out.npz"
    chance = random.Random(7)
    kept = folder / "checkpoint.mtk"
    for number in range(5):
        process = run(folder, out, 0.005)
        before = kept.stat().st_mtime_ns if number else 0
        began = time.monotonic()
        while not (kept.exists() and kept.stat().st_mtime_ns != before):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() - began < 120
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not out.exists()
    process = run(folder, out, 0.0)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    found = np.load(out)
    assert (found["v"].tobytes(), found["losses"].tobytes(), found["evaluations"]) == uninterrupted
    names = sorted(path.name for path in folder.iterdir())
    assert names == [".lock", "checkpoint.mtk"]


def test_checkpoints_of_other_processes_are_known(tmp_path, decay, times, solve):
    # The digest of a program with a solve in it does not change from one trace to the next.
    from mtkparams._fitting.search.checkpoint import of_program

    objective = mtk.fitting.objective(decay, {"t": times, "x": np.exp(-times)}, free=["k"], **solve)
    value = lambda v: objective.value_and_grad(v)
    assert of_program(value, objective.start) == of_program(value, objective.start)
