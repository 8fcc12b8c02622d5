"""The verb: what each `min_count` leaves, so that one sees which suits; one training of candidates for all of them."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl

from kovocab.artefact import check_file, check_same, new_file
from kovocab.counting.tables import bytes_of, opened
from kovocab.counting.word_counts import made_from_of, read_counted
from kovocab.errors import ArtefactError, NotInstalled, UsageError
from kovocab.ownership import is_marked, marked
from kovocab.record import Record, as_json
from kovocab.refining.candidates import Decisions
from kovocab.refining.intermediate import Begun
from kovocab.refining.recount import Recount
from kovocab.refining.refine import turn_until_still
from kovocab.refining.settings import CARDS, RefineSettings, suited_min_count
from kovocab.tokenizer.tokenizer import Source

_STEPS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, CARDS)


def steps(size: int, *more: int) -> list[int]:
    """Thresholds worth a look: 5 to the cards', the one that suits `size` bytes of text, and `more`."""
    return sorted({*_STEPS, suited_min_count(size), *more})


def at(settings: RefineSettings, min_count: int) -> RefineSettings:
    """The same settings with another threshold, of single characters too where they had the same."""
    same = settings.min_syllable_count == settings.min_count
    return replace(settings, min_count=min_count, min_syllable_count=min_count if same else settings.min_syllable_count)


def curve(
    begun: Begun,
    recount: Recount,
    settings: RefineSettings,
    thresholds: Sequence[int],
    decisions: Decisions | None = None,
) -> pl.DataFrame:
    """What `refine` leaves with each of some thresholds, exactly.

    Args:
        begun: What it begins with.
        recount: Of all its candidates; it is copied.
        settings: All others.
        thresholds: Of `min_count`, see `at`.
        decisions: That it honours.

    Returns:
        `min_count: u64, new_tokens: u32, tokens_per_word: f64?, bytes_per_token: f64?`, as `thresholds` are.
    """
    rows = []
    for threshold in thresholds:
        turned = turn_until_still(
            begun, recount.copy(), at(settings, threshold), decisions or Decisions(), logging.DEBUG
        )
        counts = turned.counts
        rows.append((threshold, turned.vocabulary.size, counts.tokens_per_word, counts.bytes_per_token))
    schema = {
        "min_count": pl.UInt64,
        "new_tokens": pl.UInt32,
        "tokens_per_word": pl.Float64,
        "bytes_per_token": pl.Float64,
    }
    return pl.DataFrame(rows, schema, orient="row")


def thresholds(
    words: str | Path,
    base: Source,
    settings: RefineSettings,
    out: str | Path | None = None,
    *,
    memory: int | str | None = None,
    overwrite: bool = False,
) -> tuple[pl.DataFrame, int]:
    """What each threshold would leave of some word counts, and the one that suits so much text.

    Args:
        words: The file that `count` left.
        base: The base tokenizer that it was counted for.
        settings: As for `refine`; `min_count` is one of the thresholds.
        out: An SVG of the curve to write, if given.
        memory: As for `refine`.
        overwrite: Whether a curve of other words or settings, or one that was changed since, is replaced too.

    Returns:
        As `curve`, and a threshold.

    Raises:
        CorpusError, UsageError, TokenizerError: as `refine`.
        NotInstalled: what draws is not there.
        ArtefactError: `out` is something else, of something else, or cannot be written.
    """
    made_from: Record = {}
    if out is not None:
        if Path(out).suffix != ".svg":
            raise UsageError(f"out is {str(out)!r}; wanted the name of an SVG file: curve.svg, say")
        check_file(out, _is_curve, "curve")
        record = read_counted(words)
        made_from = {"words": made_from_of(record["corpus"], record["tokenizer"]), "settings": asdict(settings)}
        _check_curve(Path(out), made_from, overwrite=overwrite)
        _check_drawing()
    counted = opened(words, memory)
    begun, size = Begun.of(counted, base, settings, memory=memory), bytes_of(counted)
    found, suits = curve(begun, begun.recount(), settings, steps(size, settings.min_count)), suited_min_count(size)
    if out is not None:
        with new_file(out) as beside:
            said = f"{_MARK}\n<!-- of {as_json(made_from).decode().replace('--', _DASHES)} -->\n"
            beside.write_text(marked(said + drawn(found, suits), *_COMMENT), encoding="utf-8", newline="\n")
    return found, suits


def table(found: pl.DataFrame, suits: int) -> str:
    """The curve as lines, with a bar for new tokens."""
    most = max(1, int(found["new_tokens"].max() or 0))  # type: ignore[arg-type]
    lines = [f"{'min_count':>9}  {'new tokens':>10}  {'tokens/word':>11}  {'bytes/token':>11}"]
    for least, tokens, per_word, per_token in found.iter_rows():
        ratios = ["unknown" if ratio is None else f"{ratio:.3f}" for ratio in (per_word, per_token)]
        bar = "█" * round(24 * tokens / most)
        said = "  suits so much text" if least == suits else "  the cards', for 100 GB" if least == CARDS else ""
        lines.append(f"{least:>9,}  {tokens:>10,}  {ratios[0]:>11}  {ratios[1]:>11}  {bar:<24}{said}".rstrip())
    return "\n".join(lines)


def drawn(found: pl.DataFrame, suits: int) -> str:
    """The curve as SVG: new tokens and tokens per word over `min_count`, with the threshold that suits."""
    import altair as alt
    import vl_convert

    rows = alt.Data(values=found.to_dicts())
    over = alt.X("min_count:Q", scale=alt.Scale(type="log"), axis=alt.Axis(title="min_count", format="~s", tickCount=6))
    rule = alt.Chart(alt.Data(values=[{"suits": suits}])).mark_rule(strokeDash=[4, 4]).encode(x="suits:Q")

    def panel(field: str, title: str, colour: str) -> alt.LayerChart:
        line = alt.Chart(rows, width=340, height=170).mark_line(point=True, color=colour)
        return (
            line.encode(x=over, y=alt.Y(f"{field}:Q", title=title, scale=alt.Scale(zero=field == "new_tokens"))) + rule
        )

    both = panel("new_tokens", "new tokens", "#2f6fdd") & panel("tokens_per_word", "tokens per word", "#d9622b")
    return f"{vl_convert.vegalite_to_svg(both.configure(font='sans-serif').to_dict())}\n"


_MARK = "<!-- a curve of kovocab thresholds -->"
_COMMENT = ("<!-- ", " -->")
_DASHES = "-\\u002d"
"""Two dashes, which no comment may hold, in JSON."""


def _is_curve(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MARK)) == _MARK.encode()


def _check_curve(path: Path, made_from: Record, *, overwrite: bool) -> None:
    """See that a curve which is there is of the same, and as it was written.

    Raises:
        ArtefactError: it is not.
    """
    if overwrite or not path.is_file() or not path.stat().st_size:
        return
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n", 2)
    try:
        before = json.loads(lines[1].removeprefix("<!-- of ").removesuffix(" -->"))
    except (ValueError, LookupError, RecursionError):  # of an earlier version
        before = {}
    check_same(path, before if isinstance(before, dict) else {}, made_from, overwrite=False)
    if not is_marked(path, *_COMMENT):
        raise ArtefactError(
            f"{path} is a curve that was changed since it was written; wanted another --out, or --overwrite"
        )


def _check_drawing() -> None:
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f"{error.name} is not installed; wanted what draws: pip install 'kovocab[report]'"
        ) from error
