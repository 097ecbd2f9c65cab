"""What a call of a compiled function of `p` costs before any work: `python benchmarks/dispatch.py`.

All leaves are really passed (`keep_unused=True`), and the function returns one number.
"""

from __future__ import annotations

import pickle
import tempfile
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
from _interleave import header, run_times, table

import mtkparams as mtk


def double(p):
    return 2 * p.x0


def declared(n):
    """Names of one portion, and a dependent one."""
    return {"gain": mtk.Parameter(bind=double)} | {f"x{i}": 0.5 for i in range(n)}


def declared_in_all_portions(n):
    kinds = (
        lambda i: (f"x{i}", 0.5),
        lambda i: (mtk.Initial(f"x{i}"), 0.5),
        lambda i: (f"x{i}", mtk.Parameter(1.0, discrete=True)),
        lambda i: (f"x{i}", i),
        lambda i: (f"x{i}", mtk.Parameter(1.0, tunable=False)),
    )
    table = {"weights": jnp.ones(3), "kind": "linear"}
    return dict(kinds[i % 5](i) for i in range(n)) | {"t": mtk.Parameter(table, tunable=False)}


def loaded(p):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.mtk"
        mtk.io.save(path, p)
        return mtk.io.load(path, p)


def first_number(x):
    return jnp.ravel(jax.tree.leaves(x)[0])[0]


def jitted():
    # A new function each time: JAX has not seen it before.
    return jax.jit(lambda x: first_number(x), keep_unused=True)


def main():
    header()
    for n in (10, 100, 1_000, 10_000):
        p = mtk.parameters(declared(n))
        every = mtk.parameters(declared_in_all_portions(n))
        copies = {
            "equal copy: unpickled": pickle.loads(pickle.dumps(p)),
            "equal copy: declared again": mtk.parameters(declared(n)),
            "equal copy: loaded from a file": loaded(p),
        }
        leaves = len(jax.tree.leaves(every))
        of = {
            "flat vector": mtk.canonicalize(mtk.Tunable, p)[0],
            f"p, {len(jax.tree.leaves(p))} buffers": p,
            f"p with all portions, {leaves} buffers": every,
            f"tuple of {leaves} arrays": tuple(jax.tree.leaves(every)),
        }
        if n <= 1_000:
            of["dictionary of scalars"] = {f"x{i}": jnp.asarray(0.5) for i in range(n)}
        thunks = {label: partial(jitted(), x) for label, x in of.items()}
        same = jitted()
        same(p)
        thunks |= {label: partial(same, x) for label, x in copies.items()}
        thunks["p through eqx.filter_jit"] = partial(eqx.filter_jit(first_number), p)
        seconds = run_times(thunks, rounds=100, calls=50)
        assert same._cache_size() == 1, "an equal copy was traced again"
        table(f"{n} names", seconds, to="flat vector")


if __name__ == "__main__":
    main()
