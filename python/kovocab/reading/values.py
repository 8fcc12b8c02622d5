"""Whole values of JSON, of whatever size: the texts at a path in them, by the engine."""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import chain
from queue import Queue
from threading import Thread
from typing import Any

import polars as pl

from kovocab import _core
from kovocab.corpus.archives import Member
from kovocab.corpus.faults import Fault, Skip, guessed
from kovocab.corpus.files import File
from kovocab.corpus.paths import is_path, steps_of
from kovocab.errors import CorpusError
from kovocab.reading.blocks import BOM, damage

SMALL = 64 << 10
"""Bytes in memory that are not worth a thread."""

_HEAD = 8 << 20  # bytes that a first line may have, if there is to be another

Given = tuple[pl.Series, list[tuple[int, str]]]


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


def read_values(path: File | Member, data: Iterator[bytes], column: str, skip: Skip) -> Iterator[pl.Series]:
    """Read the texts at a path in the JSON of a file, whose bytes are `data`.

    Yields:
        Series of type String, without nulls.

    Raises:
        CorpusError: a remote file cannot be reached.
    """
    steps = steps_of(column) if is_path(column) else [column]
    damaged: list[Exception] = []
    data = _without_bom(data)
    head: list[bytes] = []

    def read() -> bytes:
        try:
            piece = next(data, b"")  # an empty piece would be the end
        except CorpusError:
            raise
        except (OSError, EOFError) as error:
            damaged.append(error)
            return b""
        if not head:
            head.append(piece)
        return piece

    def told(broken: tuple[int, int, str] | None) -> Iterator[Fault]:
        if damaged:
            yield damage(path, f"line {broken[0]}" if broken else "", damaged[0])
        elif broken is not None:
            line, at, why = broken
            others = guessed(head[0][: head[0].rfind(b'"')]) if "unicode" in why else None
            advice = f", or the setting encoding: {others} (--encoding {others})" if others else ""
            yield Fault(str(path), f"line {line}", f"{why} at character {at}; wanted JSON in UTF-8{advice}")

    def given(batch: Any, lost: list[tuple[int, str]]) -> Given:
        return pl.DataFrame(batch).to_series(), lost

    small = isinstance(path, Member) and path.size <= SMALL
    with closing((_at_once if small else _aside)(read, given, steps)) as items:
        for item in items:
            if isinstance(item, tuple) and len(item) == 2:
                texts, lost = item
                for line, what in lost:
                    skip(Fault(str(path), f"line {line}", what, 1))
                yield texts
            else:
                for fault in told(item):
                    skip(fault)


def _without_bom(data: Iterator[bytes]) -> Iterator[bytes]:
    first = True
    for piece in data:
        if piece:
            yield piece.removeprefix(BOM) if first else piece
            first = False


def _at_once(read: Callable[[], bytes], given: Callable[..., Given], steps: list[str]) -> Generator[Any]:
    found: list[Given] = []
    broken = _core.read_json(read, lambda *item: found.append(given(*item)), steps)
    yield from found
    yield broken


def _aside(read: Callable[[], bytes], given: Callable[..., Given], steps: list[str]) -> Generator[Any]:
    """Read in another thread, some batches ahead."""
    items: Queue[tuple[str, Any]] = Queue(maxsize=2)
    stopped: list[bool] = []

    def put(*item: Any) -> None:
        if stopped:
            raise GeneratorExit
        items.put(("item", given(*item)))

    def work() -> None:
        try:
            items.put(("item", _core.read_json(read, put, steps)))
            items.put(("end", None))
        except BaseException as error:
            items.put(("error", error))

    thread = Thread(target=work, daemon=True)
    thread.start()
    ended = False
    try:
        while not ended:
            what, item = items.get()
            ended = what != "item"
            if what == "error":
                raise item
            if what == "item":
                yield item
    finally:
        stopped.append(True)
        while not ended:  # room for the thread to end
            ended = items.get()[0] != "item"
        thread.join()
