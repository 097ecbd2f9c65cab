"""`import mtkparams` is two small modules; a chapter comes with the first of its names."""

import ast
import pathlib
import subprocess
import sys

import pytest

import mtkparams as mtk

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
    assert own == {"mtkparams", "mtkparams.errors"}


def test_every_public_name_has_a_chapter_and_the_same_for_type_checkers():
    tree = ast.parse(pathlib.Path(mtk.__file__).read_text())
    (checked,) = (n for n in tree.body if isinstance(n, ast.If))
    seen = {
        a.name: n.module for n in checked.body if isinstance(n, ast.ImportFrom) for a in n.names
    }
    assert seen == {**mtk._CHAPTER_OF, "fitting": None, "io": None}
    for name in dir(mtk):
        assert getattr(mtk, name) is getattr(mtk, name)
    with pytest.raises(AttributeError, match="has no attribute 'parametres'"):
        getattr(mtk, "parametres")  # noqa: B009
