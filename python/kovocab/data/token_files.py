"""Documents → token files: encoded once, then memory-mapped. No torch here.

A source becomes two flat files of token ids, one for training and one held out. They are named by a
fingerprint of what made them, so a second run with the same corpus, tokenizer and split opens them at once.
"""

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kovocab.artefact import new_folder
from kovocab.corpus.documents import batches, check_readable, fingerprint
from kovocab.corpus.remote import shown
from kovocab.data.encoding import Document, Encoder, SpecialTokens, eos_of
from kovocab.data.splitting import PARTS, Part, Split
from kovocab.errors import CorpusError, UsageError, quantity
from kovocab.record import RECORD, Record, read_record, write_record
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

log = logging.getLogger(__name__)

TokenIds = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]

EVERY = 10.0  # seconds between two lines of progress


@dataclass(frozen=True)
class Source:
    """A named part of the training mix.

    Attributes:
        name: What messages and records call it; also a part of a folder's name.
        corpus: A path or glob, or a list of them.
        weight: Its share of the training blocks, relative to the other sources' weights.
        column: The column or key that holds the text.
    """

    name: str
    corpus: str | list[str]
    weight: float = 1.0
    column: str = "text"

    def __post_init__(self) -> None:
        """Refuse a name that is no file name and a weight that is no share."""
        if not re.fullmatch(r"[\w-][\w.-]*", self.name):
            raise UsageError(f"data.sources: the name {self.name!r} is not letters, digits, `_`, `-` and `.`")
        if not 0 < self.weight < float("inf"):
            raise UsageError(f"data.sources: {self.name} has weight {self.weight}; wanted a number above 0")


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


class PackedSource:
    """The token files of one source, cut into blocks.

    Args:
        folder: What `pack` returned.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = read_record(folder, "pack")
        self.length: int = self.record["length"]
        dtype = np.dtype(self.record["dtype"])
        self._tokens = {part: np.memmap(folder / f"{part}.bin", dtype=dtype, mode="r") for part in PARTS}

    def __reduce__(self) -> tuple[type["PackedSource"], tuple[Path]]:
        """Cross to a worker process by name: a pickled memmap would carry all its tokens."""
        return PackedSource, (self.folder,)

    def blocks(self, part: Part) -> int:
        """The number of whole blocks in `part`."""
        return len(self._tokens[part]) // self.length

    def block(self, part: Part, index: int) -> npt.NDArray[np.int64]:
        """The token ids of one block, int64 [length]."""
        return self._tokens[part][index * self.length : (index + 1) * self.length].astype(np.int64)


def pack(source: Source, tokenizer: str | Path, tokens_dir: str | Path, packing: Packing) -> Path:
    """Write the token files of `source`, or find the ones that are there.

    Each document is encoded as the tokenizer's own template says (so with bos where it has one), followed by
    eos where the tokenizer has one; empty documents are skipped. A document is held out by the hash of its
    text, so the same ones are, in any order and among any others. The text of a special token in a document is
    read as text, unless `packing` says otherwise. Where the share gives less than one block,
    those of lowest hash are taken until there is one. The others are joined in about the corpus' order.
    Tokens behind the last whole block are dropped, and counted in the record.

    Returns:
        The folder `tokens_dir/NAME.FINGERPRINT` with `train.bin`, `validation.bin` (flat uint16 or uint32,
        little endian) and their record. That has of each part its documents, tokens, words (between white space),
        bytes and `text_tokens` (without those that the template and eos add), and of what is held out
        `base_text_tokens`, what the base makes of it, where that is known.

    Raises:
        CorpusError: the corpus cannot be read, or is too small for one block of each part.
        TokenizerError: the tokenizer cannot be read, or makes a special token of its text by itself.
    """
    loaded = load_tokenizer(tokenizer)
    made_from = identity(source, tokenizer, loaded, packing)
    folder = _folder(source, tokens_dir, made_from)
    if (folder / RECORD).is_file():
        return folder
    log.info("packing %s into %s", source.name, folder)
    encoder = Encoder(loaded, made_from["eos"], packing.special_tokens_in_text, made_from["first_new_id"])
    with new_folder(folder) as beside:
        _write(source, encoder, loaded.size, made_from, packing, beside)
    return folder


def check_sources(sources: Iterable[Source], tokenizer: str | Path, tokens_dir: str | Path, packing: Packing) -> None:
    """See that each source that is not packed yet can be read, before hours go into packing the first.

    Raises:
        CorpusError: a file or a column is not there; names the source.
        TokenizerError: the tokenizer cannot be read.
    """
    loaded = load_tokenizer(tokenizer)
    for source in sources:
        folder = _folder(source, tokens_dir, identity(source, tokenizer, loaded, packing))
        if not (folder / RECORD).is_file():
            check_readable(source.corpus, source.column)


def identity(source: Source, tokenizer: str | Path, loaded: TokenizerJson, packing: Packing) -> Record:
    """All that a source's token files depend on; cheap, the corpus is not read.

    Args:
        source: The source.
        tokenizer: Where the tokenizer lies, for what stands beside it.
        loaded: The same, opened.
        packing: How to pack.
    """
    eos = eos_of(loaded, tokenizer)
    return {
        "source": source.name,
        "corpus": fingerprint(source.corpus, source.column),
        "tokenizer": hashlib.sha256(loaded.text.encode()).hexdigest(),
        "eos": eos,
        "eos_id": loaded.ids[eos] if eos else None,
        "first_new_id": _first_new_id(Path(tokenizer)),
        **asdict(packing),
    }


def _folder(source: Source, tokens_dir: str | Path, made_from: Record) -> Path:
    return Path(tokens_dir) / f"{source.name}.{digest(made_from)[:16]}"


def _first_new_id(tokenizer: Path) -> int | None:
    """Where the base's tokens end, as the record of a folder says that we made; None elsewhere."""
    folder = tokenizer if tokenizer.is_dir() else tokenizer.parent
    first = read_record(folder).get("first_new_id") if (folder / RECORD).is_file() else None
    return None if first is None else int(first)


def _write(source: Source, encoder: Encoder, size: int, made_from: Record, packing: Packing, beside: Path) -> None:
    """Encode, split and write the source into the folder `beside`, with the record; `size` is the tokenizer's."""
    dtype = np.dtype("<u2" if size <= 1 << 16 else "<u4")
    progress = _Progress(source.name)
    with (beside / "train.bin").open("wb") as train, (beside / "validation.bin").open("wb") as validation:
        split = Split(train, validation, dtype, encoder, length=packing.length, share=packing.validation_share)
        for series in batches(source.corpus, column=source.column):
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
    record = {"verb": "pack", **made_from, "dtype": dtype.str, "documents_with_special_tokens": found, **counts}
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
