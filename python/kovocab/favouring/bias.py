"""The bias of a source: its passages are read so often that every new token is seen often enough.

`rates` has the rule, in fractions; here they become whole numbers that keep its promise, and an order of pieces on the
disk.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from kovocab.artefact import new_folder
from kovocab.errors import UsageError, quantity
from kovocab.favouring.needs import settings_of, weights_of
from kovocab.favouring.passages import Numbers, Passages
from kovocab.favouring.pieces import Pieces, check_found, writing
from kovocab.favouring.rates import Bias, Rates, by_need
from kovocab.packing.packed import PackedSource
from kovocab.packing.token_files import digest
from kovocab.record import RECORD, Record, write_record

log = logging.getLogger(__name__)

SEEN = "seen.parquet"
"""By new token: `id` u32, `count` in the training part and `seen` over the run, both u64; and its `weight`, f64, where
the bias has needs."""

RULE = 1
"""Another rule, another order: what an earlier version left is not taken for this one's."""

TRIES = 60

WHOLE = 1 << 16
"""Tokens of a document that are drawn together: a corpus may be one book."""


@dataclass(frozen=True)
class Readings:
    """How often each passage is read.

    Attributes:
        times: uint16 [passages].
        counts: How often each new token is in the training part, int64 [new].
        seen: How often it is seen over the run, int64 [new].
        said: What the record says of it.
    """

    times: Numbers
    counts: npt.NDArray[np.int64]
    seen: npt.NDArray[np.int64]
    said: Record


def biased(packed: PackedSource, size: int, bias: Bias, blocks: int, seed: int) -> Pieces:
    """Work out the reading of a source and write it beside its token files, or find it there.

    Args:
        packed: The token files.
        size: How many tokens the tokenizer has.
        bias: How.
        blocks: How many the run reads of the source.
        seed: Of what is drawn where a rate is no whole number.

    Raises:
        UsageError: `min_seen` is more than the budget allows, or it is not known which tokens are new.
        ArtefactError: what is there is of something else, or damaged.
    """
    name = packed.record["source"]
    made_from = {"of": packed.folder.name, "blocks": blocks, "seed": seed, "size": size, "rule": RULE}
    made_from |= settings_of(bias)
    folder = packed.folder.parent / f"{name}.bias.{digest(made_from)[:16]}"
    if (folder / RECORD).is_file():
        check_found(folder, "bias", made_from)
        return Pieces(folder, name, packed)
    log.info("%s: how often to read each of %s", name, quantity(packed.record["train"]["documents"], "document"))
    passages = Passages(packed, size, bias.passage)
    weights = weights_of(bias, packed.record["tokenizer"], passages.first, size)
    readings = choose(passages, bias, blocks * packed.length, seed, weights)
    with new_folder(folder) as beside:
        write_pieces(passages, readings.times, beside, name)
        table = {
            "id": np.arange(passages.first, size, dtype=np.uint32),
            "count": readings.counts.astype(np.uint64),
            "seen": readings.seen.astype(np.uint64),
        } | ({} if weights is None else {"weight": weights})
        pl.DataFrame(table).write_parquet(beside / SEEN)
        write_record(beside, {"verb": "bias", **made_from, **readings.said})
    return Pieces(folder, name, packed)


