"""Faults of a file: read again, slowly, exactly, in Python, to say which line is at fault.

`corpus` reads by Polars, whose errors rarely name a place. What it could not read is read here.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator

import polars as pl

from kovocab.errors import CorpusError
from kovocab.files import File, source
from kovocab.stores import outage

POLARS_ERRORS = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What Polars raises where it cannot read."""

COMPRESSED = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
"""The suffixes of compressed files, and how such a file begins."""

BOM = "\ufeff"


def check_head(path: File) -> None:
    """Check that a compressed file begins as one.

    Polars goes by the content, so a file that was cut before its magic number would be read as text.

    Raises:
        CorpusError: it does not, or cannot be read.
    """
    magic = COMPRESSED.get(path.suffix.lower())
    if magic is None:
        return
    try:
        with path.open("rb") as file:
            head = file.read(len(magic))
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
    if head != magic:
        found = head.hex(" ") or "an empty file"
        wanted = f"wanted a {path.suffix} stream (and not one of skippable frames, as pzstd writes)"
        raise CorpusError(f"{path}: byte 0: found {found}; {wanted}")


def fault(path: File, rest: Iterable[object], error: BaseException | None) -> CorpusError:
    """Read `rest`, of a reader below, until it raises, and give what it raised; else what Polars said."""
    try:
        for _ in () if outage(error) else rest:
            pass
    except CorpusError as found:
        return found
    return CorpusError(f"{path}: cannot be read: {first_line(error)}")


def first_line(error: BaseException | None) -> str:
    """What an error says, without the pages of advice that may follow."""
    return str(error).split("\n", 1)[0]


def json_documents(path: File, column: str) -> Iterator[str]:
    """The documents of a file of JSON lines; a CorpusError names the first line that holds none."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    wanted = f'wanted a JSON object with a string in the key "{column}"'
    for number, line in enumerate(lines(path), start=1):
        if not line or line.isspace():
            continue
        try:
            row = json.loads(line, parse_constant=refuse)
        except json.JSONDecodeError as error:
            place = f"{error.msg.removesuffix(' at')} at character {error.pos + 1}"
            raise CorpusError(f"{path}: line {number}: {place}; {wanted}") from error
        except ValueError as error:
            raise CorpusError(f"{path}: line {number}: {error}; {wanted}") from error
        if not isinstance(row, dict):
            raise CorpusError(f"{path}: line {number}: found {line[:40]!r}; {wanted}")
        text = row.get(column)
        if not isinstance(text, str):
            found = f"found {json.dumps(text)[:40]}" if column in row else f"no such key in {sorted(row)}"
            raise CorpusError(f"{path}: line {number}: {found}; {wanted}")
        if half := half_pair(text):
            raise CorpusError(f"{path}: line {number}: {half} is half of a surrogate pair; {wanted}")
        yield text


def half_pair(text: str) -> str | None:
    r"""The first half of a surrogate pair in `text`, as `\\ud800`, if there is one: no UTF-8 can hold it."""
    found = re.search("[\ud800-\udfff]", text)
    return f"\\u{ord(found.group()):04x}" if found else None


def lines(path: File) -> Iterator[str]:
    """The lines of a file, without a byte-order mark; a CorpusError names the first that cannot be read."""
    number = 0
    try:
        for number, line in enumerate(_raw_lines(path), start=1):
            text = line.decode() if isinstance(line, bytes) else line
            yield text.removeprefix(BOM) if number == 1 else text
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}: line {number}: invalid UTF-8 at byte {error.start} of the line; wanted UTF-8"
        ) from error
    except (EOFError, zlib.error, *POLARS_ERRORS) as error:
        if isinstance(error, CorpusError):
            raise
        size = path.stat().st_size
        raise CorpusError(
            f"{path}: after line {number}, in a file of {size} bytes: {first_line(error)}; wanted a whole"
            f" {path.suffix} file"
        ) from error


def _raw_lines(path: File) -> Iterator[bytes | str]:
    if path.suffix.lower() == ".zst":  # Python 3.11 cannot decompress it, so Polars does
        yield from _zst_lines(path)
        return
    with path.open("rb") as file:
        for line in gzip.GzipFile(fileobj=file) if path.suffix.lower() == ".gz" else file:
            yield line.removesuffix(b"\n").removesuffix(b"\r")


def _zst_lines(path: File) -> Iterator[str]:
    try:
        for batch in pl.scan_lines(**source(path), glob=False).collect_batches(maintain_order=True):
            yield from batch.to_series()
    except pl.exceptions.ComputeError as error:
        # Not UTF-8. What Polars decompresses in spite of that is CSV: make the file a table of one column.
        table = pl.scan_csv(
            **source(path), has_header=False, quote_char=None, separator="\x01", schema={"line": pl.String}, glob=False,
            encoding="utf8-lossy", truncate_ragged_lines=True, missing_columns=None,
        )  # fmt: skip
        bad = table.with_row_index("number", 1).filter(pl.col("line").str.contains("\ufffd", literal=True))
        number = bad.select("number").head(1).collect().to_series()
        place = f"at or after line {number[0]}: " if len(number) else ""
        raise CorpusError(f"{path}: {place}{first_line(error)}; wanted UTF-8") from error
