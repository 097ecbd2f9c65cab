"""CheckpointFolders: bit for bit, atomic, of one run only."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mtkparams._fitting.search.checkpoint import CheckpointFolder, of_arrays, of_program, software
from mtkparams.errors import FileError, MismatchError, MismatchWarning

ABOUT = {"free values": "a, b", "data": "1234", "software": "jax 1"}


def state(seed=0):
    rng = np.random.default_rng(seed)
    values = jnp.asarray(rng.normal(size=3)).at[0].set(jnp.nan)
    optimizer = optax.adam(0.1).init(values)
    return {"z": values, "opt": optimizer, "key": jax.random.key(seed), "code": jnp.asarray(3)}


def bits(tree):
    plain = [
        jax.random.key_data(x) if x.dtype.name.startswith("key") else x
        for x in jax.tree.leaves(tree)
    ]
    return [(np.asarray(x).dtype, np.asarray(x).tobytes()) for x in plain]


def test_round_trip_is_bit_for_bit(tmp_path):
    like = (state(), np.zeros(0), jnp.sin)
    with CheckpointFolder(tmp_path / "run", 10, ABOUT) as checkpoint:
        assert checkpoint.load(like) is None
        checkpoint.save(12, (state(1), np.arange(12.0), jnp.cos))
    with CheckpointFolder(tmp_path / "run", 10, ABOUT) as again:
        state_and_more = again.load(like)
    assert state_and_more is not None
    kept, losses, function = state_and_more
    assert bits(kept) == bits(state(1))
    assert jax.tree.structure(kept) == jax.tree.structure(state(1))
    np.testing.assert_array_equal(losses, np.arange(12.0))  # grown
    assert function is jnp.sin  # code stays in the code
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [".lock", "checkpoint.mtk"]


def test_parts_have_a_file_each(tmp_path):
    with CheckpointFolder(tmp_path, 1, ABOUT) as checkpoint:
        checkpoint.part(0).save(1, state(3))
        assert checkpoint.part(1).load(state()) is None
        assert bits(checkpoint.part(0).load(state())) == bits(state(3))
        assert checkpoint.load(state()) is None


def test_equal_states_give_equal_bytes(tmp_path):
    contents = []
    for name in "ab":
        with CheckpointFolder(tmp_path / name, 1, ABOUT) as checkpoint:
            checkpoint.save(1, state())
            contents.append(checkpoint.path.read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"data": "99"}, r"it differs in data \(1234 there, 99 here\)"),
        (
            {"free values": "a, c", "data": "99"},
            r"in free values \(a, b there, a, c here\), data \(",
        ),
        ({"method": "adam"}, r"method \(nothing there, adam here\)"),
    ],
)
def test_another_run_is_refused_and_told_why(tmp_path, change, text):
    with CheckpointFolder(tmp_path, 1, ABOUT) as checkpoint:
        checkpoint.save(1, state())
    with CheckpointFolder(tmp_path, 1, {**ABOUT, **change}) as other:
        with pytest.raises(MismatchError, match=text) as caught:
            other.load(state())
        assert caught.value.changed == tuple(change)
        assert re.search("Give another folder, or delete", str(caught.value))
        # Refusing leaves it as it was.
        assert CheckpointFolder(tmp_path, 1, ABOUT).load(state()) is not None


def test_another_state_is_refused(tmp_path):
    with CheckpointFolder(tmp_path, 1, ABOUT) as checkpoint:
        checkpoint.save(1, state())
        with pytest.raises(MismatchError, match=r"\['z'\].*float64.*float32"):
            checkpoint.load({**state(), "z": jnp.zeros(3, jnp.float32)})
        with pytest.raises(MismatchError, match="another state than this run"):
            checkpoint.load({"z": jnp.zeros(3)})


def test_other_software_is_a_warning(tmp_path):
    with CheckpointFolder(tmp_path, 1, ABOUT) as checkpoint:
        checkpoint.save(1, state())
    with CheckpointFolder(tmp_path, 1, {**ABOUT, "software": "jax 2"}) as other:
        with pytest.warns(MismatchWarning, match="with jax 1, and this is jax 2.*last digits"):
            assert other.load(state()) is not None


def test_damage_and_other_files_are_errors(tmp_path):
    with CheckpointFolder(tmp_path, 1, ABOUT) as checkpoint:
        checkpoint.save(1, state())
        content = checkpoint.path.read_bytes()
        checkpoint.path.write_bytes(content[: len(content) // 2])
        with pytest.raises(FileError, match="cut short"):
            checkpoint.load(state())
        import mtkparams as mtk

        mtk.io.save(checkpoint.path, mtk.parameters({"a": 1.0}))
        with pytest.raises(FileError, match="another kind.*'mtkparams checkpoint'"):
            checkpoint.load(state())
        checkpoint.path.write_bytes(content)
        with pytest.raises(FileError, match="another kind.*'mtkparams parameters'"):
            mtk.io.load(checkpoint.path)


def test_two_processes_cannot_share_a_folder(tmp_path):
    pytest.importorskip("fcntl")
    with CheckpointFolder(tmp_path, 1, ABOUT):
        with pytest.raises(FileError, match="Another process uses the checkpoint folder"):
            CheckpointFolder(tmp_path, 1, ABOUT).__enter__()
    with CheckpointFolder(tmp_path, 1, ABOUT):
        pass


def test_halves_of_files_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / ".mtkparams-0123.tmp").write_bytes(b"half")
    with CheckpointFolder(tmp_path, 1, ABOUT):
        assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_programs_are_told_apart_by_what_they_compute():
    v = jnp.ones(3)

    def program(rate, curve=jnp.sin, data=(1.0, 2.0, 3.0)):
        values = np.asarray(data)
        return of_program(lambda v: rate * jax.grad(lambda v: jnp.sum(curve(v) * values))(v), v)

    assert program(0.1) == program(0.1)
    others = [program(0.2), program(0.1, jnp.cos), program(0.1, data=(1.0, 2.0, 4.0))]
    assert len({program(0.1), *others}) == 4
    assert of_arrays({"a": v}) != of_arrays({"a": v.at[1].set(2.0)})
    assert of_arrays({"a": v}) == of_arrays({"a": np.ones(3)})
    assert json.dumps(software()).startswith('"jax ')
