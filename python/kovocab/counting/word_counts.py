"""Word counts as an artefact: a Parquet file, sorted, with the record of what made it in its metadata.

The file need not fit the memory, neither where it is written nor where it is read.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from kovocab import _core
from kovocab.artefact import check_file, check_same, new_file
from kovocab.corpus.faults import POLARS_ERRORS, Fault, first_line
from kovocab.corpus.files import no_table
from kovocab.counting.tally import ROWS
from kovocab.errors import ArtefactError, CorpusError, UsageError, quantity
from kovocab.machine.threads import threads_of
from kovocab.ownership import MARK, parquet_of
from kovocab.record import Record, as_json, parsed
from kovocab.tokenizer.tokenizer_json import TokenizerJson

log = logging.getLogger(__name__)

WORDS = pl.Schema({"word": pl.String, "count": pl.UInt64})
WORDS_FILE = (parquet_of("count"), "file of word counts")
"""What a file of word counts is known by, and called: for `check_file`."""
_WORTH_SAYING = 0.001  # of the Hangul


@dataclass(frozen=True)
class Counted:
    """Word counts with the record of what was counted.

    Attributes:
        words: `word: str, count: u64`, sorted by count (descending) and word (ascending).
        record: Corpus fingerprint, tokenizer, cut, sums; see `new_record`.
        skipped: Faults of the corpus that were skipped, the first 100,000 of them.
    """

    words: pl.DataFrame
    record: Record
    skipped: list[Fault] = field(default_factory=list)

    def _check_in_memory(self, path: Path) -> None:
        """See that what is there is of the same text, where that has no name to tell it by."""
        if self.record["corpus"].get("kind") != "memory" or not path.is_file() or not path.stat().st_size:
            return
        with suppress(CorpusError):  # damaged: nothing is lost
            if not load_counted(path).words.equals(self.words):
                raise ArtefactError(
                    f"{path} is of other settings: its words are of another text; --overwrite replaces it, or choose "
                    "another name"
                )

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the words as Parquet, the record in its metadata under the key `kovocab`.

        Args:
            path: The file to write.
            overwrite: Whether word counts of another corpus or tokenizer are replaced too.

        Raises:
            ArtefactError: it holds such, or is something else, or cannot be written.
        """
        if not overwrite:
            check_replaced(path, self.record["corpus"], self.record.get("tokenizer"))
            self._check_in_memory(Path(path))
        write_words(path, (self.words[at : at + ROWS] for at in range(0, len(self.words), ROWS)), self.record)


def of_frame(words: pl.DataFrame) -> Counted:
    """Word counts that nothing is recorded of, with a hash that tells them from others.

    Raises:
        UsageError: as `check_words`.
    """
    digest = blake2b(digest_size=16)
    for column in check_words(words).select(pl.all().cast(pl.String)).iter_columns():
        text = "\n".join(column).encode()
        digest.update(b"%d\n" % len(text))  # or it would not be told where one column ends
        digest.update(text)
    return Counted(words, {"verb": "count", "corpus": {"kind": "memory", "blake2b": digest.hexdigest()}})


def load_counted(path: str | Path) -> Counted:
    """Read what `Counted.save` or `count_to` wrote.

    Raises:
        CorpusError: the file is missing, not Parquet, or not of `kovocab count`; or its record is damaged, or its
            words are not those that the record speaks of.
    """
    record = read_counted(path)
    return Counted(pl.concat([pl.DataFrame(schema=WORDS), *tables_of(path)]), record)


def read_counted(path: str | Path) -> Record:
    """Read the record of what `Counted.save` or `count_to` wrote; errors as `load_counted`."""
    wanted = "wanted word counts as `kovocab count` leaves them"
    if said := no_table(path):
        raise CorpusError(f"{path} {said}")
    try:
        metadata = pl.read_parquet_metadata(path)
        schema = pl.scan_parquet(path, glob=False).collect_schema()
    except POLARS_ERRORS as error:
        raise CorpusError(f"{path} cannot be read ({first_line(error)}); {wanted}") from error
    if MARK not in metadata or schema != WORDS:
        raise CorpusError(f"{path} holds {dict(schema)}; {wanted}: {dict(WORDS)} and their record")
    try:
        record = parsed(metadata[MARK], f"the record in {path}", "count")
    except ArtefactError as error:
        raise CorpusError(f"{error}; run `kovocab count` again") from error
    return record