def choose(
    passages: Passages, bias: Bias, budget: int, seed: int, weights: npt.NDArray[np.float64] | None = None
) -> Readings:
    """How often to read each passage.

    Rates become whole numbers by drawing, which leaves some tokens short by a few; passages drawn among theirs are read
    once more, and the rates of all are lowered until that fits the budget too.

    Args:
        passages: The training part.
        bias: How.
        budget: Tokens that the run takes from it.
        seed: Of what is drawn.
        weights: Of each new token, float64 [new]; all 1 by default.

    Returns:
        Each new token t is seen at least min(N · weight_t, most · count_t) times, N being `min_seen` and `most` the
        passes; all together the passages have at most `budget` tokens.

    Raises:
        UsageError: the budget does not allow `min_seen`.
    """
    counts = passages.counts()
    deciding = passages.deciding(by_need(counts, weights))
    most = min(bias.max_passes * max(1, -(-budget // passages.tokens)), np.iinfo(np.uint16).max)
    rates = Rates(counts, passages.tokens_by(deciding), most, weights)
    min_seen = bias.min_seen or rates.largest(budget, bias.share)
    aim, plain, lower = budget, budget / passages.tokens, 0.05
    for _ in range(TRIES):
        rate = rates.at(min_seen, aim)
        lost = bias.min_seen is None and rate is not None and min_seen and rate[-1] < (1 - bias.share) * plain
        if rate is None or lost:
            if bias.min_seen is not None:
                break
            # The rates fitted, and their whole numbers did not: in a small corpus these are far apart.
            min_seen, aim, lower = int(min_seen * (1 - lower)), budget, min(0.5, 2 * lower)
            continue
        times = _drawn(passages, deciding, rate, most, seed)
        seen = passages.counts(times)
        each = min_seen if weights is None else np.ceil(min_seen * weights).astype(np.int64)
        _top_up(passages, times, seen, np.minimum(each, most * counts), most=most, seed=seed)
        read = passages.read(times)
        if 0 < read <= budget:
            said = {
                "n": min_seen,
                "most": most,
                "budget": budget,
                "read": read,
                "level": float(rate[-1]),
                "passes_without": plain,
                "highest": int(times.max(initial=0)),
            }
            return Readings(times, counts, seen, said)
        aim -= read - budget
    name, takes = passages.packed.record["source"], f"the {budget:,} tokens that the run takes from it"
    if bias.min_seen is None:
        raise UsageError(f"data.bias: the documents of {name} do not fit in {takes}; wanted a longer run, or no bias")
    fits = choose(passages, replace(bias, min_seen=None, share=0.99), budget, seed, weights).said["n"]
    raise UsageError(
        f"data.bias: {name} cannot show each new token {min_seen:,} times in {takes}; wanted min_seen of at most "
        f"{fits:,}, a longer run, or none"
    )


def _drawn(passages: Passages, deciding: Numbers, rate: npt.NDArray[np.float64], most: int, seed: int) -> Numbers:
    """Whole numbers in place of rates, uint16 [passages].

    What all documents are read, the level, is drawn for whole ones, so that long ones stay long; what is above it for
    each passage.
    """
    times = np.zeros(passages.count, dtype=np.uint16)
    level = float(rate[-1])
    whole, more = _Drawing(np.array([level])), _Drawing(rate - level)
    for stretch in passages.stretches():
        random = np.random.default_rng([seed, stretch.rows.start])
        first = np.append(True, np.diff(stretch.document) != 0)
        offset = stretch.begins - np.repeat(stretch.begins[first], np.diff(np.flatnonzero(np.append(first, True))))
        first |= offset // WHOLE != np.append(-1, offset[:-1] // WHOLE)
        documents = whole(np.zeros(first.sum(), dtype=np.int64), random)
        drawn = documents[np.cumsum(first) - 1] + more(deciding[stretch.rows], random)
        times[stretch.rows] = np.minimum(drawn, most)
    return times


class _Drawing:
    """Whole numbers in place of rates: each the one below or above, and of each kind the sum right to within one.

    Of one kind every so-many-th is rounded up, in an order drawn anew in each stretch: in the order of the corpus, one
    of two kinds of documents in turn might never be.
    """

    def __init__(self, rates: npt.NDArray[np.float64]) -> None:
        self._whole = np.floor(rates)
        self._part, self._carried = rates - self._whole, np.zeros(len(rates))

    def __call__(self, kind: Numbers, random: np.random.Generator) -> npt.NDArray[np.int64]:
        order = np.lexsort((random.random(len(kind)), kind))
        kind = kind[order]
        begins = np.flatnonzero(np.append(True, kind[1:] != kind[:-1]))
        number = np.arange(len(kind)) - np.repeat(begins, np.diff(begins, append=len(kind)))
        at = self._carried[kind] + number * self._part[kind]
        up = np.floor(at + self._part[kind]) > np.floor(at)
        drawn = np.empty(len(kind), dtype=np.int64)
        drawn[order] = self._whole[kind] + up
        self._carried = (self._carried + np.bincount(kind, minlength=len(self._part)) * self._part) % 1.0
        return drawn


def _top_up(
    passages: Passages, times: Numbers, seen: Numbers, wanted: npt.NDArray[np.int64], *, most: int, seed: int
) -> None:
    """Read passages once more while a token in them is seen less often than wanted; `times` and `seen` grow.

    It ends, at the latest where each passage of such a token is read `most` times: no more than that was wanted.
    """
    turn = 0
    while (seen < wanted).any():
        turn += 1
        for stretch in passages.stretches():
            short = np.append(np.zeros(passages.first, dtype=bool), seen < wanted)
            at = np.flatnonzero(short[stretch.tokens])
            starts = stretch.starts
            found = np.unique(np.searchsorted(starts, at, side="right") - 1)
            for row in np.random.default_rng([seed, stretch.rows.start, turn]).permutation(found).tolist():
                tokens = stretch.tokens[starts[row] : starts[row] + stretch.lengths[row]]
                tokens = tokens[tokens >= passages.first] - passages.first
                if times[stretch.rows.start + row] < most and (seen[tokens] < wanted[tokens]).any():
                    times[stretch.rows.start + row] += 1
                    np.add.at(seen, tokens, 1)


def write_pieces(passages: Passages, times: Numbers, folder: Path, name: str) -> None:
    """Write the reading order: all that is read once, then all that is read twice, so that readings are far apart."""
    with writing(folder, name) as pieces:
        for time in range(1, int(times.max(initial=0)) + 1):
            for stretch in passages.stretches():
                read = np.flatnonzero(times[stretch.rows] >= time)
                if not len(read):
                    continue
                # Passages of one document in a row are one piece.
                document, begins, lengths = stretch.document[read], stretch.begins[read], stretch.lengths[read]
                goes_on = (np.diff(read) == 1) & (np.diff(document) == 0)
                first = np.flatnonzero(np.append(True, ~goes_on))
                pieces.add(begins[first], np.add.reduceat(lengths, first))
