"""What turns documents into ids: the engine, or the library for a tokenizer that the engine does not read."""

import hashlib
import logging
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from kovocab import _core
from kovocab.corpus.faults import of_documents
from kovocab.errors import TokenizerError
from kovocab.tokenizer.engine import bpe_of
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import WORD
from kovocab.tokenizer.tokenizer_json import TokenizerJson

log = logging.getLogger(__name__)

Numbers = npt.NDArray[np.uint64]

AT_ONCE = 1024
"""Documents given to the library in one call: enough for all threads, little to hold."""

SAMPLES = ("a", "b", "1", "a b\n", "가나 다")
"""Texts by which it is seen what a template puts round every text."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Documents that were encoded, none of them empty.

    Attributes:
        texts: The documents.
        ids: Their token ids, document after document, uint16 or uint32 [tokens], with those that the template and eos
            put round each.
        ends: How many ids there are up to the end of each, uint64 [documents]; the others are of that shape too.
        hashes: The first eight bytes of the BLAKE2b of each.
        words: Runs of characters that are not white space.
        bytes: UTF-8.
        text_tokens: How many ids are the text's.
    """

    texts: pl.Series
    ids: npt.NDArray[Any]
    ends: Numbers
    hashes: Numbers
    words: Numbers
    bytes: Numbers
    text_tokens: Numbers


class Encodes(Protocol):
    """Turns documents into ids."""

    def encode(self, documents: pl.Series) -> tuple[Encoded, int]:
        """Encode documents, none of them empty; and how many hold the text of a special token."""


class Library:
    """Documents into ids by `tokenizers`, whatever the tokenizer is.

    Args:
        reference: The tokenizer.
        dtype: Of the ids.
        template: Whether its template is put round each document.
        eos_id: The id that ends each document, if any.
        sought: The texts of special tokens.
    """

    def __init__(
        self, reference: Reference, dtype: str, *, template: bool, eos_id: int | None, sought: list[str]
    ) -> None:
        self._reference, self._dtype, self._template = reference, np.dtype(dtype), template
        self._eos_id, self._sought = eos_id, sought
        alone = len(reference.encode(["a"])[0])
        self._round = len(reference.encode(["a"], template=True)[0]) - alone if template else 0

    def encode(self, documents: pl.Series) -> tuple[Encoded, int]:
        """Encode documents; errors are those of `Reference.encode`."""
        texts, ids, own = documents.to_list(), [], []
        for start in range(0, len(texts), AT_ONCE):
            for found in self._reference.encode(texts[start : start + AT_ONCE], template=self._template):
                own.append(len(found) - self._round)
                if self._eos_id is not None and found[-1:] != [self._eos_id]:
                    found.append(self._eos_id)
                ids.append(np.asarray(found, dtype=self._dtype))
        keys = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) for text in texts]
        encoded = Encoded(
            documents,
            np.concatenate(ids) if ids else np.empty(0, self._dtype),
            np.cumsum([len(one) for one in ids], dtype=np.uint64),
            np.asarray(keys, dtype=np.uint64),
            documents.str.count_matches(WORD).cast(pl.UInt64).to_numpy(),
            documents.str.len_bytes().cast(pl.UInt64).to_numpy(),
            np.asarray(own, dtype=np.uint64),
        )
        return encoded, int(documents.str.contains_any(self._sought).sum()) if self._sought else 0


class Engine:
    """Documents into ids by the engine, each word encoded once.

    Args:
        packer: What packs with the tokenizer.
    """

    def __init__(self, packer: _core.Packer) -> None:
        self._packer = packer

    def encode(self, documents: pl.Series) -> tuple[Encoded, int]:
        """Encode documents."""
        with of_documents():
            ids, table, found = self._packer.pack(documents)
        columns = pl.DataFrame(table)
        ends, own, hashes, words, sizes = (
            columns[name].to_numpy() for name in ("end", "text_tokens", "hash", "words", "bytes")
        )
        return Encoded(documents, pl.Series(ids).to_numpy(), ends, hashes, words, sizes, own), found


def encoder_of(
    tokenizer: TokenizerJson,
    dtype: str,
    *,
    template: bool,
    eos_id: int | None,
    sought: list[str],
    threads: int,
    memory: int,
    reference: Reference | None = None,
) -> Encodes:
    """The engine if it reads the tokenizer, else the library, which is said.

    Args:
        tokenizer: The tokenizer.
        dtype: Of the ids: `<u2` or `<u4`.
        template: Whether its template is put round each document.
        eos_id: The id that ends each document, if any.
        sought: The texts of special tokens.
        threads: How many threads encode.
        memory: Bytes that words may take which were encoded before.
        reference: The tokenizer as the library has it, if that is at hand.
    """
    reference = reference or Reference(tokenizer)
    try:
        bpe = bpe_of(replace(tokenizer, encode_special_tokens=False))
        if not bpe.cut[0]:
            raise TokenizerError("entries of its vocabulary span words")
        before, behind = template_of(reference) if template else ([], [])
    except TokenizerError as error:
        log.info("packing with tokenizers, which is slower: %s", error.__cause__ or error)
        return Library(reference, dtype, template=template, eos_id=eos_id, sought=sought)
    ids = [pl.Series(ids, dtype=pl.UInt32) for ids in (before, behind)]
    packer = _core.Packer(
        bpe,
        threads,
        memory,
        wide=dtype == "<u4",
        before=ids[0],
        behind=ids[1],
        last=eos_id,
        sought=pl.Series(sought, dtype=pl.String),
        special_as_text=tokenizer.encode_special_tokens,
    )
    return Engine(packer)


def template_of(reference: Reference) -> tuple[list[int], list[int]]:
    """The ids that the template puts before every text, and behind it.

    Raises:
        TokenizerError: it does something else, or what it does cannot be seen.
    """
    plain, whole = (reference.encode(SAMPLES, template=template) for template in (False, True))
    rest = len(whole[0]) - len(plain[0])
    for at in range(rest + 1):
        before, behind = whole[0][:at], whole[0][at + len(plain[0]) :]
        if all([*before, *one, *behind] == two for one, two in zip(plain, whole, strict=True)):
            return before, behind
    raise TokenizerError("its template puts something else round each text")
