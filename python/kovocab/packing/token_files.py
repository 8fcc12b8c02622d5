"""Documents → token files: encoded once, then memory-mapped (`packed`). No torch here.

A source becomes two flat files of token ids, one for training and one held out. They are named by a fingerprint of
what made them, all that the corpus holds and all else, so a second run with the same corpus, tokenizer and split opens
them at once, wherever the corpus lies by then.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from kovocab.artefact import check_parent, check_replaceable, new_folder
from kovocab.corpus.contents import Fingerprint, Standing
from kovocab.corpus.files import File
from kovocab.corpus.remote import shown
from kovocab.errors import CorpusError, quantity
from kovocab.machine.memory import bound
from kovocab.machine.threads import threads_of
from kovocab.packing.encoders import Encoded
from kovocab.packing.encoding import Encoder, dtype_of, eos_of
from kovocab.packing.kept import SEEN, Kept, kept
from kovocab.packing.memo import Memo
from kovocab.packing.packed import PackedSource
from kovocab.packing.source import Packing, Source
from kovocab.packing.splitting import PARTS, Split
from kovocab.progress import Progress, progress
from kovocab.reading.documents import check_readable, corpus_files, fingerprint_of, local_files
from kovocab.reading.readers import Position, read_in_order
from kovocab.reading.repeats import Seen
from kovocab.record import RECORD, Record, read_record, write_record
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.workplace import turn

log = logging.getLogger(__name__)

_SHARE = 4  # of the memory, for words that were encoded before; the rest is what is read, and written


class TokenFiles:
    """The token files of sources that are packed in one way, in one folder.

    What a source is made of is settled when it is first asked for: a corpus that changes later is an error where it is
    still to be packed, and no matter to who trains on what was packed.

    Args:
        tokenizer: A folder or file of the target tokenizer.
        folder: Where the token files are, which runs may share.
        packing: How documents become blocks.
        fingerprint: By what a corpus is known again: "quick" reads all of a file but once, until somebody touches it;
            "full" every time.
        threads: How many threads encode; all processors when None. What is written does not depend on it.
        memory: Bytes that packing may use, or a size such as 4GB; half of the machine's when None.

    Raises:
        TokenizerError: the tokenizer cannot be read.
        UsageError: `threads` or `memory` is out of range.
    """

    def __init__(
        self,
        tokenizer: str | Path,
        folder: str | Path,
        packing: Packing,
        fingerprint: Fingerprint = "quick",
        *,
        threads: int | None = None,
        memory: str | int | None = None,
    ) -> None:
        self._threads, self._memory = threads_of(threads), bound(memory)
        self._tokenizer, self._folder, self._packing = Path(tokenizer), Path(folder), packing
        self._full = fingerprint == "full"
        self._hashes = Memo(self._folder, fingerprint)
        self._loaded = load_tokenizer(tokenizer)
        self._known: dict[str, tuple[Standing, Record]] = {}
        self._checked: set[str] = set()

    def identity(self, source: Source) -> Record:
        """All that a source's token files depend on."""
        return self._settled(source)[1]

    def place(self, source: Source) -> Path:
        """The folder of a source's token files, whether they are there or not."""
        return self._place_of(self.identity(source))

    def check(self, sources: Sequence[Source]) -> None:
        """See that each source can be read, or is packed, before hours go into packing the first, or into its hashes.

        Raises:
            CorpusError: a file or a column is not there; names the source.
            ArtefactError: token files are not of the size that their record says, or cannot be written.
        """
        for source in sources:  # what is packed may lie where nobody may write
            if not any(self._folder.glob(f"{source.name}.*")):
                check_parent(self._folder / source.name)
        # Those whose hashes are known cost nothing to tell; and all is looked at before any file is read whole.
        known = {
            source.name: source.name in self._known or self._hashes.knows(local_files(source.corpus))
            for source in sources
        }
        for source in sources:
            if not known[source.name] or self._packed(self.identity(source)) is None:
                check_readable(source.corpus, source.reading)
                if not any(path.stat().st_size for path in corpus_files(source.corpus)):
                    raise CorpusError(f"data.sources: {source.name} ({shown(source.corpus)}) is empty; wanted text")
        for source in sources:
            if self._packed(made_from := self.identity(source)) is None:
                check_replaceable(self._place_of(made_from))  # what is in the way shows before hours of packing

    def pack(self, source: Source) -> PackedSource:
        """Write the token files of `source`, or find the ones that are there.

        Each document is encoded as the tokenizer's own template says (so with bos where it has one), followed by
        eos where the tokenizer has one; empty documents are skipped. A document is held out by the hash of its
        text, so the same ones are, in any order and among any others. The text of a special token in a document is
        read as text, unless `packing` says otherwise. Where the share gives less than one block,
        those of lowest hash are taken until there is one. The others are joined in about the corpus' order.
        Tokens behind the last whole block are dropped, and counted in the record.

        Returns:
            The folder `NAME.FINGERPRINT` with `train.bin`, `validation.bin` (flat uint16 or uint32, little endian),
            `train.ends` and `validation.ends` (uint64, little endian: of each document, how many tokens of the part
            there are up to its end), `validation.jsonl` (what is held out, as text, see `splitting`) and their record,
            opened. That has of each part its documents, tokens, words
            (between white space), bytes and
            `text_tokens` (without those that the template and eos add), and of what is held out `base_text_tokens`,
            what the base makes of it, where that is known.

        Raises:
            CorpusError: the corpus cannot be read, changes meanwhile, or is too small for one block of each part.
            TokenizerError: the tokenizer makes a special token of its text by itself.
            ArtefactError: token files are there and not of the size that their record says.
        """
        standing, made_from = self._settled(source)
        if (packed := self._packed(made_from)) is not None:
            return packed
        folder = self._place_of(made_from)
        log.info("packing %s into %s", source.name, folder)
        standing.check("since the run began", listed=corpus_files(source.corpus))
        encoder = Encoder(
            self._loaded,
            made_from["eos"],
            self._packing.special_tokens_in_text,
            made_from["first_new_id"],
            threads=self._threads,
            memory=self._memory // _SHARE,
        )
        with kept(folder) as keeping:  # one process at a time; the next finds what it was to pack
            if (packed := self._packed(made_from)) is None:
                self._write(source, standing, encoder, made_from, keeping)
        return packed or self._open(folder, made_from)

    def _write(self, source: Source, standing: Standing, encoder: Encoder, made_from: Record, keeping: Kept) -> None:
        """Write the token files, and give them their name."""
        folder = self._place_of(made_from)
        with suppress(_PackedByAnother), ExitStack() as held:
            seen = None
            if source.deduplicate:
                seen = Seen()
                seen.limit = self._memory // 2
            packing = _Packing(source, standing.files, encoder, self._packing, self._threads, seen)
            said, hashes = packing.write(keeping)
            try:
                standing.check("while it was packed", whole=self._full, listed=corpus_files(source.corpus))
            except CorpusError:  # what is kept is of nothing that is there
                keeping.forget()
                raise
            with new_folder(folder, hashes=hashes) as beside:
                keeping.give(beside)
                write_record(beside, {"verb": "pack", **made_from, "dtype": self._dtype, **said})
                held.enter_context(turn(self._folder))  # until the folder has its name
                if (folder / RECORD).is_file():
                    log.info("%s was packed by another process meanwhile", source.name)
                    raise _PackedByAnother
            self._checked.add(source.name)

    def check_contents(self, source: Source) -> None:
        """Check, once, that the token files of a packed source hold what was written.

        Raises:
            ArtefactError: one does not; names it.
        """
        if source.name not in self._checked:
            self.pack(source).check_contents(self._hashes)
            self._checked.add(source.name)

    def _settled(self, source: Source) -> tuple[Standing, Record]:
        if source.name not in self._known:
            eos = eos_of(self._loaded, self._tokenizer)
            first_new_id = _first_new_id(self._tokenizer)
            standing = Standing(corpus_files(source.corpus), self._hashes)
            made_from = {
                "source": source.name,
                "corpus": fingerprint_of(standing.identities, source.reading),
                "tokenizer": hashlib.sha256(self._loaded.text.encode()).hexdigest(),
                "eos": eos,
                "eos_id": self._loaded.ids[eos] if eos else None,
                "first_new_id": first_new_id,
                **asdict(self._packing),
            }
            self._known[source.name] = standing, made_from
        return self._known[source.name]

    @property
    def _dtype(self) -> str:
        return dtype_of(self._loaded)

    def _place_of(self, made_from: Record) -> Path:
        return self._folder / f"{made_from['source']}.{digest(made_from)[:16]}"

    def _packed(self, made_from: Record) -> PackedSource | None:
        """The token files that were made from that, if they are there."""
        folder = self._place_of(made_from)
        return self._open(folder, made_from) if (folder / RECORD).is_file() else None

    def _open(self, folder: Path, made_from: Record) -> PackedSource:
        packed = PackedSource(folder)
        packed.check({**made_from, "dtype": self._dtype})
        return packed


