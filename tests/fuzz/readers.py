"""Files of every format, whole and damaged: what Polars reads of them is what plain Python reads, faults and all.

An input is a document, or a line that is none; ten of them are a file, whose format and damage its number says.
"""

import json
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from fuzz.trying import damaged, seen, text
from kovocab.corpus.faults import Fault
from kovocab.corpus.files import SUFFIXES
from kovocab.errors import CorpusError
from kovocab.reading import blocks
from kovocab.reading.formats import read_file
from support import fuzzing
from support.corpora import TEXT, raw
from support.fuzzing import skipping
from support.reference import documents, rows

BATCH = 10
FORMATS = [*TEXT, ".txt", ".jsonl", ".parquet", ".parquet"]
WRONG = [
    *fuzzing.WRONG,
    b'{"text": "a"} {"text": "b"}',
    b'{"text": "a"},', b'{"te\\u0078t": "a"}', b'{"text": "\\ud83d\\ude00"}', b'{"text": "\\ude00\\ud83d"}',
    b'{"text": "\\x"}',
    b'{"text": "a\tb"}', b'\xef\xbb\xbf{"text": "a"}', b'{"text": true}', b'{"text": {"text": "a"}}',
    b'{"x": {"text": "a"}}',
    b'{"text": 1.0}', b'{"text": "5"}', b'{"text": "true"}', b'{"text": ""}', b'{"": "a"}', b"{" * 2000, b"[" * 2000,
    b'{"x": ' + b"[" * 3000 + b"]" * 3000 + b', "text": "a"}',
]  # fmt: skip


def make(random: Random) -> tuple[str, bytes]:
    """A document, and what may stand in its place."""
    document = text(random)
    draw = random.random()
    if draw < 0.6:
        return document, random.choice(WRONG)
    if draw < 0.8:
        return document, damaged(json.dumps({"text": document}, ensure_ascii=draw < 0.7).encode(), random)
    return document, random.randbytes(random.randrange(12))


def check(inputs: list[tuple[str, bytes]], random: Random, folder: Path) -> None:
    suffix = random.choice(FORMATS)
    blocks.BLOCK = random.choice((8, 90, 8 << 20))
    blocks.PIECE = min(blocks.BLOCK, 256 << 10)
    start = random.randrange(BATCH + 2)
    if suffix == ".parquet":
        check_parquet([document for document, _ in inputs], random, folder, start)
        return
    as_json = SUFFIXES[suffix] == "json"
    wrong = random.choice((0, 0, 0.1, 0.5))
    lines = []
    for document, other in inputs:
        if random.random() < wrong:
            lines.append(other)
        elif as_json:
            more = {"n": 1, "x": [document]} if random.random() < 0.3 else {}
            row = more | {"text": document} if random.random() < 0.5 else {"text": document} | more
            lines.append(json.dumps(row, ensure_ascii=random.random() < 0.5).encode())
        else:
            lines.append(document.encode())
    content = random.choice((b"\n", b"\n", b"\r\n")).join(lines) + random.choice((b"", b"\n", b"\n\n"))
    path = raw(folder, suffix, content)
    if path.suffix in (".gz", ".zst") and random.random() < 0.2:
        path.write_bytes(path.read_bytes() * 2)
    if random.random() < (0.5 if path.suffix in (".gz", ".zst") else 0.1):
        path.write_bytes(damaged(path.read_bytes(), random))
    expected, lost = documents(path.read_bytes(), path.suffix, as_json)
    faults = agrees(path, expected, start)
    assert [(fault.place, fault.documents) for fault in faults] == lost, (suffix, path.read_bytes())


def check_parquet(documents: list[str], random: Random, folder: Path, start: int) -> None:
    path = folder / "corpus.parquet"
    nulls = random.choice((0, 0, 0.3))
    texts = [None if random.random() < nulls else document for document in documents]
    damage = random.random() < 0.1
    pq.write_table(
        pa.table({"text": pa.array(texts, random.choice((pa.string(), pa.large_string()))), "n": [1] * len(texts)}),
        path,
        row_group_size=random.randrange(1, BATCH + 2),
        compression="zstd" if damage else random.choice(("none", "snappy", "gzip", "zstd")),
        use_dictionary=random.random() < 0.5,
        data_page_version=random.choice(("1.0", "2.0")),
    )
    expected = [document for document in texts if document is not None]
    lost = texts.count(None)
    if damage:
        # Only so that a page cannot be decompressed: other damage can make Polars ask for more memory than there is.
        data = bytearray(path.read_bytes())
        metadata = pq.ParquetFile(path).metadata
        chunk = metadata.row_group(random.randrange(metadata.num_row_groups)).column(0)
        at = data.find(b"\x28\xb5\x2f\xfd", chunk.dictionary_page_offset or chunk.data_page_offset)
        if at >= 0:
            data[at] ^= 1
        path.write_bytes(data)
        expected, gone = rows(path, "text")
        lost = len(gone)
    faults = agrees(path, expected, start)
    assert sum(fault.documents or 0 for fault in faults) == lost, (lost, faults)


def agrees(path: Path, expected: list[str], start: int) -> list[Fault]:
    """What is read of a file, with what is skipped, from any document on, and where nothing is to be skipped."""
    found, faults = skipping(path)
    assert found == expected, (path.suffixes, found, expected, faults)
    assert all(fault.file == str(path) and fault.what and "\n" not in str(fault) for fault in faults), faults
    if start < 4:
        assert skipping(path, start) == (expected[start:], faults)
    if path.suffix == ".parquet":
        start = 0  # where nothing is skipped a start is a row, and there was no null before it
    if start % 3 == 0:
        strict = seen(lambda: [part for series in read_file(path, start=start) for part in series], CorpusError)
        assert str(strict) == str(faults[0]) if faults else strict == expected[start:], (strict, faults)
    return faults
