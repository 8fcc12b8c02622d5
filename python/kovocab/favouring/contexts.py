"""Contexts for `label_mode: distill`: some short windows of text round each new token, mined in one pass.

Token Distillation (arXiv 2505.20133) learns a token's row from about 100 contexts of 50 tokens. Of a token that is
there more often, those are taken that are spread over the most documents, and among these by a hash of the place.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from kovocab.artefact import new_folder
from kovocab.errors import CorpusError, UsageError
from kovocab.favouring.passages import Numbers, Passages
from kovocab.favouring.pieces import Pieces, check_found, writing
from kovocab.packing.packed import PackedSource
from kovocab.packing.token_files import digest
from kovocab.record import RECORD, write_record

log = logging.getLogger(__name__)

CONTEXTS = "contexts.parquet"
"""By new token: `id` u32 and how many `contexts` it has, u64."""

RULE = 1
"""Another rule, other contexts: what an earlier version left is not taken for this one's."""

_HASH = np.uint64(48)
"""Bits of the hash in a key; above them stands how many of the token's places in the document come before."""
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # of splitmix64


@dataclass(frozen=True)
class Contexts:
    """What a stage that distills reads.

    Attributes:
        per_token: Contexts of each new token, or as many as there are.
        length: Tokens of each; fewer where its document has fewer.
    """

    per_token: int = 100
    length: int = 50

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if not 1 <= self.per_token <= 10_000 or self.length < 2:
            raise UsageError(
                f"data.contexts: per_token is {self.per_token} and length {self.length}; wanted 1 to 10,000, and at "
                "least 2: a token and what comes before or behind it"
            )


def mined(sources: Sequence[PackedSource], size: int, contexts: Contexts, seed: int) -> list[Pieces | None]:
    """Find the contexts of all new tokens and write them beside the token files, or find them there.

    Args:
        sources: The token files; of their training parts alone.
        size: How many tokens the tokenizer has.
        contexts: How many, how long.
        seed: Of the hash.

    Returns:
        For each source the contexts that are in it, in an order drawn; None if none is.

    Raises:
        CorpusError: no new token is in any of them.
        UsageError: it is not known which tokens are new.
        ArtefactError: what is there is of something else, or damaged.
    """
    made_from = {"of": [packed.folder.name for packed in sources], "seed": seed, "size": size, "rule": RULE}
    made_from |= asdict(contexts)
    folder = sources[0].folder.parent / f"contexts.{digest(made_from)[:16]}"
    if not (folder / RECORD).is_file():
        log.info("contexts of new tokens, of %d tokens each", contexts.length)
        pool = _Pool(contexts.per_token, size - int(sources[0].record["first_new_id"] or 0))
        parts = [Passages(packed, size) for packed in sources]
        for number, documents in enumerate(parts):
            pool.add(number, documents, seed)
        with new_folder(folder) as beside:
            _write(parts, pool, contexts, beside, seed)
            write_record(beside, {"verb": "contexts", **made_from})
    else:
        check_found(folder, "contexts", made_from)
    names = [packed.record["source"] for packed in sources]
    return [
        Pieces(folder, name, packed) if (folder / f"{name}.ends").is_file() else None
        for name, packed in zip(names, sources, strict=True)
    ]


