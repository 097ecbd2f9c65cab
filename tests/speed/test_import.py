"""`import mtkparams` is `import jax, equinox` and small modules of its own; files and fits come at first use."""

import subprocess
import sys

PROGRAM = """
import sys
import jax, equinox
before = set(sys.modules)
import mtkparams
print(*sorted(set(sys.modules) - before))
"""


def test_what_an_import_brings():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    own = {name for name in run.stdout.split() if name.split(".")[0] == "mtkparams"}
    others = set(run.stdout.split()) - own
    assert others <= set(sys.stdlib_module_names)
    late = ("mtkparams.io", "mtkparams.fitting", "mtkparams.demo")
    assert not any(name.startswith(late) for name in own)
