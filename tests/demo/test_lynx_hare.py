"""The demo against figures from outside: a reference solve, its gradient, and the maximum of the
likelihood with its standard errors. scipy confirms solve, gradient and maximum (DOP853 at 1e-12, BFGS).
"""

import os
import subprocess
import sys

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mtkparams as mtk
from mtkparams import __main__, demo

# A point that is no minimum, the loss and its gradient there, and the populations.
POINT = {
    "alpha": 0.55,
    "beta": 0.028,
    "gamma": 0.8,
    "delta": 0.024,
    "Initial(hare)": 34.0,
    "Initial(lynx)": 5.9,
    "sigma_hare": 0.25,
    "sigma_lynx": 0.25,
}
LOSS = -2.5705758682572184
GRADIENT = {
    "alpha": 111.56557654620813,
    "beta": 570.2425387480507,
    "gamma": 64.40114666185453,
    "delta": 1237.168208768308,
    "Initial(hare)": 0.8440759927064743,
    "Initial(lynx)": 1.788027469846764,
    "sigma_hare": 14.690669420468733,
    "sigma_lynx": 16.842379346075802,
}
# Year: hares, lynxes.
TRAJECTORY = {
    0: (34.0, 5.9),
    1: (49.39010919339888, 7.149241501722766),
    3: (64.83417184942577, 29.579793818669096),
    7: (13.063824754871266, 15.540935418177375),
    10: (32.04333612526236, 5.90701441704521),
    14: (41.670108518112144, 45.082133048172224),
    20: (30.20292413538357, 5.9556873556077345),
}
MAXIMUM_LOSS = -4.1451452822878405
# Estimate and standard error.
MAXIMUM = {
    "alpha": (0.5400139473726271, 0.05485642100160713),
    "beta": (0.027156114967448214, 0.0035715294650306233),
    "gamma": (0.7965987707825456, 0.07794057344947565),
    "delta": (0.023702037596950384, 0.0030482569125709095),
    "Initial(hare)": (34.59915521047514, 2.596110663418381),
    "Initial(lynx)": (5.843736588701019, 0.44929282795535275),
    "sigma_hare": (0.21837964540102234, 0.03381337689006151),
    "sigma_lynx": (0.22008428357740767, 0.03407731894845929),
}


@pytest.fixture(scope="module")
def point():
    return demo.declare().set(POINT)


@pytest.fixture(scope="module")
def fit():
    return demo.fit()


def named(tree):
    return {name: tree[name].item() for name in POINT}


def test_declares_exactly_what_is_published():
    p = demo.declare()
    assert set(p.names()) == set(demo.PUBLISHED) == set(POINT)
    assert p.names(mtk.Initials) == ("Initial(hare)", "Initial(lynx)")
    lower, _ = mtk.bounds(p, demo.FREE)
    np.testing.assert_array_equal(lower, 0.0)
    assert all(row["unit"] and row["description"] for row in mtk.describe(p))


def test_data_are_21_years_of_both_species():
    data = demo.pelts()
    assert data.years.tolist() == list(range(21))
    # Totals, as a guard against a slip of the hand.
    assert float(data.populations["hare"].sum()) == pytest.approx(715.7)
    assert float(data.populations["lynx"].sum()) == pytest.approx(423.5)


def test_trajectory(point):
    populations = demo.simulate(point, demo.pelts().years)
    found = [[populations[s][t].item() for s in ("hare", "lynx")] for t in TRAJECTORY]
    np.testing.assert_allclose(found, list(TRAJECTORY.values()), rtol=1e-7)


def test_loss(point):
    assert demo.negative_log_likelihood(point).item() == pytest.approx(LOSS, abs=1e-8)


@pytest.mark.slow
def test_gradient_in_reverse_mode_by_name(point):
    free, rest = mtk.partition(point, *demo.FREE)
    grads = eqx.filter_jit(eqx.filter_grad(loss_of_parts))(free, rest)
    assert named(grads) == pytest.approx(GRADIENT, rel=1e-6)


def test_gradient_in_forward_mode(point):
    values = mtk.canonicalize(demo.FREE, point)[0]
    slopes = jax.jit(jax.jacfwd(lambda v: loss_of_vector(v, point, diffrax.ForwardMode())))(values)
    found = dict(zip(mtk.labels(point, demo.FREE), slopes.tolist(), strict=True))
    assert found == pytest.approx(GRADIENT, rel=1e-6)


def test_gradient_is_that_of_finite_differences(point):
    # Central differences: with a relative step h the loss's own error of 1e-9 gives 1e-9 / h, and
    # the third derivative, some 1e3 here, gives 1e3 h^2. Both are about 1e-5 at h = 1e-4.
    loss = jax.jit(demo.negative_log_likelihood)
    for name, value in POINT.items():
        up, down = (loss(point.set({name: value * (1 + h)})).item() for h in (1e-4, -1e-4))
        slope = (up - down) / (2e-4 * value)
        assert slope * value == pytest.approx(GRADIENT[name] * value, rel=1e-4, abs=1e-4), name