class _Pool:
    """Of each new token the places of lowest key, among all that were shown; in memory for those alone."""

    def __init__(self, per_token: int, new: int) -> None:
        self._most = per_token
        self._highest = np.full(new, np.iinfo(np.uint64).max)  # of each token, the highest key that is kept
        self.kept = pl.DataFrame(schema={"token": pl.Int64, "key": pl.UInt64, "source": pl.Int32, "at": pl.Int64})
        self._waiting: list[pl.DataFrame] = []
        self._rows = 0

    def add(self, source: int, documents: Passages, seed: int) -> None:
        """Show it all places of a source."""
        for stretch in documents.stretches():
            at = np.flatnonzero(stretch.tokens >= documents.first)
            token = stretch.tokens[at].astype(np.int64) - documents.first
            hashed = hashes(at + stretch.begins[0], seed + (source << 32)) >> (np.uint64(64) - _HASH)
            # A key is at least the hash in it, and of a document's places those of lower hash come before: what is
            # dropped here changes no other key.
            some = hashed <= self._highest[token]
            at, token, hashed = at[some], token[some], hashed[some]
            document = np.searchsorted(stretch.starts, at, side="right")
            before = _places_before(token, document, hashed)
            rows = {"token": token, "key": (before << _HASH) | hashed, "at": at + stretch.begins[0]}
            self._waiting.append(pl.DataFrame(rows).with_columns(source=pl.lit(source, pl.Int32)))
            self._rows += len(at)
            if self._rows > 1 << 21:
                self.settle()
        self.settle()

    def settle(self) -> None:
        """Keep the lowest keys of what waits and what was kept."""
        order = ["token", "key", "source", "at"]
        rows = pl.concat([self.kept, *(part.select(order) for part in self._waiting)]).sort(order)
        self.kept = rows.filter(pl.int_range(pl.len()).over("token") < self._most)
        full = self.kept.group_by("token").agg(pl.len(), pl.col("key").max()).filter(pl.col("len") == self._most)
        self._highest[full["token"].to_numpy()] = full["key"].to_numpy()
        self._waiting, self._rows = [], 0


def _places_before(token: Numbers, document: Numbers, hashed: Numbers) -> npt.NDArray[np.uint64]:
    """Of each place, how many of the same token in the same document have a lower hash."""
    order = np.lexsort((hashed, token, document))
    changed = (np.diff(token[order]) != 0) | (np.diff(document[order]) != 0)
    begins = np.flatnonzero(np.append(True, changed)) if len(order) else np.zeros(0, dtype=np.int64)
    number = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    before = np.empty(len(order), dtype=np.uint64)
    before[order] = np.minimum(number, (1 << 16) - 1)
    return before


def hashes(numbers: Numbers, seed: int) -> npt.NDArray[np.uint64]:
    """A hash of each number: splitmix64, the same everywhere."""
    mixed = numbers.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) % (1 << 64))
    for factor, shift in zip(_FACTORS, (30, 27), strict=True):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * factor
    return mixed ^ (mixed >> np.uint64(31))


def _write(parts: Sequence[Passages], pool: _Pool, contexts: Contexts, beside: Path, seed: int) -> None:
    """Write the windows round the places of the pool, those of each source in an order drawn."""
    if pool.kept.is_empty():
        names = ", ".join(documents.packed.record["source"] for documents in parts)
        raise CorpusError(f"data.contexts: no new token is in what is trained on ({names}); wanted text that has some")
    for number, documents in enumerate(parts):
        at = pool.kept.filter(pl.col("source") == number)["at"].to_numpy()
        if not len(at):
            continue
        at = at[np.argsort(hashes(at, ~seed), kind="stable")]
        ends = np.asarray(documents.packed.ends("train"))
        document = np.searchsorted(ends, at.astype(ends.dtype), side="right")
        end = ends[document].astype(np.int64)
        begin = np.where(document > 0, ends[document - 1], 0).astype(np.int64)
        # Half of it before the token, as far as the document has as much on both sides.
        start = np.maximum(begin, np.minimum(at - contexts.length // 2, end - contexts.length))
        with writing(beside, documents.packed.record["source"]) as pieces:
            pieces.add(start, np.minimum(end, start + contexts.length) - start)
    counts = np.bincount(pool.kept["token"].to_numpy(), minlength=parts[0].new).astype(np.uint64)
    ids = np.arange(parts[0].first, parts[0].first + parts[0].new, dtype=np.uint32)
    pl.DataFrame({"id": ids, "contexts": counts}).write_parquet(beside / CONTEXTS)
