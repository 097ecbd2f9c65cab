"""STAT5 dimerization: simulation, objective and gradient of a published, stiff model.

Boehm et al., J. Proteome Res. 13 (2014) 5685, as model Boehm_JProteomeRes2014 of the PEtab benchmark
collection (Hass et al., Bioinformatics 35 (2019) 3073). The published simulation and objective are of
that collection and of AMICI's tests; the gradient by variational equations in another program.
"""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from cases.published import measurements

import mtkparams as mtk

TIMES = np.array(
    [
        0.0,
        2.5,
        5.0,
        10.0,
        15.0,
        20.0,
        30.0,
        40.0,
        50.0,
        60.0,
        80.0,
        100.0,
        120.0,
        160.0,
        200.0,
        240.0,
    ]
)
NOMINAL = {
    "Epo_degradation_BaF3": 0.026982514033029,
    "k_exp_hetero": 1.00067973851508e-05,
    "k_exp_homo": 0.006170228086381,
    "k_imp_hetero": 0.0163679184468,
    "k_imp_homo": 97749.3794024716,
    "k_phos": 15766.5070195731,
    "sd_pSTAT5A_rel": 3.85261197844677,
    "sd_pSTAT5B_rel": 6.59147818673419,
    "sd_rSTAT5A_rel": 3.15271275648527,
}
OBJECTIVE = 138.22199774152296
# With respect to log10 of the nine parameters above.
GRADIENT = [
    0.02203469851246092,
    0.055322755757002615,
    0.005788000381437887,
    0.005404405088973927,
    -4.515958096695311e-05,
    0.007914105770967622,
    0.010781237413025217,
    0.024036843005866275,
    0.019191404319674213,
]
SIMULATION = {
    "pSTAT5A_rel": [
        0.0,
        75.15496796400355,
        85.2163824556313,
        90.66947403953036,
        92.14228450174198,
        92.50185287059831,
        91.96289316941017,
        90.62526346173901,
        88.78583140888998,
        86.52289750942474,
        80.80192857971737,
        73.57729424430322,
        65.1055261223321,
        46.462304341337166,
        29.51449322628594,
        17.145350497688813,
    ],
    "pSTAT5B_rel": [
        0.0,
        40.16546288416611,
        54.5032986244377,
        66.2879130689748,
        70.94300048870568,
        72.95899823942945,
        73.59744164395805,
        72.08299716805804,
        69.435841641509,
        66.07208537574714,
        58.045998769287145,
        49.22252992628457,
        40.45409838557889,
        25.290699325923782,
        14.658404410996994,
        8.093218992599837,
    ],
    "rSTAT5A_rel": [
        21.28928343793604,
        34.82942059594055,
        39.00902573118761,
        42.233060323609664,
        43.500551015876944,
        44.09441619494687,
        44.453546608329205,
        44.301989484504766,
        43.885164321854134,
        43.29898915608475,
        41.80544843490995,
        40.08355082597121,
        38.3234580864821,
        35.24688602493049,
        33.184158756077,
        32.06686905197643,
    ],
}


def derivatives(t, u, p):
    cyt, nuc = 1.4, 0.45  # volumes
    epo = 1.25e-7 * jnp.exp(-p.Epo_degradation_BaF3 * t)
    phos_aa = epo * u.STAT5A**2 * p.k_phos
    phos_ab = epo * u.STAT5A * u.STAT5B * p.k_phos
    phos_bb = epo * u.STAT5B**2 * p.k_phos
    import_aa, import_ab, import_bb = (
        p.k_imp_homo * u.pApA,
        p.k_imp_hetero * u.pApB,
        p.k_imp_homo * u.pBpB,
    )
    export_aa, export_ab, export_bb = (
        p.k_exp_homo * u.nucpApA,
        p.k_exp_hetero * u.nucpApB,
        p.k_exp_homo * u.nucpBpB,
    )
    back = nuc / cyt
    return {
        "STAT5A": -2 * phos_aa - phos_ab + back * (2 * export_aa + export_ab),
        "STAT5B": -phos_ab - 2 * phos_bb + back * (export_ab + 2 * export_bb),
        "pApB": phos_ab - import_ab,
        "pApA": phos_aa - import_aa,
        "pBpB": phos_bb - import_bb,
        "nucpApA": import_aa / back - export_aa,
        "nucpApB": import_ab / back - export_ab,
        "nucpBpB": import_bb / back - export_bb,
    }


