"""Every file of examples/ runs, with the small settings that MTKPARAMS_QUICK asks for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = [
    "consistent_start.py",
    "silent_zero.py",
    "ensemble.py",
    "fit_conditions.py",
    "fit_lynx_hare.py",
    "fit_lynx_hare_dict.py",
    "fit_methods.py",
    "fit_rober.py",
    "learning_rate_per_name.py",
    "own_vector_field.py",
    "rober_dae.py",
    "sample_posterior.py",
    "two_tanks.py",
    "universal_differential_equation.py",
]


def test_the_list_is_complete():
    assert sorted(EXAMPLES) == sorted(path.name for path in FOLDER.glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, tmp_path):
    run = subprocess.run(
        [sys.executable, FOLDER / name],
        cwd=tmp_path,
        env={**os.environ, "MTKPARAMS_QUICK": "1", "MPLBACKEND": "Agg"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, f"{name} failed\n{run.stdout}\n{run.stderr}"
