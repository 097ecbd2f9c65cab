"""An epidemic in seven compartments: simulation, objective and gradient of a published model.

Rahman et al., Math. Biosci. 281 (2016) 46, as model Rahman_MBS2016 of the PEtab benchmark collection
(Hass et al., Bioinformatics 35 (2019) 3073); the simulation was checked against that collection's. Its
objective and gradient by variational equations in another program.
"""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases.published import measurements

import mtkparams as mtk

TIMES = np.arange(23.0)
NOMINAL = {
    "infected_normal_transmission_rate_relative": 427.47,
    "infected_moderate_transmission_rate": 0.0029273,
    "infected_weak_transmission_rate_relative": 992.96,
    "infected_weak_treatment_rate": 0.0001,
    "infected_normal_worsen_rate": 0.66545,
    "infected_moderate_worsen_rate": 0.0079757,
    "treated_moderate_improve_rate": 0.13636,
    "treated_weak_improve_rate": 0.77557,
    "behavioural_change_rate": 1.338e-07,
}
FIXED = {
    "recruitment_rate": 1032672.0,
    "infected_normal_treatment_rate": 0.0,
    "infected_moderate_treatment_rate": 0.0,
    "susceptible_death_rate": 0.0288,
    "infected_normal_death_rate": 0.0888,
    "infected_moderate_death_rate": 0.1368,
    "infected_weak_death_rate": 0.3108,
    "treated_normal_death_rate": 0.0408,
    "treated_moderate_death_rate": 0.0528,
    "treated_weak_death_rate": 0.1752,
}
START = {
    "susceptible": 17940000.0,
    "infected_normal": 16300.0,
    "infected_moderate": 9000.0,
    "infected_weak": 11000.0,
    "treated_normal": 0.0,
    "treated_moderate": 0.0,
    "treated_weak": 0.0,
}
SIMULATION = [
    0.2019325445169473,
    0.5508733076711514,
    1.1364211684934844,
    2.0305715400131152,
    3.3030753623277898,
    4.977925223476598,
    6.98858398768002,
    9.172247761115193,
    11.321992431426487,
    13.260464527302297,
    14.883640534818488,
    16.1615749882301,
    17.115819386137098,
    17.794435011683706,
    18.253808186456244,
    18.54808556494657,
    18.724147619743015,
    18.819929472143983,
    18.864542906398828,
    18.879261998294417,
    18.878844098172685,
    18.87290057923866,
    18.867168744189012,
]
OBJECTIVE = 21.15348997900935
# With respect to log10 of the nine parameters.
GRADIENT = [
    0.8846248855581672,
    0.9880843567930027,
    0.09955793519972982,
    -1.5252740980570207e-05,
    -0.5785582455017944,
    0.05706642480051035,
    7.053183591575767e-09,
    7.039763767840941e-08,
    -0.2693644599769847,
]


def infected(u):
    treated = u.treated_normal + u.treated_moderate + u.treated_weak
    return u.infected_normal + u.infected_moderate + u.infected_weak + treated


def force_of_infection(t, u, p):
    treated = u.treated_normal + u.treated_moderate + u.treated_weak
    contacts = p.infected_moderate_transmission_rate * (
        p.infected_normal_transmission_rate_relative * u.infected_normal
        + u.infected_moderate
        + p.infected_weak_transmission_rate_relative * u.infected_weak
        + 0.04 * treated
    )
    everyone = u.susceptible + infected(u)
    return contacts / everyone * jnp.exp(-p.behavioural_change_rate * infected(u))


def derivatives(t, u, p):
    new = u.force * u.susceptible
    worse = p.infected_normal_worsen_rate * u.infected_normal
    worst = p.infected_moderate_worsen_rate * u.infected_moderate
    better = p.treated_weak_improve_rate * u.treated_weak
    well = p.treated_moderate_improve_rate * u.treated_moderate
    treat_normal = p.infected_normal_treatment_rate * u.infected_normal
    treat_moderate = p.infected_moderate_treatment_rate * u.infected_moderate
    treat_weak = p.infected_weak_treatment_rate * u.infected_weak
    deaths = {name: p[f"{name}_death_rate"] * u[name] for name in START}
    flows = {
        "susceptible": p.recruitment_rate - new,
        "infected_normal": new - worse - treat_normal,
        "infected_moderate": worse - worst - treat_moderate,
        "infected_weak": worst - treat_weak,
        "treated_normal": well + treat_normal,
        "treated_moderate": better - well + treat_moderate,
        "treated_weak": treat_weak - better,
    }
    return {name: flow - deaths[name] for name, flow in flows.items()}


@pytest.fixture(scope="module")
def problem():
    system = mtk.System(
        parameters={
            **{name: mtk.Parameter(value, scale="log10") for name, value in NOMINAL.items()},
            **{name: mtk.Parameter(value, tunable=False) for name, value in FIXED.items()},
        },
        unknowns=START,
        derivatives=derivatives,
        observed={
            "force": force_of_infection,
            "prevalence": lambda t, u, p: 100 * infected(u) / (u.susceptible + infected(u)),
        },
    )
    return mtk.ODEProblem(system, {}, (0.0, 22.0))


def simulate(problem, adjoint=None):
    return mtk.solve(problem, diffrax.Tsit5(), saveat=TIMES, rtol=1e-9, atol=1e-3, adjoint=adjoint)


def test_simulation(problem):
    np.testing.assert_allclose(simulate(problem)["prevalence"], SIMULATION, rtol=1e-5)


@pytest.mark.slow
def test_objective_and_gradient(problem):
    ts, data = measurements("rahman")["observable_prevalence"]
    np.testing.assert_array_equal(ts, TIMES)
    log10s = jnp.log10(jnp.array(list(NOMINAL.values())))

    def objective(log10s):
        changed = mtk.remake(problem, dict(zip(NOMINAL, 10.0**log10s, strict=True)))
        gaps = data - simulate(changed, diffrax.ForwardMode())["prevalence"]
        return jnp.sum(gaps**2) / 2 + data.size * jnp.log(2 * jnp.pi) / 2

    value, gradient = jax.jit(lambda x: (objective(x), jax.jacfwd(objective)(x)))(log10s)
    np.testing.assert_allclose(value, OBJECTIVE, rtol=0, atol=1e-5)
    np.testing.assert_allclose(gradient, GRADIENT, rtol=0, atol=1e-4)