def check_words(words: pl.DataFrame) -> pl.DataFrame:
    """Hand back `words` if they are word counts: `word: str, count: u64`, without nulls.

    Raises:
        UsageError: they are not; says what they are, or which row is null.
    """
    if not isinstance(words, pl.DataFrame):
        raise UsageError(f"word counts are of type {type(words).__name__}; wanted a Polars frame, {dict(WORDS)}")
    if words.schema != WORDS:
        raise UsageError(f"word counts have the columns {dict(words.schema)}; wanted {dict(WORDS)}")
    if sum(words.null_count().row(0)):
        row = words.select(pl.any_horizontal(pl.all().is_null()).arg_max()).item()
        raise UsageError(f"row {row} of the word counts is null; wanted {dict(WORDS)}")
    return words


def tables_of(path: str | Path) -> Iterator[pl.DataFrame]:
    """Word counts of a file, some at a time.

    Raises:
        CorpusError: it cannot be read, or its words are not those that its record speaks of, which is known after
            the last.
    """
    record, query = read_counted(path), pl.scan_parquet(path, glob=False)
    distinct = total = 0
    try:
        left = query.select(pl.len()).collect().item()
        for words in query.collect_batches(chunk_size=ROWS, maintain_order=True):
            left -= len(words)
            distinct, total = distinct + len(words), total + int(words["count"].sum())
            yield check_words(words)
    except (*POLARS_ERRORS, UsageError) as error:
        raise CorpusError(f"{path} cannot be read: {first_line(error)}") from error
    if left:  # where Polars panics, its batches just end
        raise CorpusError(f"{path} cannot be read: {quantity(left, 'word')} missing")
    if (distinct, total) != (record["distinct_words"], record["words"]):
        raise CorpusError(
            f"{path} holds {quantity(total, 'word')}, {distinct:,} distinct, and its record says {record['words']:,} "
            f"and {record['distinct_words']:,}; wanted the words of one count: run `kovocab count` again"
        )


def write_words(path: str | Path, tables: Iterable[pl.DataFrame], record: Record) -> None:
    """Write words as Parquet, without having them all in memory; the same bytes however they are divided.

    The record is written after the words, and may be filled while they are.

    Raises:
        ArtefactError: `path` cannot be written, or is there and is no file of word counts.
    """
    check_file(path, *WORDS_FILE)
    given = iter(tables)

    def source(*_: object) -> Iterator[pl.DataFrame]:
        yield from given

    def metadata(_: object) -> dict[str, str]:
        return {MARK: as_json(record).decode()}

    with new_file(path) as beside:
        frame = register_io_source(source, schema=WORDS)
        frame.sink_parquet(beside, metadata=metadata, row_group_size=ROWS, maintain_order=True)


def check_same_cut(paths: Sequence[str | Path], parts: Sequence[Record], wanted: Record, than: str | Path) -> None:
    """Check that word counts can be added.

    Args:
        paths: The files.
        parts: Their records.
        wanted: The record that they have to go with.
        than: What that is of, for the error.

    Raises:
        UsageError: one is of another tokenizer than `wanted`; names it.
    """
    for path, part in zip(paths, parts, strict=True):
        if part["tokenizer"] != wanted["tokenizer"]:
            raise UsageError(
                f"{path} was counted for another tokenizer than {than}, so their words differ; count it again"
            )


def normalized_as(corpus: Record) -> list[str | None]:
    """What the corpora that were counted were brought into, each once."""
    parts = corpus.get("parts") or [corpus]
    return sorted({part.get("normalize") for part in parts}, key=str)


