"""Turns README.md, the pages of docs/ and the docstrings of mtkparams/ into tests.

Every fenced `python` block and every `>>>` example runs. A page is one session from top to bottom,
and so are the docstrings of one file. Pages run as a new user's script would: with JAX's defaults,
unless the page itself turns float64 on. Docstrings run in float64. Both run in an empty folder.

mtkparams is not imported here: the option `--jaxtyping-packages` has to see its first import.
"""

import collections
import ctypes
import doctest
import gc
import os
import pathlib
import re
import resource

import jax
import pytest
from sybil import Sybil
from sybil.evaluators.doctest import NUMBER, DocTestEvaluator
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.sybil import SybilCollection

os.environ["MPLBACKEND"] = "Agg"  # no window, whoever imports matplotlib first

FLAGS = ("jax_enable_x64", "jax_numpy_dtype_promotion", "jax_numpy_rank_promotion")
FENCED = re.compile(r"^([ \t]*)(```+|~~~+).*?^\1\2[ \t]*$", re.DOTALL | re.MULTILINE)
OPTIONS = doctest.ELLIPSIS | NUMBER

fenced_examples = PythonCodeBlockParser(doctest_optionflags=OPTIONS)
doctest_examples = DocTestStringParser(DocTestEvaluator(OPTIONS))


def bare_examples(document):
    """The `>>>` examples outside fences, where the closing fence cannot pass for their output."""
    text = FENCED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), document.text)
    return doctest_examples(text, document.path)


def as_user(tmp_path_factory, x64):
    before = {flag: getattr(jax.config, flag) for flag in FLAGS}
    folder = os.getcwd()
    for flag, value in zip(FLAGS, (x64, "standard", "allow"), strict=True):
        jax.config.update(flag, value)
    os.chdir(tmp_path_factory.mktemp("page"))
    yield
    os.chdir(folder)
    for flag, value in before.items():
        jax.config.update(flag, value)


@pytest.fixture(scope="module")
def user_of_page(tmp_path_factory):
    yield from as_user(tmp_path_factory, x64=False)


@pytest.fixture(scope="module")
def user_of_docstring(tmp_path_factory):
    yield from as_user(tmp_path_factory, x64=True)


parsers = [fenced_examples, bare_examples, SkipParser()]
pages = Sybil(parsers, pattern="*.md", fixtures=["user_of_page"])
docstrings = Sybil(parsers, path="mtkparams", pattern="*.py", fixtures=["user_of_docstring"])
pytest_collect_file = SybilCollection([pages, docstrings]).pytest()


def pytest_collection_modifyitems(items):
    """Pages are slow, and so are the examples of the chapters that solve: each compiles its own."""
    solving = {"_fitting", "_initialization", "_problems"}
    for item in items:
        if item.path.suffix == ".md" or solving.intersection(item.path.parts):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Programs that one file compiled are of little use to the next, and take gigabytes in the end."""
    yield
    jax.clear_caches()
    gc.collect()
    # The C library of Linux keeps what was freed unless it is asked.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def memory():
    """How much memory this process holds now, in MB; where nobody tells, the most that it held."""
    status = pathlib.Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.memory = memory()
    return report


COSTS = collections.defaultdict(lambda: [0, 0.0, 0.0])


def pytest_runtest_logreport(report):
    """Of each chapter: tests, seconds, and the most memory that a process held. Workers send theirs here."""
    parts = pathlib.PurePosixPath(report.nodeid.partition("::")[0]).parts
    cost = COSTS["/".join(parts[: max(1, min(2, len(parts) - 1))])]
    cost[0] += report.when == "call"
    cost[1] += report.duration
    cost[2] = max(cost[2], getattr(report, "memory", 0.0))


def pytest_terminal_summary(terminalreporter):
    if not COSTS:
        return
    terminalreporter.section("what it cost, by chapter")
    for chapter, (count, seconds, most) in sorted(COSTS.items(), key=lambda item: -item[1][1]):
        line = f"{seconds:8.0f} s {most:7.0f} MB {count:6d}  {chapter}"
        terminalreporter.write_line(line)
