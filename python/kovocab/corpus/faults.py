"""Faults of a corpus: what is wrong and where, and the slow, exact reader of a line that Polars would not read.

`documents` reads by Polars, whose errors rarely name a place. The lines that it could not read are read here.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeAlias

import polars as pl

from kovocab.artefact import check_file, new_file
from kovocab.corpus.settings import Reading
from kovocab.errors import CorpusError
from kovocab.ownership import json_lines_of

POLARS_ERRORS = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What Polars raises where it cannot read."""

LONGEST = (1 << 32) - 1
"""Bytes in a text, at most, that Polars can hold."""


@dataclass(frozen=True)
class Fault:
    """Something in a corpus that is no document, or that hides documents; the same from run to run.

    Attributes:
        file: the file; for a corpus in memory "the frame", "the series" or "the iterable".
        place: where in it, as "line 17", "after line 12", "row 3", "rows 8 to 9"; "" for all of it.
        what: what was found there, and what was wanted.
        documents: how many documents are lost by it, where that is known.
    """

    file: str
    place: str
    what: str
    documents: int | None = None

    def __str__(self) -> str:
        """The fault on one line."""
        return ": ".join(part for part in (self.file, self.place, self.what) if part)


is_report = json_lines_of(field.name for field in fields(Fault))
"""Whether a file is what `write_report` writes."""

REPORT_FILE = (is_report, "report of what was skipped")
"""What such a file is known by, and called: for `check_file`."""

Skip: TypeAlias = Callable[[Fault], None]
"""What is told of each fault that is skipped."""


def fail(fault: Fault) -> None:
    """Do not skip: the fault as a CorpusError."""
    raise CorpusError(str(fault))


@contextmanager
def of_documents() -> Iterator[None]:
    """What the engine says of documents that it was given, as a fault of the corpus.

    Raises:
        CorpusError: a row is no UTF-8, which a column of pyarrow may hold, or the tokenizer's split pattern cannot be
            tried on a document.
    """
    try:
        yield
    except ValueError as error:
        raise CorpusError(f"documents cannot be read: {error}") from error


def write_report(faults: Iterable[Fault], path: str | Path) -> None:
    """Write faults as a file of JSON lines, an object each.

    Raises:
        ArtefactError: `path` cannot be written, or is there and is something else.
    """
    check_file(path, *REPORT_FILE)  # who has asked before long work asks again
    with new_file(path) as beside:
        lines = (json.dumps(asdict(fault), ensure_ascii=False) + "\n" for fault in faults)
        # A file's name may be no UTF-8, and then holds what JSON writes as \udcff too.
        beside.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")


def first_line(error: BaseException) -> str:
    """What an error says, without the pages of advice that may follow."""
    return str(error).split("\n", 1)[0]


def half_pair(text: str) -> str | None:
    r"""The first half of a surrogate pair in `text`, as `\\ud800`, if there is one: no UTF-8 can hold it."""
    found = re.search("[\ud800-\udfff]", text)
    return f"\\u{ord(found.group()):04x}" if found else None


def line_documents(
    block: bytes, first: int, file: str, reading: Reading | None, skip: Skip, encoding: str = "utf-8"
) -> Iterator[str]:
    """Read the documents of a block of whole lines, one by one.

    Args:
        block: the lines.
        first: the number of the first.
        file: what the file is called.
        reading: how the text is found in a line that is a JSON object; None where a line is a document.
        skip: told of each line that holds no document, though it should.
        encoding: of the lines.
    """
    for number, line in line_texts(block, first, file, encoding, skip):
        text = line.removesuffix("\r")
        if reading is not None:
            if not text.strip(" \t\r"):
                continue
            try:
                text = _json_text(text, reading)
            except (ValueError, RecursionError) as error:
                skip(Fault(file, f"line {number}", str(error), 1))
                continue
        yield text


def line_texts(block: bytes, first: int, file: str, encoding: str, skip: Skip) -> Iterator[tuple[int, str]]:
    """The lines of a block with their numbers; one that is no text is a fault."""
    for number, line in enumerate(block.removesuffix(b"\n").split(b"\n"), start=first):
        try:
            if len(line) > LONGEST:
                raise ValueError(f"a line of {len(line)} bytes; wanted at most {LONGEST}")
            yield number, _decoded(line, encoding, number)
        except ValueError as error:
            skip(Fault(file, f"line {number}", str(error), 1))


def _decoded(line: bytes, encoding: str, number: int) -> str:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        called = encoding.upper() if encoding == "utf-8" else encoding
        said = f"invalid {called} at byte {error.start} of the line; wanted {called}"
        others = guessed(line) if encoding == "utf-8" else None
        if others and (others != "utf-16" or number == 1):  # whose mark begins a file
            said += f", or the setting encoding: {others} (--encoding {others}), as which it can be read"
        raise ValueError(said) from error


def guessed(data: bytes) -> str | None:
    """What bytes that are not UTF-8 may be: cp949, if they are Hangul in it, or UTF-16, by its mark."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        text = data.decode("cp949")
    except UnicodeDecodeError:
        return None
    others = [character for character in text if character > "\x7f"]
    return "cp949" if 2 * sum("가" <= character <= "힣" for character in others) > len(others) else None


def _json_text(line: str, reading: Reading) -> str:
    """The text in a line of JSON; a ValueError says what else it holds."""
    keys = " and ".join(f'"{column}"' for column in reading.columns)
    one = len(reading.columns) == 1
    wanted = f"wanted a JSON object with {'a string in the key' if one else 'strings in the keys'} {keys}"
    try:
        row = json.loads(line, parse_constant=_refuse, parse_int=_integer, object_pairs_hook=_first_of_each)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg.removesuffix(' at')} at character {error.pos + 1}; {wanted}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{error}; {wanted}") from error
    if not isinstance(row, dict):
        raise ValueError(f"found {line[:40]!r}; {wanted}")
    for column in reading.columns:
        text = row.get(column)
        if not isinstance(text, str) or (reading.templates is not None and not text):
            of = "" if one else f" in {column!r}"
            such = "such key" if one else f"key {column!r}"
            found = f"found {json.dumps(text)[:40]}{of}" if column in row else f"no {such} in {sorted(row)}"
            raise ValueError(f"{found}; {wanted}")
        if half := half_pair(text):
            raise ValueError(f"{half} is half of a surrogate pair; {wanted}")
    return str(row[reading.column]) if reading.templates is None else reading.templates.fill(row)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _first_of_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    return dict(reversed(pairs))  # as Polars has it


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < 20 else float(digits)  # Python refuses, and is slow at, very many digits
