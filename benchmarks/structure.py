"""What structural analysis costs, and where: `python benchmarks/structure.py`.

Matching, blocks and their order for 20,000 unknowns; the whole analysis of vectorized equations, and
of as many scalar ones; with the tracing that JAX does in it, which no analysis can be faster than.
"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from _interleave import header

from mtkparams._blocks import analyze, decompose, incidence

N = 20_000


def cpu(f, rounds=5):
    """The least CPU seconds of a few calls, and the last result."""
    best = np.inf
    for _ in range(rounds):
        start = time.process_time()
        result = f()
        best = min(best, time.process_time() - start)
    return best, result


def shuffled_blocks(size, reads=3, seed=0):
    """Full blocks of one size, each reading some unknowns of earlier blocks, in random order."""
    rng = np.random.default_rng(seed)
    n = N // size * size
    start = np.arange(0, n, size)
    i, j = np.meshgrid(np.arange(size), np.arange(size))
    rows = [(start[:, None] + i.ravel()).ravel()]
    columns = [(start[:, None] + j.ravel()).ravel()]
    for _ in range(reads):
        rows.append(start[1:] + rng.integers(0, size, len(start) - 1))
        columns.append(rng.integers(0, start[1:]))
    row, column = rng.permutation(n)[np.concatenate(rows)], np.concatenate(columns)
    column = rng.permutation(n)[column]
    return sp.csr_array((np.ones(len(row)), (row, column)), shape=(n, n))


def patterns():
    chain = sp.csr_array(sp.eye_array(N) + sp.eye_array(N, k=-1))
    yield "a chain of single ones", chain
    yield "the same, reversed", chain[::-1]
    yield "one block: a ring", sp.csr_array(chain + sp.eye_array(N, k=N - 1))
    for size in (1, 3, 10, 1000):
        yield f"blocks of {size}, shuffled", shuffled_blocks(size)
    random = sp.random_array((N, N), density=3 / N, rng=np.random.default_rng(0))
    yield "random: singular", sp.csr_array(random)


def components(u, p):
    """200 components of each size from 1 to 10, the first unknown of each feeding the next size."""
    out, before, start = [], jnp.ones(200), 0
    for m in range(1, 11):
        x = u[start : start + 200 * m].reshape(200, m)
        out.append((x**3 + x + 0.1 * jnp.sin(x @ p[f"w{m}"].T) - before[:, None]).ravel())
        before, start = x[:, 0], start + 200 * m
    return jnp.concatenate(out)


def chain(u, p):
    """Blocks of three in a row."""
    x = u.reshape(-1, 3)
    before = jnp.concatenate([jnp.ones((1, 3)), x[:-1]])
    a, b, c = x.T
    first = a**3 + a + 0.1 * b - p * before[:, 0]
    second = b**3 + b + 0.1 * c - before[:, 1]
    third = c + 0.1 * a + 0.1 * jnp.sin(c) - before[:, 2]
    return jnp.stack([first, second, third], 1).ravel()


def scalars(u, p):
    """One equation at a time, as of a model whose unknowns are all named."""
    x = list(u)
    out = []
    for i, own in enumerate(x):
        before = x[i - 1] if i % 3 else 1.0
        after = x[i + 1] if i % 3 == 0 and i + 1 < len(x) else p
        out.append(own * own * own + own + 0.1 * jnp.sin(after) - before * p)
    return jnp.stack(out)


def main():
    jax.config.update("jax_enable_x64", True)
    header()
    print(f"decompose, {N:,} unknowns: CPU seconds")
    for label, pattern in patterns():
        seconds, parts = cpu(lambda pattern=pattern: decompose(pattern))
        found = f"{len(parts.blocks):6} blocks, {len(parts.over)} over, {len(parts.under)} under"
        print(f"  {label:28} {pattern.nnz:8} entries  {found:36} {seconds:6.3f}", flush=True)
    weights = {f"w{m}": jnp.ones((m, m)) for m in range(1, 11)}
    print("\nanalysis: CPU seconds; each column has the one before it in it")
    print(
        f"  {'':28} {'unknowns':>8} {'equations':>9} {'traced':>7} {'incidence':>9} {'blocks':>7}"
    )
    for label, f, n, p in (
        ("333 blocks of three", chain, 999, jnp.ones(())),
        ("10,000 blocks of three", chain, 30_000, jnp.ones(())),
        ("2,000 blocks of ten kinds", components, 11_000, weights),
        ("500 scalars", scalars, 500, jnp.ones(())),
        ("2,000 scalars", scalars, 2_000, jnp.ones(())),
    ):
        u = jnp.ones(n)
        # A new function each time: JAX keeps what it has traced.
        new = lambda f=f: lambda *given: f(*given)
        traced, jaxpr = cpu(lambda u=u, p=p, new=new: jax.make_jaxpr(new())(u, p), 3)
        pattern, _ = cpu(lambda u=u, p=p, new=new: incidence(new(), u, p), 3)
        whole, _ = cpu(lambda u=u, p=p, new=new: analyze(new(), u, p), 3)
        count = len(jaxpr.jaxpr.eqns)
        print(f"  {label:28} {n:8} {count:9} {traced:7.3f} {pattern:9.3f} {whole:7.3f}", flush=True)


if __name__ == "__main__":
    main()
