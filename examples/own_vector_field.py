"""A vector field written for diffrax, solved by hand and by name: the same numbers.

The function `field` and its `args` stay as they are. `mtk.System.from_vector_field` names the entries
of its state and says which parameters it expects; from then on values, gradients and results have
names.

Run it with `python examples/own_vector_field.py`.
"""

import diffrax
import jax
import jax.numpy as jnp

import mtkparams as mtk

jax.config.update("jax_enable_x64", True)

ts = jnp.linspace(0.0, 40.0, 9)


def field(t, y, args):
    """The Oregonator of Field and Noyes, scaled: a chemical oscillation in three substances."""
    s, q, w = args
    x, y2, z = y
    return jnp.stack([s * (y2 + x * (1 - q * x - y2)), (z - (1 + x) * y2) / s, w * (x - z)])


OPTIONS = {"stepsize_controller": diffrax.PIDController(rtol=1e-8, atol=1e-8), "max_steps": 10_000}

# By hand: numbers in a row, and columns that are known to whoever wrote them.
bare = diffrax.diffeqsolve(
    diffrax.ODETerm(field),
    diffrax.Kvaerno5(),
    0.0,
    ts[-1],
    None,
    jnp.array([1.0, 2.0, 3.0]),
    (7.727, 8.375e-4, 0.161),  # a tenth of the usual s: not quite as stiff
    saveat=diffrax.SaveAt(ts=ts),
    **OPTIONS,
)

# By name.
system = mtk.System.from_vector_field(
    field,
    unknowns={
        "x": mtk.Unknown(1.0, description="bromous acid"),
        "y": mtk.Unknown(2.0, description="bromide"),
        "z": mtk.Unknown(3.0, description="cerium(IV)"),
    },
    parameters={
        "s": mtk.Parameter(7.727, bounds=(0.0, None)),
        "q": mtk.Parameter(8.375e-4, tunable=False),
        "w": mtk.Parameter(0.161, bounds=(0.0, None)),
    },
    args=("s", "q", "w"),
)
problem = mtk.ODEProblem(system, {}, (0.0, float(ts[-1])))
solution = mtk.solve(problem, diffrax.Kvaerno5(), saveat=ts, **OPTIONS)

assert bare.ys is not None
difference = jnp.abs(solution["x"] - bare.ys[:, 0]).max()
print(solution)
print(f"\nlargest difference to diffrax by hand: {difference:.1e}")


# A gradient by name, of the last concentration of cerium.
@jax.jit
def last(problem):
    return mtk.solve(problem, diffrax.Kvaerno5(), saveat=ts, **OPTIONS)["z"][-1]


free = ["s", "w", "x"]
value, slopes = jax.value_and_grad(lambda v: last(mtk.replace(free, problem, v)))(
    mtk.pack(problem, free)
)
print(f"\nz at t = {float(ts[-1]):g}: {value:.6f}")
for label, slope in zip(mtk.labels(problem, free), slopes, strict=True):
    print(f"  its derivative with respect to {label:12} {slope: .4e}")

# And back: diffrax by hand, read by name.
term, t0, t1, y0, args = mtk.to_diffrax(problem)
own = diffrax.diffeqsolve(
    term, diffrax.Kvaerno3(), t0, t1, None, y0, args, saveat=diffrax.SaveAt(ts=ts), **OPTIONS
)
print(f"\nwith another solver, by hand: {mtk.from_diffrax(problem, own)['z'][-1]:.6f}")
