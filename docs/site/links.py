"""Files that a page names are links: `docs/stages.md` in backticks, as in the terminal and in docstrings, leads there.

A name of a page that is not there is a warning, and so an error.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

_PAGES = (
    (re.compile(r"docs/([\w/-]+)\.(?:md|ipynb)"), r"/\1"),
    (re.compile(r"configs/(?:[\w/.-]+)?"), "/reference/settings"),
    (re.compile(r"benchmarks/RESULTS\.md"), "/results"),
    (re.compile(r"findings/(?:[\w.-]+)?"), "/findings"),
    (re.compile(r"CHANGELOG\.md"), "/changelog"),
    (re.compile(r"CONTRIBUTING\.md"), "/contributing"),
)
"""What is named, and the page that has it."""


class Links(SphinxTransform):
    """Makes links of such names."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        """Of each in the document that stands in no link yet."""
        for literal in list(self.document.findall(nodes.literal)):
            place = _place(literal.astext())
            if place is None or isinstance(literal.parent, (nodes.reference, pending_xref, nodes.title)):
                continue
            link = pending_xref(
                "",
                literal.deepcopy(),
                reftype="doc",
                refdomain="std",
                reftarget=place,
                refexplicit=True,
                refwarn=True,
                refdoc=self.env.docname,
            )
            link.source, link.line = literal.source, literal.line
            literal.replace_self(link)


def _place(name: str) -> str | None:
    for pattern, place in _PAGES:
        if found := pattern.fullmatch(name):
            return found.expand(place)
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """For Sphinx."""
    app.add_transform(Links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