def tell_normalized(paths: Sequence[str | Path], parts: Sequence[Record], wanted: str | None) -> None:
    """Say which word counts are of text that was brought into another normal form."""
    for path, part in zip(paths, parts, strict=True):
        if (found := normalized_as(part["corpus"])) != [wanted]:
            log.warning(
                "%s was counted with normalize %s, and is added to words of normalize %s: the same text may be "
                "different words",
                path,
                " and ".join(each or "none" for each in found),
                wanted or "none",
            )


def tell_twice(places: Sequence[str | Path], corpora: Sequence[Record]) -> None:
    """Say which files are in two of several corpora, read in the same way: their words are counted twice."""
    if len(corpora) < 2:  # of a million files none is looked at
        return
    seen: dict[tuple[bytes, Any], str | Path] = {}
    for place, corpus in zip(places, corpora, strict=True):
        names: dict[tuple[bytes, Any], str] = {}
        for part in corpus.get("parts") or [corpus]:
            read = as_json({name: value for name, value in part.items() if name not in ("files", "bytes")})
            names |= {(read, _content(file)): str(file["name"]) for file in part.get("files", ()) if file["bytes"]}
        if again := [key for key in names if key in seen]:
            others = f" and {quantity(len(again) - 1, 'more file')}" if len(again) > 1 else ""
            log.warning("%s%s, in %s too: words are counted twice", names[again[0]], others, seen[again[0]])
        seen |= dict.fromkeys(names, place)


def _content(file: Record) -> Any:
    """What identifies what a file holds, wherever it lies; of a remote one without a hash its name does, too."""
    digest = file.get("contents") or file.get("blake2b")
    return (file["bytes"], digest) if digest else as_json(file)


def combined(parts: Sequence[Record]) -> Record:
    """What the counts of several corpora were made from, by their records."""
    read: list[Record] = []  # flat: what is added to every day would be nested a year deep
    for corpus in (part["corpus"] for part in parts):
        read += corpus["parts"] if corpus.get("parts") else [corpus]
    together: Record = {
        "corpus": {"kind": "combined", "parts": read},
        "documents": sum(part["documents"] for part in parts),
        "bytes": sum(part["bytes"] for part in parts),
    }
    for key in ("skipped", "repeated"):
        if found := [part[key] for part in parts if key in part]:
            together[key] = _added(found)
    # Counts of an earlier version lack these: then they are not known.
    if all("words_between_space" in part for part in parts):
        together["words_between_space"] = sum(part["words_between_space"] for part in parts)
    for key in ("hangul", "special_tokens"):
        if all(key in part for part in parts):
            together[key] = _added([part[key] for part in parts])
    return together


def check_replaced(path: str | Path, corpus: Record, tokenizer: str | None) -> None:
    """See, before long work, that a file of word counts is of the same corpus, read in the same way, if it is there.

    What the corpus' files hold may be other than it was: they are then counted again.

    Args:
        path: The file that is to be written.
        corpus: What a record will say of the corpus, see `combined`.
        tokenizer: The digest of the tokenizer that words are cut for.

    Raises:
        ArtefactError: it is of another; says what differs.
    """
    path = Path(path)
    if not path.is_file() or not path.stat().st_size:
        return
    try:
        before = read_counted(path)
    except CorpusError:  # damaged: nothing is lost
        return
    was, now = made_from_of(before["corpus"], before.get("tokenizer")), made_from_of(corpus, tokenizer)
    check_same(path, was, now, overwrite=False)


def made_from_of(corpus: Record, tokenizer: str | None) -> Record:
    """What of word counts is as it was asked for: their tokenizer, and of each corpus its files and how it was read."""
    leave_out = ("bytes", "content", "files", "parts")
    read = [
        {key: value for key, value in part.items() if key not in leave_out}
        | {"files": sorted(file["name"] for file in part.get("files") or [])}
        for part in corpus.get("parts") or [corpus]
    ]
    return {"tokenizer": tokenizer, "corpus": read}


def _added(parts: Sequence[Record]) -> Record:
    return {key: sum(part.get(key, 0) for part in parts) for part in parts for key in part}