def a_phosphorylated(t, u, p):
    s = p.specC17
    return (100 * u.pApB + 200 * u.pApA * s) / (u.pApB + u.STAT5A * s + 2 * u.pApA * s)


def b_phosphorylated(t, u, p):
    s = 1 - p.specC17
    return (100 * u.pApB + 200 * u.pBpB * s) / (u.pApB + u.STAT5B * s + 2 * u.pBpB * s)


def a_of_all(t, u, p):
    s = p.specC17
    a = u.pApB + u.STAT5A * s + 2 * u.pApA * s
    b = u.pApB + (1 - s) * (u.STAT5B + 2 * u.pBpB)
    return 100 * a / (a + b)


STATES = ["pApB", "pApA", "pBpB", "nucpApA", "nucpApB", "nucpBpB"]


@pytest.fixture(scope="module")
def problem():
    positive = lambda value: mtk.Parameter(value, bounds=(1e-5, 1e5), scale="log10")
    system = mtk.System(
        parameters={
            **{name: positive(value) for name, value in NOMINAL.items()},
            "ratio": mtk.Parameter(0.693, tunable=False),
            "specC17": mtk.Parameter(0.107, tunable=False),
        },
        unknowns={"STAT5A": mtk.Unknown(), "STAT5B": mtk.Unknown(), **dict.fromkeys(STATES, 0.0)},
        derivatives=derivatives,
        observed={
            "pSTAT5A_rel": a_phosphorylated,
            "pSTAT5B_rel": b_phosphorylated,
            "rSTAT5A_rel": a_of_all,
        },
    )
    start = {"STAT5A": lambda p: 207.6 * p.ratio, "STAT5B": lambda p: 207.6 * (1 - p.ratio)}
    return mtk.ODEProblem(system, start, (0.0, 240.0))


def simulate(problem):
    # The dimers of two equal halves are imported at once: a rate of 1e5 beside one of 1e-5.
    solver = diffrax.Kvaerno5(root_finder=diffrax.with_stepsize_controller_tols(optx.Chord)())
    return mtk.solve(
        problem, solver, saveat=TIMES, rtol=1e-9, atol=1e-9, adjoint=diffrax.ForwardMode()
    )


def objective(log10s, problem, data):
    """The negative log-likelihood, and the solution."""
    solution = simulate(mtk.remake(problem, dict(zip(NOMINAL, 10.0**log10s, strict=True))))
    total = jnp.zeros(())
    for name, values in data.items():
        sd = solution[f"sd_{name}"]
        total += jnp.sum(((values - solution[name]) / sd) ** 2) / 2
        total += values.size * (jnp.log(2 * jnp.pi) / 2 + jnp.log(sd))
    return total, solution


@pytest.mark.slow
def test_simulation(problem):
    solution = jax.jit(simulate)(problem)
    for name, values in SIMULATION.items():
        np.testing.assert_allclose(solution[name], values, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_objective_and_gradient(problem):
    found = measurements("boehm")
    data = {name: values for name, (ts, values) in found.items()}
    assert all((ts == TIMES).all() for ts, _ in found.values())
    log10s = jnp.log10(jnp.array(list(NOMINAL.values())))

    @jax.jit
    def value_and_gradient(log10s):
        f = lambda x: objective(x, problem, data)[0]
        return f(log10s), jax.jacfwd(f)(log10s)

    value, gradient = value_and_gradient(log10s)
    np.testing.assert_allclose(value, OBJECTIVE, rtol=0, atol=1e-5)
    np.testing.assert_allclose(gradient, GRADIENT, rtol=0, atol=1e-4)
