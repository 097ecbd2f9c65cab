"""Options: values that are checked when they are made, short forms, and names that are answered."""

import inspect
import pathlib
import re
import types
from typing import Any

import diffrax
import numpy as np
import optax
import pytest

import mtkparams as mtk
from mtkparams._fitting.fit import SearchOptions
from mtkparams._fitting.objective.objective import ObjectiveOptions
from mtkparams._fitting.options import _OF_SOLVE, Checkpoint, Starts, Watch
from mtkparams._problems import SolveOptions
from mtkparams.errors import KindError


def unchecked(cls):
    """A class without the tests' own checks of types, which would come before the library's."""

    def make(*args, **options):
        value = object.__new__(cls)
        inspect.unwrap(cls.__init__)(value, *args, **options)
        return value

    return make


UNCHECKED = types.SimpleNamespace(
    Starts=unchecked(Starts), Checkpoint=unchecked(Checkpoint), Watch=unchecked(Watch)
)
fit: Any = inspect.unwrap(mtk.fitting.fit)


@pytest.fixture(scope="module")
def objective():
    p = mtk.parameters({"a": mtk.Parameter(1.0, bounds=(0.0, 4.0)), "b": 2.0})
    result = mtk.fitting.minimise(lambda p: (p["a"] - 2) ** 2 + p["b"] ** 2, p, steps=1)
    return result.objective


# Values


def test_short_forms_mean_the_values():
    values = {"a": np.zeros(3)}
    assert Starts.of(None) is None
    of: Any = Starts.of
    assert of(values).values is values
    assert (of(8).values, of(8).seed, of(8).sampler, of(8).batch) == (8, 0, "sobol", 256)
    assert Starts.of(starts := Starts(8, seed=1)) is starts
    assert Checkpoint.of("run") == Checkpoint("run", every=100)
    assert Checkpoint.of(pathlib.Path("run")) == Checkpoint(pathlib.Path("run"))
    assert Checkpoint.of(None) is None
    assert Watch.of(None, False) == Watch(None, every=1, progress=False)
    assert Watch.of(print, False) == Watch(print)
    assert Watch.of(print, True) == Watch(Watch(print, every=5).callback, progress=True)
    assert Watch.of(Watch(print, every=5), True) == Watch(print, every=5, progress=True)
    assert Watch.of(Watch(progress=True), False).progress


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda v: v.Starts(0), "starts= is a positive number of starts, got 0."),
        (lambda v: v.Starts(True), "starts= is a number of starts, values by name, or an array"),
        (lambda v: v.Starts(8.0), "or an array of shape (starts, n); got 8.0."),
        (lambda v: v.Starts("many"), "or an array of shape (starts, n); got 'many'."),
        (lambda v: v.Starts(8, seed=-1), "seed= is a whole number from zero on, got -1."),
        (lambda v: v.Starts(8, seed=1.5), "seed= is a whole number from zero on, got 1.5."),
        (lambda v: v.Starts(8, batch=0), "batch= is a positive number of starts, got 0."),
        (lambda v: v.Starts(8, sampler="halton"), "sampler= is 'sobol' or 'latin', got 'halton'."),
        (lambda v: v.Starts(8, sampler="sobel"), "got 'sobel'. Did you mean 'sobol'?"),
        (lambda v: v.Checkpoint(3), "checkpoint= is a folder, as text or as a path, or"),
        (lambda v: v.Checkpoint("run", every=0), "every= is a positive number of steps, got 0."),
        (lambda v: v.Checkpoint("run", 2.5), "every= is a positive number of steps, got 2.5."),
        (lambda v: v.Watch("bar"), "watch= is a function that is called with a Status, or"),
        (lambda v: v.Watch(print, every=-1), "every= is a positive number of steps, got -1."),
        (lambda v: v.Watch(progress="yes"), "progress= is True or False, got 'yes'."),
    ],
)
def test_values_are_checked_when_they_are_made(make, text):
    with pytest.raises(KindError, match=re.escape(text)):
        make(UNCHECKED)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": 3}, "method= is a transformation of optax, a solver of optimistix, the name"),
        ({"steps": 0}, "steps= is a positive number of steps, got 0."),
        ({"steps": None}, "steps= is a positive number of steps, got None."),
        ({"patience": 0}, "patience= is a positive number of steps, got 0."),
        ({"coordinates": "log"}, "coordinates= is 'free' or 'natural', got 'log'."),
        ({"starts": 0}, "starts= is a positive number of starts, got 0."),
        ({"rtol": 1e-3}, "An objective has its data and names"),
    ],
)
def test_a_fit_says_what_an_option_is(objective, options, text):
    with pytest.raises(KindError, match=re.escape(text)):
        fit(objective, **options)


def test_starts_as_a_value_and_as_a_number_are_one_fit(objective):
    values = {"a": [0.5, 1.0, 3.0]}
    short = mtk.fitting.fit(objective, starts=values).starts
    in_two_batches = mtk.fitting.fit(objective, starts=mtk.fitting.Starts(values, batch=2)).starts
    assert isinstance(short, mtk.fitting.StartTable)
    assert isinstance(in_two_batches, mtk.fitting.StartTable)
    np.testing.assert_array_equal(short.start, in_two_batches.start)
    np.testing.assert_allclose(short.v, in_two_batches.v, rtol=1e-12, atol=1e-12)


def test_a_function_is_told_of_every_step(objective):
    steps = []
    mtk.fitting.fit(
        objective, method=optax.sgd(0.1), steps=5, watch=lambda status: steps.append(status.steps)
    )
    assert steps == [1, 2, 3, 4, 5]


