"""How often each new token is seen without and with the bias, and what that moves between the corpus' own sources.

    python benchmarks/coverage.py ko.parquet --out runs/coverage [--by source] [--plot docs/coverage.svg]

Two targets are grown from the base: the frequent tokens with every syllable that is there at all, and the most frequent
ones alone. Each is packed once; then readings are chosen for some budgets, as `kovocab fit` would. What moves is half
the sum of differences between the shares of the column `--by`, by tokens: total variation.
"""

import argparse
import time
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl

from kovocab.counting.count import count
from kovocab.data.coverage import MOST_SEEN
from kovocab.favouring.bias import Readings, choose
from kovocab.favouring.passages import Passages
from kovocab.favouring.rates import Bias
from kovocab.packing.token_files import Packing, Source, TokenFiles
from kovocab.refining.refine import refine
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from setting import BASE, THREADS, check_build

LENGTH = 2048
TARGETS = {
    "frequent, all syllables": RefineSettings(1117, 5),
    "8,960 most frequent": RefineSettings(20, 20, max_new_tokens=8960),
}
BUDGETS = (0.05, 0.25, 1.0)
BIASES = (Bias(share=0.1), Bias(), Bias(share=0.4), Bias(max_passes=8))


def main() -> None:
    arguments = parse()
    check_build()
    table = pl.read_parquet(arguments.corpus, columns=[arguments.column, arguments.by])
    words = count(table[arguments.column], load_tokenizer(BASE))
    print(f"{arguments.corpus.name}, {THREADS} threads\n")
    for number, (name, settings) in enumerate(TARGETS.items()):
        folder = arguments.out / f"target{number}"
        refine(words, load_tokenizer(BASE), settings).save(folder, overwrite=True)
        files = TokenFiles(folder, arguments.out / "tokens", Packing(LENGTH, 0.001))
        packed = files.pack(Source("corpus", str(arguments.corpus), column=arguments.column))
        size = load_tokenizer(folder).size
        passages = Passages(packed, size, Bias().passage)
        kinds = Kinds(passages, folder, table, arguments.column, arguments.by)
        counts = passages.counts()
        print(
            f"### {name}: {passages.new:,} new tokens, {passages.tokens:,} tokens in {len(packed.ends('train')):,} "
            f"documents; a new token is there {counts.min():,} times at least, {int(np.quantile(counts, 0.1)):,} at a "
            f"tenth, {int(np.median(counts)):,} in the middle\n"
        )
        print(
            "| budget / source | share | max_passes | N | least, 10 %, half without | with | short | least tenth "
            "| most seen 1 % without | with | moved | s |"
        )
        print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        for part, bias in product(BUDGETS, BIASES):
            budget = int(part * passages.tokens) // LENGTH * LENGTH
            start = time.perf_counter()
            found = choose(passages, bias, budget, seed=0)
            seconds = time.perf_counter() - start
            row(part, bias, budget, found, passages, kinds.moved(found), seconds)
            if number == 0 and part == 0.25 and bias == Bias() and arguments.plot:
                arguments.plot.write_text(plot(counts * budget / passages.tokens, found.seen))
        print()


