"""Exact token and word counts of one text: kovocab against `tokenizers`, tokie, SentencePiece and Polars.

    python benchmarks/counting.py CORPUS --tokenizer BASE [--column text] [--rounds 3]
    python benchmarks/counting.py --generated GB [--slice MB]

Contenders take turns in each round, with as many threads as there are processors; the ratio is that of the median
rates. Token counts are compared id by id: nothing is timed that is not also checked. Times mean little on a shared
machine; ratios mean more, and so do the seconds that processors worked.

CORPUS, or 100 MB of generated text (see text.py) without one, is held in memory, and every contender gets all of it.
With --generated so much text is held in memory too; kovocab and Polars' streaming engine get all of it, the others,
which would take minutes or much memory, the first MB, and rates are compared.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl
import sentencepiece

import text
from kovocab import _core
from kovocab.corpus.settings import Reading
from kovocab.counting.count import count_words
from kovocab.counting.token_counts import count_tokens
from kovocab.reading.documents import batches
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from setting import BASE, THREADS, check_build

SPECIAL = ("<unk>", "<s>", "</s>")
OURS = "kovocab, tokens"
WORDS_ONLY = "kovocab, words"


class Contender(NamedTuple):
    size: float  # MB of text that one run counts
    run: Callable[[], Counter[int] | None]  # token counts, from those that count tokens of the slice


def main() -> None:
    arguments = parse()
    check_build()
    column = arguments.column
    if arguments.generated:
        whole = pl.concat(text.blocks(int(arguments.generated * 1e9)), rechunk=False)
        ends = whole.head(int(arguments.slice * 20_000)).str.len_bytes().cum_sum()
        part = whole.head(int((ends <= arguments.slice * 1e6).sum())).rechunk()
        name, size = f"{arguments.generated} GB of generated text", megabytes(whole)
    else:
        read = batches(arguments.corpus, Reading(column)) if arguments.corpus else text.blocks(100_000_000)
        whole = part = pl.concat(list(read)).rechunk()
        name, size = arguments.corpus or "generated text", megabytes(part)
    print(f"{name}, {size:,.1f} MB, in memory; slice of {megabytes(part):.1f} MB; {THREADS} threads")
    contenders = make_contenders(whole, size, part, arguments.tokenizer)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    results: dict[str, Counter[int]] = {}
    for _ in range(arguments.rounds):
        for name, contender in contenders.items():
            start = time.perf_counter(), time.process_time()
            result = contender.run()
            times[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
            if result is not None:
                results[name] = result
    if arguments.generated:
        results[OURS] = tokens_of(part, arguments.tokenizer)
    rates = {}
    for name, seconds in times.items():
        wall, processors = (contenders[name].size / statistics.median(kind) for kind in zip(*seconds, strict=True))
        rates[name] = wall, processors
    report(rates, results, part)


def megabytes(texts: pl.Series) -> float:
    return int(texts.str.len_bytes().sum()) / 1e6


def tokens_of(corpus: pl.Series, tokenizer: Path) -> Counter[int]:
    table = count_tokens(corpus, tokenizer)
    return Counter({i: n for i, n in table.select("id", "count").iter_rows() if n})


def make_contenders(whole: pl.Series, size: float, part: pl.Series, source: Path) -> dict[str, Contender]:
    import tokie  # `make bench` installs it, and --help does without

    tokenizer = load_tokenizer(source)
    library = Reference(tokenizer).library
    bpe = _core.Bpe(tokenizer.text)
    documents = part.to_list()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "tokenizer.json").write_text(tokenizer.text, encoding="utf-8")
        fast = tokie.Tokenizer.from_json(f"{folder}/tokenizer.json")

    def words_in_table() -> None:
        counter = _core.WordCounter(THREADS)
        for batch in batches(whole):
            counter.update(bpe, batch)

    def polars_words(texts: pl.LazyFrame, engine: Literal["streaming", "in-memory"]) -> None:
        split = texts.select(pl.col("text").str.split(" ")).explode("text")
        split.group_by("text").len().collect(engine=engine)

    def counting(encode: Callable[[list[str]], Iterable[Iterable[int]]]) -> Contender:
        def run() -> Counter[int]:
            counts: Counter[int] = Counter()
            for at in range(0, len(documents), 10_000):
                for ids in encode(documents[at : at + 10_000]):
                    counts.update(ids)
            return counts

        return Contender(megabytes(part), run)

    def with_tokenizers(batch: list[str]) -> Iterable[Iterable[int]]:
        return (encoding.ids for encoding in library.encode_batch_fast(batch, add_special_tokens=False))

    def with_tokie(batch: list[str]) -> Iterable[Iterable[int]]:
        return (encoding.ids for encoding in fast.encode_batch(batch, add_special_tokens=False))

    lazy = whole.alias("text").to_frame().lazy()
    in_memory = part.alias("text").to_frame().lazy()
    found = {
        OURS: Contender(size, lambda: tokens_of(whole, source)),
        WORDS_ONLY: Contender(size, words_in_table),
        "kovocab, words, sorted": Contender(size, lambda: void(count_words(whole, tokenizer))),
        "polars split, explode, group_by; streaming": Contender(size, lambda: polars_words(lazy, "streaming")),
        "polars split, explode, group_by; in memory": Contender(
            megabytes(part), lambda: polars_words(in_memory, "in-memory")
        ),
        "tokenizers encode_batch_fast + Counter": counting(with_tokenizers),
        "tokie encode_batch + Counter": counting(with_tokie),
    }
    model = model_file(source)
    if model is not None:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(model))

        def with_sentencepiece(batch: list[str]) -> Iterable[Iterable[int]]:
            return processor.encode(batch, num_threads=THREADS)

        found["sentencepiece encode + Counter"] = counting(with_sentencepiece)
    return found


def void(_: object) -> None:
    """Times the making of a thing, and forgets it."""


def model_file(source: Path) -> Path | None:
    """The tokenizer.model beside or at `source`."""
    model = source / "tokenizer.model" if source.is_dir() else source
    return model if model.is_file() and model.suffix != ".json" else None


def report(rates: dict[str, tuple[float, float]], results: dict[str, Counter[int]], part: pl.Series) -> None:
    literal = int(part.str.contains_any(list(SPECIAL)).sum())
    print("\n| contender | MB/s | kovocab is faster by | MB a processor second | by | ids whose count differs |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, (wall, processors) in rates.items():
        ours = rates[WORDS_ONLY if "words" in name or "polars" in name else OURS]
        differing = "" if name not in results else str(differing_ids(results[OURS], results[name]))
        cells = f"{wall:.1f} | {ours[0] / wall:.1f} | {processors:.1f} | {ours[1] / processors:.1f}"
        print(f"| {name} | {cells} | {differing} |")
    print("\nCounting tokens is compared with `kovocab, tokens`, counting words with `kovocab, words`.")
    print(f"{literal} documents hold a literal {', '.join(SPECIAL)}, which SentencePiece reads as text.")


def differing_ids(ours: Counter[int], theirs: Counter[int]) -> int:
    return sum(ours[i] != theirs[i] for i in ours.keys() | theirs.keys())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="?", help="100 MB of generated text when left out")
    parser.add_argument("--tokenizer", type=Path, default=BASE)
    parser.add_argument("--column", default="text")
    parser.add_argument("--generated", type=float, metavar="GB", help="count so much generated text")
    parser.add_argument("--slice", type=float, metavar="MB", default=100, help="of it, for those who hold it in memory")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
