"""Rules of a nested system read its own names, also where an outer one has the same."""

import jax
import numpy as np
import pytest

import mtkparams as mtk


def tank(initial=lambda p: 2 * p.k):
    return mtk.System(
        parameters={"k": 1.5, "double": mtk.Parameter(bind=lambda p: 2 * p.k)},
        unknowns={"h": mtk.Unknown(initial)},
        derivatives=lambda t, u, p: {"h": -p.k * u.h},
        observed={"flow": lambda t, u, p: p.k * u.h},
    )


def outer(**nested):
    return mtk.System(
        parameters={"k": 7.0},
        unknowns={"h": 5.0},
        derivatives=lambda t, u, p: {"h": -p.k * u.h},
        systems={"tank": tank(**nested)},
    )


@pytest.fixture(scope="module")
def problem():
    return mtk.ODEProblem(outer(), {}, (0.0, 1.0))


# 2 k with the tank's k = 1.5 is 3; with the outer k = 7 it would be 14.
def test_an_initial_value(problem):
    solution = mtk.solve(problem)
    assert float(solution["tank.h"][0]) == 3.0
    assert float(solution["h"][0]) == 5.0


def test_it_follows_its_own_parameter_alone(problem):
    start = lambda values: float(mtk.solve(mtk.remake(problem, values))["tank.h"][0])
    assert start({"tank.k": 2.0}) == 4.0
    assert start({"k": 2.0}) == 3.0


def test_a_dependent_parameter_and_an_observed_one(problem):
    assert float(problem.p["tank.double"]) == 3.0
    # The flow at the start is k h = 1.5 * 3.
    assert float(mtk.solve(problem)["tank.flow"][0]) == 4.5


def test_slopes_of_the_solution(problem):
    def end(k, name):
        return mtk.solve(mtk.remake(problem, {name: k}), rtol=1e-10, atol=1e-12)["tank.h"][-1]

    # h(1) = 2 k exp(-k), with the slope (2 - 2 k) exp(-k).
    for jacobian in (jax.grad, jax.jacrev):
        slope = jacobian(lambda k: end(k, "tank.k"))(1.5)
        np.testing.assert_allclose(slope, -np.exp(-1.5), rtol=1e-7)
        assert float(jacobian(lambda k: end(k, "k"))(7.0)) == 0.0


def test_two_levels_down():
    house = mtk.System(parameters={"k": 9.0}, systems={"plant": outer()})
    problem = mtk.ODEProblem(house, {}, (0.0, 1.0))
    solution = mtk.solve(problem)
    assert float(solution["plant.tank.h"][0]) == 3.0
    assert float(solution["plant.tank.flow"][0]) == 4.5


def test_a_guess():
    system = mtk.System(
        parameters={"k": -1.0},
        systems={
            # y^2 = k^2 has the roots k and -k: the guess of the nested one chooses, by its own k.
            "part": mtk.System(
                parameters={"k": 2.0},
                unknowns={"y": mtk.Unknown(guess=lambda p: 1.5 * p.k)},
                residuals=lambda t, u, p: {"root": u.y**2 - 4.0},
            )
        },
    )
    for k, root in ((2.0, 2.0), (-2.0, -2.0)):
        found = mtk.solve(mtk.NonlinearProblem(system, {"part.k": k}))
        np.testing.assert_allclose(found["part.y"], root, rtol=1e-12)
