"""Batches by name: which buffers have leading axes, and objects stacked."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import equal, everything

import mtkparams as mtk
from mtkparams import errors


@pytest.fixture(scope="module")
def p():
    return mtk.parameters(everything())


def axes_by_portion(axes):
    return {portion: own for portion, own in axes.buffers.items() if any(x == 0 for x in own)}


def test_axes_of_portions_and_names(p):
    found = axes_by_portion(mtk.in_axes(p, mtk.Tunable, "mode"))
    assert set(found) == {mtk.Tunable, mtk.Discrete}
    assert found[mtk.Discrete].count(0) == 1  # truth values have a buffer of their own
    everything_named = mtk.in_axes(p, "alpha", "order", mtk.Initial("x"))
    assert set(axes_by_portion(everything_named)) == {mtk.Tunable, mtk.Constants, mtk.Initials}
    assert axes_by_portion(mtk.in_axes(p)) == {}
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'alpha'"):
        mtk.in_axes(p, "alpa")
    with pytest.raises(errors.BoundParameterError, match="'gain' is a dependent parameter"):
        mtk.in_axes(p, "gain")


def test_a_batch_by_name(p):
    alphas, orders = jnp.array([0.1, 0.2, 0.3]), jnp.array([1, 2, 3])
    many = mtk.batch(p, {"alpha": alphas, "order": orders})
    assert set(axes_by_portion(mtk.in_axes(many))) == {mtk.Tunable, mtk.Constants}
    names = ["alpha", "gain", "order", "tau", "tank.k", "mode"]
    read = lambda q: [q[name] * 2.0 if name != "order" else q[name] for name in names]
    found = jax.vmap(read, in_axes=(mtk.in_axes(many),))(many)
    for i in range(3):
        one = read(p.set({"alpha": alphas[i], "order": orders[i]}))
        assert equal([x[i] for x in found], one)


def test_a_batch_of_entries_arrays_and_networks(p):
    many = mtk.batch(p, {"tau[1]": [1.0, 2.0], "f": jnp.ones((2, 2, 3)), "mode": [0.0, 1.0]})
    np.testing.assert_array_equal(many["tau"], [[1.0, 1.0, 3.0], [1.0, 2.0, 3.0]])
    nets = eqx.filter_vmap(lambda k: eqx.nn.Linear(2, 1, key=k))(jax.random.split(p["seed"], 2))
    one = mtk.parameters({"net": jax.tree.map(lambda x: x[0], nets), "k": 1.0})
    many = mtk.batch(one, {"net": nets})
    out = jax.vmap(lambda q: q["net"](jnp.ones(2)), in_axes=(mtk.in_axes(many),))(many)
    np.testing.assert_allclose(out, jax.vmap(lambda net: net(jnp.ones(2)))(nets), rtol=1e-15)


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        ({"alpha": 0.5}, errors.ShapeError, "'alpha' has one value, and no axis of members"),
        ({"alpha": [0.5], "tau": np.ones((2, 3))}, errors.ShapeError, "'alpha' 1, 'tau' 2"),
        ({}, errors.ShapeError, "No values are given"),
        ({"alpha": np.ones((2, 2))}, errors.ShapeError, r"'alpha' has shape \(\)"),
        ({"gain": [1.0]}, errors.BoundParameterError, "'gain' is a dependent parameter"),
    ],
)
def test_wrong_batches(p, values, kind, text):
    with pytest.raises(kind, match=text):
        mtk.batch(p, values)


def test_batches_of_problems():
    decay = mtk.System(
        parameters={"k": 1.0}, unknowns={"x": 1.0}, derivatives=lambda t, u, p: {"x": -p.k * u.x}
    )
    problem = mtk.ODEProblem(decay)
    many = mtk.batch(problem, {"x": [1.0, 2.0]})
    axes = mtk.in_axes(many)
    assert (axes.p.tunable, axes.p.initials, axes.t0, axes.t1) == (None, 0, None, None)
    rates = jax.vmap(lambda q: q[lambda t, u, p: p.k * u.x], in_axes=(axes,))(many)
    np.testing.assert_array_equal(rates, [1.0, 2.0])
    both = mtk.stack([problem, mtk.remake(problem, {"k": 2}, tspan=(0.0, 2.0))])
    assert (mtk.in_axes(both).t0, mtk.in_axes(both).t1) == (0, 0)
    np.testing.assert_array_equal(both.t1, [1.0, 2.0])
    named = mtk.in_axes(problem, mtk.Initial("x"))
    assert (named.p.initials, named.p.tunable, named.t0) == (0, None, None)
    with pytest.raises(errors.KindError, match="a parameter object or a problem, got float"):
        mtk.batch(0.5, {"k": [1.0]})


def test_stacking_and_taking_apart(p):
    other = p.set({"alpha": 0.7, "seed": jax.random.key(1)})
    both = mtk.stack([p, other])
    for i, one in enumerate((p, other)):
        assert jax.tree.map(lambda x: x[i], both) == one  # noqa: B023
    half = mtk.stack([mtk.parameters({"k": np.float32(0.5)}), mtk.parameters({"k": 0.25})])
    assert half.tunable.dtype == jnp.float64


@pytest.mark.parametrize(
    ("others", "kind", "text"),
    [
        ([], errors.ShapeError, "nothing to stack"),
        (["k", "j"], errors.KindError, "Objects 0 and 1 differ in their declaration of 'k'"),
        (["k", None], errors.KindError, "kind: MTKParameters and dict"),
    ],
)
def test_wrong_stacks(others, kind, text):
    objects = [{} if name is None else mtk.parameters({name: 0.5}) for name in others]
    with pytest.raises(kind, match=text):
        mtk.stack(objects)


def test_arrays_of_different_lengths_do_not_stack(p):
    with pytest.raises(errors.ShapeError, match=r"arrays of shapes \(2,\) and \(3,\)"):
        mtk.stack([jnp.ones(2), jnp.ones(3)])


def test_batches_of_nonlinear_problems():
    roots = mtk.System(
        parameters={"k": 1.0},
        unknowns={"y": mtk.Unknown(guess=1.0)},
        residuals=lambda t, u, p: {"root": u.y**2 - p.k},
    )
    many = mtk.batch(mtk.NonlinearProblem(roots), {"k": [1.0, 4.0, 9.0]})
    found = jax.vmap(lambda q: mtk.solve(q)["y"], in_axes=(mtk.in_axes(many),))(many)
    np.testing.assert_allclose(found, [1.0, 2.0, 3.0], rtol=1e-10)