class Kinds:
    """Which of the corpus' own sources each passage is of, found by its ids."""

    def __init__(self, passages: Passages, tokenizer: Path, table: pl.DataFrame, column: str, by: str) -> None:
        reference = Reference(load_tokenizer(tokenizer))
        before = reference.encode(["a"], template=True)[0].index(reference.encode(["a"])[0][0])
        self.names = table[by].unique().sort().to_list()
        number, kind_of = {name: at for at, name in enumerate(self.names)}, {}
        for part in table.iter_slices(4096):
            encoded = reference.encode(part[column].to_list())
            for ids, name in zip(encoded, part[by].to_list(), strict=True):
                kind_of[hash(np.asarray(ids, dtype=np.int64).tobytes())] = number[name]
        ends, tokens = passages.packed.ends("train").astype(int), passages.packed.tokens("train")
        eos = passages.packed.record["eos_id"] is not None
        kinds = []
        for begin, end in zip(np.append(0, ends[:-1]).tolist(), ends.tolist(), strict=True):
            ids = np.asarray(tokens[begin + before : end - eos], dtype=np.int64)
            kinds.append(kind_of.get(hash(ids.tobytes()), -1))
        self.lost = kinds.count(-1)
        first, found = 0, []
        for stretch in passages.stretches():
            found.append(np.asarray(kinds)[first + stretch.document])
            first += int(stretch.document[-1]) + 1
        self.kinds = np.concatenate(found)
        self.lengths = np.concatenate([stretch.lengths for stretch in passages.stretches()])
        assert self.lost < 0.001 * len(kinds), f"{self.lost} documents were not found again"

    def moved(self, found: Readings) -> float:
        """Total variation between the shares of the sources before and after."""
        known = self.kinds >= 0
        shares = [
            np.bincount(self.kinds[known], weights=(self.lengths * times)[known], minlength=len(self.names))
            for times in (1, found.times.astype(np.int64))
        ]
        before, after = (share / share.sum() for share in shares)
        return float(np.abs(before - after).sum() / 2)


def row(
    part: float, bias: Bias, budget: int, found: Readings, passages: Passages, moved: float, seconds: float
) -> None:
    without, seen, n = found.counts * budget / passages.tokens, found.seen, found.said["n"]
    tenth = len(seen) // 10
    times = np.sort(seen)[:tenth].sum() / np.sort(without)[:tenth].sum()
    most = np.argsort(-without, kind="stable")[: int(len(seen) * MOST_SEEN)]
    most_seen = [f"{counts[most].sum() / counts.sum():.2%}" for counts in (without, seen)]
    spreads = [", ".join(f"{np.quantile(counts, q):,.1f}" for q in (0, 0.1, 0.5)) for counts in (without, seen)]
    short = f"{int((seen < n).sum()):,}"
    print(
        f"| {part} | {bias.share} | {bias.max_passes} | {n:,} | {spreads[0]} | {spreads[1]} | {short} | {times:.2f} | "
        f"{most_seen[0]} | {most_seen[1]} | {moved:.1%} | {seconds:.1f} |",
        flush=True,
    )


def plot(without: np.ndarray, seen: np.ndarray) -> str:
    """Two curves: how often a token is seen, from the one seen least to the one seen most; logarithmic, as SVG."""
    wide, high, left, top = 560, 300, 60, 20
    highest = np.log10(max(without.max(), seen.max()) + 1)

    def curve(counts: np.ndarray, colour: str) -> str:
        at = np.unique(np.linspace(0, len(counts) - 1, 140).astype(int))
        y = top + high * (1 - np.log10(np.sort(counts)[at] + 1) / highest)
        points = " ".join(f"{left + wide * a / len(counts):.0f},{b:.1f}" for a, b in zip(at, y, strict=True))
        return f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>'

    lines = []
    for power in range(int(highest) + 1):
        y = top + high * (1 - np.log10(10**power + 1) / highest)
        lines.append(f'<path d="M{left} {y:.1f}H{left + wide}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:,}</text>')
    for share in (0, 0.1, 0.5, 1):
        x = left + wide * share
        lines.append(f'<text x="{x:.0f}" y="{top + high + 18}" text-anchor="middle">{share:.0%}</text>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + wide + 30} {top + high + 45}" '
            'font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            *lines,
            curve(without, "#999"),
            curve(seen, "#06c"),
            f'<text x="{left + 20}" y="{top + 20}" fill="#06c">with the bias</text>',
            f'<text x="{left + 20}" y="{top + 38}" fill="#777">without</text>',
            f'<text x="{left + wide / 2:.0f}" y="{top + high + 38}" text-anchor="middle">'
            "new tokens, from the one seen least to the one seen most; times seen over the run</text>",
            "</svg>\n",
        ]
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--column", default="text")
    parser.add_argument("--by", default="source")
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
