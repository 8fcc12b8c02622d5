"""The verbs of the command line that are not Lightning's: each a function whose signature is its help.

What a verb needs is imported inside it, so that `kovocab count --help` waits for nothing. Each reads the artefact
on its left, writes its own, and prints what a person wants to know of it.

No function has a name that `kovocab` offers: jsonargparse looks each up there, and would load its room.
"""

from pathlib import Path
from typing import Any, Literal

from kovocab.errors import UsageError
from kovocab.settings import RefineSettings


def count(
    corpus: str | list[str],
    tokenizer: str,
    out: str,
    column: str = "text",
    threads: int | None = None,
    tokens: str | None = None,
) -> None:
    """Count the words of a corpus in one pass; every later count is derived from them.

    Args:
        corpus: File, folder or glob, or a list of them: .txt, .jsonl, .parquet, and .gz or .zst of the first two.
        tokenizer: The base: a tokenizer.json, a tokenizer.model, or a folder with one. It decides where to cut.
        out: The Parquet file of word counts to write.
        column: Parquet column or JSON key that holds the text.
        threads: How many threads count; all processors, if not given.
        tokens: A Parquet file to write, if given: how often the base emits each of its tokens.
    """
    from kovocab import counts
    from kovocab.artefact import check_file, new_file

    for path in (out, tokens):
        if path is not None:
            check_file(path)
    if tokens is not None and Path(tokens).absolute() == Path(out).absolute():
        raise UsageError(f"tokens and out are both {out}; wanted two files")
    counted = counts.count(corpus, tokenizer, column=column, threads=threads)
    counted.save(out)
    if tokens is not None:
        table = counts.count_tokens(counted.words, tokenizer, threads=threads)
        with new_file(tokens) as beside:
            table.write_parquet(beside)
    record = counted.record
    print(
        f"{record['documents']:,} documents, {record['bytes']:,} bytes: {record['words']:,} words, "
        f"{record['distinct_words']:,} distinct\n{out}"
    )


def combine_counts(words: list[str], out: str) -> None:
    """Add word counts: yesterday's and today's, or those of several machines.

    Args:
        words: The Parquet files of word counts, all made with one tokenizer.
        out: The Parquet file of word counts to write.
    """
    from kovocab import counts
    from kovocab.artefact import check_file

    check_file(out)
    counted = counts.combine_counted([counts.load_counted(path) for path in words])
    counted.save(out)
    print(f"{counted.record['words']:,} words, {counted.record['distinct_words']:,} distinct\n{out}")


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
    from kovocab.counts import load_counted
    from kovocab.refine import refine
    from kovocab.vocabulary import Decisions

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
) -> None:
    """Grow a causal language model to the target tokenizer: input rows by subword mean, output rows by first piece.

    Args:
        model: The base model: a folder or a hub id.
        tokenizer: The folder that `kovocab refine` left.
        out: The folder to write: a plain Hugging Face model with its tokenizer.
        pad_to_multiple_of: Round the number of rows up to a multiple of this.
        dtype: Of the weights written; auto keeps the base's.
    """
    from kovocab.embeddings import expand_folder

    _without_bars()
    record = expand_folder(model, Path(tokenizer), Path(out), pad_to_multiple_of=pad_to_multiple_of, dtype=dtype)
    tied = ", tied: stages 1, 2, 4 and 5 are refused; 3, 6 and 7 train" if record["tied"] else ""
    print(
        f"{record['new_tokens']:,} new tokens from id {record['first_new_id']:,}: {record['vocab_size']:,} rows, "
        f"{record['dtype']}{tied}\n{out}"
    )


def export(
    stage: str, out: str, name: str | None = None, dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
) -> None:
    """Write a folder for the hub: safetensors in the plain layout, tokenizer, generation config, model card.

    Args:
        stage: The folder of a finished stage, or of a run: then its last finished stage.
        out: The folder to write.
        name: What the card calls the model; the folder's name, if not given.
        dtype: Of the weights written; auto keeps the stage's.
    """
    from kovocab.export import export

    _without_bars()
    export(stage, out, name=name, dtype=dtype)
    print(f"opened with AutoModelForCausalLM and AutoTokenizer: logits equal, generates\n{out}")


def evaluate(corpus: str | list[str], tokenizers: list[str], column: str = "text") -> None:
    """Measure tokenizers on held-out text: tokens per word and bytes per token.

    Args:
        corpus: File, folder or glob, or a list of them.
        tokenizers: Each a tokenizer.json, a tokenizer.model, or a folder with one.
        column: Parquet column or JSON key that holds the text.
    """
    from kovocab.corpus import batches
    from kovocab.fertility import fertility
    from kovocab.tokenizer import load_tokenizer

    if not tokenizers:
        raise UsageError("tokenizers is empty; wanted at least one")
    loaded = {source: load_tokenizer(source) for source in tokenizers}
    print(f"{'tokens':>14} {'tokens/word':>12} {'bytes/token':>12}  tokenizer")
    for source, tokenizer in loaded.items():
        found = fertility(batches(corpus, column=column), tokenizer)
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
    from kovocab.sample import write_sample

    write_sample(out, int(megabytes * 1e6), seed=seed, language=language)
    print(out)


def quickstart(out: str = "runs/quickstart", corpus: str | None = None, min_count: int | None = None) -> None:
    """Walk the whole street on a small example, from raw text to a folder for the hub, in some minutes.

    Args:
        out: The folder for all artefacts.
        corpus: Your own text instead of the sample: a file, folder or glob.
        min_count: Threshold of refine; by default one that suits the size of the text.
    """
    from kovocab.quickstart import walk

    walk(Path(out), corpus, min_count)


def _without_bars() -> None:
    """Silence the progress bars of transformers where there is no terminal to draw them on."""
    import sys

    if not sys.stderr.isatty():
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
