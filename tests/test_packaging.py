"""What the package promises whoever installs it."""

import importlib
import importlib.metadata
import importlib.resources
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mtkparams

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(mtkparams.__path__, "mtkparams.")
    if not module.name.endswith(".__main__")  # importing it may run it
)
HEAVY = ("diffrax", "optax", "optimistix", "matplotlib", "tqdm")


def test_type_checkers_find_our_annotations():
    assert importlib.resources.files("mtkparams").joinpath("py.typed").is_file()


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports(name):
    importlib.import_module(name)


def test_import_is_light_and_without_warnings():
    program = f"import sys, mtkparams; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:mtkparams", "-c", program],
        capture_output=True,
        text=True,
    )
    assert (run.stdout.strip(), run.stderr, run.returncode) == ("", "", 0)


def test_one_version():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert mtkparams.__version__ == importlib.metadata.version("mtkparams") == declared


def _public(module):
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, type(sys))
    }


def test_every_public_name_is_in_the_api_pages():
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    documented = set(re.findall(r"^::: mtkparams\.(?:\w+\.)*(\w+)$", pages, re.MULTILINE))
    assert _public(mtkparams) - documented == set()
