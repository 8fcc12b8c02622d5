"""What 8,960 new tokens do for each base: held-out Korean before and after, both ways to prune, both sources.

    python benchmarks/targets.py CORPUS ENGLISH --tokenizers gpt2/tokenizer.json qwen2/tokenizer.json
        [--new 8960] [--min_count 20] [--column text]

Every 50th document of CORPUS is held out of the counting and measured afterwards. What of ENGLISH holds no Hangul is
encoded by base and target, and what differs is counted. Each target is saved by `refine`, which holds it to its
promises.
"""

import argparse
import tempfile
import time
from itertools import product
from pathlib import Path

import polars as pl

from kovocab.corpus.settings import Reading
from kovocab.counting.count import count
from kovocab.errors import KovocabError
from kovocab.evaluating.fertility import fertility
from kovocab.reading.documents import batches
from kovocab.refining.refine import refine
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL
from kovocab.tokenizer.tokenizer import load_tokenizer
from setting import THREADS, check_build

HELD_OUT = 50


def main() -> None:
    arguments = parse()
    check_build()
    texts = pl.concat(list(batches(arguments.corpus, Reading(arguments.column)))).rechunk()
    row = pl.int_range(len(texts), eager=True)
    counted_texts, held_out = texts.filter(row % HELD_OUT != 0), texts.filter(row % HELD_OUT == 0)
    english = pl.concat(list(batches(arguments.english, Reading(arguments.column))))
    english = english.filter(~english.str.contains(f"[{HANGUL.characters}]")).to_list()
    size = int(counted_texts.str.len_bytes().sum()) / 1e6
    print(f"{size:.1f} MB counted, {len(held_out):,} documents held out, {THREADS} threads\n")
    print(
        "| base | prune | candidates | new ids | of them scaffolds | tokens per word | bytes per token | s | English |"
    )
    print("|---|---|---|---:|---:|---:|---:|---:|---|")
    for source in arguments.tokenizers:
        base = load_tokenizer(source)
        name = source.parent.name if source.name == "tokenizer.json" else source.stem
        start = time.perf_counter()
        words = count(counted_texts, base)
        seconds = time.perf_counter() - start
        before = fertility(held_out, base)
        print(f"| {name} | – | – | 0 | 0 | {ratios(before)} | {seconds:.1f} (count) | |", flush=True)
        old = Reference(base).encode(english)
        for prune, candidates in product(("leaf", "threshold"), ("intermediate", "continued")):
            settings = RefineSettings(
                arguments.min_count,
                arguments.min_count,
                max_new_tokens=arguments.new,
                prune=prune,  # type: ignore[arg-type]
                candidates=candidates,  # type: ignore[arg-type]
            )
            start = time.perf_counter()
            try:
                refined = refine(words, base, settings)
            except KovocabError as error:
                print(f"| {name} | {prune} | {candidates} | {error} |", flush=True)
                continue
            seconds = time.perf_counter() - start
            with tempfile.TemporaryDirectory() as folder:
                refined.save(Path(folder, "tokenizer"))
            new = refined.record["new_tokens"]
            scaffolds = refined.record.get("scaffolds", 0)
            changed = sum(a != b for a, b in zip(old, Reference(refined.target).encode(english), strict=True))
            said = f"{changed} of {len(english):,} documents differ"
            after = ratios(fertility(held_out, refined.target))
            print(
                f"| {name} | {prune} | {candidates} | {new:,} | {scaffolds} | {after} | {seconds:.1f} | {said} |",
                flush=True,
            )


def ratios(measured: object) -> str:
    assert isinstance(measured, dict)
    return f"{measured['tokens_per_word']:.3f} | {measured['bytes_per_token']:.3f}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("english", type=Path)
    parser.add_argument("--tokenizers", type=Path, nargs="+", required=True)
    parser.add_argument("--new", type=int, default=8_960)
    parser.add_argument("--min_count", type=int, default=20)
    parser.add_argument("--column", default="text")
    return parser.parse_args()


if __name__ == "__main__":
    main()
