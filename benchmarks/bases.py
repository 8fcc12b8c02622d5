"""Token counts by the tokenizer of each base, from Parquet files: kovocab against gigatoken, `tokenizers` and tokie.

    python benchmarks/bases.py FILE.parquet ... --tokenizers gpt2/tokenizer.json qwen2/tokenizer.json
        [--column text] [--times N] [--slice MB] [--rounds 3]

Contenders take turns in each round, with as many threads as there are processors. kovocab and gigatoken, the fastest
encoder there is, read the files, count all of them, and their counts are compared id by id; gigatoken encodes a file
into an array, 5 GB for 1 GB of text, and numpy counts that, file by file. Its first call is that of a tokenizer just
made; the second finds in its cache what the first left there. How long tokenizers take to be made is not counted. The
others, which would take minutes, get the first MB from memory, are checked on them, and rates are compared. --times
repeats the text of each file so often, in a file of its own.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kovocab.counting.token_counts import count_tokens
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from setting import THREADS, check_build

Counts = np.ndarray[Any, np.dtype[np.int64]]
OURS, FIRST, SECOND = "kovocab", "gigatoken, first call", "gigatoken, second call"


def main() -> None:
    arguments = parse()
    check_build()
    with tempfile.TemporaryDirectory() as folder:
        paths, column = arguments.files, arguments.column
        if arguments.times > 1:
            paths = [Path(folder, f"{number}.parquet") for number in range(len(arguments.files))]
            for path, file in zip(paths, arguments.files, strict=True):
                lazy = pl.scan_parquet(file).select(column)
                pl.concat([lazy] * arguments.times).sink_parquet(path, compression="zstd")
        lengths = pl.scan_parquet(paths).select(pl.col(column).str.len_bytes().cast(pl.UInt64)).collect()[column]
        size = int(lengths.sum()) / 1e6
        part = pl.scan_parquet(paths).head(int((lengths.cum_sum() <= arguments.slice * 1e6).sum())).collect()[column]
        names = ", ".join(path.name for path in arguments.files)
        print(f"{names}, {size:,.0f} MB of text; the slower ones {arguments.slice} MB; {THREADS} threads\n")
        print(
            "| base | contender | MB/s | kovocab is faster by | MB a processor second | by | ids whose count differs |"
        )
        print("|---|---|---:|---:|---:|---:|---:|")
        for source in arguments.tokenizers:
            compare(source, paths, column, size, part, arguments.rounds)


def compare(source: Path, paths: list[Path], column: str, size: float, part: pl.Series, rounds: int) -> None:
    import gigatoken  # `make bench` installs them, and --help does without
    import tokie

    document = load_tokenizer(source)
    library: Any = Reference(document).library
    documents, small = part.to_list(), int(part.str.len_bytes().sum()) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "tokenizer.json").write_text(document.text, encoding="utf-8")
        theirs = tokie.Tokenizer.from_json(f"{folder}/tokenizer.json")
    made: list[Any] = []

    def encode_files() -> Counts:
        counts = np.zeros(document.size, np.int64)
        for path in paths:
            encoded = made[-1].encode_files(gigatoken.ParquetFileSource([str(path)], column=column))
            ids = np.asarray(encoded.layout.content.data)
            for at in range(0, len(ids), 1 << 26):  # numpy makes each of them 64 bits wide first
                counts += np.bincount(ids[at : at + (1 << 26)], minlength=document.size)
        return counts

    def counting(encode: Callable[[list[str]], Any]) -> Callable[[], Counts]:
        def run() -> Counts:
            counts = np.zeros(document.size, np.int64)
            for at in range(0, len(documents), 2_000):
                ids = [np.asarray(encoding.ids) for encoding in encode(documents[at : at + 2_000])]
                counts += np.bincount(np.concatenate(ids).astype(np.int64), minlength=document.size)
            return counts

        return run

    def ours() -> Counts:
        return count_tokens(paths, document, column=column)["count"].to_numpy().astype(np.int64)

    contenders: dict[str, tuple[float, Callable[[], Counts]]] = {
        OURS: (size, ours),
        FIRST: (size, encode_files),
        SECOND: (size, encode_files),
        "tokenizers": (small, counting(lambda texts: library.encode_batch_fast(texts, add_special_tokens=False))),
        "tokie": (small, counting(lambda texts: theirs.encode_batch(texts, add_special_tokens=False))),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    counts: dict[str, Counts] = {}
    for _ in range(rounds):
        made[:] = [gigatoken.Tokenizer.from_json(document.text)]
        for name, (_, run) in contenders.items():
            start = time.perf_counter(), time.process_time()
            counts[name] = run()
            times[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    of_slice = count_tokens(part, document)["count"].to_numpy()
    rates = {
        name: [contenders[name][0] / statistics.median(kind) for kind in zip(*seconds, strict=True)]
        for name, seconds in times.items()
    }
    for name, (wall, processors) in rates.items():
        wanted = counts[OURS] if contenders[name][0] == size else of_slice
        cells = f"{wall:.1f} | {rates[OURS][0] / wall:.2f} | {processors:.1f} | {rates[OURS][1] / processors:.2f}"
        base = source.parent.name if source.name == "tokenizer.json" else source.stem
        print(f"| {base} | {name} | {cells} | {int((counts[name] != wanted).sum())} |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.parquet")
    parser.add_argument("--tokenizers", type=Path, nargs="+", required=True)
    parser.add_argument("--column", default="text")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--slice", type=float, default=10, metavar="MB")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
