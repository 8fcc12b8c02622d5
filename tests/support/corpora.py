"""Small corpora: the obvious writer of each format, all the documents of one, and how reading one fails."""

import gzip
import json
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
TEXT = [suffix for suffix in SUFFIXES if suffix != ".parquet"]


def numbered(count: int) -> list[str]:
    """Documents of which no two are alike, so that they do not compress to nothing."""
    return [f"문서 {i} {i * 7919 % 10007}" for i in range(count)]


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd}


def write(folder: Path, suffix: str, documents: list[str]) -> Path:
    """The obvious writer of each format, with nothing of Polars in it."""
    path = folder / f"corpus{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"n": list(range(len(documents))), "text": pa.array(documents, pa.string())}), path)
        return path
    if SUFFIXES[suffix] == "json":
        lines = [json.dumps({"n": i, "text": text}, ensure_ascii=bool(i % 2)) for i, text in enumerate(documents)]
    else:
        lines = documents
    return raw(folder, suffix, "".join(line + "\n" for line in lines).encode())


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
