"""Merges learned from word counts, against the peers: time, memory, and whether the merges are the same.

    python benchmarks/merges.py words.parquet [--rounds 3] [--against FOLDER] [--peers FOLDER] [--leave_out tokenizers]

`words.parquet` is what `kovocab count` leaves, or `word` and `count` of any kind. Each contender has a process of
its own, in turns, and is timed from the words in memory to its merges. `--against` is a tree of kovocab of another
day, with its engine in `python/kovocab`; `--peers` a folder that has packages in it (`pip install --target FOLDER
ffbpe==0.1.10`).
`tokenizers` has no way to be given counts: it reads each word as often as it was seen. SentencePiece reads a file of
words and counts and writes its model.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from statistics import median

import polars as pl

Merges = list[tuple[str, str]]


def kovocab(words: pl.DataFrame, size: int, threads: int, _: Path) -> Callable[[], Merges]:
    from kovocab.refining.intermediate import train

    def work() -> Merges:
        options = {"threads": threads} if "threads" in train.__annotations__ else {}
        learned = train(words, size, **options)
        return learned.drop_nulls().select("left", "right").rows()

    return work


def tokenizers(words: pl.DataFrame, size: int, threads: int, _: Path) -> Callable[[], Merges]:
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\n", "removed")
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=1, show_progress=False)
    texts = words.select(pl.concat_str("word", pl.lit("\n")).repeat_by("count").list.join("")).to_series().to_list()

    def work() -> Merges:
        tokenizer.train_from_iterator(texts, trainer)
        return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]

    return work


def ffbpe(words: pl.DataFrame, size: int, threads: int, folder: Path) -> Callable[[], Merges]:
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    from ffbpe._lib import BpeTrainer_Character_CharIdx

    rows = words.rows()

    def work() -> Merges:
        trainer = BpeTrainer_Character_CharIdx([], tie_break="smallest_pair_id")
        trainer.add_words(rows)
        trainer.init_training()
        trainer.train_until(256 + size)  # bytes come first; characters are among the others
        trainer.validate_model().save_merges_txt(folder / "merges", "unitoken")
        lines = (folder / "merges").read_text().splitlines()
        merges = [line.split(" => ")[0].split(" ") for line in lines if " => " in line]
        return [(left, right) for left, right in merges]

    return work


def sentencepiece(words: pl.DataFrame, size: int, threads: int, folder: Path) -> Callable[[], Merges]:
    import sentencepiece as spm

    words.write_csv(folder / "words.tsv", separator="\t", include_header=False, quote_style="never")

    def work() -> Merges:
        spm.SentencePieceTrainer.train(
            input=str(folder / "words.tsv"), input_format="tsv", model_prefix=str(folder / "model"), model_type="bpe",
            vocab_size=size + 3, character_coverage=1.0, normalization_rule_name="identity", add_dummy_prefix=False,
            split_by_unicode_script=False, split_by_number=False, max_sentencepiece_length=512, num_threads=threads,
            max_sentence_length=1 << 20, hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
        lines = (line.split("\t")[0] for line in (folder / "model.vocab").read_text().splitlines()[3:])
        return [(piece, "") for piece in lines if len(piece) > 1]  # it does not say of which parts

    return work


CONTENDERS = {f.__name__: f for f in (kovocab, tokenizers, ffbpe, sentencepiece)}


def run(name: str, words: str, size: int, threads: int, out: Path) -> None:
    """Be a contender: write what it took, and its merges."""
    frame = pl.read_parquet(words)
    with tempfile.TemporaryDirectory() as folder:
        work = CONTENDERS[name](frame, size, threads, Path(folder))
        Path("/proc/self/clear_refs").write_text("5")  # the peak from now on
        before, clock, processor = _resident("VmRSS"), time.perf_counter(), time.process_time()
        merges = work()
        took = {"seconds": time.perf_counter() - clock, "processor": time.process_time() - processor}
    took |= {"peak": _resident("VmHWM") - before, "merges": merges}
    out.write_text(json.dumps(took))


def _resident(what: str) -> int:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return next(int(line[1]) * 1024 for line in lines if line[0] == f"{what}:")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", type=Path)
    parser.add_argument("--size", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--against", type=Path)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--leave_out", nargs="*", default=[], choices=list(CONTENDERS))
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        name, threads, out = arguments.run
        run(name, str(arguments.words), arguments.size, int(threads), Path(out))
        return
    from kovocab.refining.intermediate import training_words
    from setting import check_build

    check_build()
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / "words.parquet"
        runs = training_words(pl.read_parquet(arguments.words))
        print(f"{len(runs):,} words, {runs['count'].sum():,} with repeats; {arguments.size:,} tokens\n")
        runs.write_parquet(words)
        turns = [(name, threads, "") for name in CONTENDERS for threads in arguments.threads]
        if arguments.against:
            turns.insert(len(arguments.threads), ("kovocab", 1, str(arguments.against / "python")))
        turns = [turn for turn in turns if turn[0] not in arguments.leave_out]
        took: dict[tuple[str, int, str], list[dict]] = {turn: [] for turn in turns}
        for _ in range(arguments.rounds):
            for name, threads, tree in turns:
                took[name, threads, tree].append(_turn(arguments, words, name, threads, tree, Path(folder) / "out"))
        _print(took)


def _turn(arguments: argparse.Namespace, words: Path, name: str, threads: int, tree: str, out: Path) -> dict:
    paths = [tree, str(arguments.peers or ""), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    command = [
        sys.executable,
        __file__,
        str(words),
        "--size",
        str(arguments.size),
        "--run",
        name,
        str(threads),
        str(out),
    ]
    subprocess.run(command, env=environment, check=True)
    return json.loads(out.read_text())


def _print(took: dict[tuple[str, int, str], list[dict]]) -> None:
    ours: Merges = next(iter(took.values()))[0]["merges"]
    first = {what: median(turn[what] for turn in next(iter(took.values()))) for what in ("seconds", "processor")}
    made = {left + right for left, right in ours}
    print(
        "| contender | threads | seconds | by | processor seconds | by | more memory, MB | merges as ours, in order "
        "| tokens as ours |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for (name, threads, tree), turns in took.items():
        seconds, processor = (median(turn[what] for turn in turns) for what in ("seconds", "processor"))
        merges: Merges = turns[0]["merges"]
        same = sum(1 for _ in takewhile(lambda both: list(both[0]) == list(both[1]), zip(merges, ours, strict=False)))
        order = "all" if same == len(merges) == len(ours) else f"the first {same:,}"
        if name == "sentencepiece":
            order = ""
        tokens = len(made & {left + right for left, right in merges})
        memory = max(turn["peak"] for turn in turns) / 1e6
        print(
            f"| {name}{', before' if tree else ''} | {threads} | {seconds:.2f} | {seconds / first['seconds']:.1f} | "
            f"{processor:.2f} | {processor / first['processor']:.1f} | {memory:.0f} | "
            f"{order} of {len(merges):,} | {tokens / len(made):.1%} |"
        )


if __name__ == "__main__":
    main()
