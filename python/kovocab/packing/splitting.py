"""Which documents are held out, each written to its part and counted there, with where it ends.

What is held out is written as text too, for other tools: JSON lines with the `text`, its `source` and the `hash` that
it was chosen by, 16 hexadecimal digits. What a share holds out depends on the texts alone, not on the tokenizer.

Almost all of it is done for a batch of documents at once; one by one are looked at those that may be held out only to
make up a block, and those are few.
"""

import base64
import heapq
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from kovocab.packing.encoders import AT_ONCE, Encoded
from kovocab.packing.encoding import Encoder

Part = Literal["train", "validation"]
PARTS: tuple[Part, Part] = ("train", "validation")

COUNTED = ("documents", "tokens", "words", "bytes", "text_tokens")
"""What is counted of each part."""

_BUFFER = 1 << 20  # bytes that are written at once

HELD_OUT = "validation.jsonl"
"""The texts that are held out, in the order of their tokens."""

HASH = 16
"""Bytes of the hash of a file, as a record has it."""

NAMES = (*(f"{part}.{kind}" for part in PARTS for kind in ("bin", "ends")), HELD_OUT)
"""The files that are written."""


@dataclass(frozen=True, slots=True)
class _Documents:
    """Documents on their way to a part: ids, run by run, and of each what is counted, [documents, 4], and its hash.

    Texts of those that will not be held out are left out.
    """

    ids: "list[memoryview | bytes]"
    counts: npt.NDArray[np.uint64]
    hashes: npt.NDArray[np.uint64]
    texts: list[str]

    @property
    def tokens(self) -> int:
        """How many ids they are."""
        return int(self.counts[:, 0].sum())


