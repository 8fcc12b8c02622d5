"""Tables as text, `.csv` and `.tsv`: read strictly, a record of another number of fields is a fault.

Not left to Polars, to which a quote in the middle of a field opens a quoted one, and missing fields are nulls.
"""

import csv
from collections.abc import Iterable, Iterator

import polars as pl

from kovocab.corpus.archives import Member
from kovocab.corpus.faults import LONGEST, Fault, Skip, line_texts
from kovocab.corpus.files import File
from kovocab.corpus.settings import Reading
from kovocab.errors import CorpusError

MOST = 64 << 20
"""Characters in a record, at most: a quote that nobody closes would take all that follows."""

_BATCH = 4 << 20  # characters of text handed over at a time

Line = tuple[int, str]


def read_delimited(
    path: File | Member, blocks: Iterable[tuple[int, bytes] | Fault], reading: Reading, encoding: str, skip: Skip
) -> Iterator[pl.Series]:
    """Read the documents of a file whose first record names its columns.

    Fields are quoted by `"`, and may then hold newlines. In a `.tsv`, a field that begins with a quote and does not
    end with one, as many files have them that know no quoting, is what it is.

    Args:
        path: the file.
        blocks: its lines.
        reading: how a document is found in a record.
        encoding: of the lines.
        skip: told of each fault.
    """
    csv.field_size_limit(LONGEST)  # of this process; by default it is 131,072
    tabs = ".tsv" in path.name.lower()
    lines = _Lines(blocks, str(path), encoding, skip)
    records = _records(lines, "\t" if tabs else ",", tabs)
    number, names = next(records, (0, []))
    if isinstance(names, str):
        skip(Fault(str(path), f"line {number}", names, 1))
        return
    if lacking := [column for column in reading.columns if column not in names]:
        if number:
            skip(Fault(str(path), "", f"no column {lacking[0]!r}; it has {', '.join(names) or 'none'}"))
        return
    wanted, places = len(names), {column: names.index(column) for column in reading.columns}
    lines.fields = wanted
    texts: list[str] = []
    size, failed = 0, None
    try:
        for number, record in records:
            if isinstance(record, str) or len(record) != wanted:
                found = record if isinstance(record, str) else f"{len(record)} fields"
                skip(Fault(str(path), f"line {number}", f"{found}; wanted {wanted}: {', '.join(names)}", 1))
                continue
            row = {column: record[at] for column, at in places.items()}
            if reading.templates is not None and not all(row.values()):
                what = f"empty in one of the columns {', '.join(row)}; wanted strings in all of them"
                skip(Fault(str(path), f"line {number}", what, 1))
                continue
            texts.append(row[reading.column] if reading.templates is None else reading.templates.fill(row))
            size += len(texts[-1]) + 1
            if size >= _BATCH:
                yield pl.Series(texts, dtype=pl.String)
                texts, size = [], 0
    except CorpusError as error:  # what was read before comes first
        failed = error
    yield pl.Series(texts, dtype=pl.String)
    if failed is not None:
        raise failed


class _Lines:
    """Lines with their numbers, of which some may be given back."""

    def __init__(self, blocks: Iterable[tuple[int, bytes] | Fault], name: str, encoding: str, skip: Skip) -> None:
        self._lines, self._back = self._all(blocks, name, encoding, skip), list[Line]()
        self.fields = 0  # that a record has, when it is known

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        return self._back.pop() if self._back else next(self._lines)

    def give_back(self, lines: list[Line]) -> None:
        self._back += reversed(lines)

    @staticmethod
    def _all(blocks: Iterable[tuple[int, bytes] | Fault], name: str, encoding: str, skip: Skip) -> Iterator[Line]:
        for item in blocks:
            if isinstance(item, Fault):
                skip(item)
                continue
            first, block = item
            try:
                texts = block.removesuffix(b"\n").decode(encoding).split("\n")
            except UnicodeDecodeError:
                yield from line_texts(block, first, name, encoding, skip)
            else:
                yield from enumerate(texts, first)


def _records(lines: _Lines, separator: str, literal: bool) -> Iterator[tuple[int, list[str] | str]]:
    """Records with the number of their first line; in place of one that is none, why."""
    for number, line in lines:
        text = line.removesuffix("\r")
        if '"' in text:
            yield number, _quoted((number, text), lines, separator, literal)
        elif text:
            yield number, text.split(separator)


def _quoted(first: Line, lines: _Lines, separator: str, literal: bool) -> list[str] | str:
    """The record that begins in a line with a quote; if it is none, only that line is taken."""
    taken: list[Line] = []
    plain = first[1].split(separator)

    def given() -> Iterator[str]:
        yield first[1] + "\n"
        size = len(first[1])
        for line in lines:
            taken.append(line)
            size += len(line[1]) + 1
            # Where no quoting is known, this record and the next are whole.
            if size > MOST or (literal and len(plain) == lines.fields == line[1].count(separator) + 1):
                return
            yield line[1] + "\n"

    try:
        return next(csv.reader(given(), delimiter=separator, strict=True))
    except csv.Error as error:
        lines.give_back(taken)
        return plain if literal else f"a quoted field that is none ({error})"
