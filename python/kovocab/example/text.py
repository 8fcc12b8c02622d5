"""Sample text: Korean and English sentences that nobody wrote, as many as wanted, the same on every machine.

For the quickstart and for benchmarks. The text means nothing, but it is built as text is: particles and
endings agree with the stem before them, and stems follow Zipf's law without end, so that distinct words grow
with the text as they do in a real corpus (Heaps' law with exponent 3/4).

Only `random.Random(int).random()` and arithmetic that IEEE 754 settles are used: the other methods of
`random` may change between versions of Python, and `pow` between machines.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from filecmp import cmp
from hashlib import blake2b
from itertools import count
from pathlib import Path
from random import Random
from shutil import disk_usage
from typing import Literal

import polars as pl

from kovocab.artefact import check_file, new_file
from kovocab.errors import ArtefactError, UsageError, whole
from kovocab.example.english import english_sentences
from kovocab.example.korean import korean_sentences

Language = Literal["ko", "en", "mixed"]

BATCH = 256  # documents that one seed makes
KOREAN_SHARE = 0.8  # of the documents of a mixed sample


def sample_documents(
    bytes_: int | None = None, documents: int | None = None, *, seed: int = 0, language: Language = "mixed"
) -> Iterator[str]:
    """Make documents of sample text, some words to some pages long: the same arguments, the same text.

    Args:
        bytes_: stop after the document that reaches so many bytes of UTF-8.
        documents: stop after so many documents. Without either limit there is no end.
        seed: another seed, another text.
        language: `"ko"`, `"en"`, or `"mixed"` for four Korean documents to an English one.

    Yields:
        Documents, in NFC, with a newline between paragraphs.

    Raises:
        UsageError: `language` is none of the three, or a limit is no whole number, or negative.
    """
    _check_limits(bytes_, documents)
    made = size = 0
    for index in count():
        for document in sample_batch(index, seed=seed, language=language):
            if (documents is not None and made >= documents) or (bytes_ is not None and size >= bytes_):
                return
            yield document
            made += 1
            size += len(document.encode())


def sample_batch(index: int, *, seed: int = 0, language: Language = "mixed") -> list[str]:
    """Make the documents from `BATCH * index` on, `BATCH` of them; batches can be made in parallel.

    Raises:
        UsageError: `language` is not `"ko"`, `"en"` or `"mixed"`.
    """
    if language not in ("ko", "en", "mixed"):
        raise UsageError(f"language is {language!r}; wanted 'ko', 'en' or 'mixed'")
    digest = blake2b(f"{seed} {language} {index}".encode(), digest_size=8).digest()
    draw = Random(int.from_bytes(digest, "big")).random
    korean, english = korean_sentences(draw), english_sentences(draw)
    share = {"ko": 1.0, "en": 0.0, "mixed": KOREAN_SHARE}[language]
    return [_document(korean if draw() < share else english, draw) for _ in range(BATCH)]


def write_sample(
    path: str | Path,
    bytes_: int | None = None,
    documents: int | None = None,
    *,
    seed: int = 0,
    language: Language = "mixed",
) -> None:
    """Write the documents of `sample_documents` as a corpus file; the suffix of `path` says which kind.

    In `.txt` a document is a line, so its newlines become spaces; `.jsonl` and `.parquet` hold it in `text`.

    Raises:
        UsageError: there is no limit, or the suffix is not `.txt`, `.jsonl` or `.parquet`.
        ArtefactError: `path` cannot be written, or is there and is something else.
    """
    if bytes_ is None and documents is None:
        raise UsageError("a sample without an end cannot be written; wanted bytes_ or documents")
    _check_limits(bytes_, documents)
    made = sample_documents(bytes_, documents, seed=seed, language=language)
    suffix = Path(path).suffix
    if suffix not in (".txt", ".jsonl", ".parquet"):
        raise UsageError(f"{path}: wanted the suffix .txt, .jsonl or .parquet")
    path = Path(path)
    check_file(path)
    _check_room(path, bytes_)
    with new_file(path) as beside:
        _write(made, beside, suffix)
        # A text has no mark of whose it is: one that is there is ours if it is the same.
        if path.exists() and path.stat().st_size and not cmp(beside, path, shallow=False):
            raise ArtefactError(f"{path} is there and is not this sample; choose another name, or remove it")


def _check_limits(bytes_: int | None, documents: int | None) -> None:
    for name, limit in {"bytes_": bytes_, "documents": documents}.items():
        if limit is not None:
            whole(name, limit, 0, None)  # how much is too much, the disk says


def _check_room(path: Path, bytes_: int | None) -> None:
    """A number with too many zeros is told at once, and not when the disk is full."""
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if bytes_ is not None and bytes_ > (free := disk_usage(above).free):
        raise ArtefactError(
            f"{path} cannot be written: No space left on device: {bytes_:.3g} bytes are wanted, and {free:.3g} are free"
        )


def _write(documents: Iterable[str], path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pl.Series("text", list(documents), dtype=pl.String).to_frame().write_parquet(path)
        return
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for text in documents:
            one_line = suffix == ".txt"
            line = text.replace("\n", " ") if one_line else json.dumps({"text": text}, ensure_ascii=False)
            file.write(line + "\n")


def _document(sentence: Callable[[], str], draw: Callable[[], float]) -> str:
    """Mostly a sentence or two, sometimes pages, as documents of the web are."""
    parts = [sentence()]
    for _ in range(min(int(0.7 / (1.0 - draw()) - 0.7), 150)):
        parts.append("\n" if draw() < 0.12 else " ")
        parts.append(sentence())
    return "".join(parts)
