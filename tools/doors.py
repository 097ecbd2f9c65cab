"""An import contract: what a chapter has, its sisters take at its door."""

from __future__ import annotations

import re
from typing import Any

from importlinter import Contract, ContractCheck, fields, output


class DoorsContract(Contract):
    """No import names a file or a folder inside of another chapter.

    Told from the line itself: a chapter may have a file of the name of a function that it hands on, and
    `from .._chapter import name` takes that at the door.
    """

    package = fields.StringField()

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        del verbose
        broken = []
        for chapter in sorted(graph.find_children(self.package)):
            inside = {m for m in graph.modules if m.startswith(f"{chapter}.")}
            name = chapter.rpartition(".")[2]
            # The import is of the chapter itself: nothing follows its name before `import`.
            door = re.compile(rf"from \S*\b{name} import ")
            for imported in sorted(inside):
                for importer in sorted(graph.find_modules_that_directly_import(imported)):
                    if importer in inside or importer == chapter:
                        continue
                    for details in graph.get_import_details(importer=importer, imported=imported):
                        if not door.match(details["line_contents"].strip()):
                            broken.append((details["line_number"], importer, imported))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line, importer, imported in check.metadata["broken"]:
            output.print_error(f"{importer}:{line} goes past the door to {imported}", bold=False)
