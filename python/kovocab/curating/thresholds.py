"""The verb: what each `min_count` leaves, so that one sees which suits; one training of candidates for all of them."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from kovocab.refining.begun import Begun
from kovocab.refining.candidates import Decisions
from kovocab.refining.recount import Recount
from kovocab.refining.refine import turn_until_still
from kovocab.refining.settings import CARDS, RefineSettings, suited_min_count

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
        turned = turn_until_still(begun, recount.copy(), at(settings, threshold), decisions or Decisions())
        counts = turned.counts
        rows.append((threshold, turned.vocabulary.size, counts.tokens_per_word, counts.bytes_per_token))
    schema = {
        "min_count": pl.UInt64,
        "new_tokens": pl.UInt32,
        "tokens_per_word": pl.Float64,
        "bytes_per_token": pl.Float64,
    }
    return pl.DataFrame(rows, schema, orient="row")
