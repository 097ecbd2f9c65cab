"""What operations on 10,000 names cost outside of compiled functions: `python benchmarks/objects.py`.

Each is compared with the nearest thing that JAX does with one vector of 10,000 numbers.
"""

from __future__ import annotations

import copy
import pickle
import time

import jax
import jax.numpy as jnp
from _interleave import header, run_times, table

import mtkparams as mtk

N = 10_000
NAMES = [f"x{i}" for i in range(N)]


def once(label, f):
    start = time.process_time()
    result = jax.block_until_ready(f())
    print(f"{label:32}  {(time.process_time() - start) * 1e3:8.0f} ms CPU", flush=True)
    return result


def main():
    header()
    jnp.zeros(1) + 1
    p = once("mtk.parameters", lambda: mtk.parameters(dict.fromkeys(NAMES, 0.5)))
    once("mtk.parameters, again", lambda: mtk.parameters(dict.fromkeys(NAMES, 0.5)))
    once("first p['x']", lambda: p["x5"])
    once("first p.set of one name", lambda: p.set({"x5": 1.0}))
    values = once("dict(p), each name read", lambda: dict(p))
    once("p.set of all names", lambda: p.set(values))
    once("pickle and unpickle", lambda: pickle.loads(pickle.dumps(p)))
    once("str(p)", lambda: str(p) and None)
    once("mtk.describe", lambda: mtk.describe(p) and None)
    free, rest = once("mtk.partition, 5,000 names", lambda: mtk.partition(p, *NAMES[: N // 2]))
    once("mtk.combine", lambda: mtk.combine(free, rest))
    print()

    v, repack, _ = mtk.canonicalize(mtk.Tunable, p)
    few = NAMES[5:N:1_000]
    table(
        "10,000 names",
        run_times(
            {
                "jnp.copy(v)": lambda: jnp.copy(v),
                "v[5]": lambda: v[5],
                "v.at[5].set(1.0)": lambda: v.at[5].set(1.0),
                "p['x5']": lambda: p["x5"],
                "p.set({'x5': 1.0})": lambda: p.set({"x5": 1.0}),
                "p.set of 10 names": lambda: p.set(dict.fromkeys(few, 1.0)),
                "copy.copy(p)": lambda: copy.copy(p),
                "mtk.canonicalize(mtk.Tunable, p)": lambda: mtk.canonicalize(mtk.Tunable, p)[0],
                "mtk.canonicalize of 10 names": lambda: mtk.canonicalize(few, p)[0],
                "repack(v)": lambda: repack(v),
                "mtk.replace(mtk.Tunable, p, v)": lambda: mtk.replace(mtk.Tunable, p, v),
            },
            rounds=50,
            calls=10,
        ),
        to="v.at[5].set(1.0)",
    )


if __name__ == "__main__":
    main()
