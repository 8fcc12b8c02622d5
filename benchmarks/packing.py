"""Token files of a corpus: kovocab against gigatoken and `tokenizers`, side by side, and the same ids.

    python benchmarks/packing.py FILE.parquet --tokenizers mistral_v1/tokenizer.json target/tokenizer.json
        [--column text] [--times N] [--slice MB] [--rounds 3] [--memory 2GB]

Contenders take turns in each round, with as many threads as there are processors. Each reads the file, encodes it and
leaves its ids in a file: kovocab as `kovocab pack` does, which also splits and hashes documents and counts words;
gigatoken by `encode_files`, of a tokenizer just made (first call) and of one that has the words of the first call in
its cache (second call), and `numpy.tofile`; `tokenizers`, which would take minutes, by `encode_batch_fast` of the first
MB from memory, and `numpy.tofile`. How long tokenizers take to be made is not counted, nor the hash by which kovocab
knows a corpus again. ids are compared, document by document: all with gigatoken's, the first with `tokenizers`'.
--times repeats the corpus so often, as so many files; --alone leaves out gigatoken, which holds all ids at once, and
does not compare, so that the memory that is told at the end is what packing took.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kovocab.machine.memory import peak
from kovocab.packing import token_files
from kovocab.packing.encoding import Encoder, dtype_of, eos_of
from kovocab.packing.packed import PackedSource
from kovocab.packing.splitting import PARTS
from kovocab.packing.token_files import Packing, Source, TokenFiles
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from setting import THREADS, check_build

OURS, FIRST, SECOND, SLOW = "kovocab pack", "gigatoken, first call", "gigatoken, second call", "tokenizers"
PACKING = Packing(2048, 0.01, "token")  # as the others read special tokens


def main() -> None:
    arguments = parse()
    check_build()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        paths = [arguments.file]
        if arguments.times > 1:
            paths = [Path(folder, f"{number:04}.parquet") for number in range(arguments.times)]
            table = pl.read_parquet(arguments.file, columns=[arguments.column])
            for path in paths:
                table.write_parquet(path, compression="zstd")
        lengths = pl.read_parquet(arguments.file, columns=[arguments.column])[arguments.column].str.len_bytes()
        size = int(lengths.sum()) * arguments.times / 1e6
        print(f"{size:,.0f} MB of text; tokenizers {arguments.slice} MB; {THREADS} threads\n")
        print("| tokenizer | contender | MB/s | kovocab is faster by | MB a processor second | by | that differ |")
        print("|---|---|---:|---:|---:|---:|---:|")
        for source in arguments.tokenizers:
            compare(source, paths, size, arguments, Path(folder))
        print(f"\nmost memory of this process: {peak() / 2**20:,.0f} MiB")


def compare(source: Path, paths: list[Path], size: float, arguments: argparse.Namespace, folder: Path) -> None:
    document, column = load_tokenizer(source), arguments.column
    library: Any = Reference(document).library
    lengths = pl.read_parquet(paths[0], columns=[column])[column].str.len_bytes()
    many = max(1, int((lengths.cum_sum() <= arguments.slice * 1e6).sum()))
    part = pl.read_parquet(paths[0], columns=[column], n_rows=many)[column].to_list()
    dtype, made, found = np.dtype(dtype_of(document)), [None], {}

    def ours() -> None:
        # The encoder is made beforehand, as the others' tokenizers are.
        encoder = Encoder(document, eos_of(document, source), "token", None, threads=THREADS, memory=512 << 20)
        tokens = Path(folder, "tokens")
        files = TokenFiles(source, tokens, PACKING, memory=arguments.memory)
        corpus = Source("corpus", [str(path) for path in paths], column=column)
        files.identity(corpus)
        before, token_files.Encoder = token_files.Encoder, lambda *_, **__: encoder  # type: ignore[assignment,misc]
        try:
            start = time.perf_counter(), time.process_time()
            packed = files.pack(corpus)
            times[OURS].append((time.perf_counter() - start[0], time.process_time() - start[1]))
        finally:
            token_files.Encoder = before  # type: ignore[misc]
        if OURS not in found and not arguments.alone:
            found[OURS] = ours_of(packed, document, source)
        shutil.rmtree(packed.folder)

    def gigatoken_files() -> Any:
        import gigatoken

        encoded = made[0].encode_files(gigatoken.ParquetFileSource([str(path) for path in paths], column=column))
        np.asarray(encoded.layout.content.data).tofile(folder / "ids")
        return encoded

    def slow() -> list[Any]:
        lists: list[Any] = []
        for at in range(0, len(part), 2_000):
            lists += library.encode_batch_fast(part[at : at + 2_000], add_special_tokens=False)
        np.concatenate([np.asarray(one.ids, dtype) for one in lists]).tofile(folder / "ids")
        return lists

    small = sum(len(text.encode()) for text in part) / 1e6
    times: dict[str, list[tuple[float, float]]] = {OURS: [], FIRST: [], SECOND: [], SLOW: []}

    def timed(name: str, run: Callable[[], Any]) -> None:
        start = time.perf_counter(), time.process_time()
        result = run()
        times[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
        found[name] = result

    for _ in range(arguments.rounds):
        ours()
        if not arguments.alone:
            import gigatoken  # `make bench` installs it, and --help does without

            made[0] = gigatoken.Tokenizer.from_json(document.text)
            timed(FIRST, gigatoken_files)
            timed(SECOND, gigatoken_files)
        timed(SLOW, slow)
    differs: dict[str, Any] = dict.fromkeys(times, "–")
    if not arguments.alone:
        whole = found[OURS]
        differs |= {OURS: 0, SLOW: (digests(one.ids for one in found[SLOW]) - whole).total()}
        offsets = np.asarray(found[FIRST].layout.offsets.data).tolist()
        ids = np.asarray(found[FIRST].layout.content.data)
        theirs = digests(ids[begin:end] for begin, end in pairwise(offsets))
        differs[FIRST] = differs[SECOND] = (theirs - whole).total() + (whole - theirs).total()
    rates = {
        name: [(small if name == SLOW else size) / statistics.median(kind) for kind in zip(*seconds, strict=True)]
        for name, seconds in times.items()
        if seconds
    }
    base = source.parent.name if source.name == "tokenizer.json" else source.stem
    for name, (wall, processors) in rates.items():
        cells = f"{wall:.1f} | {rates[OURS][0] / wall:.2f} | {processors:.1f} | {rates[OURS][1] / processors:.2f}"
        print(f"| {base} | {name} | {cells} | {differs[name]} |", flush=True)


def digests(documents: Iterable[Any]) -> Counter[int]:
    """How often each document is there, by its ids; empty ones are not."""
    return Counter(hash(np.ascontiguousarray(ids, np.uint32).tobytes()) for ids in documents if len(ids))


def ours_of(packed: PackedSource, document: Any, source: Path) -> Counter[int]:
    """`digests` of what is packed, without what the template and eos put round each document: it is all before it."""
    reference = Reference(document)
    round_ = len(reference.encode(["a"], template=True)[0]) - len(reference.encode(["a"])[0])
    eos = document.ids[eos_of(document, source)]
    found: Counter[int] = Counter()
    for part in PARTS:
        tokens, ends = packed.tokens(part), packed.ends(part).tolist()
        assert all(tokens[end - 1] == eos for end in ends)
        found += digests(tokens[begin + round_ : end - 1] for begin, end in pairwise([0, *ends]))
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE.parquet")
    parser.add_argument("--tokenizers", type=Path, nargs="+", required=True)
    parser.add_argument("--column", default="text")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--slice", type=float, default=5, metavar="MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default=None)
    parser.add_argument("--alone", action="store_true", help="without gigatoken")
    parser.add_argument("--scratch", type=Path, default=None, help="where files are written")
    return parser.parse_args()


if __name__ == "__main__":
    main()
