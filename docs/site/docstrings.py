"""Docstrings as Sphinx wants them: what stands in single backticks is code, and a colon in it ends no type."""

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(?<![`\w])`([^`]+)`(?!`)")


def _doubled(_app: Sphinx, _what: str, _name: str, _thing: object, _options: Any, lines: list[str]) -> None:
    text = "\n".join(lines)
    lines[:] = _CODE.sub(lambda code: f"``{' '.join(code[1].split())}``", text).split("\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """For Sphinx."""
    app.connect("autodoc-process-docstring", _doubled, priority=100)  # before napoleon's
    return {"parallel_read_safe": True, "parallel_write_safe": True}
