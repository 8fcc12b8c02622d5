"""What reading costs beside counting: the same generated text in each format, in one file and in several.

    python benchmarks/formats.py [--gigabytes 0.5] [--shards 8] [--rounds 3] [--folder DIR] [--against CHECKOUT]

Each row is one format: the rate at which it is read alone (as `kovocab count` reads it), also by processor time, which
other processes disturb less; at which its words are counted from the file and from memory, in turns; and how much
longer the file takes than memory. MB are of text, whatever the file takes on disk; files were just written, so the
disk itself is hardly asked. In .txt a document is a line, so its newlines are spaces and its words a few less. With
--against, each is counted from the file in turns with the build in another checkout, in processes of their own: its
seconds over these, by the clock and of processors, medians of the rounds' pairs, in the last two columns.
"""

import argparse
import bz2
import io
import lzma
import os
import statistics
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import polars as pl
import pyarrow as pa

import text
from kovocab import _core
from kovocab.corpus.settings import Reading
from kovocab.reading.documents import Corpus, batches, corpus_files
from kovocab.reading.readers import read_files
from kovocab.tokenizer.engine import bpe_of
from kovocab.tokenizer.tokenizer import load_tokenizer
from setting import BASE, THREADS, check_build, measured_by

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt", ".txt.gz", ".txt.zst")
IN_ONE = (".json", ".csv", ".tsv", ".arrow", ".zip", ".tar", ".jsonl.bz2", ".jsonl.xz")
"""Written here, as one file each."""


def main() -> None:
    arguments = parse()
    check_build()
    bpe = bpe_of(load_tokenizer(BASE))

    def documents(corpus: Corpus) -> Iterator[pl.Series]:
        if isinstance(corpus, pl.Series):
            return batches(corpus)
        paths = corpus_files(corpus)
        reading = Reading("document[].paragraph[].form" if paths[0].suffix == ".json" else "text")
        items = read_files(paths, reading, at_once=THREADS)
        return (item for _, item in items if isinstance(item, pl.Series))

    def count(corpus: Corpus) -> None:
        counter = _core.WordCounter(THREADS)
        for batch in documents(corpus):
            counter.update(bpe, batch)

    def read(corpus: Corpus) -> None:
        for _ in documents(corpus):
            pass

    if arguments.count:
        print(*timed(count, arguments.count))
        return
    asked = int(arguments.gigabytes * 1e9)
    held = pl.concat(list(text.blocks(asked))).rechunk()
    size = int(held.str.len_bytes().sum()) / 1e6
    print(f"{size:,.0f} MB of generated text, {THREADS} threads; MB of text a second\n")
    columns = ["format", "files", "MB on disk", "read", "a processor second", "counted from file", "from memory"]
    columns += ["file longer by", *(["other build", "by processors"] if arguments.against else [])]
    print(f"| {' | '.join(columns)} |\n|---|{'--:|' * (len(columns) - 1)}", flush=True)
    before = os.getloadavg()[0]
    turns_of = [*product(SUFFIXES, (1, arguments.shards)), *((suffix, 1) for suffix in IN_ONE)]
    for suffix, number in turns_of:
        if arguments.only and suffix not in arguments.only:
            continue
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            paths = text.shards(Path(folder) / f"text{suffix}", number)
            if suffix in IN_ONE:
                write(paths[0], asked)
            else:
                text.write(paths, asked)
            disk = sum(path.stat().st_size for path in paths) / 1e6
            turns = [(read, paths), (count, paths), (count, held)]
            seconds = [[part for turn in turns for part in timed(*turn)] for _ in range(arguments.rounds)]
            pairs = [ratios(arguments.against, paths) for _ in range(arguments.rounds if arguments.against else 0)]
        rates = [size / statistics.median(part) for part in zip(*seconds, strict=True)]
        reading, alone, counting, _, memory, _ = rates
        cells = (
            f"{disk:,.0f} | {reading:.0f} | {alone:.0f} | {counting:.0f} | {memory:.0f} | {memory / counting - 1:.0%}"
        )
        others = [f"{statistics.median(part):.2f} | " for part in zip(*pairs, strict=True)]
        print(f"| {suffix} | {number} | {cells} | {''.join(others)}".rstrip(), flush=True)
    print(
        f"\nprocesses that ran or waited, this one with them: {before:.1f} before, {os.getloadavg()[0]:.1f} at the end"
    )


def write(path: Path, asked: int) -> None:
    """The same text in a format that `text` does not write: `.json` as the corpora of 모두의 말뭉치 are."""
    blocks = list(text.blocks(asked))
    lines = [block.to_frame().write_ndjson().encode() for block in blocks]
    if path.suffix == ".json":
        forms = b",\n".join(b",\n".join(part.splitlines()) for part in lines)
        path.write_bytes(
            b'{"id": "a",\n"document": [{"paragraph": [' + forms.replace(b'{"text":', b'{"form":') + b"]}]}\n"
        )
    elif path.suffix in (".csv", ".tsv"):
        pl.concat(blocks).to_frame().write_csv(path, separator="," if path.suffix == ".csv" else "\t")
    elif path.suffix == ".arrow":
        with pa.ipc.new_stream(str(path), pa.schema([("text", pa.large_string())])) as out:
            for block in blocks:
                out.write_table(pa.table({"text": block.to_arrow().cast(pa.large_string())}), max_chunksize=1000)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for number, part in enumerate(lines):
                archive.writestr(f"{number}.jsonl", part)
    elif path.suffix == ".tar":
        with tarfile.open(path, "w") as tar:
            for number, part in enumerate(lines):
                info = tarfile.TarInfo(f"{number}.jsonl")
                info.size = len(part)
                tar.addfile(info, io.BytesIO(part))
    else:
        path.write_bytes((bz2.compress if path.suffix == ".bz2" else lzma.compress)(b"".join(lines)))


def ratios(checkout: Path, paths: list[Path]) -> list[float]:
    """Seconds of another build to count files over those of this one, by the clock and of processors."""
    here, there = (measured_by(build, __file__, "--count", *paths) for build in (Path(__file__).parents[1], checkout))
    return [other / ours for ours, other in zip(here, there, strict=True)]


def timed(work: Callable[[Corpus], None], corpus: Corpus) -> tuple[float, float]:
    """Seconds, and seconds of processors."""
    start, busy = time.perf_counter(), time.process_time()
    work(corpus)
    return time.perf_counter() - start, time.process_time() - busy


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=0.5)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="suffixes, in place of all")
    parser.add_argument("--folder", type=Path, help="where the files lie for a while")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="with a built engine")
    parser.add_argument("--count", nargs="+", type=Path, help="only count these files, and print seconds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
