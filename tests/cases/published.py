"""Data of published models that are not part of this repository."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

# The folder of the cases: `boehm/data.csv` and so on. Without it the tests that need data are skipped.
CASES = Path(os.environ.get("MTKPARAMS_CASES", Path(__file__).parents[3] / "shared" / "cases"))


def measurements(case: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times and measured values of each observable."""
    path = CASES / case / "data.csv"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    found = {}
    for name in dict.fromkeys(row["observableId"] for row in rows):
        own = [row for row in rows if row["observableId"] == name]
        pairs = [(float(row["time"]), float(row["measurement"])) for row in own]
        ts, values = np.array(pairs).T
        found[name] = ts, values
    return found
