"""How the generated text of text.py and a real corpus compare, in what costs a counter time.

    python benchmarks/text_fit.py ko.parquet [--gigabytes 0.5 1 2] [--seed 0]

Distinct words by size, of CORPUS and generated up to its size, then generated alone at each size of `--gigabytes`.
"""

import argparse
import math
from collections.abc import Iterable, Sequence

import polars as pl

from kovocab.counting.tally import Tally, bpe_of
from kovocab.machine.memory import bound
from kovocab.reading.documents import batches
from kovocab.tokenizer.script import HANGUL
from kovocab.tokenizer.tokenizer import load_tokenizer
from setting import BASE, THREADS
from text import blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    compare(arguments.corpus, [int(gigabytes * 1e9) for gigabytes in arguments.gigabytes], arguments.seed)


def compare(corpus: str, sizes: Sequence[int], seed: int) -> None:
    real = pl.concat(list(batches(corpus))).rechunk()
    ends = real.str.len_bytes().cum_sum()
    whole = int(ends[-1])
    print("| MB | distinct words, real | generated | of Hangul, real | generated | exponent, real | generated |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    before: list[int | None] = [None, None, None]
    for size in sorted({whole >> halvings for halvings in range(5)} | set(sizes)):
        theirs = [real.filter(ends <= size)] if size <= whole else None
        found = [None if theirs is None else count(theirs), count(blocks(size, seed))]
        now = [size, *(None if words is None else len(words) for words in found)]
        of_hangul = f"[{HANGUL.characters}]"
        hangul = [None if words is None else int(words["word"].str.contains(of_hangul).sum()) for words in found]
        cells = [shown(number) for number in (*now[1:], *hangul)] + [exponent(before, now, i) for i in (1, 2)]
        print(f"| {size / 1e6:,.0f} | " + " | ".join(cells) + " |", flush=True)
        before = now
        if size == whole:
            table = [describe(words, whole) for words in found if words is not None]
            table[0]["bytes a document"] = whole / len(real)
            table[1]["bytes a document"] = whole / sum(map(len, blocks(whole, seed)))
    print(f"\n| at {whole / 1e6:.0f} MB | real | generated |\n|---|--:|--:|")
    for name in table[0]:
        print(f"| {name} | {table[0][name]:.4g} | {table[1][name]:.4g} |")


def count(texts: Iterable[pl.Series]) -> pl.DataFrame:
    """The words of `texts`, by how common they are."""
    bpe = bpe_of(load_tokenizer(BASE))
    with Tally(THREADS, bound(None)) as tally:
        for batch in texts:
            tally.update(bpe, batch)
            if tally.full():
                tally.spill()
        return pl.concat(tally.finish()[2])


def describe(words: pl.DataFrame, size: int) -> dict[str, float]:
    """Shares of the most common words, and of what they are made of."""
    counts = words["count"]
    total = int(counts.sum())
    hangul = words["word"].str.contains(f"[{HANGUL.characters}]")
    described = {"bytes a word": size / total, "words without Hangul": int(counts.filter(~hangul).sum()) / total}
    described["bytes a distinct word"] = float(words["word"].str.len_bytes().mean())
    described["words counted once, of distinct words"] = int((counts == 1).sum()) / len(words)
    for name, chosen in (("words", counts), ("words with Hangul", counts.filter(hangul))):
        sums = chosen.cum_sum()
        for rank in (10, 100, 1_000, 10_000, 100_000):
            described[f"share of the {rank:,} most common {name}"] = sums[min(rank, len(sums)) - 1] / sums[-1]
    return described


def exponent(before: Sequence[int | None], now: Sequence[int | None], column: int) -> str:
    """Of Heaps' law, between two rows: (size, distinct words, distinct words)."""
    sizes, words = (before[0], now[0]), (before[column], now[column])
    if None in (*sizes, *words):
        return ""
    return f"{math.log(words[1] / words[0]) / math.log(sizes[1] / sizes[0]):.3f}"


def shown(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


if __name__ == "__main__":
    main()
