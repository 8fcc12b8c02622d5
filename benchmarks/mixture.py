"""What the order of blocks costs, near its start and 10 B blocks on, beside numpy's permutation; and what pairs cost.

    python benchmarks/mixture.py [--pairs PAIRS.jsonl.zst] [--rounds 3]

The order is that of the cards' mixture. Seconds are of one processor. A permutation is what a source would have to be
shuffled with once for each time round it, and to be held: it is measured at 10 M blocks.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kovocab.corpus.settings import Reading
from kovocab.data.bijection import Bijection
from kovocab.data.block_order import TrainOrder
from kovocab.reading.documents import batches

SIZES, CARDS, NAMES = [8 * 10**9, 10**9, 5 * 10**8], [83.46, 10.69, 5.86], ["web", "other", "pairs"]
AT_ONCE = 1 << 20


def main() -> None:
    arguments = parse()
    rounds = arguments.rounds
    order, indices = TrainOrder(SIZES, CARDS, NAMES, seed=0), np.arange(AT_ONCE)
    print("| | blocks | M a second | MB held |\n|---|--:|--:|--:|")
    for name, start in (("the order, from its start", 0), ("the order, behind 10 B blocks", 10**10)):
        row(name, AT_ONCE, rounds, lambda start=start: sum(1 for _ in order(start, start + AT_ONCE)))
    shuffle = Bijection(10**10, "key")
    row("one source's shuffle, of 10 B, a million at once", AT_ONCE, rounds, lambda: shuffle(indices))
    row("numpy's permutation, of 10 M", 10**7, rounds, lambda: np.random.default_rng(0).permutation(10**7))
    begun = time.process_time()
    served = order.served(0, 10**10)
    print(f"\nwhat 10 B blocks take from each source: {served}, in {(time.process_time() - begun) * 1e3:.1f} ms")
    if arguments.pairs is not None:
        print("\n| documents of pairs | MB | MB a second |\n|---|--:|--:|")
        both = ("{en}\n{ko}", "{ko}\n{en}")
        for name, reading in (
            ("one column", Reading("ko")),
            ("one template", Reading(template=both[0])),
            ("both directions", Reading(template=both)),
        ):
            size = sum(int(part.str.len_bytes().sum()) for part in batches(arguments.pairs, reading)) / 1e6
            taken = best(rounds, lambda reading=reading: list(batches(arguments.pairs, reading)))
            print(f"| {name} | {size:.1f} | {size / taken:.0f} |")


def row(name: str, blocks: int, rounds: int, work: Callable[[], object]) -> None:
    taken = best(rounds, work)
    tracemalloc.start()
    work()
    held = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(f"| {name} | {blocks:,} | {blocks / taken / 1e6:.1f} | {held:.1f} |", flush=True)


def best(rounds: int, work: Callable[[], object]) -> float:
    """The fewest seconds of a processor that the work took."""
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=Path, help="a file with the columns en and ko")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
