"""Two tanks, one above the other: a system declared once and nested twice.

The tank knows its own law (Torricelli's) and not where its water comes from: its level is an
`external` unknown, whose equation the parent gives. Names get the prefix of the tank, and everything
is read and changed by them.

Run it with `python examples/two_tanks.py`; it writes `two_tanks.png`.
"""

import diffrax
import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")

import mtkparams as mtk  # noqa: E402

jax.config.update("jax_enable_x64", True)

tank = mtk.System(
    parameters={
        "area": mtk.Parameter(1.0, tunable=False, unit="m2"),
        "hole": mtk.Parameter(0.02, bounds=(0.0, 0.1), unit="m2", description="area of the outlet"),
        "g": mtk.Parameter(9.81, tunable=False, unit="m/s2"),
    },
    unknowns={"h": mtk.Unknown(1.0, external=True, unit="m", description="level")},
    observed={
        # Of an empty tank nothing flows; the inner `where` keeps the derivative finite there.
        "out": lambda t, u, p: (
            p.hole * jnp.where(u.h > 0, jnp.sqrt(2 * p.g * jnp.where(u.h > 0, u.h, 1.0)), 0.0)
        ),
    },
)

tanks = mtk.System(
    systems={"upper": tank, "lower": tank},
    parameters={
        "feed": mtk.Parameter(0.05, bounds=(0.0, None), unit="m3/s"),
        "lower.hole": mtk.Parameter(0.03, bounds=(0.0, 0.1), unit="m2"),  # declared anew
    },
    derivatives=lambda t, u, p: {
        "upper.h": (p.feed - u.upper.out) / p.upper.area,
        "lower.h": (u.upper.out - u.lower.out) / p.lower.area,
    },
    observed={"volume": lambda t, u, p: u.upper.h * p.upper.area + u.lower.h * p.lower.area},
)

problem = mtk.ODEProblem(tanks, {"lower.h": 0.2}, (0.0, 120.0))
print(problem, end="\n\n")

ts = jnp.linspace(0.0, 120.0, 61)
solution = mtk.solve(problem, diffrax.Tsit5(), saveat=ts)
print(solution, end="\n\n")

# In the long run each tank lets out what it gets: h = (feed / hole)^2 / 2 g.
for name in ("upper", "lower"):
    after = solution[f"{name}.h"][-1]
    feed, hole, g = problem[["feed", f"{name}.hole", f"{name}.g"]]
    rest = (feed / hole) ** 2 / (2 * g)
    print(f"{name}: {after:.5f} m after two minutes, {rest:.5f} m in the long run")


# Which outlet keeps the lower tank at half a meter? The derivative is by name as well.
@jax.jit
def level(hole):
    return mtk.solve(
        mtk.remake(problem, {"lower.hole": hole}), diffrax.Tsit5(), saveat=ts, max_steps=1000
    )["lower.h"][-1]


hole = 0.03
for _ in range(8):  # Newton
    value, slope = jax.value_and_grad(level)(hole)
    hole = hole - (value - 0.5) / slope
print(f"\nlower.hole = {hole:.6f} m2 gives {level(hole):.6f} m")

ax = solution.plot(["upper.h", "lower.h"])
ax.figure.savefig("two_tanks.png")
print("wrote two_tanks.png")
