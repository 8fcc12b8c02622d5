"""The verbs of the command line that are not Lightning's: each a function whose signature is its help.

What a verb needs is imported inside it, so that `kovocab count --help` waits for nothing. Each reads the artefact
on its left, writes its own, and prints what a person wants to know of it.

No function has a name that `kovocab` offers: jsonargparse looks each up there, and would load its room.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from kovocab.errors import UsageError
from kovocab.refining.settings import RefineSettings

SKIPPED = 3
"""The exit code of a run that is done, but for what it was told to skip."""


def count_corpus(
    corpus: str | list[str],
    tokenizer: str,
    out: str,
    column: str = "text",
    threads: int | None = None,
    memory: int | str | None = None,
    on_error: Literal["fail", "skip"] = "fail",
    add_to: str | list[str] | None = None,
    tokens: str | None = None,
    report: str | None = None,
    log: Literal["text", "json"] = "text",
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
) -> int:
    """Count the words of a corpus in one pass; every later count is derived from them.

    A run that was stopped goes on where it was: give the same command again.

    Args:
        corpus: File, folder, glob or URL, or a list of them: .txt, .jsonl, .parquet, and .gz or .zst of the first two.
        tokenizer: The base: a tokenizer.json, a tokenizer.model, or a folder with one. It decides where to cut.
        out: The Parquet file of word counts to write.
        column: Parquet column or JSON key that holds the text.
        threads: How many threads count; all processors, if not given.
        memory: How much memory to use, 4GB say; what is beyond goes to the disk beside out. By default half of it.
        on_error: What becomes of a broken line or file: fail, or skip it, list it, and end with exit code 3.
        add_to: Files of word counts that are counted too, yesterday's say.
        tokens: A Parquet file to write, if given: how often the base emits each of its tokens.
        report: The file that lists what was skipped, a JSON object a line; by default beside out, .skipped.jsonl.
        log: How progress is told where there is no terminal: as text, or as a JSON object a line.
        engine: What counts: this machine, or a cluster of Ray, where threads and memory are those of a task.
        address: Of the cluster, auto say; by default what RAY_ADDRESS names, or one on this machine alone.
    """
    from kovocab.artefact import check_file, new_file
    from kovocab.counting import count, token_counts
    from kovocab.counting.progress import all_as

    check_file(out)
    report = report or str(Path(out).with_suffix(".skipped.jsonl"))
    paths = [path for path in (out, tokens, report) if path is not None]
    for path in paths:
        check_file(path)
    if len({Path(path).absolute() for path in paths}) < len(paths):
        raise UsageError(f"out, tokens and report are {', '.join(paths)}; wanted different files")
    with all_as(log):
        record, skipped = count.count_to(
            out, corpus, tokenizer, column=column, threads=threads, memory=memory, on_error=on_error,
            add_to=add_to or (), log_form=log, engine=engine, address=address,
        )  # fmt: skip
        if tokens is not None:
            table = token_counts.count_tokens_of(out, tokenizer, threads=threads)
            with new_file(tokens) as beside:
                table.write_parquet(beside)
    print(
        f"{record['documents']:,} documents, {record['bytes']:,} bytes: {record['words']:,} words, "
        f"{record['distinct_words']:,} distinct\n{out}"
    )
    if not skipped:
        Path(report).unlink(missing_ok=True)  # that of an earlier count, whose words are replaced
        return 0
    with new_file(report) as beside:
        lines = (json.dumps(asdict(fault), ensure_ascii=False) + "\n" for fault in skipped)
        # A file's name may be no UTF-8, and then holds what JSON writes as \udcff too.
        beside.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
    faults = record["skipped"]["faults"]
    listed = "" if faults == len(skipped) else f", the first {len(skipped):,} listed"
    print(
        f"skipped: {faults:,} faults{listed}, {record['skipped']['documents']:,} documents known to be lost\n{report}"
    )
    return SKIPPED


def combine_counts(words: list[str], out: str, memory: int | str | None = None) -> None:
    """Add word counts: yesterday's and today's, or those of several machines.

    Args:
        words: The Parquet files of word counts, all made with one tokenizer.
        out: The Parquet file of word counts to write.
        memory: How much memory to use, 4GB say; what is beyond goes to the disk. By default half of it.
    """
    from kovocab.counting import count

    record = count.combine_to(out, words, memory=memory)
    print(f"{record['words']:,} words, {record['distinct_words']:,} distinct\n{out}")


def refine_words(words: str, base: str, out: str, decisions: str | None = None, **settings: Any) -> None:
    """Find the tokens worth having and build the target tokenizer: drop and add until nothing changes.

    Args:
        words: The Parquet file of word counts that `kovocab count` left.
        base: The base tokenizer: a tokenizer.json, a tokenizer.model, or a folder with one.
        out: The folder to write: the target tokenizer, vocabulary.parquet, rounds.parquet, kovocab.json.
        decisions: CSV or Parquet with the columns token and decision (keep or drop), which every round honours.
    """
    chosen = RefineSettings(**settings)
    from kovocab.artefact import check_replaceable
    from kovocab.counting.word_counts import load_counted
    from kovocab.refining.candidates import Decisions
    from kovocab.refining.refine import refine

    check_replaceable(out, "refine")
    decided = Decisions() if decisions is None else Decisions.load(decisions)
    refined = refine(load_counted(words), base, chosen, decided)
    record = refined.save(out)
    checked = record["promises"]
    print(refined.summary())
    print(
        f"promises kept: {checked['base_tokens']:,} base ids as before; {checked['texts_without_hangul']:,} texts "
        f"without Hangul encoded as before; {checked['new_tokens']:,} new tokens reachable; "
        f"{checked['texts_with_hangul']:,} texts with Hangul decoded as before\n{out}"
    )


def expand_model(
    model: str,
    tokenizer: str,
    out: str,
    pad_to_multiple_of: int | None = None,
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto",
    untie: bool = False,
) -> None:
    """Grow a causal language model to the target tokenizer: input rows by subword mean, output rows by first piece.

    Args:
        model: The base model: a folder or a hub id.
        tokenizer: The folder that `kovocab refine` left.
        out: The folder to write: a plain Hugging Face model with its tokenizer.
        pad_to_multiple_of: Round the number of rows up to a multiple of this.
        dtype: Of the weights written; auto keeps the base's.
        untie: Give tied output embeddings a matrix of their own, so that all stages can train them.
    """
    from kovocab.expanding.expand import expand_folder

    _without_bars()
    record = expand_folder(
        model, Path(tokenizer), Path(out), pad_to_multiple_of=pad_to_multiple_of, dtype=dtype, untie=untie
    )
    tied = ", tied: stages 1, 2, 4 and 5 are refused (but with --untie true); 3, 6 and 7 train"
    tied = tied if record["tied"] else ", untied" if record["untied"] else ""
    print(
        f"{record['new_tokens']:,} new tokens from id {record['first_new_id']:,}: {record['vocab_size']:,} rows, "
        f"{record['dtype']}{tied}\n{out}"
    )


def export(
    stage: str,
    out: str,
    name: str | None = None,
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto",
    license: str | None = None,
    base_model: str | None = None,
) -> None:
    """Write a folder for the hub: safetensors in the plain layout, tokenizer, generation config, model card.

    Args:
        stage: The folder of a finished stage, or of a run: then its last finished stage.
        out: The folder to write.
        name: What the card calls the model; the folder's name, if not given.
        dtype: Of the weights written; auto keeps the stage's.
        license: The identifier of the model's licence on the card, as the hub has them: apache-2.0, say.
        base_model: The base's hub id on the card, if it was a folder that does not say.
    """
    from kovocab.exporting.export import export

    _without_bars()
    record = export(stage, out, name=name, dtype=dtype, license=license, base_model=base_model)
    needed = f"\nreading it needs {record['reader']}" if "reader" in record else ""
    print(f"opened with AutoModelForCausalLM and AutoTokenizer: logits equal, generates{needed}\n{out}")


def evaluate(corpus: str | list[str], tokenizers: list[str], column: str = "text") -> None:
    """Measure tokenizers on held-out text: tokens per word and bytes per token.

    Args:
        corpus: File, folder or glob, or a list of them.
        tokenizers: Each a tokenizer.json, a tokenizer.model, or a folder with one.
        column: Parquet column or JSON key that holds the text.
    """
    from kovocab.corpus.documents import batches
    from kovocab.tokenizer.fertility import fertility
    from kovocab.tokenizer.reference import Reference
    from kovocab.tokenizer.tokenizer import load_tokenizer

    if not tokenizers:
        raise UsageError("tokenizers is empty; wanted at least one")
    loaded = {source: Reference(load_tokenizer(source)) for source in tokenizers}
    for number, (source, reference) in enumerate(loaded.items()):
        found = fertility(batches(corpus, column=column), reference)
        if not number:
            print(f"{'tokens':>14} {'tokens/word':>12} {'bytes/token':>12}  tokenizer")
        ratios = [found["tokens_per_word"], found["bytes_per_token"]]
        shown = ["-" if ratio is None else f"{ratio:.3f}" for ratio in ratios]  # of blank lines there is none
        print(f"{found['tokens']:>14,} {shown[0]:>12} {shown[1]:>12}  {source}")


def sample(
    out: str,
    megabytes: float = 2.0,
    seed: int = 0,
    language: Literal["ko", "en", "mixed"] = "mixed",
) -> None:
    """Write sample text: generated Korean and English, the same on every machine, of any size.

    Args:
        out: The file to write: .txt, .jsonl or .parquet.
        megabytes: Size of the text, in millions of bytes of UTF-8.
        seed: Another seed, another text.
        language: ko, en, or mixed: four Korean documents to an English one.
    """
    if megabytes <= 0:
        raise UsageError(f"megabytes is {megabytes}; wanted more than 0")
    from kovocab.example.text import write_sample

    write_sample(out, int(megabytes * 1e6), seed=seed, language=language)
    print(out)


def quickstart(out: str = "runs/quickstart", corpus: str | None = None, min_count: int | None = None) -> None:
    """Walk the whole street on a small example, from raw text to a folder for the hub, in some minutes.

    Args:
        out: The folder for all artefacts.
        corpus: Your own text instead of the sample: a file, folder or glob.
        min_count: Threshold of refine; by default one that suits the size of the text.
    """
    from kovocab.example.quickstart import walk

    walk(Path(out), corpus, min_count)


def _without_bars() -> None:
    """Silence the progress bars of transformers where there is no terminal to draw them on."""
    import sys

    if not sys.stderr.isatty():
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
