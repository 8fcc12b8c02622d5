"""The documents that are measured on: chosen by their hash, so that they are the same for every model."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kovocab.errors import ArtefactError, CorpusError, UsageError
from kovocab.evaluating.settings import BYTES
from kovocab.ownership import identity
from kovocab.record import RECORD, read_record
from kovocab.tokenizer.script import WORD

if TYPE_CHECKING:
    import polars as pl

SCRIPTS = ("Hangul", "Latin")
"""What documents are told apart by; one that is neither is `OTHER`."""
OTHER = "other"


@dataclass(frozen=True)
class Budget:
    """How much of each source is measured on.

    Attributes:
        documents: How many documents at most; None: as many as there are.
        bytes: How many bytes of UTF-8 at most, but for one document, which is always taken; None: all.
    """

    documents: int | None = None
    bytes: int | None = BYTES

    def __post_init__(self) -> None:
        """Refuse less than one."""
        for name, value in (("documents", self.documents), ("bytes", self.bytes)):
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; wanted at least 1")

    def holds(self, documents: int, size: int) -> bool:
        """Whether so much is within it."""
        return (self.documents is None or documents <= self.documents) and (self.bytes is None or size <= self.bytes)


@dataclass(frozen=True)
class Text:
    """What of a source is measured on.

    Attributes:
        source: What it is called.
        documents: In the order of their hashes; none is empty, none is there twice.
        of: How many documents the source has.
    """

    source: str
    documents: "pl.Series"
    of: int

    @property
    def scripts(self) -> "pl.Series":
        """The script of each document: one of `SCRIPTS`, or `OTHER`."""
        import polars as pl

        text = pl.col("text")
        letters = text.str.count_matches(r"\p{L}")
        most = pl.lit(OTHER)
        for script in reversed(SCRIPTS):
            own = text.str.count_matches(rf"[\p{{L}}&&\p{{{script}}}]")
            most = pl.when((letters > 0) & (own * 2 >= letters)).then(pl.lit(script)).otherwise(most)
        return self.documents.rename("text").to_frame().select(most.alias("script")).to_series()

    @property
    def sha256(self) -> str:
        """Of the documents, each with a newline behind it."""
        return hashlib.sha256("".join(f"{text}\n" for text in self.documents).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """UTF-8."""
        return int(self.documents.str.len_bytes().sum())

    @property
    def words(self) -> int:
        """Runs of characters that are not white space."""
        return int(self.documents.str.count_matches(WORD).sum())


def choose(texts: "Iterable[pl.Series]", source: str, budget: Budget) -> Text:
    """Take the documents of lowest hash, as many as the budget holds.

    Args:
        texts: Documents in batches; nulls and empty ones are none.
        source: What they are called together.
        budget: How much to take.

    Raises:
        CorpusError: there is no document.
    """
    import polars as pl

    kept: dict[bytes, str] = {}
    size = of = 0
    for series in texts:
        for text in series.drop_nulls().to_list():
            if not text:
                continue
            of += 1
            data = text.encode()
            key = hashlib.blake2b(data, digest_size=8).digest()
            if key not in kept:
                kept[key] = text
                size += len(data)
        if not budget.holds(len(kept) // 2, size // 2):  # memory: of a large corpus little is kept
            kept = _lowest(kept, budget)
            size = sum(len(text.encode()) for text in kept.values())
    if not of:
        raise CorpusError(f"{source} holds no text to measure on; wanted a document that is not empty")
    return Text(source, pl.Series("text", list(_lowest(kept, budget).values()), dtype=pl.String), of)


def held_out(packed: Path, source: str, budget: Budget) -> Text:
    """What a packed source holds out, or as much of it as the budget holds.

    Args:
        packed: The folder of its token files.
        source: What it is called.
        budget: How much to take.

    Raises:
        CorpusError: its `validation.jsonl` is not there, or is not what was written with its record.
    """
    import polars as pl

    path = packed / "validation.jsonl"

    def batches() -> Iterator[pl.Series]:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield pl.Series([json.loads(line)["text"]], dtype=pl.String)

    try:
        said = read_record(packed, "pack").get("files", {}).get(path.name) if (packed / RECORD).is_file() else None
        if said is not None and path.is_file() and identity(path) != said:
            raise CorpusError(
                f"{path} is not what `kovocab pack` wrote there: it was changed since; wanted that, or --corpus with "
                "text to measure on"
            )
        return choose(batches(), source, budget)
    except FileNotFoundError as error:
        raise CorpusError(
            f"{path} is not there (moved, or packed by an earlier kovocab); wanted --corpus with text to measure on"
        ) from error
    except ArtefactError as error:
        raise CorpusError(str(error)) from error
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, CorpusError):
            raise
        raise CorpusError(f"{path} is not what `kovocab pack` wrote: {error}") from error


def _lowest(kept: dict[bytes, str], budget: Budget) -> dict[bytes, str]:
    """Those of lowest hash that the budget holds; always one."""
    found: dict[bytes, str] = {}
    size = 0
    for key in sorted(kept):
        size += len(kept[key].encode())
        if found and not budget.holds(len(found) + 1, size):
            break
        found[key] = kept[key]
    return found
