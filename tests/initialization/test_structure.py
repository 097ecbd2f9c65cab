"""The blocks as people see them, and the plans behind them."""

from __future__ import annotations

import importlib

import jax
import jax.extend.core
import jax.numpy as jnp
import matplotlib.pyplot as plt
import pytest
from initialization.models import cubic_chain
from matplotlib.patches import Rectangle

import mtkparams as mtk
from mtkparams import errors


def mixed(order=("sum", "product", "z_eq", "y_eq")) -> mtk.System:
    """Blocks [y], [z], [v, w], written in some order."""
    equations = {
        "sum": lambda u, p: u.v + u.w - u.z,
        "product": lambda u, p: u.v * u.w - 0.1,
        "z_eq": lambda u, p: u.z - p.c * u.y,
        "y_eq": lambda u, p: u.y**3 + u.y - p.b * u.x,
    }
    return mtk.System(
        parameters={"b": 2.0, "c": 1.5},
        unknowns={name: mtk.Unknown(guess=1.0) for name in ("v", "w", "y", "z")} | {"x": 1.0},
        derivatives=lambda t, u, p: {"x": u.z},
        residuals=lambda t, u, p: {name: equations[name](u, p) for name in order},
    )


def test_text():
    structure = mtk.structure(mtk.ODEProblem(mixed()))
    assert str(structure).splitlines() == [
        "Structure of the start: 4 unknowns, 4 equations, 3 blocks",
        "block  unknowns  equations     kind       reads",
        "0      y         y_eq          nonlinear",
        "1      z         z_eq          explicit   0",
        "2      v, w      sum, product  nonlinear  1",
    ]
    assert structure.pattern.toarray().sum() == 3 + 2 + 2 + 1
    assert not structure.too_many
    assert not structure.undetermined
    assert not structure.opaque


def test_names_belong_to_their_equations():
    """In whatever order they are written: a dictionary that JAX has seen comes back sorted."""
    for order in (("y_eq", "z_eq", "product", "sum"), ("z_eq", "sum", "y_eq", "product")):
        structure = mtk.structure(mtk.ODEProblem(mixed(order)))
        found = {frozenset(b.unknowns): set(b.equations) for b in structure.blocks}
        assert found == {
            frozenset({"y"}): {"y_eq"},
            frozenset({"z"}): {"z_eq"},
            frozenset({"v", "w"}): {"sum", "product"},
        }


def test_of_what_is_solved_at_every_time():
    given = mtk.ODEProblem(mixed(), {"x": mtk.UNSET, "y": 1.0}, guesses={"x": 1.0})
    assert set(mtk.structure(given).unknowns) == {"x", "v", "w", "z"}
    assert mtk.structure(given, "algebraic").unknowns == ("v", "w", "y", "z")
    assert str(mtk.structure(given, "algebraic")).startswith("Structure of the algebraic equations")


def test_plot():
    plt.switch_backend("Agg")
    structure = mtk.structure(mtk.ODEProblem(mixed()))
    axes = structure.plot()
    assert [t.get_text() for t in axes.get_xticklabels()] == ["y", "z", "v", "w"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["y_eq", "z_eq", "sum", "product"]
    boxes = [p for p in axes.patches if isinstance(p, Rectangle)]
    assert [p.get_width() for p in boxes] == [1, 1, 2]
    assert structure.plot(ax=axes) is axes
    plt.close("all")


def test_nothing_to_find():
    plain = mtk.System(unknowns={"x": 1.0}, derivatives=lambda t, u, p: {"x": -u.x})
    assert str(mtk.structure(mtk.ODEProblem(plain))) == (
        "Structure of the start: 0 unknowns, 0 equations, 0 blocks"
    )


def test_opaque_equations_are_named():
    """A primitive that nobody knows may read everything that it is given."""
    twice = jax.extend.core.Primitive("twice")
    twice.def_abstract_eval(lambda x: x)
    twice.def_impl(lambda x: 2 * x)
    system = mtk.System(
        parameters={"w": [1.0, 2.0]},
        unknowns={"x": 1.0, "z": mtk.Unknown(guess=[0.1, 0.2])},
        derivatives=lambda t, u, p: {"x": -u.x},
        residuals=lambda t, u, p: {"e": twice.bind(u.z) - p.w * u.x},
    )
    with pytest.warns(errors.StructureWarning, match="twice"):
        structure = mtk.structure(mtk.ODEProblem(system))
    assert [b.unknowns for b in structure.blocks] == [("z[0]", "z[1]")]
    assert str(structure).endswith("Taken to depend on everything: twice.")


def test_one_analysis_for_all_values(monkeypatch):
    plan = importlib.import_module("mtkparams._initialization.plan")

    analyses = []
    real = plan.analyze
    monkeypatch.setattr(plan, "analyze", lambda *a: analyses.append(1) or real(*a))
    system = cubic_chain()
    problem = mtk.remake(mtk.ODEProblem(system), {"x": lambda p: p.b / 2})  # its own conditions
    for b in (2.0, 2.5):
        mtk.structure(mtk.remake(problem, {"b": b}))
    jax.eval_shape(lambda q: mtk.initialize(q).p, problem)
    jax.eval_shape(jax.vmap(lambda b: mtk.initialize(mtk.remake(problem, {"b": b})).p), jnp.ones(3))
    assert len(analyses) == 1


def test_conditions_are_interned():
    import copy
    import pickle

    one, other = (mtk.ODEProblem(cubic_chain()).conditions for _ in range(2))
    assert one is other
    assert pickle.loads(pickle.dumps(one)) is one
    assert copy.deepcopy(one) is one
    assert mtk.ODEProblem(cubic_chain(), {"y": 1.0}).conditions is not one
    assert copy.copy(mtk.SOLVE) is mtk.SOLVE
    assert pickle.loads(pickle.dumps(mtk.SOLVE)) is mtk.SOLVE
    assert repr(mtk.SOLVE) == "mtk.SOLVE"