def test_fit_reaches_the_maximum(fit):
    # The density of y has the factor 1 / y in addition.
    data = demo.pelts().populations
    constant = sum(jnp.log(data[s]).sum().item() for s in data)
    assert fit.loss - constant == pytest.approx(MAXIMUM_LOSS, abs=1e-7)
    assert named(fit.p) == pytest.approx({n: x for n, (x, _) in MAXIMUM.items()}, rel=1e-6)
    assert fit.converged
    assert fit.losses[0] - constant == pytest.approx(51.893, abs=1e-3)
    np.testing.assert_array_equal(fit.start, mtk.canonicalize(demo.FREE, demo.declare())[0])


def test_the_system_and_the_functions_are_one_model(fit):
    years = demo.pelts().years
    by_hand = demo.simulate(fit.p, years)
    for species, found in fit.predictions()["data"].items():
        np.testing.assert_allclose(found, by_hand[species], rtol=1e-7)


def test_standard_errors(fit):
    assert fit.stderr == pytest.approx({n: se for n, (_, se) in MAXIMUM.items()}, rel=1e-5)


def test_estimates_are_within_a_standard_deviation_of_what_is_published(fit):
    for name, (mean, sd) in demo.PUBLISHED.items():
        assert abs(fit.p[name].item() - mean) < sd, name


def test_report_tells_estimates_and_what_is_published(fit):
    text = demo.report(fit)
    lines = [line.split() for line in text.splitlines() if line.strip()]
    own = {line[0]: line for line in lines if "%" in line}
    assert own["alpha"][1:4] == ["0.5400", "±", "0.0549"]
    assert "1/year" in own["alpha"]
    assert own["Initial(hare)"][1:4] == ["34.60", "±", "2.60"]
    assert set(POINT) == set(own)
    published = {line[0]: " ".join(line) for line in lines if line[-1] == "sd"}
    assert published["alpha"] == "alpha 0.5400 0.5469 ± 0.064 -0.11 sd"
    assert "34.04 ± 2.856" in published["Initial(hare)"]
    assert set(POINT) == set(published)
    assert "log likelihood      -122.92595" in text
    assert "NOT converged" not in text


def test_short_fit_says_so_and_calls_back():
    seen = []
    fit = demo.fit(steps=3, watch=lambda status: seen.append((status.steps, status.loss)))
    assert [done for done, _ in seen] == [1, 2, 3]
    assert [loss for _, loss in seen] == fit.losses.tolist()
    assert not fit.converged
    assert "NOT converged" in demo.report(fit)


def test_no_standard_errors_where_there_is_no_minimum(fit):
    # With noise far above the residuals the likelihood curves the other way.
    v = fit.v.copy()
    v[[fit.labels.index(name) for name in ("sigma_hare", "sigma_lynx")]] = 5.0
    errors = mtk.fitting.uncertainty(fit.objective, v)
    assert np.isnan(list(errors.stderr.values())).all()


def test_a_start_that_cannot_be_solved_is_an_error_that_says_where():
    with pytest.raises(mtk.errors.FitError, match="cannot be computed at the start.*alpha = 3000,"):
        demo.fit(demo.declare().set({"alpha": 3000.0}), steps=3)


def test_single_precision_is_an_error(point):
    with pytest.raises(ValueError, match="jax_enable_x64"):
        demo.simulate(point, jnp.arange(21, dtype=jnp.float32))


@pytest.mark.slow
def test_program_prints_a_report_and_saves_a_picture(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "mtkparams", "--steps", "3", "--output", "picture.png"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert "NOT converged" in run.stdout
    assert "0.5469 ± 0.064" in run.stdout
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["matplotlib", "tqdm"])
def test_program_runs_without_the_extra(missing, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, missing, None)  # now its import fails
    monkeypatch.setitem(sys.modules, f"{missing}.figure", None)
    assert __main__.main(["--steps", "3", "--output", str(tmp_path / "picture.png")]) == 0
    captured = capsys.readouterr()
    assert "0.5469 ± 0.064" in captured.out
    assert f"{missing} is not installed" in captured.err
    assert "mtkparams[plot]" in captured.err
    assert (tmp_path / "picture.png").exists() == (missing == "tqdm")


def test_program_says_that_a_picture_cannot_be_written(tmp_path, capsys):
    path = tmp_path / "no such folder" / "picture.png"
    assert __main__.main(["--steps", "3", "--quiet", "--output", str(path)]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_program_refuses_no_steps(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["--steps", "0"])
    assert "not a positive number of steps" in capsys.readouterr().err


def loss_of_parts(free, rest):
    return demo.negative_log_likelihood(mtk.combine(free, rest))


def loss_of_vector(values, p, adjoint):
    return demo.negative_log_likelihood(mtk.replace(demo.FREE, p, values), adjoint)
