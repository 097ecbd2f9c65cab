"""Taking an object apart, and what optimizers do with the parts."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_own_buffers, equal, everything, spring, with_caches

import mtkparams as mtk


@pytest.fixture
def p():
    return with_caches(mtk.parameters(everything()), np.ones(2), np.arange(3))


# Whole portions

PORTIONS = {
    "tunables": (mtk.Tunable,),
    "initials": (mtk.Initials,),
    "tunables and initials": (mtk.Tunable, mtk.Initials),
    "constants": (mtk.Constants,),
    "discrete": (mtk.Discrete,),
    "fixed arrays": (mtk.Nonnumeric,),
    "caches": (mtk.Caches,),
    "all": tuple(mtk.Portion),
}


@pytest.mark.parametrize("portions", PORTIONS.values(), ids=PORTIONS)
def test_whole_portions(p, portions):
    free, rest = mtk.partition(p, *portions)
    spec = mtk.filter_spec(p, *portions)
    for portion in mtk.Portion:
        chosen = portion in portions
        assert set(spec.buffers[portion]) <= {chosen}
        there, not_there = (free, rest) if chosen else (rest, free)
        assert equal(there.buffers[portion], p.buffers[portion])
        assert set(not_there.buffers[portion]) <= {None}
    for whole in (mtk.combine(free, rest), eqx.combine(free, rest)):
        assert whole == p
        assert equal(whole.caches, p.caches)
    assert mtk.combine(rest, free) == p
    assert_own_buffers((free, rest), p)
    assert_own_buffers((mtk.combine(free, rest), free, rest), p)


def test_the_filter_is_for_equinox_and_optax(p):
    spec = mtk.filter_spec(p, mtk.Tunable, mtk.Initials)
    free, rest = eqx.partition(p, spec)
    assert equal(eqx.combine(free, rest), p)
    assert len(jax.tree.leaves(free)) == 2
    assert jax.tree.structure(spec) == jax.tree.structure(p)


def test_a_filter_of_names_that_fill_buffers():
    p = mtk.parameters({"a": 1.0, "b": [2.0, 3.0], "n": 3})
    assert mtk.filter_spec(p, "a", "b").tunable is True
    assert mtk.filter_spec(p, "b[1]", "a", "b[0]").tunable is True
    assert mtk.filter_spec(p, "n").constants == (True,)
    with pytest.raises(mtk.errors.KindError, match=r"'a' is a part of a buffer of 3 entries"):
        mtk.filter_spec(p, "a")


# Names

NAMES: dict[str, tuple[Any, ...]] = {
    "number": ("alpha",),
    "array": ("tau",),
    "entry": ("tau[1]",),
    "slice and row": ("tau[::-2]", "f[1]"),
    "Initial": (mtk.Initial("x"), "Initial(tank.h)[1]"),
    "several portions": ("order", "alpha", "mode", "tank.k", "z"),
    "Module": ("spring",),
    "array of a Module": ("spring.stiffness",),
    "integer of a Module": ("spring.coils",),
    "entry of an array of a Module": ("spring.stiffness[1]",),
    "dictionary": ("pair",),
    "fixed Module": ("table",),
    "list": (["alpha", "tau"],),
    "names and portions": ("alpha", [mtk.Initials], "tau[0]"),
    "nothing": (),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_names(p, names):
    free, rest = mtk.partition(p, *names)
    vector, repack, _ = mtk.canonicalize(
        [x for n in names for x in ([n] if isinstance(n, str | mtk.Initial) else n)], p
    )
    assert sum(x.size for x in jax.tree.leaves(free)) == vector.size
    for name in free:
        alone = [x for x in jax.tree.leaves(free[name]) if isinstance(x, jax.Array)]
        assert alone
    assert rest == p
    assert mtk.combine(free, rest) == p
    doubled = jax.tree.map(lambda x: x + x, free)
    assert mtk.combine(doubled, rest) == repack(vector + vector)
    assert_own_buffers((mtk.combine(free, rest), free, rest), p)


def test_a_part_is_read_by_the_same_names(p):
    free, _ = mtk.partition(p, "alpha", "tau[1:]", "spring", "pair['w']", mtk.Initial("x"))
    assert free.names() == ("alpha", "tau[1:]", "spring", "pair", "Initial(x)")
    assert free["alpha"] == 0.55
    np.testing.assert_array_equal(free["tau[1:]"], [2, 3])
    assert free["tau[1:][1]"] == 3
    assert free["spring.stiffness[1]"] == 2
    assert free["spring"].coils is None
    assert free["pair"]["b"] is None
    assert free["pair['w'][0]"] == 1
    assert mtk.labels(free) == ("alpha", "tau[1:][0]", "tau[1:][1]") + (
        "spring.stiffness[0]",
        "spring.stiffness[1]",
        "pair['w'][0]",
        "pair['w'][1]",
    )
    assert free.set({"alpha": 1.0})["alpha"] == 1
    with pytest.raises(mtk.errors.UnknownNameError):
        free["gain"]


def test_equal_parts_have_one_index(p):
    again = mtk.parameters(everything())
    assert (
        mtk.partition(p, "alpha", "f[1]")[0].index is mtk.partition(again, "alpha", "f[1]")[0].index
    )
    assert mtk.partition(p, "alpha")[0].index is not mtk.partition(p, "tau")[0].index


def test_a_part_keeps_its_bounds():
    p = mtk.parameters({"k": mtk.Parameter([1.0, 2.0], bounds=(0.0, [3.0, 4.0])), "a": 1.0})
    free, _ = mtk.partition(p, "k[1]", "a")
    lower, upper = mtk.bounds(free)
    np.testing.assert_array_equal(lower, [0, -np.inf])
    np.testing.assert_array_equal(upper, [4, np.inf])


def test_a_part_fits_into_any_object_with_its_names():
    p = mtk.parameters({"a": 1.0, "k": mtk.Parameter(2.0, tunable=False), "f": np.ones(2)})
    other = mtk.parameters({"f": np.zeros(2), "more": [1.0, 2.0], "a": 5.0})
    free, _ = mtk.partition(p, "a", "f[1]")
    joined = mtk.combine(free, other)
    assert joined[["a", "more[0]"]] == [1, 1]
    np.testing.assert_array_equal(joined["f"], [0, 1])
    with pytest.raises(mtk.errors.UnknownNameError, match="'k'"):
        mtk.combine(mtk.partition(p, "k")[0], other)
    with pytest.raises(mtk.errors.ShapeError, match=r"'f' has shape \(3,\), and \(2,\)"):
        mtk.combine(mtk.partition(p, "f")[0], mtk.parameters({"f": np.ones(3)}))


def test_derivatives_of_floats_beside_integers(p):
    """Unlike a vector, a part keeps integers apart: floats beside them can be differentiated."""
    free, rest = mtk.partition(p, "alpha", "order", "spring")
    loss = lambda free: (
        mtk.combine(free, rest)["gain"] * mtk.combine(free, rest)["order"].astype(float)
    )
    grads = eqx.filter_grad(loss)(free)
    assert grads["alpha"] == 6
    with pytest.raises(mtk.errors.PortionError):
        grads["order"]


ERRORS: dict[str, Any] = {
    "unknown": (("alfa",), "Did you mean 'alpha'", mtk.errors.UnknownNameError),
    "twice": (("alpha", "alpha"), "named twice", mtk.errors.OverlapError),
    "overlap": (("tau", "tau[1]"), "name the same entry", mtk.errors.OverlapError),
    "name and its portion": (("alpha", [mtk.Tunable]), "named twice", mtk.errors.OverlapError),
    "dependent": (("gain",), "has no place of its own", mtk.errors.BoundParameterError),
    "text": (("label",), "holds no numbers", mtk.errors.KindError),
    "function": (("curve",), "holds no numbers", mtk.errors.KindError),
    "random key": (("seed",), "holds no numbers", mtk.errors.KindError),
    "caches in a list": (("alpha", [mtk.Caches]), "Caches has no names", mtk.errors.KindError),
}


@pytest.mark.parametrize(("names", "text", "error"), ERRORS.values(), ids=ERRORS)
def test_errors(p, names, text, error):
    with pytest.raises(error, match=text):
        mtk.partition(p, *names)


def test_combine_takes_parts_only(p):
    with pytest.raises(mtk.errors.KindError, match="joins what mtk.partition gave"):
        mtk.combine({"alpha": 1.0}, p)
    with pytest.raises(mtk.errors.KindError, match="joins what mtk.partition gave"):
        mtk.combine(1.0, p)


def test_text_is_set_before_or_after_but_not_between(p):
    free, rest = mtk.partition(p, mtk.Tunable)
    for halves in ((free.set({"label": "x"}), rest), (free, rest.set({"label": "x"}))):
        with pytest.raises(mtk.errors.KindError, match="parts of two different objects"):
            mtk.combine(*halves)
    both = mtk.combine(free.set({"label": "x"}), rest.set({"label": "x"}))
    assert both["label"] == "x"


def test_without_names():
    p = mtk.MTKParameters(tunable=[1.0, 2.0], constants=([3],))
    free, rest = mtk.partition(p, mtk.Tunable)
    assert mtk.combine(free, rest) == p
    with pytest.raises(mtk.errors.KindError, match="built from bare buffers"):
        mtk.partition(p, [mtk.Tunable])


# Groups


def test_groups(p):
    parts, rest = mtk.partition(
        p, {"fast": ["alpha", "tau[0]"], "slow": "spring", "start": mtk.Initials, "none": []}
    )
    assert list(parts) == ["fast", "slow", "start", "none"]
    assert parts["fast"]["tau[0]"] == 1
    assert parts["start"].names() == ("Initial(x)", "Initial(tank.h)")
    assert rest == p
    assert mtk.combine(parts, rest) == p
    assert_own_buffers((parts, rest), p)
    new = mtk.combine(jax.tree.map(lambda x: -x, parts), rest)
    assert new[["alpha", "tau[0]", "tau[1]"]] == [-0.55, -1, 2]
    assert mtk.param_labels(parts) == {name: name for name in parts}


def test_a_name_goes_into_one_group_only(p):
    with pytest.raises(mtk.errors.OverlapError, match="into one group only"):
        mtk.partition(p, {"fast": ["alpha", "tau"], "slow": ["tau[1]"]})


@pytest.mark.usefixtures("standard_promotion")
def test_an_optimizer_for_each_group(p):
    parts, rest = mtk.partition(p, {"fast": ["alpha"], "slow": ["tau", "spring"]})
    rates: dict[Any, Any] = {"fast": optax.sgd(0.1), "slow": optax.adam(0.01)}
    optimizer = optax.multi_transform(rates, mtk.param_labels(parts))

    def loss(parts: Any) -> Any:
        q = mtk.combine(parts, rest)
        return q["alpha"] + 3 * q["tau"][1] + q["spring"](1.0).sum()

    @jax.jit
    def step(parts: Any, state: Any) -> Any:
        updates, state = optimizer.update(jax.grad(loss)(parts), state, parts)
        return optax.apply_updates(parts, updates), state

    new, _ = step(parts, optimizer.init(parts))
    q = mtk.combine(new, rest)
    np.testing.assert_allclose(q["alpha"], 0.45)
    np.testing.assert_allclose(q["tau"], [1, 1.99, 3])
    np.testing.assert_allclose(q["spring.stiffness"], [0.99, 1.99], rtol=1e-6)
    assert equal(q["f"], p["f"])


# What decays, and what must not


def bounded() -> dict[Any, Any]:
    return {
        "rate": mtk.Parameter(0.5, bounds=(0.1, 2.0), scale="log"),
        "net": spring(),
        "mass": mtk.Parameter(4.0, tunable=False, bounds=(1.0, 9.0)),
        "table": mtk.Parameter(spring([5.0]), tunable=False),
        "mode": mtk.Parameter(2.0, discrete=True),
        mtk.Initial("x"): mtk.Parameter(1.5, bounds=(0.0, None)),
        "z": 1 + 2j,
    }


def test_bounds_are_no_leaves():
    """In a library that keeps them as leaves, weight decay moves the bounds with the weights."""
    p = mtk.parameters(bounded())
    moved = jax.tree.map(lambda x: x + x, p)
    np.testing.assert_array_equal(mtk.bounds(moved, ["rate", "mass"]), [[0.1, 1], [2, 9]])
    assert sum(x.size for x in jax.tree.leaves(p)) == 1 + 3 + 1 + 2 + 1 + 1 + 1


def decay(p: Any, optimizer: optax.GradientTransformation, spec: Any) -> Any:
    """One step down a gradient that is zero everywhere: all that moves is what decays."""
    moving, still = eqx.partition(p, spec)
    zeros = jax.tree.map(jnp.zeros_like, moving)
    updates, _ = optimizer.update(zeros, optimizer.init(moving), moving)
    return eqx.combine(optax.apply_updates(moving, updates), still)


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("how", ["naive filter over the free part", "masked"])
def test_weight_decay_moves_the_tunables_alone(how):
    p = with_caches(mtk.parameters(bounded()), np.ones(2))
    if how == "masked":
        spec = mtk.filter_spec(p, mtk.Tunable)
        optimizer = optax.masked(optax.adamw(0.1, weight_decay=0.5), spec)
        new = decay(p, optimizer, eqx.is_inexact_array)
    else:
        free, rest = mtk.partition(p, mtk.Tunable)
        new = mtk.combine(
            decay(free, optax.adamw(0.1, weight_decay=0.5), eqx.is_inexact_array), rest
        )
    np.testing.assert_allclose(new.tunable, 0.95 * p.tunable)
    for portion in mtk.Portion:
        assert portion is mtk.Tunable or equal(new.buffers[portion], p.buffers[portion])
    assert new["z"] == 1 + 2j
