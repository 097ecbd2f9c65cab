"""Sound equations are solved, with their slopes, in whatever way they are written and solved.

Each test is of one kind of equations and of some dozens of systems of that kind, in one program.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import sound

import mtkparams as mtk

COUNT = 60  # systems of a kind

# Those of every day. All others are slow, though each is a few seconds: there are hundreds.
DAILY = {("pairs of 3, numbers", "blocks"), ("loop of 2", "blocks"), ("loop of 2, bent", "blocks")}


def cases(kinds, ways):
    """All kinds in the first way, and each in one of the others: each way meets all sorts of kinds."""
    return [
        pytest.param(kind, way, marks=() if (kind, way) in DAILY else pytest.mark.slow)
        for i, kind in enumerate(kinds)
        for way in (ways[0], ways[1 + i % (len(ways) - 1)])
    ]


def with_slopes(solve, kind):
    """From guesses and parameters to unknowns, status, and slopes in both modes; of a whole batch."""

    def one(guess, p):
        u, push, status = jax.linearize(functools.partial(solve, guess), p, has_aux=True)
        forward = jax.vmap(push, out_axes=1)(jnp.eye(p.size, dtype=p.dtype))
        pull = jax.linear_transpose(push, p)
        (reverse,) = jax.vmap(pull)(jnp.eye(u.size, dtype=u.dtype))
        return u, status, forward, reverse

    return jax.jit(jax.vmap(one))


def check(kind, solve, single=False):
    """Nothing is refused; values and slopes are those of the references."""
    systems = sound.drawn(kind, COUNT, single)
    dtype = jnp.float32 if single else jnp.float64
    guess, p = (jnp.asarray(x.astype(float), dtype) for x in (systems.guess, systems.p))
    u, status, forward, reverse = map(np.asarray, with_slopes(solve, kind)(guess, p))
    np.testing.assert_array_equal(status, 0)
    assert u.dtype == dtype
    # What is near zero is what larger terms leave, and is good to the rounding of those.
    rtol, least = (1e-3, 1e-4) if single else (1e-10, 1e-12)
    np.testing.assert_array_less(
        np.abs(u / systems.units - systems.v), rtol * np.abs(systems.v) + least
    )
    least = 1e-3 if single else 1e-12
    largest = np.maximum(np.max(np.abs(systems.slope), 1, keepdims=True), 1)
    within = rtol * np.abs(systems.slope) + least * largest
    for slope in (forward, reverse):
        np.testing.assert_array_less(np.abs(slope / systems.per - systems.slope), within)


# Equations alone


def solver(kind, way):
    """From a guess and parameters to unknowns, and the status of each block."""
    from mtkparams._blocks import Settings, analyze, solve_blocks, solve_whole

    fn = sound.traced(kind)
    if way == "other order":
        return reordered(kind, fn)
    settings = Settings(doubt=True, sliced=way != "whole residual")

    def solve(guess, p):
        if way == "all at once":
            found = solve_whole(fn, guess, p, settings)
        else:
            found = solve_blocks(analyze(fn, guess, p), fn, guess, p, settings)
        return found.u, found.status

    return solve


def reordered(kind, fn):
    """Unknowns and equations declared in another order."""
    from mtkparams._blocks import Settings, analyze, solve_blocks

    n = sum(len(columns) for _, columns in kind.blocks)
    random = np.random.default_rng(n)
    unknowns, equations = random.permutation(n), random.permutation(n)
    other = lambda u, p: fn(u[np.argsort(unknowns)], p)[equations]

    def solve(guess, p):
        structure = analyze(other, guess, p)
        found = solve_blocks(structure, other, guess[unknowns], p, Settings(doubt=True))
        return found.u[np.argsort(unknowns)], found.status

    return solve


WAYS = ("blocks", "whole residual", "all at once", "other order", "32 bits")


@pytest.mark.parametrize(("name", "way"), cases(sound.KINDS, WAYS))
def test_a_sound_system_is_solved_with_its_slopes(name, way):
    kind = sound.KINDS[name]
    check(kind, solver(kind, way), single=way == "32 bits")


# Models


def model(kind, question, dtype):
    """A problem whose equations and names are those of a kind, and which name holds which values.

    Some unknowns are parameters to find, some have a derivative and start where an equation says, or
    at rest, and the first parameter is an initial value.
    """
    random = np.random.default_rng(len(kind.parameters))
    own = {}  # of each unknown, which equation is for it
    for rows, columns in kind.blocks:
        own.update(zip(columns, rows, strict=True))
    if () not in kind.unknowns:
        own = {i: i for i in range(len(kind.unknowns))}
    names = [f"u{i}" for i in range(len(kind.unknowns))]
    roles = ["unknown", "solved"] if question == "root" else ["unknown", "solved", "free", "rest"]
    role = {n: "unknown" if i == 0 else str(random.choice(roles)) for i, n in enumerate(names)}
    role.update({n: "unknown" for n, s in zip(names, kind.unknowns, strict=True) if s != ()})
    given = [f"p{i}" for i in range(len(kind.parameters))]

    def left(u, p):
        unknowns = [getattr(p if role[n] == "solved" else u, n) for n in names]
        first = p.p0 if question == "root" else u.p0
        values = kind.residual(sound.Traced, unknowns, [first, *(getattr(p, n) for n in given[1:])])
        return {n: values[own[i]] for i, n in enumerate(names)}

    def those(chosen, u, p):
        values = left(u, p)
        return {f"e_{n}": values[n] for n in names if role[n] in chosen}

    def derivatives(t, u, p):
        values = left(u, p)
        resting = {n: values[n] for n in names if role[n] == "rest"}
        falling = {n: -getattr(u, n) for n in names if role[n] == "free"}
        return {"p0": -u.p0, **resting, **falling}

    def at_start(t, u, p):
        resting = {f"rest_{n}": u[f"D({n})"] for n in names if role[n] == "rest"}
        return {**resting, **those(("solved", "free"), u, p)}

    ones = lambda shape: jnp.ones(shape, dtype)
    shapes = {**dict(zip(names, kind.unknowns, strict=True)),
              **dict(zip(given, kind.parameters, strict=True))}  # fmt: skip
    parameters = {n: ones(shapes[n]) for n in given}
    found = {n: mtk.Parameter(mtk.SOLVE, guess=ones(())) for n in names if role[n] == "solved"}
    unknowns = {n: mtk.Unknown(guess=ones(shapes[n])) for n in names if n not in found}
    residuals = lambda t, u, p: those(("unknown",), u, p)
    if question == "root":
        system = mtk.System(
            parameters={**parameters, **found}, unknowns=unknowns, residuals=residuals,
            initial_equations=lambda t, u, p: those(("solved",), u, p),
        )  # fmt: skip
        return mtk.NonlinearProblem(system), names, given
    start = {"p0": parameters.pop("p0")}
    system = mtk.System(
        parameters={**parameters, **found}, unknowns={**start, **unknowns}, residuals=residuals,
        derivatives=derivatives, initial_equations=at_start,
    )  # fmt: skip
    return mtk.ODEProblem(system), names, given


MODEL_WAYS = ("root", "root, all at once", "root, 32 bits", "start", "start, all at once")


@pytest.mark.parametrize(("name", "way"), cases(sound.MODELS, MODEL_WAYS))
def test_a_sound_model_is_solved_with_its_slopes(name, way):
    kind, question = sound.MODELS[name], way.split(",")[0]
    single, blocks = "32" in way, "once" not in way
    problem, names, given = model(kind, question, jnp.float32 if single else jnp.float64)

    def solve(guess, p):
        values = dict(zip(given, sound.split(p, kind.parameters), strict=True))
        guesses = dict(zip(names, sound.split(guess, kind.unknowns), strict=True))
        changed = mtk.remake(problem, values, guesses=guesses)  # pyright: ignore
        run = mtk.solve if question == "root" else mtk.initialize
        found = run(changed, throw=False, blocks=blocks)
        return jnp.concatenate([jnp.atleast_1d(found[n]) for n in names]), found.found.status

    check(kind, solve, single)


# The references themselves


def test_there_are_two_thousand():
    assert COUNT * (len(sound.KINDS) + len(sound.MODELS)) >= 2000


EVERY = {**sound.KINDS, **sound.MODELS}
OFTEN = ("mixed of 7", "loop of 3, numbers", "loop of 5, bent", "arrays, choices")


@pytest.mark.parametrize(
    ("name", "single"),
    [
        pytest.param(n, single, marks=() if n in OFTEN else pytest.mark.slow)
        for n in EVERY
        for single in (False, True)
    ],
)
def test_references_are_right(name, single):
    kind = EVERY[name]
    s = sound.drawn(kind, COUNT, single)
    assert (sound.condition(sound.jacobian(kind, s.v, s)) < sound.MOST_CONDITION).all()
    assert kind.affine or (sound.bend(kind, s) < sound.MOST_BEND).all()
    # A unit of rounding of 80-bit numbers is 1e-19, and the largest terms are some hundreds.
    assert np.abs(sound.residuals(kind, s.v, s.p, s)).max() < 1e-16

    # The equations that JAX sees are those that the references are of, by one example.
    u, p = ((x[0]).astype(float) for x in (s.v * s.units, s.p))
    left = np.asarray(sound.traced(kind)(jnp.asarray(u), jnp.asarray(p))) / s.rows[0]
    np.testing.assert_allclose(left.astype(float), 0, atol=1e-13)

    # Slopes are differences of roots: with a step of 1e-6 their error is some 1e-12, times curvature.
    way = np.random.default_rng(0).uniform(-1, 1, s.p.shape) * np.longdouble("1e-6")
    ends = [
        sound.newton(kind, s.v, s._replace(p=s.p + sign * way * s.sizes), 4) for sign in (1, -1)
    ]
    difference, slope = (ends[0] - ends[1]) / 2e-6, (s.slope @ (way * 1e6)[..., None])[..., 0]
    largest = np.maximum(np.max(np.abs(s.slope), (1, 2)), 1)
    wrong = np.max(np.abs(difference - slope), 1)
    np.testing.assert_array_less(wrong, 1e-8 * largest**3)

    for i in range(COUNT if kind.affine else 2):
        one = sound.Systems(*(x[i : i + 1] for x in s))
        at = lambda v, one=one: sound.residuals(kind, v[None], one.p, one)[0].astype(float)
        zero = np.zeros_like(one.v)
        if kind.affine:
            matrix = sound.jacobian(kind, zero, one)[0].astype(float)
            v = np.linalg.solve(matrix, -at(zero[0]))
        else:
            start = (1.01 * one.v)[0].astype(float) + 1e-3
            v = scipy.optimize.root(at, start, tol=1e-14).x
        np.testing.assert_allclose(v, one.v[0].astype(float), rtol=1e-10, atol=1e-12)
