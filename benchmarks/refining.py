"""The text half on a real corpus: counting, the intermediate tokenizer, both ways to prune, held-out text.

    python benchmarks/refining.py CORPUS --tokenizer BASE [--counts 50 200] [--peer] [--rounds 3 [--against FOLDER]]

Every 50th document of CORPUS is held out of the counting and measured afterwards. `--peer` also trains the
`tokenizers` trainer on the same text, with the same cut and settings, and compares the merges. `--rounds` measures
only what the rounds of refine cost beside the pass that counted the words, on a half and on all of CORPUS, median of
as many runs as it says. With `--against FOLDER`, another checkout with its engine, `kovocab refine` is run by both in
turns, each as often, on all words of CORPUS, and the folders that they leave are compared byte for byte.
"""

import argparse
import filecmp
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TypeVar

import polars as pl
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from kovocab.building.target import build_target
from kovocab.corpus.settings import Reading
from kovocab.counting.count import count
from kovocab.counting.tables import Held
from kovocab.counting.token_counts import segments
from kovocab.evaluating.fertility import fertility
from kovocab.reading.documents import batches
from kovocab.refining import intermediate
from kovocab.refining.candidates import Vocabulary
from kovocab.refining.recount import Recount
from kovocab.refining.refine import refine
from kovocab.refining.rounds import State, turn
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.script import HANGUL
from kovocab.tokenizer.tokenizer import base_pieces, load_tokenizer
from setting import check_build

HELD_OUT = 50
VOCAB_SIZE = 40_000

T = TypeVar("T")


def main() -> None:
    arguments = parse()
    check_build()
    logging.basicConfig(level=logging.INFO, format="  %(message)s")
    if arguments.against:
        against(arguments)
        return
    texts = pl.concat(list(batches(arguments.corpus, Reading(arguments.column)))).rechunk()
    if arguments.rounds:
        cost_of_rounds(texts, arguments.tokenizer, arguments.counts, arguments.rounds)
        return
    row = pl.int_range(len(texts), eager=True)
    counted_texts, held_out = texts.filter(row % HELD_OUT != 0), texts.filter(row % HELD_OUT == 0)
    size = int(counted_texts.str.len_bytes().sum())
    print(f"{len(counted_texts):,} documents, {size / 1e6:.1f} MB; {len(held_out):,} documents held out")
    with timed("count"):
        counted = count(counted_texts, arguments.tokenizer)
    print(f"{counted.record['words']:,} words, {counted.record['distinct_words']:,} distinct")
    words = intermediate.training_words(counted.words)
    with timed(f"train {VOCAB_SIZE:,} tokens on {len(words):,} words"):
        trained = intermediate.train(words, VOCAB_SIZE)
    if arguments.peer:
        with timed("the same by the tokenizers trainer, on the text"):
            theirs = train_with_tokenizers(counted_texts)
        ours = [(left, right) for left, right in trained.select("left", "right").iter_rows() if left is not None]
        print(f"{len(ours):,} merges, the same in the same order: {ours == theirs}")
    base = load_tokenizer(arguments.tokenizer)
    rows: list[tuple[object, ...]] = [("base", "", "", "", "", "", fertility(held_out, base))]
    for least in arguments.counts:
        for prune in ("threshold", "leaf"):
            settings = RefineSettings(min_count=least, min_syllable_count=least, prune=prune)
            with timed(f"refine, {prune}, min_count {least}"):
                result = refine(counted, arguments.tokenizer, settings)
            print(result.summary())
            with tempfile.TemporaryDirectory() as folder, timed("save and check"):
                result.save(Path(folder) / "tokenizer")
            alone = base_pieces(result.target, result.vocabulary["token"].to_list())
            unreachable = sum(ids != [own] for ids, own in zip(alone, result.vocabulary["id"], strict=True))
            kept, below = result.record["new_tokens"], result.record["below_min_count"]
            found = fertility(held_out, result.target)
            rows.append((prune, least, len(result.rounds), kept, below, unreachable, found))
    print("\n| prune | min_count | rounds | new tokens | below min_count | unreachable | tokens/word | bytes/token |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for *cells, found in rows:
        numbers = (f"{found['tokens_per_word']:.3f}", f"{found['bytes_per_token']:.3f}")
        print(
            "| "
            + " | ".join([*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells), *numbers])
            + " |"
        )