class Split:
    """Writes each document to its part; keeps the lowest hashes back until a block is sure to be held out.

    Args:
        folder: Where the files are written, behind what `state` says of them.
        encoder: What gave the documents, for what its base makes of those held out.
        source: What the documents' source is called.
        length: Tokens of a block.
        share: The share of documents to hold out.
        state: Of an earlier `Split` of the same, which this one carries on.
        hashes: Of what its files hold, by name; they are updated.
    """

    def __init__(
        self,
        folder: Path,
        encoder: Encoder,
        *,
        source: str,
        length: int,
        share: float,
        state: Mapping[str, Any] | None = None,
        hashes: "Mapping[str, blake2b] | None" = None,
    ) -> None:
        self._source = source
        self._length, self._below, self._encoder = length, np.uint64(int(share * 2**64)), encoder
        self._size = np.dtype(encoder.dtype).itemsize
        self._counts: dict[str, dict[str, int]] = {part: dict.fromkeys(COUNTED, 0) for part in PARTS}
        if encoder.has_base:
            self._counts["validation"]["base_text_tokens"] = 0
        # The reserve: documents above the share, of which the lowest hashes reach one block. By hash, so that
        # copies of one text never stand on both sides.
        self._reserve: dict[int, list[_Documents]] = {}
        self._highest: list[int] = []
        self._reserved = 0
        self._for_base: list[str] = []
        self._hashes = hashes or {name: blake2b(digest_size=HASH) for name in NAMES}
        self._hashing: Future[None] | None = None
        if state is not None:
            self._carry_on(state)
        self._files = {name: (folder / name).open("ab", _BUFFER) for name in NAMES}
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> "Split":
        """Files are open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Files are closed."""
        self._pool.shutdown()
        for file in self._files.values():
            file.close()

    def add(self, encoded: Encoded) -> None:
        """Write the documents to their parts, or keep some back."""
        hashes, held = encoded.hashes, encoded.hashes < self._below
        at, stop = 0, len(hashes)
        while at < stop:
            end = stop
            if not self._enough():
                # Where the reserve reaches one block, whatever is above it goes to training, in its turn.
                settled = self._reserved >= self._length
                others = held[at:] | (hashes[at:] <= np.uint64(-self._highest[0])) if settled else None
                end = at if others is None else at + int(others.argmax()) if others.any() else stop
            self._write_all(encoded, at, end, held)
            at = end
            if at < stop:
                self._add_one(encoded, at, bool(held[at]))
                at += 1

    def finish(self) -> dict[str, dict[str, int]]:
        """Hold the reserve out if that is needed; give what was counted by part."""
        for key in sorted(self._reserve):
            for document in self._reserve[key]:
                self._write("validation", document)
        self._ask_base()
        return self._counts

    def digests(self) -> dict[str, str]:
        """The hash of all that was written to each file so far, blake2b of 16 bytes."""
        if self._hashing is not None:
            self._hashing.result()
        return {name: self._hashes[name].hexdigest() for name in NAMES}

    def state(self) -> dict[str, Any]:
        """What another `Split` needs to carry on: files and hashes have what it says of them, when this returns."""
        self._ask_base()
        self.digests()
        for file in self._files.values():
            file.flush()
        return {
            "counts": self._counts,
            "reserve": [
                [key, base64.b85encode(b"".join(one.ids)).decode(), one.counts.tolist(), one.texts]
                for key, documents in self._reserve.items()
                for one in documents
            ],
        }

    def _carry_on(self, state: Mapping[str, Any]) -> None:
        self._counts = state["counts"]
        for key, ids, counts, texts in state["reserve"]:
            hashes = np.asarray([key], np.uint64)
            self._keep_back(key, _Documents([base64.b85decode(ids)], np.asarray(counts, np.uint64), hashes, texts))

    def _enough(self) -> bool:
        return self._counts["validation"]["tokens"] >= self._length

    def _add_one(self, encoded: Encoded, at: int, held: bool) -> None:
        document = self._one(encoded, at)
        if held:
            self._write("validation", document)
        else:
            self._keep_back(int(encoded.hashes[at]), replace(document, ids=[bytes(document.ids[0])]))
        self._release(0 if self._enough() else self._length)

    def _keep_back(self, key: int, document: _Documents) -> None:
        if key not in self._reserve:
            heapq.heappush(self._highest, -key)
        self._reserve.setdefault(key, []).append(document)
        self._reserved += document.tokens

    def _release(self, wanted: int) -> None:
        """Give the highest hashes of the reserve to training while `wanted` tokens are left without them."""
        while self._highest:
            highest = self._reserve[-self._highest[0]]
            left = self._reserved - sum(document.tokens for document in highest)
            if left < wanted:
                return
            del self._reserve[-heapq.heappop(self._highest)]
            self._reserved = left
            for document in highest:
                self._write("train", document)

    def _write_all(self, encoded: Encoded, start: int, stop: int, held: npt.NDArray[np.bool_]) -> None:
        """Write documents to the parts that their hashes say."""
        for part, wanted in (("train", ~held[start:stop]), ("validation", held[start:stop])):
            chosen = np.flatnonzero(wanted) + start
            if len(chosen):
                self._write(part, self._chosen(encoded, chosen, texts=part == "validation"))

    def _one(self, encoded: Encoded, at: int) -> _Documents:
        """A document by itself."""
        begin, end = int(encoded.ends[at - 1]) if at else 0, int(encoded.ends[at])
        counts = [[end - begin, encoded.words[at], encoded.bytes[at], encoded.text_tokens[at]]]
        data, size = encoded.ids.data.cast("B"), self._size
        return _Documents(
            [data[begin * size : end * size]],
            np.asarray(counts, np.uint64),
            encoded.hashes[at : at + 1],
            [encoded.texts[at]],
        )

    def _chosen(self, encoded: Encoded, chosen: npt.NDArray[np.int64], *, texts: bool) -> _Documents:
        """Some documents, in order."""
        ends = encoded.ends
        begins = np.concatenate([np.zeros(1, ends.dtype), ends[:-1]])
        last = np.flatnonzero(np.diff(chosen, append=-1) != 1)  # of each run of neighbours
        first = np.concatenate([[0], last[:-1] + 1])
        runs = zip(begins[chosen[first]].tolist(), ends[chosen[last]].tolist(), strict=True)
        data, size = encoded.ids.data.cast("B"), self._size
        counts = (ends - begins, encoded.words, encoded.bytes, encoded.text_tokens)
        return _Documents(
            [data[begin * size : end * size] for begin, end in runs],
            np.stack([count[chosen] for count in counts], axis=1),
            encoded.hashes[chosen],
            encoded.texts.gather(pl.Series(chosen)).to_list() if texts else [],
        )

    def _write(self, part: str, documents: _Documents) -> None:
        counts = self._counts[part]
        ends = np.cumsum(documents.counts[:, 0], dtype=np.uint64) + np.uint64(counts["tokens"])
        # Not numpy's tofile: on a full disk it does not say why.
        data: dict[str, list[memoryview | bytes]] = {f"{part}.bin": documents.ids}
        data[f"{part}.ends"] = [ends.astype("<u8").tobytes()]
        if part == "validation":
            data[HELD_OUT] = [self._as_lines(documents)]
        if self._hashing is not None:
            self._hashing.result()
        self._hashing = self._pool.submit(self._hash, data)  # while the next documents are encoded
        for name, pieces in data.items():
            self._files[name].writelines(pieces)
        counts["documents"] += len(ends)
        for key, count in zip(COUNTED[1:], documents.counts.sum(axis=0).tolist(), strict=True):
            counts[key] += count
        if part == "validation" and self._encoder.has_base:
            self._for_base += documents.texts
            if len(self._for_base) >= AT_ONCE:
                self._ask_base()

    def _hash(self, data: "Mapping[str, Sequence[memoryview | bytes]]") -> None:
        for name, pieces in data.items():
            for piece in pieces:
                self._hashes[name].update(piece)

    def _as_lines(self, documents: _Documents) -> bytes:
        said = (
            {"text": text, "source": self._source, "hash": f"{hash_:016x}"}
            for text, hash_ in zip(documents.texts, documents.hashes.tolist(), strict=True)
        )
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in said).encode()

    def _ask_base(self) -> None:
        """Count what the base makes of the held-out texts that are at hand."""
        if self._for_base:
            texts = pl.Series(self._for_base, dtype=pl.String)
            self._counts["validation"]["base_text_tokens"] += self._encoder.base_tokens(texts)
            self._for_base.clear()