class _PackedByAnother(Exception):
    """The same token files are there: whoever has them mapped keeps them."""


def _first_new_id(tokenizer: Path) -> int | None:
    """Where the base's tokens end, as the record of a folder says that we made; None elsewhere."""
    folder = tokenizer if tokenizer.is_dir() else tokenizer.parent
    first: int | None = read_record(folder).get("first_new_id") if (folder / RECORD).is_file() else None
    return first


@dataclass(frozen=True, slots=True)
class _Batch:
    """Documents that were encoded, and how far that is.

    Attributes:
        encoded: The documents.
        at: How far the corpus was read.
        with_special_tokens: How many documents held a special token by then.
        repeated: How many were left out by then, and their bytes.
        hashes: By which these are known when they come again, where copies are left out.
    """

    encoded: Encoded
    at: Position
    with_special_tokens: int
    repeated: tuple[int, int]
    hashes: bytes


class _Packing:
    """A source on its way into token files.

    Args:
        source: The source.
        files: Its files.
        encoder: What encodes it.
        packing: How documents become blocks.
        threads: How many threads encode.
        seen: Knows the documents that were met, where copies are left out.
    """

    def __init__(
        self,
        source: Source,
        files: Sequence[File],
        encoder: Encoder,
        packing: Packing,
        threads: int,
        seen: Seen | None,
    ) -> None:
        self._source, self._files, self._encoder = source, files, encoder
        self._packing, self._threads = packing, threads
        self._seen, self._repeated = seen, (0, 0)

    def write(self, kept: Kept) -> tuple[Record, dict[str, str]]:
        """Encode, split and write what is not in the kept files yet; give what the record says and hashes of files."""
        length, share, at = self._packing.length, self._packing.validation_share, kept.position
        if at != Position():
            log.info("packing of %s goes on behind %s", self._source.name, _said(at))
        self._encoder.with_special_tokens, self._repeated = kept.with_special_tokens, kept.repeated
        if self._seen is not None:
            self._seen.load(kept.folder / SEEN)
        verb, rest = f"pack {self._source.name}", self._files[at.files :]
        with (
            Split(
                kept.folder,
                self._encoder,
                source=self._source.name,
                length=length,
                share=share,
                state=kept.state,
                hashes=kept.hashes,
            ) as split,
            progress(verb, rest, self._source.reading.columns) as bar,
        ):
            bar.resumed(at.bytes)
            for batch in self._encoded(at):
                split.add(batch.encoded)
                kept.add_seen(batch.hashes)
                size = int(batch.encoded.bytes.sum())
                bar.update(size)
                at = self._read(at, batch.at, size, bar)
                if kept.is_time():
                    kept.keep(at, split.state(), batch.with_special_tokens, batch.repeated)
            counts, hashes = split.finish(), split.digests()
        return self._checked(counts), hashes

    def _encoded(self, at: Position) -> Iterator[_Batch]:
        """Documents encoded: the next are on their way meanwhile."""

        def encode(series: list[pl.Series], now: Position, repeated: tuple[int, int], hashes: bytes) -> _Batch:
            documents = pl.concat(series, rechunk=False) if series else pl.Series(dtype=pl.String)
            encoded = self._encoder.encode(documents)
            return _Batch(encoded, now, self._encoder.with_special_tokens, repeated, hashes)

        with ThreadPoolExecutor(1) as pool:
            before: Future[_Batch] | None = None
            with closing(read_in_order(self._files, self._source.reading, self._threads, at)) as parts:
                for read, now in parts:
                    seen = self._seen
                    series = read if seen is None else [self._first(seen, part) for part in read]
                    hashes = b"" if seen is None else seen.take_new()
                    after = pool.submit(encode, series, now, self._repeated, hashes)
                    if before is not None:
                        yield before.result()
                    before = after
            if before is not None:
                yield before.result()

    def _first(self, seen: Seen, part: pl.Series) -> pl.Series:
        """The documents that were not seen before."""
        kept, left = seen.first(part)
        documents, size = self._repeated
        self._repeated = documents + len(part) - len(kept), size + left
        return kept

    def _read(self, at: Position, now: Position, size: int, bar: Progress) -> Position:
        """Tell of a file that was read to its end."""
        if now.files > at.files:
            bar.finished(self._files[at.files], at.bytes + size)
        return now

    def _checked(self, counts: dict[str, dict[str, int]]) -> Record:
        source, length = self._source, self._packing.length
        for part in PARTS:
            blocks, dropped = divmod(counts[part]["tokens"], length)
            if not blocks:
                documents = quantity(sum(each["documents"] for each in counts.values()), "document")
                raise CorpusError(
                    f"data.sources: {source.name} ({shown(source.corpus)}) has {documents}, with "
                    f"{quantity(counts['train']['tokens'], 'token')} to train on and "
                    f"{counts['validation']['tokens']:,} held out; wanted at least one block of {length:,} of each"
                )
            counts[part] |= {"blocks": blocks, "dropped_tokens": dropped}
        found, special = self._encoder.with_special_tokens, self._encoder.special_tokens
        if found:
            log.info(
                "%s: %s with the text of a special token (%s), read as %s; see data.special_tokens_in_text",
                source.name,
                quantity(found, "document"),
                ", ".join(special[:4]) + (" …" if len(special) > 4 else ""),
                "text" if self._packing.special_tokens_in_text == "text" else "that token",
            )
        repeated = (
            {} if self._seen is None else {"repeated": dict(zip(("documents", "bytes"), self._repeated, strict=True))}
        )
        return {"documents_with_special_tokens": found, **counts, **repeated}


def _said(at: Position) -> str:
    return f"{quantity(at.files, 'file')} and {quantity(at.documents, 'document')} of the next"


def digest(record: Record) -> str:
    """A name for a record: the same for the same content, in any order of keys."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
