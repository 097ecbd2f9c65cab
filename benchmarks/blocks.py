"""Solves block by block against all at once: `python benchmarks/blocks.py`.

A chain of blocks of three equations, and a wide system of ten kinds of blocks. Compared with
optimistix's Newton on the dense system and, where it is installed, with casadi's sparse Newton.
"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from _interleave import header, run_times, table

from mtkparams._blocks import analyze, solve_blocks

jax.config.update("jax_enable_x64", True)

P = np.array([0.3, 0.7, 0.2])


def chain(n):
    """`n` blocks of three equations, each of which reads the one before."""

    def fn(u, p):
        x = u.reshape(n, 3)
        before = jnp.concatenate([jnp.zeros((1, 3)) + p[2], x[:-1]])
        a, b, c = x.T
        q = before[:, 0] + 0.5 * before[:, 2]
        rows = [
            a + p[0] * jnp.sin(b) - 0.3 * q - 1.0,
            b + 0.2 * a * c - p[1] * jnp.cos(q),
            c + 0.1 * jnp.exp(-a) * b - 0.5 * jnp.tanh(q),
        ]
        return jnp.stack(rows, 1).ravel()

    return fn, 3 * n


def kinds(levels, copies, sizes=range(1, 11)):
    """At each level so many copies of blocks of each size; each reads one unknown of the last level."""
    rng = np.random.default_rng(0)
    width = copies * sum(sizes)
    reads = [[rng.integers(0, width, copies) for _ in sizes] for _ in range(levels)]
    matrices = [0.2 / m * rng.normal(size=(m, m)) for m in sizes]

    def component(x, q, p, matrix, m):
        turned = jnp.roll(x, 1, axis=1) if m > 1 else 0.3 * x
        own = x + p[0] * jnp.sin(turned) + 0.1 * jnp.tanh(x) @ matrix.T + 0.2 * p[1] * x**2
        return own - 0.4 * jnp.cos(q)[:, None] - 0.1 * m

    def fn(u, p):
        rows = []
        before = None
        for level, part in enumerate(jnp.split(u, levels)):
            at = 0
            for m, read, matrix in zip(sizes, reads[level], matrices, strict=True):
                x = part[at : at + copies * m].reshape(copies, m)
                at += copies * m
                q = jnp.zeros(copies) + p[2] if before is None else before[read]
                rows.append(component(x, q, p, matrix, m).ravel())
            before = part
        return jnp.concatenate(rows)

    return fn, levels * width


def prepared(fn, n, label):
    """Compiled solve and gradient, with the CPU seconds that each stage took."""
    guess, p = jnp.full(n, 0.5), jnp.array(P)
    marks = [time.process_time()]

    def mark():
        marks.append(time.process_time())

    structure = analyze(fn, guess, p)
    mark()
    solve = lambda guess, p: solve_blocks(structure, fn, guess, p).u
    lowered = jax.jit(solve).lower(guess, p)
    mark()
    solved = lowered.compile()
    mark()
    lowered = jax.jit(jax.value_and_grad(lambda g, p: solve(g, p).sum(), 1)).lower(guess, p)
    mark()
    gradient = lowered.compile()
    mark()
    seconds = np.diff(marks)
    print(
        f"{label}: {n} unknowns in {len(structure.blocks)} blocks; CPU seconds: structure "
        f"{seconds[0]:.2f}, trace {seconds[1]:.2f}, compile {seconds[2]:.2f}; with gradient: trace "
        f"{seconds[3]:.2f}, compile {seconds[4]:.2f}"
    )
    u = solved(guess, p)
    print(f"  largest residual {float(jnp.abs(fn(u, p)).max()):.1e}", flush=True)
    return (lambda: solved(guess, p)), (lambda: gradient(guess, p))


def dense(fn, n):
    guess, p = jnp.full(n, 0.5), jnp.array(P)
    solver = optx.Newton(rtol=1e-10, atol=1e-10)
    find = jax.jit(lambda g, p: optx.root_find(fn, solver, g, p).value)
    compiled = find.lower(guess, p).compile()
    return lambda: compiled(guess, p)


def by_casadi(n):
    """The same chain in casadi, or None without it."""
    try:
        import casadi as ca
    except ImportError:
        return None
    u, p = ca.SX.sym("u", 3 * n), ca.SX.sym("p", 3)
    rows = []
    for k in range(n):
        a, b, c = (u[3 * k + i] for i in range(3))
        before = [p[2]] * 3 if k == 0 else [u[3 * k - 3 + i] for i in range(3)]
        q = before[0] + 0.5 * before[2]
        rows += [
            a + p[0] * ca.sin(b) - 0.3 * q - 1.0,
            b + 0.2 * a * c - p[1] * ca.cos(q),
            c + 0.1 * ca.exp(-a) * b - 0.5 * ca.tanh(q),
        ]
    problem = {"x": u, "p": p, "g": ca.vertcat(*rows)}
    options = {"linear_solver": "csparse", "abstol": 1e-10}
    solver = ca.rootfinder("solver", "newton", problem, options)
    guess = np.full(3 * n, 0.5)
    return lambda: solver(guess, P)


def main():
    header()
    for n in (33, 333, 1000):
        fn, size = chain(n)
        solve, gradient = prepared(fn, size, f"chain of {n}")
        thunks = {"solve": solve, "solve and gradient": gradient}
        casadi = by_casadi(n)
        if casadi is not None:
            thunks["casadi, sparse Newton"] = casadi
        table(f"chain of {n}", run_times(thunks, rounds=30, calls=2), to="solve", unit="ms")
        if n == 333:
            often = lambda solve=solve: [solve() for _ in range(50)][-1]
            both = {"50 solves": often, "optimistix, dense, once": dense(fn, size)}
            table("against dense", run_times(both, rounds=3, calls=1), to="50 solves", unit="ms")
    fn, size = kinds(4, 50)
    solve, gradient = prepared(fn, size, "ten kinds")
    thunks = {"solve": solve, "solve and gradient": gradient}
    table("ten kinds", run_times(thunks, rounds=10, calls=1), to="solve", unit="ms")


if __name__ == "__main__":
    main()
