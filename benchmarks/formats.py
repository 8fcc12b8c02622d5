"""What reading costs beside counting: the same generated text in each format, in one file and in several.

    python benchmarks/formats.py [--gigabytes 0.5] [--shards 8] [--rounds 3] [--folder DIR]

Each row is one format: the rate at which it is read alone (as `kovocab count` reads it), at which its words are counted
from the file and from memory, in turns, and how much longer the file takes than memory. MB are of text, whatever the
file takes on disk; files were just written, so the disk itself is hardly asked. In .txt a document is a line, so its
newlines are spaces and its words a few less.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import polars as pl

import text
from kovocab import _core
from kovocab.counting.tally import bpe_of
from kovocab.reading.documents import Corpus, batches, corpus_files
from kovocab.reading.readers import read_files
from kovocab.tokenizer.tokenizer import load_tokenizer
from setting import BASE, THREADS, check_build

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt", ".txt.gz", ".txt.zst")


def main() -> None:
    arguments = parse()
    check_build()
    bpe = bpe_of(load_tokenizer(BASE))

    def documents(corpus: Corpus) -> Iterator[pl.Series]:
        if isinstance(corpus, pl.Series):
            return batches(corpus)
        items = read_files(corpus_files(corpus), at_once=THREADS)
        return (item for _, item in items if isinstance(item, pl.Series))

    def count(corpus: Corpus) -> None:
        counter = _core.WordCounter(THREADS)
        for batch in documents(corpus):
            counter.update(bpe, batch)

    def read(corpus: Corpus) -> None:
        for _ in documents(corpus):
            pass

    asked = int(arguments.gigabytes * 1e9)
    held = pl.concat(list(text.blocks(asked))).rechunk()
    size = int(held.str.len_bytes().sum()) / 1e6
    print(f"{size:,.0f} MB of generated text, {THREADS} threads; MB of text a second\n")
    print("| format | files | MB on disk | read | counted from file | counted from memory | the file takes longer by |")
    print("|---|--:|--:|--:|--:|--:|--:|", flush=True)
    for suffix, number in product(SUFFIXES, (1, arguments.shards)):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            paths = text.shards(Path(folder) / f"text{suffix}", number)
            text.write(paths, asked)
            disk = sum(path.stat().st_size for path in paths) / 1e6
            turns = [(read, paths), (count, paths), (count, held)]
            seconds = [[timed(work, corpus) for work, corpus in turns] for _ in range(arguments.rounds)]
        reading, counting, memory = (size / statistics.median(turn) for turn in zip(*seconds, strict=True))
        cells = f"{disk:,.0f} | {reading:.0f} | {counting:.0f} | {memory:.0f} | {memory / counting - 1:.0%}"
        print(f"| {suffix} | {number} | {cells} |", flush=True)


def timed(work: Callable[[Corpus], None], corpus: Corpus) -> float:
    start = time.perf_counter()
    work(corpus)
    return time.perf_counter() - start


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=0.5)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files lie for a while")
    return parser.parse_args()


if __name__ == "__main__":
    main()
