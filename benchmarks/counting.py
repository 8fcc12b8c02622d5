"""Exact token counts of one text: kovocab against `tokenizers`, tokie and SentencePiece, side by side.

    python benchmarks/counting.py CORPUS --tokenizer BASE [--column text] [--rounds 3]

Every contender gets the same documents in memory and as many threads as there are processors, and all take turns
in each round; the ratio is that of medians. Without CORPUS it makes 100 MB of sample text. Counts are compared id
by id: nothing is timed that is not also checked. Times mean little on a shared machine; ratios mean more.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import mistral_common
import polars as pl
import sentencepiece
import tokie

from kovocab import _core
from kovocab.corpus import batches
from kovocab.counts import count_tokens, count_words
from kovocab.sample import sample_documents
from kovocab.tokenizer import load_tokenizer

SPECIAL = ("<unk>", "<s>", "</s>")


def main() -> None:
    arguments = parse()
    if _core.build_profile != "release":
        raise SystemExit("this is a debug build; install kovocab with `make build` and try again")
    column = arguments.column
    texts = (
        pl.concat(list(batches(arguments.corpus, column=column)))
        if arguments.corpus
        else pl.Series("text", list(sample_documents(100_000_000, language="ko")))
    ).rechunk()
    size = int(texts.str.len_bytes().sum()) / 1e6
    threads = len(os.sched_getaffinity(0))
    print(f"{arguments.corpus or 'sample text'}: {len(texts):,} documents, {size:.1f} MB; {threads} threads each")
    contenders = make_contenders(texts, arguments.tokenizer, threads)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    results: dict[str, Counter[int]] = {}
    for _ in range(arguments.rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            result = run()
            times[name].append(time.perf_counter() - start)
            if result is not None:
                results[name] = result
    report(size, times, results, texts)


def make_contenders(texts: pl.Series, source: Path, threads: int) -> dict[str, Callable[[], Counter[int] | None]]:
    tokenizer = load_tokenizer(source)
    documents = texts.to_list()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(f"{folder}/tokenizer.json")
        fast = tokie.Tokenizer.from_json(f"{folder}/tokenizer.json")

    def ours() -> Counter[int]:
        table = count_tokens(texts, tokenizer, threads=threads)
        return Counter({i: n for i, n in table.select("id", "count").iter_rows() if n})

    def words_only() -> None:
        count_words(texts, tokenizer, threads=threads)

    def polars_words() -> None:
        split = texts.to_frame("text").lazy().select(pl.col("text").str.split(" ")).explode("text")
        split.group_by("text").len().collect()

    def counting(encode: Callable[[list[str]], Iterable[Iterable[int]]]) -> Callable[[], Counter[int]]:
        def run() -> Counter[int]:
            counts: Counter[int] = Counter()
            for at in range(0, len(documents), 10_000):
                for ids in encode(documents[at : at + 10_000]):
                    counts.update(ids)
            return counts

        return run

    def with_tokenizers(batch: list[str]) -> Iterable[Iterable[int]]:
        return (encoding.ids for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False))

    def with_tokie(batch: list[str]) -> Iterable[Iterable[int]]:
        return (encoding.ids for encoding in fast.encode_batch(batch, add_special_tokens=False))

    found: dict[str, Callable[[], Counter[int] | None]] = {
        "kovocab": ours,
        "kovocab, sorted words only": words_only,
        "polars split, explode, group_by (words only)": polars_words,
        "tokenizers encode_batch_fast + Counter": counting(with_tokenizers),
        "tokie encode_batch + Counter": counting(with_tokie),
    }
    model = model_file(source)
    if model is not None:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(model))

        def with_sentencepiece(batch: list[str]) -> Iterable[Iterable[int]]:
            return processor.encode(batch, num_threads=threads)

        found["sentencepiece encode + Counter"] = counting(with_sentencepiece)
    return found


def model_file(source: Path) -> Path | None:
    """The tokenizer.model beside or at `source`."""
    model = source / "tokenizer.model" if source.is_dir() else source
    return model if model.is_file() and model.suffix != ".json" else None


def report(size: float, times: dict[str, list[float]], results: dict[str, Counter[int]], texts: pl.Series) -> None:
    ours = statistics.median(times["kovocab"])
    literal = int(texts.str.contains_any(list(SPECIAL)).sum())
    print("\n| contender | MB/s | kovocab is faster by | ids whose count differs |\n|---|---:|---:|---:|")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        differing = "" if name not in results else str(differing_ids(results["kovocab"], results[name]))
        print(f"| {name} | {size / median:.1f} | {median / ours:.1f} | {differing} |")
    print(f"\n{literal} documents hold a literal {', '.join(SPECIAL)}, which SentencePiece reads as text.")


def differing_ids(ours: Counter[int], theirs: Counter[int]) -> int:
    return sum(ours[i] != theirs[i] for i in ours.keys() | theirs.keys())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    base = Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"
    parser.add_argument("corpus", nargs="?", help="sample text when left out")
    parser.add_argument("--tokenizer", type=Path, default=base)
    parser.add_argument("--column", default="text")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
