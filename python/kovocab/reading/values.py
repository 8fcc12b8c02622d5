"""What the engine finds in a piece of a file, as documents; and whole values of JSON, of whatever size."""

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, TypedDict

import polars as pl

from kovocab import _core
from kovocab.corpus.archives import Member
from kovocab.corpus.faults import LONGEST, POLARS_ERRORS, Fault, Skip, guessed, line_texts
from kovocab.corpus.files import File
from kovocab.corpus.settings import Reading
from kovocab.errors import CorpusError
from kovocab.reading.blocks import BLOCK, BOM, damage

_HEAD = 8 << 20  # bytes that a first line may have, if there is to be another

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


def is_lines(data: Iterator[bytes]) -> tuple[bool, Iterator[bytes]]:
    """Whether a file of JSON is one of lines: its first line is a value, and another follows. And its bytes again."""
    head, first, rest = b"", b"", b""
    try:
        while len(head) < _HEAD and not rest.strip() and (piece := next(data, None)) is not None:
            head += piece
            first, _, rest = head.removeprefix(BOM).lstrip().partition(b"\n")
    except CorpusError:
        raise
    except (OSError, EOFError) as error:
        data = _raising(error)
    data = chain([head], data)
    if not rest.strip():
        return False, data
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False, data
    return True, data


def _raising(error: Exception) -> Iterator[bytes]:
    raise error
    yield b""


def read_values(path: File | Member, data: Iterator[bytes], reading: Reading) -> Iterator[Batch | Fault]:
    """Read what is at the paths of a reading in the JSON of a file, whose bytes are `data`.

    Yields:
        Batches; at last, where it cannot be read on, a Fault.

    Raises:
        CorpusError: a remote file cannot be reached.
    """
    reader = _core.JsonReader(**wanted(reading))
    head, size, damaged = b"", 0, None
    try:
        for piece in _without_bom(data):
            head = head or piece
            size += len(piece)
            if reader.feed(piece) or size >= BLOCK:  # also where nothing is found, so that whoever stops need not wait
                yield reader.take()
                size = 0
            if reader.broken is not None:
                break
    except CorpusError:
        yield reader.take()  # what was read before comes first
        raise
    except (OSError, EOFError) as error:
        damaged = error
    reader.end()
    yield reader.take()
    broken = reader.broken
    if damaged is not None:
        yield damage(path, f"line {broken[0]}" if broken else "", damaged)
    elif broken is not None:
        line, at, why = broken
        others = guessed(head[: head.rfind(b'"')]) if "unicode" in why else None
        advice = f", or the setting encoding: {others} (--encoding {others})" if others else ""
        yield Fault(str(path), f"line {line}", f"{why} at character {at}; wanted JSON in UTF-8{advice}")


def _without_bom(data: Iterator[bytes]) -> Iterator[bytes]:
    first = True
    for piece in data:
        if piece:
            yield piece.removeprefix(BOM) if first else piece
            first = False
