"""Documents → token files: encoded once, then memory-mapped (`packed`). No torch here.

A source becomes two flat files of token ids, one for training and one held out. They are named by a fingerprint of
what made them, all that the corpus holds and all else, so a second run with the same corpus, tokenizer and split opens
them at once, wherever the corpus lies by then.
"""

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kovocab.artefact import new_folder
from kovocab.corpus.contents import Fingerprint, Standing
from kovocab.corpus.files import File
from kovocab.corpus.remote import shown
from kovocab.corpus.settings import Encoding, Normalize, Reading
from kovocab.data.encoding import Document, Encoder, SpecialTokens, eos_of
from kovocab.data.memo import Memo
from kovocab.data.packed import DTYPES, PackedSource
from kovocab.data.splitting import PARTS, Split
from kovocab.errors import CorpusError, UsageError, quantity
from kovocab.reading.documents import check_readable, corpus_files, fingerprint_of, local_files
from kovocab.reading.formats import read_file
from kovocab.reading.repeats import Seen
from kovocab.record import RECORD, Record, read_record, write_record
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.workplace import turn

log = logging.getLogger(__name__)

EVERY = 10.0  # seconds between two lines of progress
_WEIGHTS = 1e-18, 1e18  # beyond them, sums and quotients of weights would be no numbers


@dataclass(frozen=True)
class Source:
    """A named part of the training mix.

    Attributes:
        name: What messages and records call it; also a part of a folder's name.
        corpus: A path or glob, or a list of them.
        weight: Its share of the training blocks, relative to the other sources' weights.
        column: The column or key that holds the text, or a path to it.
        encoding: Of text files: utf-8, cp949 or utf-16.
        normalize: `nfc` brings documents into NFC.
        deduplicate: Whether a document that stood in the corpus before is left out.
    """

    name: str
    corpus: str | list[str]
    weight: float = 1.0
    column: str = "text"
    encoding: Encoding = "utf-8"
    normalize: Normalize = None
    deduplicate: bool = False

    def __post_init__(self) -> None:
        """Refuse a name that is no file name and a weight that is no share."""
        if not re.fullmatch(r"[\w-][\w.-]*", self.name):
            raise UsageError(f"data.sources: the name {self.name!r} is not letters, digits, `_`, `-` and `.`")
        least, most = _WEIGHTS
        if not least <= self.weight <= most:
            raise UsageError(
                f"data.sources: {self.name} has weight {self.weight}; wanted a number from {least:g} to {most:g}"
            )
        try:
            _ = self.reading
        except UsageError as error:
            raise UsageError(f"data.sources: {self.name}: {error}") from None

    @property
    def reading(self) -> Reading:
        """How its documents are read."""
        return Reading(self.column, self.encoding, self.normalize, self.deduplicate)


