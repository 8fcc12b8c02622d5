"""Words and tokens counted by 1, 2, 4, 8 and 16 threads, from memory and from Parquet: how far from linear.

    python benchmarks/scale_threads.py [--gigabytes 2] [--threads 1 2 4 8 16] [--rounds 3] [--tokenizer BASE]

Needs kovocab's wheel, polars, numpy and pyarrow; the text is generated (text.py), nothing is downloaded. Each number of
threads is a process of its own, held to as many processors where there are so many, so that Polars' threads and ours
are as many as that. The rate is that of the fastest round; *of linear* is the rate over that of one thread, by the
threads. What a processor second counts falls where threads take each other's cache lines; *waits* are how often a
thread gave up its processor before its time (for a lock, a task, a page), *turned out* how often the system took it
away, a thread and GB of text. With more threads than processors only the last three columns say anything.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from setting import BASE, check_build

HERE = Path(__file__).resolve()
FILES = 16


class Row(NamedTuple):
    """What one way of counting came to, with so many threads."""

    what: str
    threads: int
    rate: float
    worked: float
    waits: float
    turned_out: float


def main() -> None:
    arguments = parse()
    check_build()
    if arguments.corpus is not None:
        for row in rows_of(arguments.corpus, arguments.threads[0], arguments.rounds, arguments.tokenizer):
            print(json.dumps(row), flush=True)
        return
    import text

    processors = len(os.sched_getaffinity(0))
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        size = int(arguments.gigabytes * 1e9)
        text.write([Path(folder) / f"{number:02}.parquet" for number in range(FILES)], size)
        print(f"{arguments.gigabytes:g} GB generated in {time.perf_counter() - begin:.0f} s; {processors} processors\n")
        print(HEAD, flush=True)
        found: dict[str, list[Row]] = {}
        for threads in arguments.threads:
            for row in in_a_process(folder, threads, processors, arguments):
                found.setdefault(row.what, []).append(row)
    for rows in found.values():
        for row in rows:
            print(line(row, rows[0], processors))
    print(f"\n{time.perf_counter() - begin:.0f} s in all")


HEAD = """| | threads | MB/s | of linear | MB a processor second | waits | turned out |
|---|--:|--:|--:|--:|--:|--:|"""


def line(row: Row, first: Row, processors: int) -> str:
    linear = row.rate / first.rate * first.threads / row.threads
    share = f"{linear:.2f}" if row.threads <= processors else "–"
    cells = [row.what, str(row.threads), f"{row.rate:.1f}", share, f"{row.worked:.1f}"]
    return "| " + " | ".join([*cells, f"{row.waits:.0f}", f"{row.turned_out:.0f}"]) + " |"


def in_a_process(folder: str, threads: int, processors: int, arguments: argparse.Namespace) -> Iterator[Row]:
    """The rows of so many threads."""
    held = sorted(os.sched_getaffinity(0))[: min(threads, processors)]
    given = ["--threads", threads, "--rounds", arguments.rounds, "--tokenizer", arguments.tokenizer, "--corpus", folder]
    done = subprocess.run(
        [sys.executable, str(HERE), *map(str, given)],
        env=os.environ | {"POLARS_MAX_THREADS": str(threads)},
        preexec_fn=lambda: os.sched_setaffinity(0, held),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for said in done.stdout.splitlines():
        yield Row(*json.loads(said))


def rows_of(corpus: Path, threads: int, rounds: int, source: Path) -> Iterator[Row]:
    """Count in this process."""
    import polars as pl

    from kovocab import _core
    from kovocab.counting.count import count_to
    from kovocab.counting.token_counts import count_tokens_to
    from kovocab.reading.documents import batches
    from kovocab.tokenizer.tokenizer import load_tokenizer

    bpe = _core.Bpe(load_tokenizer(source).text)
    documents = pl.concat(list(batches(corpus)), rechunk=False)
    pieces = list(batches(documents))
    out, of_words = corpus.with_name(f"{corpus.name}-words.parquet"), corpus.with_name(f"{corpus.name}-tokens.parquet")

    def counted(counter: _core.WordCounter | _core.TokenCounter) -> None:
        for piece in pieces:
            counter.update(bpe, piece)

    def tokens() -> None:
        counter = _core.TokenCounter(threads)
        counted(counter)
        counter.counts(bpe)

    def from_files() -> None:
        out.unlink(missing_ok=True)
        count_to(out, corpus, source, threads=threads)

    ways: dict[str, Callable[[], object]] = {
        "words, from memory": lambda: counted(_core.WordCounter(threads)),
        "tokens, from memory": tokens,
        "words, sorted and written, from Parquet": from_files,
        "tokens, of these words": lambda: count_tokens_to(of_words, out, source, threads=threads),
    }
    size = int(documents.str.len_bytes().sum())
    for what, work in ways.items():
        yield min((timed(what, threads, size, work) for _ in range(rounds)), key=lambda row: -row.rate)
    for path in (out, of_words):
        path.unlink()


def timed(what: str, threads: int, size: int, work: Callable[[], object]) -> Row:
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    each = size / 1e9 * threads
    waits, turned_out = after.ru_nvcsw - before.ru_nvcsw, after.ru_nivcsw - before.ru_nivcsw
    return Row(what, threads, size / seconds / 1e6, size / worked / 1e6, waits / each, turned_out / each)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokenizer", type=Path, default=BASE)
    parser.add_argument("--folder", type=Path, help="where the text is written for a while; by default the system's")
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)  # of the process of one number of threads
    return parser.parse_args()


if __name__ == "__main__":
    main()
