"""Pages that are made: each verb's settings, as its `--help` tells them, and the files of `configs/`.

A page has a comment where they go: `<!-- verbs -->`, `<!-- configs -->`. And on the page of the
street, which is README's, a paragraph that begins with a verb gets a heading.
"""

import contextlib
import io
import os
import re
from pathlib import Path
from unittest.mock import patch

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from kovocab.cli import main as cli

ROOT = Path(__file__).parents[2]
WIDE = "100000"
"""Columns of a terminal on which no line of a help is broken."""


def help_of(verb: str) -> str:
    """What `kovocab VERB --help` prints, each setting's text on one line."""
    said = io.StringIO()
    with patch.dict(os.environ, COLUMNS=WIDE), contextlib.redirect_stdout(said):
        if code := cli.main([verb, "--help"]):
            raise RuntimeError(f"kovocab {verb} --help ended with {code}")
    return "".join(character for character in said.getvalue() if character.isprintable() or character == "\n")


def settings_of(help_: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of settings, each with its name, and a flag and its text a setting.

    Of a verb that trains, those that people use; `--help_all` tells the others.
    """
    groups: list[tuple[str, list[tuple[str, str]]]] = []
    for line in help_.splitlines()[1:]:
        if head := re.fullmatch(r"(\S.*):", line):
            groups.append((head[1], []))
        elif setting := re.fullmatch(r"  (-\S.*?)(?: {2,}(\S.*))?", line):
            groups[-1][1].append((setting[1], setting[2] or ""))
        elif (text := re.fullmatch(r" {3,}(\S.*)", line)) and groups and groups[-1][1]:
            flags, before = groups[-1][1][-1]
            groups[-1][1][-1] = (flags, f"{before} {text[1]}".strip())
    return groups


class Verb(SphinxDirective):
    """`{verb} count`: what it does, and its settings."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes."""
        verb = self.arguments[0]
        said = help_of(verb)
        made: list[nodes.Node] = [nodes.paragraph(text=cli.summaries()[verb])]
        for name, settings in settings_of(said):
            if name != "options":
                made.append(nodes.rubric(text=name))
            made.append(nodes.definition_list("", *(_setting(*each) for each in settings), classes=["settings"]))
        if f"kovocab {verb} --help_all" in said:
            made.append(nodes.paragraph(text=f"kovocab {verb} --help_all tells the trainer's and the model's too."))
        return made


def _setting(flags: str, text: str) -> nodes.definition_list_item:
    term = nodes.term("", "", nodes.literal(text=flags))
    return nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph(text=text)))


def _fill(_: Sphinx, docname: str, source: list[str]) -> None:
    """A heading for each verb, and for each file."""
    if "<!-- verbs -->" in source[0]:
        parts = [f"## {verb}\n\n```{{verb}} {verb}\n```" for verb in cli.summaries()]
        source[0] = source[0].replace("<!-- verbs -->", "\n\n".join(parts))
    if "<!-- configs -->" in source[0]:
        files = sorted((ROOT / "configs").rglob("*.yaml"), key=lambda path: (len(path.parts), path))
        up = "../" * (docname.count("/") + 1)
        names = [path.relative_to(ROOT).as_posix() for path in files]
        parts = [f"## {name}\n\n```{{literalinclude}} {up}{name}\n:language: yaml\n```" for name in names]
        source[0] = source[0].replace("<!-- configs -->", "\n\n".join(parts))


def _head(_: Sphinx, _path: Path, docname: str, content: list[str]) -> None:
    """A heading for each paragraph of README that begins with a verb."""

    def headed(paragraph: re.Match[str]) -> str:
        verbs = [verb for verb in re.findall(r"\*\*(\w+)\*\*", paragraph[0]) if verb in cli.summaries()]
        return f"### {', '.join(verbs)}\n\n{paragraph[0]}" if verbs else paragraph[0]

    if docname == "street":
        content[0] = re.sub(r"^\*\*\w+\*\* (?:.+\n)+", headed, content[0], flags=re.MULTILINE)


def setup(app: Sphinx) -> dict[str, bool]:
    """For Sphinx."""
    app.add_directive("verb", Verb)
    app.connect("source-read", _fill)
    app.connect("include-read", _head)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