def cost_of_rounds(texts: pl.Series, source: Path, least: list[int], runs: int) -> None:
    """A table: a round, and the first encoding of all words, as shares of the counting pass."""
    base = load_tokenizer(source)
    print("| MB | prune | min_count | pass, ms | segments, ms | rounds, ms (encoding again + deciding) "
          "| mean, % of the pass | worst, % |\n|--:|---|--:|--:|--:|---|--:|--:|")  # fmt: skip
    sizes = []
    for every in (2, 1):
        some = texts.gather_every(every)
        passes = [measured(count, some, base) for _ in range(runs)]
        counted, whole = passes[0][0], median(seconds for _, seconds in passes)
        hangul = counted.words.filter(pl.col("word").str.contains(f"[{HANGUL.candidates}]"))
        trained = intermediate.train(intermediate.training_words(hangul), VOCAB_SIZE)
        candidates = Vocabulary.of(trained, base.ids)
        seen = trained.filter(pl.col("left").is_null()).select("token", "count")
        characters, none = candidates.by_row(dict(seen.iter_rows())), candidates.rows([])
        target = build_target(base, candidates.frame())
        cut = median(measured(segments, [hangul], target)[1] for _ in range(runs))
        sizes.append((len(texts) // every, len(hangul), len(segments([hangul], target))))
        for prune, fewest in ((prune, n) for n in least for prune in ("threshold", "leaf")):
            settings = RefineSettings(fewest, fewest, prune=prune)
            times = []
            for _ in range(runs):
                recount, state, run = Recount(Held(hangul), base, candidates), State(candidates, none), []
                while True:
                    _, reach = measured(lambda state=state: state.target)
                    counts, again = measured(recount.count, state.target)
                    (state, row), decide = measured(turn, state, counts, characters, settings, none, len(run) + 1)
                    run.append((again, reach + decide))
                    if not row.unreachable + row.dropped + row.added:
                        break
                times.append(run)
            rounds = [[median(part) * 1e3 for part in zip(*of, strict=True)] for of in zip(*times, strict=True)]
            sums = [sum(parts) / whole / 10 for parts in rounds]
            cells = ", ".join(f"{again:.1f} + {decide:.1f}" for again, decide in rounds)
            size = int(some.str.len_bytes().sum()) / 1e6
            print(f"| {size:.1f} | {prune} | {fewest} | {whole * 1e3:.0f} | {cut * 1e3:.0f} | {cells} "
                  f"| {sum(sums) / len(sums):.2f} | {max(sums):.2f} |", flush=True)  # fmt: skip
    for documents, words, pieces in sizes:
        print(f"{documents:,} documents: {words:,} distinct words with Hangul are {pieces:,} segments")


def against(arguments: argparse.Namespace) -> None:
    """A table: `kovocab refine` of this checkout and of another, in turns."""
    checkouts = {"this": Path(__file__).parents[1], "the other": arguments.against.absolute()}
    print("| min_count | checkout | s by the clock, median | least | s of a processor, median | least |\n"
          "|--:|---|--:|--:|--:|--:|")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / "words.parquet"
        count(arguments.corpus, arguments.tokenizer, column=arguments.column).save(words)
        for least in arguments.counts:
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in checkouts}
            for turn_ in range(max(arguments.rounds, 1)):
                for name, root in [*checkouts.items()][:: 1 if turn_ % 2 else -1]:
                    out = Path(folder) / f"{name} {least} {turn_}"
                    settings = {"words": words, "base": arguments.tokenizer.absolute(), "out": out,
                                "min_count": least, "min_syllable_count": least}  # fmt: skip
                    line = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
                    times[name].append(ran([sys.executable, "-m", "kovocab", "refine", *line], root / "python"))
            for name, found in times.items():
                clock, processor = zip(*found, strict=True)
                print(f"| {least} | {name} | {median(clock):.2f} | {min(clock):.2f} | {median(processor):.2f} "
                      f"| {min(processor):.2f} |", flush=True)  # fmt: skip
            shares = [[median(each) for each in zip(*times[name], strict=True)] for name in checkouts]
            left, right = (Path(folder) / f"{name} {least} 0" for name in checkouts)
            files = sorted({path.name for side in (left, right) for path in side.iterdir()})
            _, *unlike = filecmp.cmpfiles(left, right, files, shallow=False)
            print(f"this takes {shares[0][0] / shares[1][0]:.2f} of the other's time by the clock, "
                  f"{shares[0][1] / shares[1][1]:.2f} of a processor's; files that differ: "
                  f"{', '.join([*unlike[0], *unlike[1]]) or 'none'} of {len(files)}", flush=True)  # fmt: skip


def ran(command: list[str], path: Path) -> tuple[float, float]:
    """Run a command with `path` to import from; its time by the clock, and of a processor."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(path)}, check=True, capture_output=True)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return end - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(call: Callable[..., T], *arguments: object) -> tuple[T, float]:
    start = time.perf_counter()
    result = call(*arguments)
    return result, time.perf_counter() - start


@contextmanager
def timed(what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - start:.2f} s", flush=True)


def train_with_tokenizers(texts: pl.Series) -> list[tuple[str, str]]:
    peer = Tokenizer(models.BPE())
    peer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    peer.pre_tokenizer = pre_tokenizers.Split(Regex(f"▁?[{HANGUL.candidates}]+"), "removed", invert=True)
    trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE, show_progress=False)
    documents = texts.to_list()
    peer.train_from_iterator((documents[i : i + 10_000] for i in range(0, len(documents), 10_000)), trainer)
    return [(left, right) for left, right in json.loads(peer.to_str())["model"]["merges"]]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--column", default="text")
    parser.add_argument("--counts", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--rounds", type=int, default=0, metavar="RUNS")
    parser.add_argument("--against", type=Path, metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    main()
