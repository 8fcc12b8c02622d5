"""Pieces of HTML. All text goes through `escaped`: a token can hold anything."""

import html
from collections.abc import Iterable, Sequence

from kovocab.evaluating.compared import Piece, visible


def escaped(text: object) -> str:
    """A text for HTML; of characters that cannot be seen, or that turn a line round, their names; a dash for none."""
    if text is None:
        return "–"
    return html.escape(visible(str(text)))


def number(value: float | None, form: str = "{:,}") -> str:
    """A number; a dash where it is not known."""
    return "–" if value is None else form.format(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table; cells are HTML. The first `words` columns are words, and the others numbers."""
    head = "".join(f"<th{_right(at, words)}>{column}</th>" for at, column in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(f"<td{_right(at, words)}>{cell}</td>" for at, cell in enumerate(row)) + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n'


def _right(at: int, words: int) -> str:
    return ' class="n"' if at >= words else ""


def figure(title: str, svg: str, note: str = "", legend: Sequence[tuple[str, str]] = ()) -> str:
    """A chart with what stands above it; a legend's entries have a class and a text each."""
    marks = "".join(f'<span class="key {kind}">{escaped(said)}</span>' for kind, said in legend)
    said = f'<p class="note">{escaped(note)}</p>' if note else ""
    keys = f'<p class="legend">{marks}</p>' if marks else ""
    return (
        f"<figure><figcaption>{escaped(title)}</figcaption>{said}{keys}"
        f'<div role="img" aria-label="{escaped(title)}">{svg}</div></figure>\n'
    )


def left_out(title: str, why: str) -> str:
    """A line in place of what is not there."""
    return f'<p class="missing"><b>{escaped(title)}</b> {escaped(why)}</p>\n'


def pieces(tokens: Sequence[Piece]) -> str:
    """Tokens as boxes: those of the base in two greys by turns, new ones in two colours."""
    boxes = []
    for at, piece in enumerate(tokens):
        text = piece.token
        byte = text.startswith("<0x") and text.endswith(">")
        shown = " ".join(text[at + 3 : at + 5] for at in range(0, len(text), 6)) if byte else text
        kinds = ["new" if piece.new else "old", "byte" if byte else "", "odd" if at % 2 else ""]
        boxes.append(f'<span class="{" ".join(filter(None, kinds))}">{escaped(shown)}</span>')
    return f'<p class="pieces">{"<wbr>".join(boxes)}</p>'


def chips(tokens: Iterable[tuple[str, int]]) -> str:
    """Tokens, each with its count."""
    return '<p class="chips">' + " ".join(
        f"<span><bdi>{escaped(token)}</bdi> <small>{count:,}</small></span>" for token, count in tokens
    ) + "</p>\n"  # fmt: skip


def tiles(facts: list[tuple[str, str]]) -> str:
    """A few figures, large."""
    shown = "".join(f"<div><b>{escaped(value)}</b><span>{escaped(name)}</span></div>" for name, value in facts)
    return f'<div class="tiles">{shown}</div>\n'
