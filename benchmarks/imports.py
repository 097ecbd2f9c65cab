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
# What mtkparams takes in a process that has imported the others already.
ADDED = """
import jax, equinox, sys, time
start = time.process_time()
import mtkparams
print(time.process_time() - start, *sorted(set(sys.modules) & set({heavy!r})))
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
    added, totals = [], {label: [] for label in FORMS}
    for _ in range(rounds):
        for label, code in FORMS.items():
            totals[label].append(whole(code, environment))
        seconds, *heavy = run(ADDED.format(heavy=HEAVY), environment)
        added.append(float(seconds))
    assert not heavy, f"mtkparams imports {heavy}"
    print(f"{title}: CPU ms, least / median of {rounds}")
    for label, own in {**totals, "mtkparams after jax, equinox": added}.items():
        print(f"{label:30}  {min(own) * 1e3:6.0f} / {statistics.median(own) * 1e3:.0f}")
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
