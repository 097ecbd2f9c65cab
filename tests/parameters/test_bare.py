"""Objects from bare buffers: places without names."""

from __future__ import annotations

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import equal

import mtkparams as mtk


@pytest.fixture
def p():
    return mtk.MTKParameters(
        tunable=[1.0, 2.0],
        initials=np.ones(3, "float32"),
        discrete=([True, False], [1.0]),
        constants=([1, 2, 3],),
        nonnumeric=(jax.random.split(jax.random.key(0), 2),),
        caches=(np.zeros(2),),
    )


def test_the_buffers_are_the_fields(p):
    np.testing.assert_array_equal(p.tunable, [1, 2])
    assert p.initials.dtype == "float32"
    assert [x.dtype for x in p.discrete] == [bool, float]
    assert p.constants[0].dtype == int
    assert p.caches[0].shape == (2,)
    assert len(jax.tree.leaves(p)) == 7


def test_portions_work_without_names(p):
    for portion in mtk.Portion:
        vector, repack, _ = mtk.canonicalize(portion, p)
        if portion is mtk.Nonnumeric:  # random keys are no numbers
            assert vector is None
        else:
            assert repack(vector) == p
            assert mtk.replace(portion, p, vector) == p
            assert len(mtk.labels(p, portion)) == vector.size
    assert mtk.combine(*mtk.partition(p, mtk.Tunable, mtk.Caches)) == p
    assert mtk.filter_spec(p, mtk.Tunable).tunable is True
    both = mtk.canonicalize([mtk.Initials, mtk.Tunable], p)[0]
    np.testing.assert_array_equal(both, [1, 1, 1, 1, 2])


def test_objects_of_other_widths_are_not_confused(p):
    """All of them share one index, which knows no widths."""
    wide = mtk.MTKParameters(tunable=np.arange(5.0))
    for what in (mtk.Tunable, [mtk.Tunable], [mtk.Tunable, mtk.Initials]):
        for q in (p, wide):
            vector, repack, _ = mtk.canonicalize(what, q)
            assert vector.size == q.tunable.size + (
                q.initials.size if what == [mtk.Tunable, mtk.Initials] else 0
            )
            assert repack(vector) == q


def test_under_jax(p):
    q = mtk.MTKParameters([1.0, 2.0], caches=(jnp.ones(1),))
    grads = jax.grad(lambda q: (q.tunable**2).sum())(q)
    np.testing.assert_array_equal(grads.tunable, [2, 4])
    assert jax.jit(lambda p: p)(p) == p
    batch = mtk.replace(mtk.Tunable, p, jnp.ones((4, 2)))
    assert jax.vmap(lambda v: mtk.replace(mtk.Tunable, p, v).tunable.sum())(
        batch.tunable
    ).shape == (4,)


def test_copies(p):
    assert copy.deepcopy(p) == p
    assert pickle.loads(pickle.dumps(p)) == p


def test_names_say_that_there_are_none(p):
    assert p.names() == ()
    assert len(p) == 0
    assert "alpha" not in p
    for read in (
        lambda: p["alpha"],
        lambda: p.set({"alpha": 1.0}),
        lambda: mtk.canonicalize("a", p),
    ):
        with pytest.raises(mtk.errors.UnknownNameError, match="built from bare buffers"):
            read()


def test_empty():
    p = mtk.MTKParameters()
    assert p.tunable.shape == p.initials.shape == (0,)
    assert not any(mtk.hasportion(portion, p) for portion in mtk.Portion)
    assert equal(p, mtk.MTKParameters((), []))
    assert mtk.MTKParameters(tunable=jnp.zeros(0)) == p


WRONG = {
    "integers": (
        {"tunable": [1, 2]},
        "tunable is a vector of floats, got int64",
        mtk.errors.KindError,
    ),
    "truth": (
        {"initials": [True]},
        "initials is a vector of floats, got bool",
        mtk.errors.KindError,
    ),
    "complex": ({"tunable": [1j]}, "vector of floats, got complex128", mtk.errors.KindError),
    "number": ({"tunable": 1.0}, r"single value. Write \[1.0\]", mtk.errors.ShapeError),
    "one array": ({"constants": np.ones(2)}, r"Write constants=\(array,\)", mtk.errors.KindError),
    "numbers": (
        {"caches": (1.0, 2.0)},
        r"caches\[0\] is a vector, got a single value",
        mtk.errors.ShapeError,
    ),
    "text": ({"discrete": (["x"],)}, r"discrete\[0\] is a vector of numbers", mtk.errors.KindError),
    "nothing": (
        {"discrete": (None,)},
        r"discrete\[0\] is a vector of numbers",
        mtk.errors.KindError,
    ),
}


@pytest.mark.parametrize(("fields", "text", "error"), WRONG.values(), ids=WRONG)
def test_what_is_no_buffer(fields, text, error):
    with pytest.raises(error, match=text):
        mtk.MTKParameters(**fields)


def test_names_need_buffers_of_their_widths(p):
    index = mtk.parameters({"a": 1.0, "b": [2.0, 3.0]}).index
    assert mtk.MTKParameters(tunable=[1.0, 2.0, 3.0], index=index)["b[1]"] == 3
    with pytest.raises(mtk.errors.ShapeError, match=r"widths \(3,\) in mtk.Tunable, got \(2,\)"):
        mtk.MTKParameters(tunable=[1.0, 2.0], index=index)
