"""Programs of blocks: the same values as the residual, costly parts once, as few as there are kinds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params


@jax.custom_jvp
def softened(x):
    return jnp.logaddexp(x, 0.0)


@softened.defjvp
def _(primals, tangents):
    # Not its derivative, so that one can see whether this rule was kept.
    return softened(*primals), 3.0 * tangents[0]


def loop(x):
    return jax.lax.fori_loop(0, 7, lambda i, v: jnp.sin(v) + 0.1 * x, x)


def varied(u, args):
    """Scans, loops, branches, linear solves, custom rules, tables, sums, integers."""
    k, table, n = args["k"], args["table"], args["n"]
    warm = loop(k)
    first = u[0] ** 3 + u[0] - warm
    _, running = jax.lax.scan(lambda c, x: (c * 0.5 + x, c + x), u[0], table)
    second = u[1] + 0.1 * jnp.tanh(u[1]) - running[-1] - softened(u[0])
    third = jax.lax.cond(k > 0, lambda x: x + loop(u[0]), lambda x: x * 2, u[2]) - u[1]
    matrix = jnp.eye(2) * 3 + jnp.outer(table[:2], table[:2])
    pair = jnp.linalg.solve(matrix, u[3:5]) + 0.1 * u[3:5] ** 2 - u[2] * table[1:]
    last = u[5] * n.astype(float) - jnp.dot(u[:5], jnp.arange(5.0)) - jnp.max(u[:3])
    return jnp.stack([first, second, third, *pair, last])


ARGS = {"k": 0.9, "table": np.array([0.2, 0.5, 0.3]), "n": 3}


def arrays(args):
    return {"k": jnp.asarray(args["k"]), "table": jnp.asarray(args["table"]), "n": jnp.array(3)}


@pytest.mark.slow
def test_programs_and_whole_residual_agree():
    from mtkparams._blocks import Settings, analyze, solve_blocks

    guess, args = jnp.full(6, 0.3), arrays(ARGS)
    structure = analyze(varied, guess, args)
    assert len(structure.blocks) == 5

    def solved(sliced, k, table):
        inner = {**args, "k": k, "table": table}
        return solve_blocks(structure, varied, guess, inner, Settings(sliced=sliced))

    def both(k, table):
        sides = [lambda *a, s=s: solved(s, *a).u for s in (True, False)]
        return [(f(k, table), jax.jacfwd(f, (0, 1))(k, table)) for f in sides]

    (a, slope_a), (b, slope_b) = jax.jit(both)(args["k"], args["table"])
    np.testing.assert_allclose(varied(a, args), 0, atol=1e-14)
    np.testing.assert_allclose(a, b, rtol=1e-13)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12), slope_a, slope_b)
    # The wrong rule of `softened` was followed: u1 = ... + softened(u0).
    u1 = a[1]
    du0 = slope_a[0][0]
    slope = (1 + 0.1 * (1 - jnp.tanh(u1) ** 2)) * slope_a[0][1] / du0
    np.testing.assert_allclose(slope, 0.25 + 3.0, rtol=1e-10)


def inside(jaxpr):
    """All equations of a jaxpr, with the number of loops that each is in."""
    for eqn in jaxpr.eqns:
        yield eqn, 0
        deeper = eqn.primitive.name == "while"
        for sub in jaxprs_in_params(eqn.params):
            for e, depth in inside(sub):
                yield e, depth + deeper


def test_costly_parts_are_outside_of_every_iteration():
    from mtkparams._blocks import analyze, solve_blocks

    costly = jax.lax.erf_inv  # a primitive that nothing else here uses

    def fn(u, p):
        of_arguments = costly(0.5 * jnp.tanh(p))
        earlier = costly(jnp.tanh(loop(u[0])))  # used by two blocks
        return jnp.stack(
            [
                u[0] ** 3 + u[0] - of_arguments,
                u[1] ** 3 + u[1] - earlier,
                u[2] ** 5 + u[2] - 2 * earlier + costly(0.1 * u[1]),
            ]
        )

    guess, p = jnp.ones(3), jnp.array(0.7)
    structure = analyze(fn, guess, p)
    found = lambda p: solve_blocks(structure, fn, guess, p)
    traced = jax.make_jaxpr(found)(p)
    depths = [depth for eqn, depth in inside(traced.jaxpr) if eqn.primitive.name == "erf_inv"]
    # Of arguments, of the first block once for both its readers, of the second block: none iterates.
    assert depths
    assert max(depths) == 0
    calls = []

    def counted(x):
        calls.append(None)
        return np.asarray(x)

    def counting(u, p):
        shape = jax.ShapeDtypeStruct((), u.dtype)
        heavy = jax.pure_callback(counted, shape, u[0], vmap_method="sequential")
        return jnp.stack([u[0] ** 3 + u[0] - p, u[1] ** 3 + u[1] - heavy, u[2] ** 3 - heavy])

    structure = analyze(counting, guess, p)
    assert len(structure.blocks) == 3
    got = jax.jit(lambda p: solve_blocks(structure, counting, guess, p))(p)
    got.u.block_until_ready()
    assert len(calls) == 1
    assert got.iterations.min() > 3
    np.testing.assert_allclose(got.caches[1], got.u[:1])


def chain(n):
    def fn(u, p):
        x = u.reshape(n, 3)
        before = jnp.concatenate([jnp.zeros((1, 3)) + p[2], x[:-1]])
        a, b, c = x.T
        q = before[:, 0] + 0.5 * before[:, 2]
        return jnp.stack(
            [
                a + p[0] * jnp.sin(b) - 0.3 * q - 1.0,
                b + 0.2 * a * c - p[1] * jnp.cos(q),
                c + 0.1 * jnp.exp(-a) * b - 0.5 * jnp.tanh(q),
            ],
            1,
        ).ravel()

    return fn


@pytest.mark.slow
def test_a_program_does_not_grow_with_the_number_of_blocks():
    from mtkparams._blocks import analyze, solve_blocks

    def count(n):
        fn, guess, p = chain(n), jnp.full(3 * n, 0.5), jnp.array([0.3, 0.7, 0.2])
        structure = analyze(fn, guess, p)
        assert len(structure.blocks) == n
        total = lambda p: solve_blocks(structure, fn, guess, p).u.sum()
        traced = jax.make_jaxpr(jax.value_and_grad(total))(p)
        return sum(1 for _ in inside(traced.jaxpr))

    # From 48 levels on a program has an iteration to itself: the first block, and all others.
    assert count(300) == count(60)


@pytest.mark.slow
@pytest.mark.parametrize("sliced", [True, False])
def test_a_long_chain_is_solved(sliced):
    from mtkparams._blocks import Settings, analyze, solve_blocks

    n = 20
    fn, guess, p = chain(n), jnp.full(3 * n, 0.5), jnp.array([0.3, 0.7, 0.2])
    structure = analyze(fn, guess, p)
    found = lambda p: solve_blocks(structure, fn, guess, p, Settings(sliced=sliced)).u
    u, forward, backward = jax.jit(
        lambda p: (found(p), jax.jacfwd(found)(p), jax.jacrev(found)(p))
    )(p)
    np.testing.assert_allclose(fn(u, p), 0, atol=1e-15)
    ju, jp = jax.jacfwd(fn, (0, 1))(u, p)
    want = -np.linalg.solve(ju, jp)
    np.testing.assert_allclose(forward, want, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(backward, want, rtol=1e-12, atol=1e-15)


@pytest.mark.slow
def test_many_different_blocks_share_an_iteration():
    from mtkparams._blocks import analyze, solve_blocks

    functions = [jnp.sin, jnp.tanh, jnp.arctan, jnp.exp, jnp.cos, jnp.sinh, jnp.log1p, jnp.square]

    def fn(u, p):
        rows = [u[0] ** 3 + u[0] - p]
        rows += [u[i + 1] + 0.1 * f(u[i + 1]) - u[i] for i, f in enumerate(functions)]
        return jnp.stack(rows)

    guess, p = jnp.ones(9), jnp.array(1.3)
    structure = analyze(fn, guess, p)
    assert len(structure.blocks) == 9
    found = lambda p: solve_blocks(structure, fn, guess, p).u
    traced = jax.make_jaxpr(found)(p)
    loops = [d for eqn, d in inside(traced.jaxpr) if eqn.primitive.name == "while" and d == 0]
    assert len(loops) == 1
    u, slope = jax.jit(lambda p: (found(p), jax.jacrev(found)(p)))(p)
    np.testing.assert_allclose(fn(u, p), 0, atol=1e-15)
    ju, jp = jax.jacfwd(fn, (0, 1))(u, p)
    np.testing.assert_allclose(slope, -np.linalg.solve(ju, jp), rtol=1e-12)


def ring(u, p):
    """A block of twenty unknowns that reads the first two, and is too large to be written out."""
    x = u[2:]
    turned = jnp.roll(x, 1)
    gain = jnp.exp(-jnp.linspace(0.0, 1.0, 20) * u[0])  # hoisted
    mixed = jnp.cos(jnp.arange(400.0)).reshape(20, 20) @ (gain * jnp.sin(turned))
    pull = 0.05 * mixed + jnp.where(turned > 0, p * turned, 0.0) * 0.1
    head = jnp.stack([u[0] ** 3 + u[0] - p, u[1] + jnp.sin(u[0])])
    tied = x + pull - u[1] * jax.nn.softplus(x[::-1]) - jnp.max(x.reshape(4, 5), 1).sum() * 0.01
    return jnp.concatenate([head, tied])


def scalars(u, p):
    """Names one by one, as a modeller writes them; constants and parameters in each."""
    rows = [u[0] - p[0] * 2.0]
    for i in range(1, 12):
        rows.append(u[i] ** 3 + p[i % 3] * u[i] - (0.1 * i) * jnp.tanh(u[i - 1]) - 1.5)
    return jnp.stack(rows)


def hubs(u, p):
    """One that all read, and one that reads all; a block of two beside a block of three."""
    hub = u[0] ** 3 + u[0] - p[0]
    leaves = u[1:5] + 0.2 * jnp.sin(u[1:5]) * u[0] - p[1:5]
    pair = jnp.stack([u[5] + u[6] ** 2 - u[1], u[6] * 3 - u[5] ** 2 - u[2]])
    three = jnp.stack(
        [u[7] + 0.1 * u[8] * u[9] - u[0], u[8] + 0.2 * u[7] - u[3], u[9] + u[8] * 0.3 - u[4]]
    )
    return jnp.concatenate([hub[None], leaves, pair, three, (u[10] - jnp.sum(u[:10] ** 2))[None]])


@pytest.mark.parametrize(
    ("fn", "n", "p", "blocks"),
    [
        pytest.param(ring, 22, np.array(0.7), 3, marks=pytest.mark.slow),
        (scalars, 12, np.array([0.4, 0.8, 1.1]), 12),
        pytest.param(hubs, 11, np.array([0.4, 0.8, 1.1, 0.6, 0.3]), 8, marks=pytest.mark.slow),
    ],
)
def test_systems_of_many_shapes(fn, n, p, blocks):
    from mtkparams._blocks import analyze, solve_blocks

    guess, p = jnp.full(n, 0.4), jnp.asarray(p)
    structure = analyze(fn, guess, p)
    assert len(structure.blocks) == blocks
    found = lambda p: solve_blocks(structure, fn, guess, p)
    got, forward, backward = jax.jit(
        lambda p: (
            found(p),
            jax.jacfwd(lambda p: found(p).u)(p),
            jax.jacrev(lambda p: found(p).u)(p),
        )
    )(p)
    u = got.u
    assert got.status.max() == 0
    np.testing.assert_allclose(fn(u, p), 0, atol=2e-15 * n)
    ju, jp = jax.jacfwd(fn, (0, 1))(u, p)
    want = -np.linalg.solve(ju, jp)
    np.testing.assert_allclose(forward, want, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(backward, want, rtol=1e-11, atol=1e-14)


@pytest.mark.slow
def test_second_derivatives_through_what_blocks_leave_behind():
    from mtkparams._blocks import analyze, solve_blocks

    def fn(u, p):
        left = loop(u[0])
        return jnp.stack([u[0] ** 3 + u[0] - p[0], u[1] + p[1] * jnp.sin(left + u[1]) - left])

    guess, p = jnp.ones(2), np.array([0.9, 0.3])
    structure = analyze(fn, guess, jnp.asarray(p))
    total = lambda p: jnp.sum(solve_blocks(structure, fn, guess, p).u ** 2)
    both = jax.jit(lambda p: (jax.grad(total)(p), jax.jacfwd(jax.grad(total))(p)))
    h = 1e-3
    weights = {-2: 1, -1: -8, 1: 8, 2: -1}
    # Of fourth order: truncation 1e-12, rounding 1e-13.
    difference = [
        sum(w * both(jnp.asarray(p + k * h * e))[0] for k, w in weights.items()) / (12 * h)
        for e in np.eye(2)
    ]
    np.testing.assert_allclose(both(jnp.asarray(p))[1], difference, rtol=1e-8, atol=1e-10)


def test_other_shapes_than_analysed_are_refused():
    from mtkparams._blocks import analyze, solve_blocks
    from mtkparams.errors import ShapeError

    structure = analyze(scalars, jnp.ones(12), jnp.ones(3))
    with pytest.raises(ShapeError, match=r"shapes \[\(12,\), \(3,\)\], and these have"):
        solve_blocks(structure, scalars, jnp.ones(12), jnp.ones(4))
    over = lambda u, p: jnp.concatenate([u - p, u[:1] + p[:1]])
    with pytest.raises(ShapeError, match="4 equations cannot be solved for 3 unknowns"):
        solve_blocks(analyze(over, jnp.ones(3), jnp.ones(3)), over, jnp.ones(3), jnp.ones(3))


def test_another_precision_than_analysed_is_solved_by_the_residual():
    from mtkparams._blocks import analyze, solve_blocks

    structure = analyze(scalars, jnp.ones(12), jnp.ones(3))
    guess, p = jnp.ones(12, jnp.float32), jnp.array([0.4, 0.8, 1.1], jnp.float32)
    found = jax.jit(lambda p: solve_blocks(structure, scalars, guess, p))(p)
    assert found.u.dtype == jnp.float32
    np.testing.assert_allclose(scalars(found.u, p), 0, atol=5e-6)


@pytest.mark.slow
def test_kinds_in_no_order_take_turns():
    from mtkparams._blocks import analyze, solve_blocks
    from mtkparams._blocks.programs.equations import ProgramPlan

    sizes = [1, 2, 1, 1, 2, 2, 1, 2, 1, 1, 1, 2, 2, 1, 2]

    def fn(u, p):
        rows, at, last = [], 0, p
        for size in sizes:
            x = u[at : at + size]
            turned = x[::-1] if size > 1 else 0.5 * x
            rows.append(x + 0.2 * jnp.sin(turned) + 0.1 * x**3 - last)
            at, last = at + size, x[0]
        return jnp.concatenate(rows)

    guess, p = jnp.ones(sum(sizes)), jnp.array(1.2)
    structure = analyze(fn, guess, p)
    assert len(structure.blocks) == len(sizes)
    # Written one after the other these would be fourteen iterations; a choice between two serves.
    assert ProgramPlan(structure).schedule.runs is None
    found = lambda p: solve_blocks(structure, fn, guess, p).u
    u, forward, backward = jax.jit(
        lambda p: (found(p), jax.jacfwd(found)(p), jax.jacrev(found)(p))
    )(p)
    np.testing.assert_allclose(fn(u, p), 0, atol=1e-15)
    ju, jp = jax.jacfwd(fn, (0, 1))(u, p)
    want = -np.linalg.solve(ju, jp)
    np.testing.assert_allclose(forward, want, rtol=1e-12)
    np.testing.assert_allclose(backward, want, rtol=1e-12)
