"""For the API pages: a `>>>` example in a docstring is code there too, as if it stood in a fence."""

import re
from typing import Any

import griffe

# From the first `>>>` to the next empty line, which ends the expected output as well.
EXAMPLE = re.compile(r"^([ \t]*)>>> .*\n?(?:\1[^\n]+\n?)*", re.MULTILINE)


class FenceExamples(griffe.Extension):
    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None and "```" not in obj.docstring.value:
            obj.docstring.value = EXAMPLE.sub(_fenced, obj.docstring.value)


def _fenced(example: re.Match[str]) -> str:
    indent = example[1]
    return f"{indent}```pycon\n{example[0].rstrip()}\n{indent}```\n"