@dataclass(frozen=True)
class Packing:
    """How documents become blocks.

    Attributes:
        length: Tokens per block.
        validation_share: The share of documents to hold out, between 0 and 1; at least one block is held out.
        special_tokens_in_text: What the text of a special token in a document is: text, or that token.
    """

    length: int
    validation_share: float
    special_tokens_in_text: SpecialTokens = "text"

    def __post_init__(self) -> None:
        """Refuse a block without a next token, and a split without one of its parts."""
        if self.length < 2:
            raise UsageError(f"data.length is {self.length}; wanted at least 2: a token and the one that follows")
        if not 0 < self.validation_share < 1:
            raise UsageError(f"data.validation_share is {self.validation_share}; wanted a share between 0 and 1")
        if self.special_tokens_in_text not in ("text", "token"):
            raise UsageError(f"data.special_tokens_in_text is {self.special_tokens_in_text}; wanted text or token")


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

    Raises:
        TokenizerError: the tokenizer cannot be read.
    """

    def __init__(
        self, tokenizer: str | Path, folder: str | Path, packing: Packing, fingerprint: Fingerprint = "quick"
    ) -> None:
        self._tokenizer, self._folder, self._packing = Path(tokenizer), Path(folder), packing
        self._full = fingerprint == "full"
        self._hashes = Memo(self._folder, fingerprint)
        self._loaded = load_tokenizer(tokenizer)
        self._known: dict[str, tuple[Standing, Record]] = {}
        self._checked: set[str] = set()

    def identity(self, source: Source) -> Record:
        """All that a source's token files depend on."""
        return self._settled(source)[1]

    def check(self, sources: Sequence[Source]) -> None:
        """See that each source can be read, or is packed, before hours go into packing the first, or into its hashes.

        Raises:
            CorpusError: a file or a column is not there; names the source.
            ArtefactError: token files are not of the size that their record says.
        """
        looked_at = set()
        for source in sources:
            if source.name not in self._known and not self._hashes.knows(local_files(source.corpus)):
                check_readable(source.corpus, source.reading)
                looked_at.add(source.name)
        for source in sources:
            if self._packed(self.identity(source)) is None and source.name not in looked_at:
                check_readable(source.corpus, source.reading)

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
            there are up to its end) and their record, opened. That has of each part its documents, tokens, words
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
        folder = self._place(made_from)
        log.info("packing %s into %s", source.name, folder)
        standing.check("since the run began", listed=corpus_files(source.corpus))
        encoder = Encoder(
            self._loaded, made_from["eos"], self._packing.special_tokens_in_text, made_from["first_new_id"]
        )
        with suppress(_PackedByAnother), ExitStack() as held:
            with new_folder(folder) as beside:
                _write(source, standing.files, encoder, self._dtype, made_from, self._packing, beside)
                standing.check("while it was packed", whole=self._full, listed=corpus_files(source.corpus))
                held.enter_context(turn(self._folder))  # until the folder has its name
                if (folder / RECORD).is_file():
                    log.info("%s was packed by another process meanwhile", source.name)
                    raise _PackedByAnother
            self._checked.add(source.name)
        return self._open(folder, made_from)

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
        return DTYPES[self._loaded.size > 1 << 16]

    def _place(self, made_from: Record) -> Path:
        return self._folder / f"{made_from['source']}.{digest(made_from)[:16]}"

    def _packed(self, made_from: Record) -> PackedSource | None:
        """The token files that were made from that, if they are there."""
        folder = self._place(made_from)
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


def _write(
    source: Source,
    files: Iterable[File],
    encoder: Encoder,
    dtype: str,
    made_from: Record,
    packing: Packing,
    beside: Path,
) -> None:
    """Encode, split and write the files of the source into the folder `beside`, with the record."""
    progress = _Progress(source.name)
    length, share = packing.length, packing.validation_share
    repeated = {"documents": 0, "bytes": 0}
    with Split(beside, np.dtype(dtype), encoder, length=length, share=share) as split:
        seen = Seen() if source.deduplicate else None
        for read in (part for path in files for part in read_file(path, source.reading)):
            series, left = (read, 0) if seen is None else seen.first(read)
            repeated["documents"] += len(read) - len(series)
            repeated["bytes"] += left
            for document in encoder.documents(series):
                split.add(document)
                progress.add(document)
        counts = split.finish()
    for part in PARTS:
        blocks, dropped = divmod(counts[part]["tokens"], packing.length)
        if not blocks:
            tokens, documents = (sum(c[key] for c in counts.values()) for key in ("tokens", "documents"))
            raise CorpusError(
                f"data.sources: {source.name} ({shown(source.corpus)}) has {tokens} tokens in {documents} "
                f"documents; wanted at least one block of {packing.length} for training and one held out"
            )
        counts[part] |= {"blocks": blocks, "dropped_tokens": dropped}
    found = encoder.with_special_tokens
    if found:
        log.info(
            "%s: %s with the text of a special token (%s), read as %s; see data.special_tokens_in_text",
            source.name,
            quantity(found, "document"),
            ", ".join(encoder.special_tokens[:4]) + (" …" if len(encoder.special_tokens) > 4 else ""),
            "text" if packing.special_tokens_in_text == "text" else "that token",
        )
    record = {"verb": "pack", **made_from, "dtype": dtype, "documents_with_special_tokens": found, **counts}
    if source.deduplicate:
        record["repeated"] = repeated
    write_record(beside, record)


class _Progress:
    """A line every few seconds."""

    def __init__(self, name: str) -> None:
        self._name, self._documents, self._bytes = name, 0, 0
        self._start = self._last = time.monotonic()

    def add(self, document: Document) -> None:
        """Count it, and say how many there were if it is time."""
        self._documents += 1
        self._bytes += document.bytes
        now = time.monotonic()
        if now - self._last >= EVERY:
            self._last = now
            speed = self._bytes / 1e6 / (now - self._start)
            done = f"{self._documents:,} documents, {self._bytes / 1e6:,.0f} MB of text"
            log.info("packing %s: %s, %.1f MB/s", self._name, done, speed)


def digest(record: Record) -> str:
    """A name for a record: the same for the same content, in any order of keys."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
