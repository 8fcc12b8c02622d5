"""Where candidates stand in the corpus: one pass, of which a few places of each are kept, and who has it.

A token stands where a tokenizer emits it, not where its letters do: one that is kept where the target does, any other
where the target of all candidates does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from kovocab.corpus.files import File
from kovocab.corpus.remote import shown
from kovocab.corpus.settings import Reading
from kovocab.machine.threads import threads_of
from kovocab.packing.encoders import Encodes, encoder_of
from kovocab.packing.encoding import dtype_of
from kovocab.reading.documents import Corpus, batches, corpus_files
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer_json import TokenizerJson

MOST = 3
"""Places of a token that are kept, each in another document, and in another file where it stands in several."""
AROUND = 40
"""Tokens on either side of it that are kept."""
_WIDEST = 90
"""Characters on either side that are shown of a longer sentence."""
_MEMORY = 64 << 20
_FOLDERS = 64
"""From so many files on the sources are their folders."""
_END = re.compile(r"[.!?。…]+[\s\"'”’)]*|\n+")


@dataclass(frozen=True)
class Sentence:
    """A place of a token: `text[start:end]` is the token, in characters; `source` is the file."""

    text: str
    start: int
    end: int
    source: str


@dataclass(frozen=True)
class Target:
    """A tokenizer that emits candidates.

    Attributes:
        tokenizer: The tokenizer.
        rows: By id, the row of a candidate that is looked for, or -1.
    """

    tokenizer: TokenizerJson
    rows: npt.NDArray[np.int32]


class Places:
    """What a pass over the corpus has found so far; it may be asked while the pass goes on in another thread.

    Args:
        corpus: As `count` takes it.
        reading: How documents are found in it.
        targets: What emits candidates.
        rows: How many candidates there are.
        over: Set it, and a pass that goes on ends with what it has found.
    """

    def __init__(self, corpus: Corpus, reading: Reading, targets: Sequence[Target], rows: int, over: Event) -> None:
        self._corpus, self._reading, self._targets, self._size = corpus, reading, targets, rows
        self._over = over
        # Of each row: how many places are kept, the file of the last, and of how many files they are.
        self._many, self._different = np.zeros(rows, dtype=np.uint8), np.zeros(rows, dtype=np.uint8)
        self._last = np.full(rows, -1, dtype=np.int64)
        self._kept: dict[int, list[tuple[int, int, int, npt.NDArray[Any]]]] = {}
        self._files: list[str] = []
        self._references: dict[int, Reference] = {}

    def look(self) -> pl.DataFrame:
        """Make the pass.

        Returns:
            `row: u32, sources: list[str], documents: u8`, a row a candidate that was found; documents are 1, or 2 for
            more.

        Raises:
            CorpusError: the corpus cannot be read.
        """
        files: list[File | None] = list(corpus_files(self._corpus)) or [None]
        names = ["" if file is None else shown(file) for file in files]
        self._files = names
        sources = [name.rpartition("/")[0] or name for name in names] if len(names) >= _FOLDERS else names
        encoders = [
            encoder_of(
                target.tokenizer, dtype_of(target.tokenizer), template=False, eos_id=None, sought=[],
                threads=threads_of(None), memory=_MEMORY,
            )
            for target in self._targets
        ]  # fmt: skip
        found: dict[str, npt.NDArray[np.bool_]] = {}
        first = np.full(self._size, -1, dtype=np.int64)
        several = np.zeros(self._size, dtype=np.bool_)
        documents = 0
        for number, file in enumerate(files):
            if self._over.is_set():
                break
            has = found.setdefault(sources[number], np.zeros(self._size, dtype=np.bool_))
            for batch in batches(self._corpus if file is None else file, self._reading):  # type: ignore[arg-type]
                if self._over.is_set():
                    break
                texts = batch.filter(batch.str.len_bytes() > 0)
                for which, encoder in enumerate(encoders):
                    stands = self._stands(which, encoder, texts)
                    rows, document = stands["row"].to_numpy(), stands["document"].to_numpy() + documents
                    has[rows] = True
                    self._take(which, number, stands)
                    new = first[rows] < 0
                    # Each row with a document once, in order: a row's first is written last.
                    first[rows[new][::-1]] = document[new][::-1]
                    several[rows[first[rows] != document]] = True
                documents += len(texts)
        rows = np.flatnonzero(first >= 0)
        by_source = list(found.items())
        lists = [[name for name, has in by_source if has[row]] for row in rows]
        return pl.DataFrame(
            {"row": rows, "sources": lists, "documents": np.where(several[rows], 2, 1)},
            schema={"row": pl.UInt32, "sources": pl.List(pl.String), "documents": pl.UInt8},
        )

    def of(self, row: int) -> list[Sentence]:
        """The places of a candidate that were kept so far."""
        return [self._sentence(*kept) for kept in self._kept.get(row, [])]

    def _stands(self, which: int, encoder: Encodes, texts: pl.Series) -> pl.DataFrame:
        """Each candidate with each document that it stands in, and its first place: `row, document, at`, in order."""
        encoded, _ = encoder.encode(texts)
        rows = self._targets[which].rows[encoded.ids]
        at = np.flatnonzero(rows >= 0)
        document = np.searchsorted(encoded.ends, at.astype(np.uint64), side="right")
        stands = pl.DataFrame({"row": rows[at], "document": document.astype(np.int64), "at": at})
        stands = stands.unique(["row", "document"], keep="first", maintain_order=True)
        self._ids, self._ends = encoded.ids, encoded.ends
        return stands

    def _take(self, which: int, file: int, stands: pl.DataFrame) -> None:
        """Keep the places of the candidates that have too few, or that have several of one file and none of this."""
        rows = stands["row"].to_numpy()
        wanting = (self._many[rows] < MOST) | ((self._last[rows] != file) & (self._different[rows] < MOST))
        few = stands.filter(pl.Series(wanting)).group_by("row", maintain_order=True).head(MOST)
        for row, document, at in few.select("row", "document", "at").iter_rows():
            kept, new = self._kept.get(row, []), self._last[row] != file
            if len(kept) == MOST:
                if not new:
                    continue
                of = [one for _, one, _, _ in kept]
                more = max(at for at, one in enumerate(of) if of.count(one) > 1)
                kept = kept[:more] + kept[more + 1 :]
            begin = 0 if document == 0 else int(self._ends[document - 1])
            start = max(begin, at - AROUND)
            window = self._ids[start : min(int(self._ends[document]), at + AROUND + 1)].copy()
            self._kept[row] = [*kept, (which, file, at - start, window)]
            self._many[row], self._last[row] = len(kept) + 1, file
            self._different[row] += new

    def _sentence(self, which: int, file: int, at: int, window: npt.NDArray[Any]) -> Sentence:
        if which not in self._references:
            self._references[which] = Reference(self._targets[which].tokenizer)
        decode = self._references[which].decode
        ids = window.tolist()
        before, upto, whole = (decode(ids[:end], special=False) for end in (at, at + 1, len(ids)))
        start = len(before.rstrip("\ufffd"))
        end = max(start, len(upto.rstrip("\ufffd")))
        start += len(whole[start:end]) - len(whole[start:end].lstrip())
        ends = [found.end() for found in _END.finditer(whole)]
        left = max([0, *(one for one in ends if one <= start)])
        right = min([len(whole), *(one for one in ends if one >= end)])
        left, right = max(left, start - _WIDEST), min(right, end + _WIDEST)
        text = whole[left:right].replace("\n", " ").replace("\ufffd", "")
        lost = whole[left:start].count("\ufffd")
        return Sentence(text.rstrip(), start - left - lost, end - left - lost, self._files[file])
