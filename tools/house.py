"""The house in numbers: `python tools/house.py [package]` counts what makes a package easy to comprehend.

By `ast` alone: nothing is imported, so it counts any package that lies on this machine.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
import itertools
import pathlib
import statistics
import sys
import tokenize
from collections.abc import Iterable, Iterator

# Locals that say how something was come by, never what it is.
GESTURES = ("found", "own", "one")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclasses.dataclass(frozen=True)
class Module:
    name: str
    path: pathlib.Path
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def lines(self) -> int:
        return len(self.path.read_text().splitlines())

    @property
    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        return (n for n in ast.walk(self.tree) if isinstance(n, FUNCTIONS))


@dataclasses.dataclass(frozen=True)
class Import:
    """One import of a sister: from a module, of where a name is defined, by a path that is written there."""

    importer: str
    imported: str
    written: str
    inside: bool  # of a function
    typing: bool  # for type checkers only


def modules_of(folder: pathlib.Path) -> dict[str, Module]:
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, ast.parse(path.read_text()))
    return found


def imports_of(module: Module, modules: dict[str, Module]) -> Iterator[Import]:
    """All imports of modules of the package, from wherever they are written."""
    inside = {n for f in module.functions for n in ast.walk(f)}
    typing = {
        n
        for branch in ast.walk(module.tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for n in ast.walk(branch)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            pairs = [(alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            written = absolute(node, module)
            pairs = [(definition(written, a.name, modules), written) for a in node.names]
        else:
            continue
        for imported, written in pairs:
            if target := next((m for m in (imported, written) if m in modules), None):
                if target != module.name:
                    yield Import(module.name, target, written, node in inside, node in typing)


def absolute(node: ast.ImportFrom, module: Module) -> str:
    """The dotted path after `from`."""
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    parts = package.split(".")
    above = parts[: len(parts) - node.level + 1] if node.level else []
    return ".".join([*above, *filter(None, [node.module])])


def definition(written: str, name: str, modules: dict[str, Module]) -> str:
    """The module that defines what another one hands on; a module itself, if that is meant."""
    if written not in modules:
        return f"{written}.{name}"
    module = modules[written]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                above = absolute(node, module)
                if (alias.asname or alias.name) == name and above != written:
                    return definition(above, alias.name, modules)
    inside = f"{written}.{name}"
    defined = {n.name for n in module.tree.body if isinstance(n, (*FUNCTIONS, ast.ClassDef))}
    return inside if inside in modules and name not in defined else written


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Sets of modules that reach each other."""
    reach = {m: set(to) for m, to in arrows.items()}
    for middle, start in itertools.product(arrows, arrows):
        if middle in reach[start]:
            reach[start] |= reach[middle]
    found: list[set[str]] = []
    for m in arrows:
        if m in reach[m] and not any(m in circle for circle in found):
            found.append({n for n in arrows if n in reach[m] and m in reach[n]})
    return found


def depth(arrows: dict[str, set[str]]) -> int:
    """How many modules lie on the longest way down; circles count once."""
    circle_of = {m: min(circle) for circle in circles(arrows) for m in circle}
    known: dict[str, int] = {}

    def below(m: str) -> int:
        if m not in known:
            known[m] = 0
            mine = [n for n, c in circle_of.items() if c == circle_of.get(m)] or [m]
            to = {t for n in mine for t in arrows[n] if circle_of.get(t, t) != circle_of.get(m, m)}
            known[m] = 1 + max(map(below, to), default=0)
        return known[m]

    return max(map(below, arrows), default=0)


def past_a_door(i: Import, root: str) -> bool:
    """Whether an import names what is inside of a folder of the package that it does not lie in."""
    written = i.written.split(".")
    own = i.importer.split(".")
    return len(written) > 2 and written[0] == root and own[:2] != written[:2]