# Names


P = mtk.parameters({"a": 1.0})
DATA = {"t": [1.0], "x": [1.0]}
CALLS = {
    "fit": lambda problem, **options: mtk.fitting.fit(problem, DATA, **options),
    "objective": lambda problem, **options: mtk.fitting.objective(problem, DATA, **options),
    "least_squares": lambda _, **options: mtk.fitting.least_squares(lambda p: p["a"], P, **options),
    "minimise": lambda _, **options: mtk.fitting.minimise(lambda p: p["a"] ** 2, P, **options),
}


@pytest.mark.parametrize(
    ("call", "option", "text"),
    [
        ("fit", "metod", "mtk.fitting.fit has no option 'metod'. Did you mean 'method' or 'mode'?"),
        ("fit", "rtoll", "mtk.fitting.fit has no option 'rtoll'. Did you mean 'rtol'"),
        ("fit", "obseve", "mtk.fitting.fit has no option 'obseve'. Did you mean 'observe'?"),
        ("fit", "max_step", "mtk.fitting.fit has no option 'max_step'. Did you mean 'max_steps'"),
        ("fit", "dt0", "mtk.fitting.fit has no option 'dt0': give solve_options={'dt0': ...}."),
        ("objective", "dt0", "has no option 'dt0': give solve_options={'dt0': ...}."),
        ("objective", "nois", "mtk.fitting.objective has no option 'nois'. Did you mean 'noise'?"),
        ("objective", "method", "has no option 'method'"),
        ("least_squares", "metod", "mtk.fitting.least_squares has no option 'metod'. Did you mean"),
        ("least_squares", "noise", "no option 'noise'"),
        ("least_squares", "zzz", "has no option 'zzz'. Its options are residuals, p, free, mode, "),
        ("minimise", "step", "mtk.fitting.minimise has no option 'step'. Did you mean 'steps'"),
        ("minimise", "fre", "mtk.fitting.minimise has no option 'fre'. Did you mean 'free'?"),
        ("fit", "seed", "no option 'seed': give starts=mtk.fitting.Starts(..., seed=)."),
        ("minimise", "sampler", "give starts=mtk.fitting.Starts(..., sampler=)."),
        ("least_squares", "batch", "give starts=mtk.fitting.Starts(..., batch=)."),
        (
            "minimise",
            "checkpoint_every",
            "give checkpoint=mtk.fitting.Checkpoint(folder, every=).",
        ),
        ("fit", "callback", "give watch=mtk.fitting.Watch(function)."),
        ("fit", "every", "give watch=mtk.fitting.Watch(function, every=)."),
        ("objective", "seed", "mtk.fitting.objective has no option 'seed'. Its options are "),
    ],
)
def test_an_option_that_there_is_not(decay, call, option, text):
    with pytest.raises(KindError, match=re.escape(text)):
        CALLS[call](decay, **{option: 1})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dt00", "mtk.solve (solve_options=) has no option 'dt00'. Did you mean 'dt0'?"),
        ("block", "mtk.solve (solve_options=) has no option 'block'. Did you mean 'blocks'?"),
        ("rtol", "'rtol' is none of solve_options=: give rtol= itself."),
        ("saveat", "'saveat' is none of solve_options=: give saveat= itself."),
        ("adjoint", "'adjoint' is none of solve_options=: mode= decides it."),
    ],
)
def test_options_of_the_solve(decay, name, text):
    for call in ("fit", "objective"):
        with pytest.raises(KindError, match=re.escape(text)):
            CALLS[call](decay, solve_options={name: 1})


def test_options_of_the_solve_arrive(decay):
    objective = CALLS["objective"](
        decay, solver=diffrax.Euler(), solve_options={"dt0": 0.5}, rtol=1
    )
    assert objective.target.experiments[0].settings.others == (("dt0", 0.5),)


def test_options_that_are_told_to_be_of_the_solve_are():
    assert set(_OF_SOLVE) <= set(SolveOptions.__annotations__)


def test_dictionaries_of_options_are_the_signatures():
    def options(call):
        parameters = inspect.signature(call).parameters.values()
        return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]

    assert list(SearchOptions.__annotations__) == options(mtk.fitting.fit)
    assert list(ObjectiveOptions.__annotations__) == options(mtk.fitting.objective)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("minimize", "mtk.fitting.minimise"),
        ("profile", "result.profile()"),
        ("bands", "result.bands()"),
        ("propagate", "result.estimate()"),
        ("plot", "result.plot()"),
        ("plot_trace", "result.plot_trace()"),
        ("plot_correlation", "result.plot_correlation()"),
        ("plot_waterfall", "result.plot_waterfall()"),
        ("plot_profiles", "result.profile().plot()"),
    ],
)
def test_names_that_are_looked_for_are_told_where_they_are(name, place):
    with pytest.raises(
        AttributeError, match=re.escape(f"has no attribute {name!r}: it is {place}")
    ):
        getattr(mtk.fitting, name)
    owner = {"mtk": mtk.fitting}.get(place.split(".")[0], mtk.fitting.FitResult)
    for step in re.findall(r"\.(\w+)\(", place)[:1] or [place.rsplit(".")[-1]]:
        assert callable(getattr(owner, step))


def test_another_name_is_a_plain_attribute_error():
    with pytest.raises(AttributeError, match="'mtkparams.fitting' has no attribute 'fits'$"):
        _ = getattr(mtk.fitting, "fits")  # noqa: B009
    assert not hasattr(mtk.fitting, "__path__")
