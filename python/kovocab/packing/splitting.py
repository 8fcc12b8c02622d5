"""Which documents are held out, each written to its part and counted there, with where it ends.

What is held out is written as text too, for other tools: JSON lines with the `text`, its `source` and the `hash` that
it was chosen by, 16 hexadecimal digits. What a share holds out depends on the texts alone, not on the tokenizer.
"""

import hashlib
import heapq
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kovocab.packing.encoding import AT_ONCE, Document, Encoder

Part = Literal["train", "validation"]
PARTS: tuple[Part, Part] = ("train", "validation")

HELD_OUT = "validation.jsonl"
"""The texts that are held out, in the order of their tokens."""

COUNTED = ("documents", "tokens", "words", "bytes", "text_tokens")
"""What is counted of each part."""


class Split:
    """Writes each document to its part; keeps the lowest hashes back until a block is sure to be held out.

    Args:
        folder: Where the files are written.
        dtype: Of the token ids.
        encoder: What gave the documents, for what its base makes of those held out.
        length: Tokens of a block.
        share: The share of documents to hold out.
        source: What the documents' source is called.
    """

    def __init__(
        self,
        folder: Path,
        dtype: np.dtype[Any],
        encoder: Encoder,
        *,
        length: int,
        share: float,
        source: str,
    ) -> None:
        self._open = ExitStack()
        self._files = {part: self._open.enter_context((folder / f"{part}.bin").open("wb")) for part in PARTS}
        self._ends = {part: self._open.enter_context((folder / f"{part}.ends").open("wb")) for part in PARTS}
        self._texts = self._open.enter_context((folder / HELD_OUT).open("w", encoding="utf-8"))
        self._source = source
        self._counts: dict[str, dict[str, int]] = {part: dict.fromkeys(COUNTED, 0) for part in PARTS}
        self._dtype, self._length = dtype, length
        self._below = int(share * 2**64)
        # The reserve: documents above the share, of which the lowest hashes reach one block. By hash, so that
        # copies of one text never stand on both sides.
        self._reserve: dict[int, list[Document]] = {}
        self._highest: list[int] = []
        self._reserved = 0
        self._encoder = encoder
        self._for_base: list[str] = []
        if encoder.has_base:
            self._counts["validation"]["base_text_tokens"] = 0

    def __enter__(self) -> "Split":
        """Files are open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Files are closed."""
        self._open.close()

    def add(self, document: Document) -> None:
        """Write the document to its part, or keep it back."""
        key = int.from_bytes(_hash(document.text))
        if key < self._below:
            self._write("validation", document)
        else:
            if key not in self._reserve:
                heapq.heappush(self._highest, -key)
            self._reserve.setdefault(key, []).append(document)
            self._reserved += len(document.ids)
        self._release(0 if self._enough() else self._length)

    def finish(self) -> dict[str, dict[str, int]]:
        """Hold the reserve out if that is needed; give what was counted by part."""
        for key in sorted(self._reserve):
            for document in self._reserve[key]:
                self._write("validation", document)
        self._ask_base()
        return self._counts

    def _enough(self) -> bool:
        return self._counts["validation"]["tokens"] >= self._length

    def _release(self, wanted: int) -> None:
        """Give the highest hashes of the reserve to training while `wanted` tokens are left without them."""
        while self._highest:
            highest = self._reserve[-self._highest[0]]
            left = self._reserved - sum(len(document.ids) for document in highest)
            if left < wanted:
                return
            del self._reserve[-heapq.heappop(self._highest)]
            self._reserved = left
            for document in highest:
                self._write("train", document)

    def _write(self, part: Part, document: Document) -> None:
        # Not numpy's tofile: on a full disk it does not say why.
        self._files[part].write(np.asarray(document.ids, dtype=self._dtype).tobytes())
        counts = self._counts[part]
        counts["documents"] += 1
        counts["tokens"] += len(document.ids)
        self._ends[part].write(counts["tokens"].to_bytes(8, "little"))
        counts["words"] += document.words
        counts["bytes"] += document.bytes
        counts["text_tokens"] += document.text_tokens
        if part == "validation":
            said = {"text": document.text, "source": self._source, "hash": _hash(document.text).hex()}
            self._texts.write(json.dumps(said, ensure_ascii=False) + "\n")
        if part == "validation" and self._encoder.has_base:
            self._for_base.append(document.text)
            if len(self._for_base) == AT_ONCE:
                self._ask_base()

    def _ask_base(self) -> None:
        """Count what the base makes of the held-out texts that are at hand."""
        if self._for_base:
            self._counts["validation"]["base_text_tokens"] += self._encoder.base_tokens(self._for_base)
            self._for_base.clear()


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