def new_record(made_from: Record, made_for: Record, distinct: int, total: int) -> Record:
    """The record of word counts.

    Its `words` are those that were counted, which are cut from the text where no token of the tokenizer can span;
    `words_between_space` are what people call words, and what *tokens per word* goes by.

    Args:
        made_from: Corpus, documents, bytes, words between white space, what was skipped, what `Contents` found.
        made_for: Tokenizer and cut; another record will do.
        distinct: How many distinct words there are.
        total: The sum of their counts.
    """
    return {
        "verb": "count",
        "kovocab": version("kovocab"),
        **made_from,
        "words": total,
        "distinct_words": distinct,
        "tokenizer": made_for["tokenizer"],
        "cut": made_for["cut"],
    }


class Contents:
    """What words hold that people should know of: Hangul that no new token can hold, and special tokens.

    Args:
        tokenizer: What the words were cut for: a special token that stood in the text is a word of its own.
        record: What is found is noted in it: `hangul`, as `hangul_of` gives it, and `special_tokens`, the count of
            each that was met.
        threads: How many threads look; all processors when None.
    """

    def __init__(self, tokenizer: TokenizerJson, record: Record, threads: int | None = None) -> None:
        self._special = {token.word: token.content for token in tokenizer.added_tokens if token.special}
        self._record, self._threads = record, threads

    def of(self, tables: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """The tables; after the last, what they hold is in the record, and said where it is worth it."""
        special: dict[str, int] = {}
        words_of_special = pl.Series(list(self._special), dtype=pl.String).implode()
        hangul = hangul_of([])
        for words in tables:
            hangul = _added([hangul, hangul_of([words], self._threads)])
            found = words.filter(pl.col("word").is_in(words_of_special))
            special |= {self._special[word]: count for word, count in found.iter_rows()}
            yield words
        self._record |= {"hangul": hangul, "special_tokens": special}
        if special:
            log.warning(
                "the text holds %s (%s): counted as ids, which is how the tokenizer reads text; packing reads them as "
                "text by default",
                quantity(sum(special.values()), "literal special token"),
                ", ".join(f"{token} {count:,}" for token, count in special.items()),
            )
        if said := no_tokens(hangul):
            log.warning("%s", said)


_KINDS = {"conjoining": "conjoining jamo (NFD)", "halfwidth": "halfwidth", "other": "old, enclosed or tone marks"}
"""Hangul that no token holds."""


def hangul_of(tables: Iterable[pl.DataFrame], threads: int | None = None) -> Record:
    """How many characters of the text are Hangul, and what of them no token can hold.

    Returns:
        `characters`, all of them; of these `conjoining` (jamo, of which NFC makes syllables), `halfwidth` and `other`
        (old compatibility jamo, enclosed ones, tone marks); and `private_use`, which are none of these (U+E000 to
        U+F8FF, where older files keep old Hangul, and web pages their icons).
    """
    names = ("characters", *_KINDS, "private_use")
    found = [_core.count_hangul(words["word"], words["count"], threads_of(threads)) for words in tables]
    return {name: sum(kinds[at] for kinds in found) for at, name in enumerate(names)}


def no_tokens(hangul: Record) -> str | None:
    """Say what share of the Hangul cannot become a token, and what helps; None where it is less than 0.1 %."""
    characters, private = hangul["characters"], hangul["private_use"]
    none, least = sum(hangul[kind] for kind in _KINDS), _WORTH_SAYING * characters
    said = []
    if none and none >= least:
        each = ", ".join(f"{hangul[kind]:,} {called}" for kind, called in _KINDS.items() if hangul[kind])
        mends = "count it again with --normalize nfc, which makes syllables of conjoining jamo"
        helps = f"; {mends}{' alone' if none > hangul['conjoining'] else ''}" if hangul["conjoining"] else ""
        said.append(
            f"{none / characters:.1%} of the Hangul ({none:,} of {quantity(characters, 'character')}) cannot become a "
            f"token: {each}{helps}"
        )
    if characters and private and private >= least:
        said.append(f"{quantity(private, 'private-use character')} may be old Hangul, and cannot become a token either")
    return "; ".join(said) or None
