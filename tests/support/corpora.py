"""Small corpora: the obvious writer of each format, all the documents of one, and how reading one fails."""

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kovocab.corpus.files import SUFFIXES
from kovocab.corpus.settings import Reading
from kovocab.errors import CorpusError
from kovocab.reading.documents import Corpus, batches

SAMPLE = ["안녕하세요", "", "  두 칸  ", 'He said "hi", \\n, {"text": 5}', "5", "true", "null", "[1]", "끝"]
TEXT = [
    suffix for suffix, kind in SUFFIXES.items() if kind in ("lines", "json") and not suffix.endswith((".bz2", ".xz"))
]
"""Of lines, as `support.reference` reads them."""


def numbered(count: int) -> list[str]:
    """Documents of which no two are alike, so that they do not compress to nothing."""
    return [f"문서 {i} {i * 7919 % 10007}" for i in range(count)]


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".tgz": gzip.compress,
    ".zst": zstd,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def write(folder: Path, suffix: str, documents: list[str]) -> Path:
    """The obvious writer of each format, with nothing of Polars in it."""
    path = folder / f"corpus{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"n": list(range(len(documents))), "text": pa.array(documents, pa.string())}), path)
        return path
    rows = [{"n": i, "text": text} for i, text in enumerate(documents)]
    match SUFFIXES[suffix]:
        case "json":
            lines = [json.dumps(row, ensure_ascii=bool(i % 2)) for i, row in enumerate(rows)]
            data = "".join(line + "\n" for line in lines).encode()
        case "value":
            data = json.dumps(rows, ensure_ascii=False, indent=1).encode()
        case "csv" | "tsv":
            out = io.StringIO(newline="")
            writer = csv.writer(out, "excel" if SUFFIXES[suffix] == "csv" else "excel-tab")
            writer.writerows([["n", "text"], *(row.values() for row in rows)])
            data = out.getvalue().encode()
        case "arrow":
            made = pa.table({"n": list(range(len(documents))), "text": pa.array(documents, pa.string())})
            sink = io.BytesIO()
            new = pa.ipc.new_file if suffix == ".feather" else pa.ipc.new_stream
            with new(sink, made.schema) as out_stream:
                out_stream.write_table(made, max_chunksize=3)
            data = sink.getvalue()
        case "archive":
            half = len(documents) // 2
            data = archive(suffix, {"b/2.jsonl": _lines(documents[:half]), "a/1.jsonl": _lines(documents[half:])})
        case _:
            data = "".join(text + "\n" for text in documents).encode()
    return raw(folder, suffix, data)


def _lines(documents: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in documents).encode()


def archive(suffix: str, members: dict[str, bytes]) -> bytes:
    """A zip, or a tar that is not compressed yet."""
    out = io.BytesIO()
    if suffix == ".zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, data in members.items():
                zipped.writestr(name, data)
        return out.getvalue()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def raw(folder: Path, suffix: str, data: bytes) -> Path:
    path = folder / f"corpus{suffix}"
    path.write_bytes(COMPRESS.get(path.suffix, bytes)(data))
    return path


def read(corpus: Corpus, **options: object) -> list[str]:
    """All documents; options are those of `batches` and of a `Reading`."""
    told = {name: options.pop(name) for name in ("batch_size", "skip") if name in options}
    return [text for batch in batches(corpus, Reading(**options), **told) for text in batch]  # type: ignore[arg-type]


def fault(corpus: Corpus, *parts: str, **options: object) -> None:
    """Reading fails with a CorpusError whose message holds all `parts`."""
    with pytest.raises(CorpusError) as caught:
        read(corpus, **options)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
