"""Whole values of JSON, of whatever size: the texts at paths in them, by the engine."""

import json
from collections.abc import Iterator
from itertools import chain

from kovocab import _core
from kovocab.corpus.archives import Member
from kovocab.corpus.faults import Fault, guessed
from kovocab.corpus.files import File
from kovocab.corpus.settings import Reading
from kovocab.errors import CorpusError
from kovocab.reading.blocks import BLOCK, BOM, damage
from kovocab.reading.engine import Batch, wanted

_HEAD = 8 << 20  # bytes that a first line may have, if there is to be another


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
    except ValueError:
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
