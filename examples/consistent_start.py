"""A pipe network that starts in balance: flows and pressures that fit, and one unknown pipe.

Water flows from a reservoir through two parallel pipes into a tank. At the start the flows have to
fulfill the law of each pipe and the balance at the junction. What is known is a matter of taste: first
all pipes are known and the flows are found; then a flow was measured, and the roughness of a pipe is
found from it; then too much is known, and the message says which equations contradict each other.

Run it with `python examples/consistent_start.py`; it writes `consistent_start.png`.
"""

import jax
import matplotlib

matplotlib.use("Agg")

import mtkparams as mtk  # noqa: E402

jax.config.update("jax_enable_x64", True)

network = mtk.System(
    parameters={
        "reservoir": mtk.Parameter(8.0, unit="m", description="level of the reservoir"),
        "k_in": mtk.Parameter(2.0, unit="s2/m5", description="resistance of the inflow"),
        "k_left": mtk.Parameter(3.0, unit="s2/m5"),
        "k_right": mtk.Parameter(12.0, unit="s2/m5"),
        "area": mtk.Parameter(5.0, tunable=False, unit="m2"),
    },
    unknowns={
        "level": mtk.Unknown(2.0, unit="m", description="level of the tank"),
        "junction": mtk.Unknown(guess=lambda p: (p.reservoir + p.level) / 2, unit="m"),
        "q_in": mtk.Unknown(guess=1.0, unit="m3/s"),
        "q_left": mtk.Unknown(guess=0.5, unit="m3/s"),
        "q_right": mtk.Unknown(guess=0.5, unit="m3/s"),
    },
    derivatives=lambda t, u, p: {"level": (u.q_left + u.q_right) / p.area},
    residuals=lambda t, u, p: {
        "inflow": p.reservoir - u.junction - p.k_in * u.q_in * abs(u.q_in),
        "left pipe": u.junction - u.level - p.k_left * u.q_left * abs(u.q_left),
        "right pipe": u.junction - u.level - p.k_right * u.q_right * abs(u.q_right),
        "balance": u.q_in - u.q_left - u.q_right,
    },
)

# 1. All pipes are known. Flows and pressure hang together in one block.
problem = mtk.ODEProblem(network, {}, (0.0, 10.0))
init = mtk.initialize(problem)
print(mtk.structure(problem), end="\n\n")
print(init.report(), end="\n\n")
for name, value in init.u0.items():
    print(f"{name:10} {float(value):8.4f}")

# 2. The inflow was measured, and the resistance of the right pipe is found from it. Now every
# equation has one unknown of its own, and is a block.
measured = mtk.remake(problem, {"q_in": 1.3, "k_right": mtk.SOLVE}, guesses={"k_right": 10.0})
found = mtk.initialize(measured)
print("\nWith q_in = 1.3 measured:\n")
print(found.report(), end="\n\n")
print(f"k_right = {float(found['k_right']):.4f}")

# How does it depend on the measurement? Through all blocks, exactly.
resistance = lambda q: mtk.initialize(mtk.remake(measured, {"q_in": q}))["k_right"]
print(f"d k_right / d q_in = {float(jax.grad(resistance)(1.3)):.4f}")

# 3. Too much is known.
try:
    mtk.initialize(mtk.remake(problem, {"q_in": 1.3}))
except mtk.errors.InitializationError as error:
    print(f"\nWith q_in = 1.3 and all pipes known:\n{error}")

axes = mtk.structure(measured).plot()
axes.figure.savefig("consistent_start.png", bbox_inches="tight", dpi=150)
print("\nThe blocks are in consistent_start.png")
