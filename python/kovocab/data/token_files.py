"""Documents → token files: encoded once, then memory-mapped. No torch here.

A source becomes two flat files of token ids, one for training and one held out. They are named by a
fingerprint of what made them, so a second run with the same corpus, tokenizer and split opens them at once.
"""

import hashlib
import heapq
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from kovocab.artefact import new_folder
from kovocab.corpus.documents import batches, fingerprint
from kovocab.corpus.remote import shown
from kovocab.errors import CorpusError, TokenizerError, UsageError
from kovocab.record import RECORD, Record, read_record, write_record
from kovocab.tokenizer.companions import read_config
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

log = logging.getLogger(__name__)

Part = Literal["train", "validation"]
PARTS: tuple[Part, Part] = ("train", "validation")
TokenIds = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]

ENCODE_AT_ONCE = 1024
"""Documents given to the tokenizer in one call: enough for all threads, little to hold."""

EOS_NAMES = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<|im_end|>")
"""What the end of a document is called where a bare tokenizer.json does not say."""


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
    """

    length: int
    validation_share: float

    def __post_init__(self) -> None:
        """Refuse a block without a next token, and a split without one of its parts."""
        if self.length < 2:
            raise UsageError(f"data.length is {self.length}; wanted at least 2: a token and the one that follows")
        if not 0 < self.validation_share < 1:
            raise UsageError(f"data.validation_share is {self.validation_share}; wanted a share between 0 and 1")


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
    text, so the same ones are, in any order and among any others. Where the share gives less than one block,
    those of lowest hash are taken until there is one. The others are joined in about the corpus' order.
    Tokens behind the last whole block are dropped, and counted in the record.

    Returns:
        The folder `tokens_dir/NAME.FINGERPRINT` with `train.bin`, `validation.bin` (flat uint16 or uint32,
        little endian) and their record.

    Raises:
        CorpusError: the corpus cannot be read, or is too small for one block of each part.
        TokenizerError: the tokenizer cannot be read.
    """
    loaded = load_tokenizer(tokenizer)
    made_from = identity(source, tokenizer, loaded, packing)
    folder = Path(tokens_dir) / f"{source.name}.{digest(made_from)[:16]}"
    if (folder / RECORD).is_file():
        return folder
    log.info("packing %s into %s", source.name, folder)
    with new_folder(folder) as beside:
        _write(source, loaded, made_from, packing, beside)
    return folder


def identity(source: Source, tokenizer: str | Path, loaded: TokenizerJson, packing: Packing) -> Record:
    """All that a source's token files depend on; cheap, the corpus is not read.

    Args:
        source: The source.
        tokenizer: Where the tokenizer lies, for what stands beside it.
        loaded: The same, opened.
        packing: How to pack.
    """
    eos = _eos(loaded, tokenizer)
    return {
        "source": source.name,
        "corpus": fingerprint(source.corpus, source.column),
        "tokenizer": hashlib.sha256(loaded.text.encode()).hexdigest(),
        "eos": eos,
        "eos_id": loaded.ids[eos] if eos else None,
        **asdict(packing),
    }


def _write(source: Source, loaded: TokenizerJson, made_from: Record, packing: Packing, beside: Path) -> None:
    """Encode, split and write the source into the folder `beside`, with the record."""
    dtype = np.dtype("<u2" if loaded.size <= 1 << 16 else "<u4")
    with (beside / "train.bin").open("wb") as train, (beside / "validation.bin").open("wb") as validation:
        split = _Split(train, validation, dtype, packing)
        for text, ids in _encoded(source, loaded, made_from["eos_id"]):
            split.add(text, ids)
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
    write_record(beside, {"verb": "pack", **made_from, "dtype": dtype.str, **counts})


class _Split:
    """Writes each document to its part; keeps the lowest hashes back until a block is sure to be held out."""

    def __init__(self, train: BinaryIO, validation: BinaryIO, dtype: np.dtype[Any], packing: Packing) -> None:
        self._files = {"train": train, "validation": validation}
        self._counts: dict[str, dict[str, int]] = {part: {"documents": 0, "tokens": 0} for part in PARTS}
        self._dtype, self._length = dtype, packing.length
        self._below = int(packing.validation_share * 2**64)
        # The reserve: documents above the share, of which the lowest hashes reach one block. By hash, so that
        # copies of one text never stand on both sides.
        self._reserve: dict[int, list[list[int]]] = {}
        self._highest: list[int] = []
        self._reserved = 0

    def add(self, text: str, ids: list[int]) -> None:
        """Write the document to its part, or keep it back."""
        key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
        if key < self._below:
            self._write("validation", ids)
        else:
            if key not in self._reserve:
                heapq.heappush(self._highest, -key)
            self._reserve.setdefault(key, []).append(ids)
            self._reserved += len(ids)
        self._release(0 if self._enough() else self._length)

    def finish(self) -> dict[str, dict[str, int]]:
        """Hold the reserve out if that is needed; give documents and tokens by part."""
        for key in sorted(self._reserve):
            for ids in self._reserve[key]:
                self._write("validation", ids)
        return self._counts

    def _enough(self) -> bool:
        return self._counts["validation"]["tokens"] >= self._length

    def _release(self, wanted: int) -> None:
        """Give the highest hashes of the reserve to training while `wanted` tokens are left without them."""
        while self._highest:
            highest = self._reserve[-self._highest[0]]
            left = self._reserved - sum(map(len, highest))
            if left < wanted:
                return
            del self._reserve[-heapq.heappop(self._highest)]
            self._reserved = left
            for ids in highest:
                self._write("train", ids)

    def _write(self, part: str, ids: list[int]) -> None:
        # Not numpy's tofile: on a full disk it does not say why.
        self._files[part].write(np.asarray(ids, dtype=self._dtype).tobytes())
        self._counts[part]["documents"] += 1
        self._counts[part]["tokens"] += len(ids)


def _encoded(source: Source, tokenizer: TokenizerJson, eos_id: int | None) -> Iterator[tuple[str, list[int]]]:
    """Each document that is not empty, with its token ids."""
    reference = Reference(tokenizer)
    for series in batches(source.corpus, column=source.column):
        for start in range(0, len(series), ENCODE_AT_ONCE):
            texts = [text for text in series[start : start + ENCODE_AT_ONCE].to_list() if text]
            for text, ids in zip(texts, reference.encode(texts, template=True), strict=True):
                if eos_id is not None and ids[-1:] != [eos_id]:
                    ids.append(eos_id)
                yield text, ids


def _eos(tokenizer: TokenizerJson, where: str | Path) -> str | None:
    """The token that ends a document: as `tokenizer_config.json` says, else by one of the usual names."""
    folder = Path(where)
    config = (folder if folder.is_dir() else folder.parent) / "tokenizer_config.json"
    named = [_said_eos(config)] if config.is_file() else []
    return next((name for name in [*named, *EOS_NAMES] if name in tokenizer.ids), None)


def _said_eos(config: Path) -> str | None:
    """The `eos_token` of a tokenizer_config.json: a string, or an object with its `content`."""
    eos = read_config(config).get("eos_token")
    if isinstance(eos, dict):
        eos = eos.get("content")
    if not isinstance(eos, str | None):
        raise TokenizerError(f"{config}: eos_token is {eos!r}; wanted a token's text")
    return eos


def digest(record: Record) -> str:
    """A name for a record: the same for the same content, in any order of keys."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
