"""What the engine finds in a piece of a file, as documents."""

from contextlib import suppress
from typing import Any, TypedDict

import polars as pl

from kovocab.corpus.faults import LONGEST, POLARS_ERRORS, Fault, Skip, line_texts
from kovocab.corpus.settings import Reading

Batch = tuple[Any, list[tuple[int, str]]]
"""Rows of the columns of a reading, and what stood in the place of others: line and reason."""


class Wanted(TypedDict):
    """What the engine is to look for in JSON."""

    names: list[str]
    paths: list[list[str]]
    filled: bool


def wanted(reading: Reading) -> Wanted:
    """The columns of a reading, and whether an empty text in one is none."""
    return Wanted(names=list(reading.columns), paths=reading.paths, filled=reading.templates is not None)


def documents(batch: Batch, reading: Reading, name: str, skip: Skip) -> pl.Series:
    """The documents of a batch; what is none is a fault of the file `name`."""
    rows, lost = batch
    for line, what in lost:
        skip(Fault(name, f"line {line}", what, 1))
    return pl.DataFrame(rows).select(reading.expression()).to_series()


def utf8(block: bytes, first: int, name: str, encoding: str, skip: Skip, in_place: bytes = b"") -> bytes:
    """A block of lines in UTF-8; one that is none of its encoding is a fault, and `in_place` stands there."""
    with suppress(UnicodeDecodeError, *POLARS_ERRORS):
        if encoding != "utf-8" or len(block) > LONGEST:
            return block.decode(encoding).encode()
        pl.Series([block], dtype=pl.Binary).cast(pl.String)  # sees it many times faster
        return block
    lines = dict(line_texts(block, first, name, encoding, skip))
    numbers = range(first, first + block.removesuffix(b"\n").count(b"\n") + 1)
    return b"".join((lines[number].encode() if number in lines else in_place) + b"\n" for number in numbers)