def exported(modules: dict[str, Module]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions and public methods that the root and its public files hand on."""
    fronts = [m for m in modules.values() if "._" not in m.name and m.name.count(".") <= 1]
    seen = set()
    for front in fronts:
        names = {
            a.asname or a.name
            for n in ast.walk(front.tree)
            if isinstance(n, ast.ImportFrom)
            for a in n.names
        }
        names |= {n.name for n in front.tree.body if isinstance(n, (*FUNCTIONS, ast.ClassDef))}
        for name in names:
            where = definition(front.name, name, modules)
            if name.startswith("_") or where not in modules or (where, name) in seen:
                continue
            seen.add((where, name))
            for n in modules[where].tree.body:
                if getattr(n, "name", None) != name:
                    continue
                for f in n.body if isinstance(n, ast.ClassDef) else [n]:
                    if isinstance(f, FUNCTIONS) and (
                        f is n or not f.name.startswith("_") or f.name == "__init__"
                    ):
                        yield f


def untyped(functions: Iterable[ast.FunctionDef | ast.AsyncFunctionDef]) -> tuple[int, int]:
    """Parameters that say nothing of their type, and all of them."""
    bare = total = 0
    for function in functions:
        a = function.args
        for arg in [*a.posonlyargs, *a.args, *a.kwonlyargs]:
            if arg.arg in ("self", "cls"):
                continue
            total += 1
            bare += arg.annotation is None or ast.unparse(arg.annotation) in ("Any", "typing.Any")
    return bare, total


def comment_blocks(module: Module) -> int:
    with module.path.open("rb") as file:
        tokens = [t for t in tokenize.tokenize(file.readline) if t.type == tokenize.COMMENT]
    rows = {t.start[0] for t in tokens if not t.line[: t.start[1]].strip()}
    return sum(row - 1 not in rows for row in rows)


def locals_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    stores = (n for n in ast.walk(function) if isinstance(n, ast.Name))
    return {n.id for n in stores if isinstance(n.ctx, ast.Store)}


def docstrings(modules: Iterable[Module]) -> tuple[int, int]:
    described = [ast.get_docstring(m.tree) is not None for m in modules]
    return sum(described), len(described)


def rooms(modules: dict[str, Module], arrows: dict[str, set[str]], chapter: str) -> tuple[int, int]:
    """Files and folders of a chapter, and the arrows between them."""
    room = lambda m: ".".join(m.split(".")[:3])
    inside = [m for m in modules if m.startswith(f"{chapter}.")]
    between = {
        (room(a), room(b)) for a in inside for b in arrows[a] if b in inside and room(a) != room(b)
    }
    return len({room(m) for m in inside}), len(between)


def report(folder: pathlib.Path) -> str:
    modules = modules_of(folder)
    root = folder.name
    imports = {i for m in modules.values() for i in imports_of(m, modules)}
    arrows: dict[str, set[str]] = {m: set() for m in modules}
    for i in imports:
        if not i.typing:
            arrows[i.importer].add(i.imported)
    # Without the files that only hand on what others define.
    files = {m: {t for t in to if not modules[t].is_package} for m, to in arrows.items()}
    files = {m: to for m, to in files.items() if not modules[m].is_package}
    lines = sorted(m.lines for m in modules.values() if not m.is_package)
    total = sum(m.lines for m in modules.values())
    bare, parameters = untyped(exported(modules))
    every, all_parameters = untyped(f for m in modules.values() for f in m.functions)
    gestures = collections.Counter(
        name
        for m in modules.values()
        for f in m.functions
        for name in locals_of(f)
        if name in GESTURES
    )
    blocks = sum(map(comment_blocks, modules.values()))
    described, all_modules = docstrings(modules.values())
    rows = [
        ("modules / lines", f"{len(modules)} / {total:,}"),
        ("median file / longest", f"{statistics.median(lines):.0f} / {max(lines)}"),
        ("depth of the import graph", f"{depth(files)}"),
        ("imports past a sister's door", f"{sum(past_a_door(i, root) for i in imports)} of {len(imports)}"),
        ("imports inside functions", f"{sum(i.inside for i in imports)}"),
        ("import circles", f"{len(circles(arrows))}"),
        ("exported parameters that are Any or bare; all", f"{bare / max(parameters, 1):.0%}; {every / max(all_parameters, 1):.0%}"),
        ("comment blocks in 1,000 lines", f"{1000 * blocks / total:.1f}"),
        ("functions with a local " + " / ".join(GESTURES), " / ".join(str(gestures[g]) for g in GESTURES)),
        ("module docstrings", f"{described} of {all_modules}"),
    ]  # fmt: skip
    chapters = sorted(m for m, module in modules.items() if module.is_package and m.count(".") == 1)
    for chapter in chapters:
        count, between = rooms(modules, arrows, chapter)
        rows.append((f"{chapter.rpartition('.')[2]}: rooms / arrows", f"{count} / {between}"))
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:{width}}  {value}" for label, value in rows)


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent.parent / "mtkparams"
    print(report(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here))
