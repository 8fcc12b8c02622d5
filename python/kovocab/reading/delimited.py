"""Tables as text, `.csv` and `.tsv`: read strictly, a record of another number of fields is a fault.

Not left to Polars, to which a quote in the middle of a field opens a quoted one, and missing fields are nulls.
"""

from collections.abc import Iterable, Iterator

import polars as pl

from kovocab import _core
from kovocab.corpus.archives import Member
from kovocab.corpus.faults import Fault, Skip
from kovocab.corpus.files import File, kind
from kovocab.corpus.settings import Reading
from kovocab.reading.values import documents, utf8

MOST = 64 << 20
"""Bytes in a record, at most: a quote that nobody closes would take all that follows."""

_NO_TEXT = b"\xff"  # no UTF-8: of a record with it the engine knows that it was told


def read_delimited(
    path: File | Member, blocks: Iterable[tuple[int, bytes] | Fault], reading: Reading, encoding: str, skip: Skip
) -> Iterator[pl.Series]:
    """Read the documents of a file whose first record names its columns.

    Fields are quoted by `"`, and may then hold newlines. In a `.tsv`, a field that begins with a quote and does not
    end with one, as many files have them that know no quoting, is what it is. A record with bytes that are no text is
    lost as a whole.

    Args:
        path: the file.
        blocks: its lines.
        reading: how a document is found in a record.
        encoding: of the lines.
        skip: told of each fault.
    """
    name, tabs = str(path), kind(path) == "tsv"
    reader = _core.DelimitedReader(
        list(reading.columns),
        reading.templates is not None,
        separator="\t" if tabs else ",",
        literal=tabs,
        most=MOST,
    )
    for item in blocks:
        if isinstance(item, Fault):
            skip(item)
            continue
        number, block = item
        yield documents(reader.feed(utf8(block, number, name, encoding, skip, _NO_TEXT)), reading, name, skip)
        if reader.broken is not None:
            break
    yield documents(reader.end(), reading, name, skip)
    if reader.broken is not None:
        line, why = reader.broken
        skip(Fault(name, f"line {line}", why, 1) if line else Fault(name, "", why))
