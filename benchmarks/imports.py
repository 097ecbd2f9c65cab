"""What `import mtkparams` adds to `import jax, equinox`: `python benchmarks/imports.py`.

Fresh processes, in turn; CPU time of the process, with modules compiled to bytecode as in an
installed package, and again without bytecode, as in a folder that Python may not write to.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from _interleave import header

FORMS = {
    "jax, equinox": "import jax, equinox",
    "jax, equinox, mtkparams": "import jax, equinox, mtkparams",
    "jax, equinox, diffrax, optax": "import jax, equinox, diffrax, optax",
}
HEAVY = ("diffrax", "lineax", "matplotlib", "optax", "optimistix", "pandas")
# What mtkparams takes in a process that has imported the others already, and how much of that is
# the garbage collector: it may choose this moment to go through all that JAX has made.
ADDED = """
import gc, sys, time
import jax, equinox
times = []
gc.callbacks.append(lambda phase, about: times.append(time.process_time()))
start = time.process_time()
import mtkparams
total = time.process_time() - start
collecting = sum(times[1::2]) - sum(times[::2])
print(total - collecting, collecting, *sorted(set(sys.modules) & set({heavy!r})))
"""


def run(code, environment):
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return out.stdout.split()


def whole(code, environment):
    return float(run(f"{code}\nimport time; print(time.process_time())", environment)[0])


def measure(title, environment, rounds=15):
    whole(FORMS["jax, equinox, mtkparams"], environment)
    totals = {label: [] for label in FORMS}
    own, collecting = [], []
    for _ in range(rounds):
        for label, code in FORMS.items():
            totals[label].append(whole(code, environment))
        added, collected, *heavy = run(ADDED.format(heavy=HEAVY), environment)
        assert not heavy, f"mtkparams imports {heavy}"
        own.append(float(added))
        collecting.append(float(collected))
    print(f"{title}: CPU ms, least / median of {rounds}")
    totals["mtkparams after jax, equinox"] = own
    totals["and the garbage collector in it"] = collecting
    for label, found in totals.items():
        print(f"{label:32}  {min(found) * 1e3:6.0f} / {statistics.median(found) * 1e3:.0f}")
    print(flush=True)


def main():
    header()
    plain = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        measure("with bytecode", {**plain, "PYTHONPYCACHEPREFIX": folder})
    with tempfile.TemporaryDirectory() as folder:
        only_others = {**plain, "PYTHONPYCACHEPREFIX": folder}
        run(FORMS["jax, equinox, diffrax, optax"], only_others)
        never = {**only_others, "PYTHONDONTWRITEBYTECODE": "1"}
        measure("without bytecode of mtkparams", never)


if __name__ == "__main__":
    main()
