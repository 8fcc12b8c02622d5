"""Counts: a corpus read once into word counts, exactly; `token_counts` derives the rest from them.

The corpus comes in batches from `corpus`, the counting is Rust's (`tally`). Word counts are a plain frame,
`word: str, count: u64`; on disk they are a Parquet file whose metadata hold the record of what made it.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias

import polars as pl

from kovocab.artefact import check_file, scratch_beside
from kovocab.corpus.contents import Fingerprint, check_fingerprint
from kovocab.corpus.faults import REPORT_FILE, Fault, is_report, write_report
from kovocab.corpus.settings import Encoding, Normalize, Reading, Template
from kovocab.counting import cluster
from kovocab.counting.one_pass import Pass, run
from kovocab.counting.resume import Kept
from kovocab.counting.tally import Tally, no_overflow
from kovocab.counting.token_counts import TOKENS_FILE, check_tokens, count_tokens_to
from kovocab.counting.word_counts import (
    WORDS,
    WORDS_FILE,
    Contents,
    Counted,
    check_replaced,
    check_same_cut,
    check_words,
    combined,
    new_record,
    normalized_as,
    read_counted,
    tables_of,
    tell_normalized,
    tell_twice,
    write_words,
)
from kovocab.errors import ArtefactError, CorpusError, UsageError, quantity
from kovocab.machine.memory import bound
from kovocab.machine.threads import threads_of
from kovocab.ownership import check_apart, real
from kovocab.progress import Form
from kovocab.reading.documents import Corpus, fingerprint_of, local_files
from kovocab.record import Record
from kovocab.tokenizer.engine import bpe_of
from kovocab.tokenizer.tokenizer import Source, load_tokenizer

log = logging.getLogger(__name__)

OnError: TypeAlias = Literal["fail", "skip"]
Engine: TypeAlias = Literal["local", "ray"]


def count(
    corpus: Corpus,
    tokenizer: Source,
    *,
    column: str = "text",
    encoding: Encoding = "utf-8",
    normalize: Normalize = None,
    deduplicate: bool = False,
    template: Template = None,
    threads: int | None = None,
    memory: str | int | None = None,
    on_error: OnError = "fail",
    add_to: str | Path | Sequence[str | Path] = (),
    fingerprint: Fingerprint = "quick",
) -> Counted:
    """Count the words of `corpus`, with a record; `count_words` is this without one, `count_to` writes a file.

    A word is what the tokenizer cannot merge across. A byte-level one cuts text by itself, by its split pattern. To a
    SentencePiece-style one it is normalised text, cut before spaces, round newlines and where Hangul meets the rest,
    as far as no entry of the vocabulary spans such a place. A kind of place that an entry spans is not cut, and a
    warning says so; where none is left, whole documents are counted. A space is written `▁`, and where a byte-level
    tokenizer meets a `▁` of the text, that is written as a space.

    Args:
        corpus: What `kovocab.reading.documents.Corpus` lists.
        tokenizer: Whose vocabulary decides where text may be cut.
        column: The Parquet column or JSON key that holds the text, or a path to it, see `docs/corpora.md`.
        encoding: Of text files, utf-8, cp949 or utf-16.
        normalize: "nfc" brings documents into NFC; they are read as they stand when None.
        deduplicate: Whether a document that stood in the corpus before is left out; the record says how many.
        template: What a row becomes a document by, in place of a column: "{en} = {ko}", or several, of which each row
            has one, see `docs/data.md`.
        threads: How many threads count; all processors when None. The result does not depend on it.
        memory: Bytes, or a size such as "4GB", that the process may use while it counts: words beyond it are spilled
            to the folder for temporary files. Half of the machine's when None. The result does not depend on it.
        on_error: What a fault of the corpus, a line that is not JSON say, is: "fail", an error, or "skip", noted.
        add_to: Word counts, as `count_to` or `Counted.save` wrote them, that are counted too: yesterday's.
        fingerprint: By what the record tells the corpus from another, and whether it changed while it was counted:
            "quick", a sample of each file and what the system says of it, or "full", all that each holds, which is
            read twice more.

    Raises:
        CorpusError: a file cannot be read (named, with the place), or changed while it was counted, or the corpus
            holds no documents.
        TokenizerError: the tokenizer is of a style that is not covered, or has a split pattern that the engine
            does not read; `count_tokens` counts with any.
        UsageError: `threads` or `memory` cannot be used, or `add_to` was counted for another tokenizer.
    """
    reading = Reading(column, encoding, normalize, deduplicate, template)
    with _Count(corpus, tokenizer, reading, threads, memory, on_error, add_to, fingerprint) as counting:
        tables, record = counting.finish()
        words = pl.concat([pl.DataFrame(schema=WORDS), *tables])
    return Counted(words, record, counting.skipped)


def count_to(
    out: str | Path,
    corpus: Corpus,
    tokenizer: Source,
    *,
    column: str = "text",
    encoding: Encoding = "utf-8",
    normalize: Normalize = None,
    deduplicate: bool = False,
    template: Template = None,
    threads: int | None = None,
    memory: str | int | None = None,
    on_error: OnError = "fail",
    add_to: str | Path | Sequence[str | Path] = (),
    log_form: Form = "text",
    engine: Engine = "local",
    address: str | None = None,
    report: str | Path | None = None,
    tokens: str | Path | None = None,
    fingerprint: Fingerprint = "quick",
    overwrite: bool = False,
) -> tuple[Record, list[Fault]]:
    """`count` into the Parquet file `out`: the words need not fit the memory, and a run that is stopped goes on.

    Words are spilled beside `out`, into the hidden folder `.NAME.counting`, and with them how far the corpus was
    counted. The same call after a crash goes on there; the file is the same, byte for byte.

    Args:
        out: The file to write.
        corpus: As for `count`, and so are the others.
        log_form: Of progress: "text", or "json" for a JSON object a line.
        engine: What counts: "local", this machine, or "ray", a cluster, whose every machine has to see the corpus.
            The file is the same. There, `threads` and `memory` are those of a task (by default 1 thread, and its
            share of half of its machine's memory), and a run that is stopped begins anew.
        address: Of the cluster, "auto" say. None: the one that RAY_ADDRESS names, or one on this machine alone.
        report: A file for what was skipped, a JSON object a line, written where anything was, also when there is then
            nothing left to count; that of an earlier count goes where nothing was skipped.
        tokens: A file to write too, of how often the tokenizer emits each of its tokens.
        overwrite: Whether word and token counts of other files, another tokenizer or settings are replaced too, and
            another count's report.

    Returns:
        The record, and the first 100,000 faults that were skipped.

    Raises:
        ArtefactError: `out` or `report` cannot be written or is there and none of kovocab's, `out` is of another
            corpus, tokenizer or settings, another process is at it, or what was counted of it before it was interrupted
            was of something else.
        ClusterError: the cluster cannot be reached, or lost a task too often.
        UsageError: `out` or `report` is one of the files that are read.
        KovocabError: as `count`.
    """
    # `add_to` may be `out`: it is read before it is replaced.
    check_writes(out, corpus, tokenizer, tokens=tokens, report=report)
    reading = Reading(column, encoding, normalize, deduplicate, template)
    with _Count(
        corpus, tokenizer, reading, threads, memory, on_error, add_to, fingerprint, log_form, Path(out), engine, address
    ) as counting:
        if not overwrite:
            counting.check_replaced(out, tokens)
            _check_report(out, report)
        try:
            tables, record = counting.finish()
        except CorpusError as error:
            if report is None or not counting.skipped:
                raise
            write_report(counting.skipped, report)
            raise CorpusError(f"{error} ({report} lists what was skipped)") from error
        write_words(out, tables, record)
        # What was skipped is known until it is written down.
        if report is not None and counting.skipped:
            write_report(counting.skipped, report)
        elif report is not None:
            _forget(Path(report))
        counting.written()
    if tokens is not None:
        count_tokens_to(tokens, out, tokenizer, threads=threads, overwrite=True)
    return record, counting.skipped


def report_beside(out: str | Path) -> Path:
    """The report that is called after the words `out`: ko.skipped.jsonl of ko.parquet, ko.v1.skipped.jsonl of ko.v1."""
    return Path(out).with_name(Path(out).name.removesuffix(".parquet") + ".skipped.jsonl")


def _check_report(out: str | Path, report: str | Path | None) -> None:
    """See that a report which is there, and not called after `out`, is of the count that is replaced.

    Raises:
        ArtefactError: it is of another.
    """
    if report is None or Path(report) == report_beside(out):
        return
    if not Path(report).is_file() or not Path(report).stat().st_size:
        return
    before: Record = {}
    with suppress(CorpusError):
        before = read_counted(out)
    if not before.get("skipped", {}).get("faults"):
        raise ArtefactError(
            f"{report} lists what another count skipped; --overwrite replaces it, or choose another name"
        )


def _forget(report: Path) -> None:
    """Remove what an earlier count left there, whose words are replaced; whatever else is there by now stays."""
    report = Path(real(report))  # of a link, what it points to
    if report.is_file() and report.stat().st_size and is_report(report):
        report.unlink()


def check_writes(
    out: str | Path,
    corpus: Corpus,
    tokenizer: Source,
    add_to: str | Path | Sequence[str | Path] = (),
    *,
    tokens: str | Path | None = None,
    report: str | Path | None = None,
) -> None:
    """Check, before a count, what it is to write: nothing that it reads, and nothing that is not kovocab's.

    Raises:
        ArtefactError: one of `out`, `tokens` and `report` is something else, or cannot be written.
        UsageError: one of them is a file that is read, or another one of them.
        CorpusError: as `corpus.files.files`.
    """
    reads: dict[str, Iterable[str | Path]] = {
        "corpus": local_files(corpus),
        "tokenizer": [tokenizer] if isinstance(tokenizer, str | Path) else [],
        "add_to": [add_to] if isinstance(add_to, str | Path) else add_to,
    }
    check_apart({"out": out, "tokens": tokens, "report": report}, reads)
    check_file(out, *WORDS_FILE)
    _check_name(out)
    if tokens is not None:
        check_file(tokens, *TOKENS_FILE)
    if report is not None:
        check_file(report, *REPORT_FILE)


def _check_name(out: str | Path) -> None:
    """See that the name of word counts does not say that they are text; many a name says nothing, ko.v1 say.

    Raises:
        UsageError: it does.
    """
    if Path(out).suffix.lower() in (".csv", ".tsv", ".txt", ".json", ".jsonl"):
        wanted = f"wanted a name such as {Path(out).stem}.parquet"
        raise UsageError(f"out is {out}; counts are Parquet: {wanted}")


def count_words(corpus: Corpus, tokenizer: Source, **settings: Any) -> pl.DataFrame:
    """Count the words of `corpus`; arguments and errors are those of `count`.

    Returns:
        `word: str, count: u64`, sorted by count (descending) and word (ascending).
    """
    return count(corpus, tokenizer, **settings).words


def combine(*tables: pl.DataFrame) -> pl.DataFrame:
    """Add word counts: yesterday's and today's, or one corpus' and another's, made with the same cut.

    Raises:
        UsageError: a table's columns are not `word: str, count: u64`, or a sum passes 2^64 - 1.
    """
    with Tally(threads_of(None), bound(None)) as tally, no_overflow():
        for table in tables:
            tally.add(check_words(table))
        return pl.concat([pl.DataFrame(schema=WORDS), *tally.finish()[2]])


def combine_to(
    out: str | Path, paths: Sequence[str | Path], *, memory: str | int | None = None, overwrite: bool = False
) -> Record:
    """Add the word counts of files into the file `out`, which need not fit the memory; what `out` then records.

    Raises:
        ArtefactError: `out` holds counts of other corpora, and `overwrite` is not set; or it cannot be written.
        CorpusError: a file cannot be read, or holds something else.
        UsageError: there are no files, they were counted for different tokenizers, or a sum passes 2^64 - 1.
    """
    check_file(out, *WORDS_FILE)
    _check_name(out)
    if not paths:
        raise UsageError("there are no word counts to combine; wanted at least one")
    check_apart({"out": out}, {"words": paths})
    parts = [read_counted(path) for path in paths]
    check_same_cut(paths, parts, parts[0], paths[0])
    if not overwrite:
        check_replaced(out, combined(parts)["corpus"], parts[0]["tokenizer"])
    tell_normalized(paths, parts, (normalized_as(parts[0]["corpus"]) or [None])[0])
    tell_twice(paths, [part["corpus"] for part in parts])
    with scratch_beside(out) as folder, Tally(threads_of(None), bound(memory), folder) as tally, no_overflow():
        _add_files(tally, paths)
        distinct, total, tables = tally.finish()
        record = new_record(combined(parts), parts[0], distinct, total)
        write_words(out, tables, record)
    return record


class _Count:
    """A count under way: the corpus' pass, the tally, what is kept, and the record at the end."""

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Source,
        reading: Reading,
        threads: int | None,
        memory: str | int | None,
        on_error: OnError,
        add_to: str | Path | Sequence[str | Path],
        fingerprint: Fingerprint,
        form: Form = "text",
        out: Path | None = None,
        engine: Engine = "local",
        address: str | None = None,
    ) -> None:
        if on_error not in ("fail", "skip"):
            raise UsageError(f"on_error is {on_error!r}; wanted fail or skip")
        if engine not in ("local", "ray"):
            raise UsageError(f"engine is {engine!r}; wanted local or ray")
        check_fingerprint("fingerprint", fingerprint)
        if address is not None and engine != "ray":
            raise UsageError(
                f"address is {address}, and the engine {engine} counts on this machine; wanted the engine ray"
            )
        if engine == "ray":
            if reading.deduplicate:
                raise UsageError("deduplicate is true, and the engine ray counts apart; wanted the engine local")
            cluster.load_ray()
        # What a cluster is asked for is not settled by this machine.
        self._asked: dict[str, Any] = {"threads": threads, "memory": memory, "address": address}
        threads, limit = threads_of(threads), bound(memory)
        self._loaded = loaded = load_tokenizer(tokenizer)
        self._bpe = bpe_of(loaded)
        for kind, cut in zip(("spaces", "newlines", "Hangul"), self._bpe.cut, strict=True):
            if not cut:
                log.warning("entries of the vocabulary span %s: text is not cut there, which is slower", kind)
        self._made_for = {"tokenizer": loaded.digest, "cut": list(self._bpe.cut)}
        self._add_to = [add_to] if isinstance(add_to, str | Path) else list(add_to)
        self._before = [read_counted(path) for path in self._add_to]
        check_same_cut(self._add_to, self._before, self._made_for, loaded.name)
        tell_normalized(self._add_to, self._before, reading.normalize)
        self._pass = Pass(corpus, reading, threads, on_error == "skip", form, fingerprint)
        now = fingerprint_of(self._pass.identities, reading)
        tell_twice([*self._add_to, "the corpus"], [*(record["corpus"] for record in self._before), now])
        self._pass.limit(limit // 2)
        self._kept: Kept | None = None
        self._scratch: Path | None = None
        self._stack = ExitStack()
        spills: Path | None = None
        if out is not None and engine == "ray":
            if not self._pass.files:
                raise UsageError("the engine ray counts files, and the corpus is in memory; wanted the engine local")
            spills = self._scratch = self._stack.enter_context(scratch_beside(out))
        elif out is not None and self._pass.files:
            identity = {"kovocab": version("kovocab"), **asdict(reading), "on_error": on_error} | self._made_for
            identity["fingerprint"] = fingerprint
            identity["add_to"] = [sha256(json.dumps(record).encode()).hexdigest() for record in self._before]
            self._kept = Kept(out, identity | {"files": self._pass.stood})
        self._forget = False
        try:
            self._tally = Tally(threads, limit, spills if self._kept is None else self._taken_up(self._kept))
        except BaseException:  # Ctrl-C
            self._let_go()
            raise

    def __enter__(self) -> "_Count":
        return self

    def __exit__(self, *_: object) -> None:
        self._tally.__exit__(None, None, None)
        self._let_go()

    def _taken_up(self, kept: Kept) -> Path:
        """Go on after what was counted before an interruption; where words are spilled."""
        self._pass.done = kept.done
        self._pass.goes_on(kept.folder)
        if documents := self._pass.documents:
            log.info("count: goes on after %s counted before", quantity(documents, "document"))
        return kept.folder

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.close(forget=self._forget)
        self._stack.close()

    def check_replaced(self, out: str | Path, tokens: str | Path | None) -> None:
        """See that what is there was counted of the same; errors as `word_counts.check_replaced`."""
        now = fingerprint_of(self._pass.identities, self._pass.reading)
        parts = [part for record in self._before for part in record["corpus"].get("parts") or [record["corpus"]]]
        corpus = {"parts": [*parts, now]}
        if real(out) not in map(real, self._add_to):  # else nothing of it is lost
            check_replaced(out, corpus, self._loaded.digest)
        else:
            corpus = read_counted(out)["corpus"]
        if tokens is not None:
            check_tokens(tokens, corpus, self._loaded.digest)

    @property
    def skipped(self) -> list[Fault]:
        # As they came from files that were read side by side; a file's own came in order.
        return sorted(self._pass.done.skipped, key=lambda fault: fault.file)

    def finish(self) -> tuple[Iterable[pl.DataFrame], Record]:
        """Count, and give the words in order and the record, which is whole when they were taken."""
        done = self._pass.done
        state = self._tally.state if self._scratch is None else dict
        with self._pass.told(state), no_overflow():
            if self._kept is None or not done.files:  # else they are among what was kept
                _add_files(self._tally, self._add_to)
            if self._scratch is not None:
                counted = cluster.count_by_ray(self._pass, self._tally, self._scratch, self._loaded.text, **self._asked)
            else:
                run(self._pass, self._tally, self._bpe, self._kept)
                counted = self._tally.finish()
            self._distinct, total, tables = counted
        corpus = fingerprint_of(self._pass.identities, self._pass.reading)
        now: Record = {"corpus": corpus, "documents": self._pass.documents, "bytes": self._pass.bytes}
        now["words_between_space"] = done.words_between_space
        if self._pass.skip:
            now["skipped"] = {"faults": done.faults, "documents": done.lost}
        if self._pass.seen is not None:
            now["repeated"] = {"documents": done.repeated, "bytes": done.repeated_bytes}
        sums = combined([*self._before, now]) if self._before else now
        record = new_record(sums, self._made_for, self._distinct, total)
        return Contents(self._loaded, record, self._asked["threads"]).of(tables), record

    def written(self) -> None:
        """The words are where they belong: what was kept of them goes, and machines are told of the end."""
        self._forget = True
        self._pass.end(self._distinct)


def _add_files(tally: Tally, paths: Iterable[str | Path]) -> None:
    for path in paths:
        for words in tables_of(path):
            tally.add(words)
            if tally.full():
                tally.spill()
