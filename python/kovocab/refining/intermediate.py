"""The intermediate tokenizer: BPE learned from word counts, with 64-bit pair counts (`_core.train_bpe`).

It sees the words that new tokens can stand in and nothing else: an optional `▁` and a run of the script. Merges never
cross a cut, so leaving the rest out changes no merge of the script; it leaves the whole vocabulary to it.
"""

import polars as pl

from kovocab import _core
from kovocab.errors import UsageError
from kovocab.tokenizer.script import HANGUL, Script


def training_words(words: pl.DataFrame, script: Script = HANGUL) -> pl.DataFrame:
    """Cut from word counts what new tokens can be: `▁?[Hangul]+`, or another script's, summed.

    Returns:
        `word: str, count: u64`, sorted by word.
    """
    runs = pl.col("word").str.extract_all(script.runs)
    some = words.filter(pl.col("word").str.contains(f"[{script.candidates}]"))
    exploded = some.select(runs, "count").explode("word")
    return exploded.group_by("word").agg(pl.col("count").sum()).sort("word")


def train(words: pl.DataFrame, vocab_size: int, min_count: int = 1) -> pl.DataFrame:
    """Learn a BPE vocabulary from word counts.

    On the same words and settings the merges are those of `tokenizers.trainers.BpeTrainer`, in the same order.

    Args:
        words: `word: str, count: u64`; each word is taken as it is, merges stay inside it.
        vocab_size: Tokens to reach, characters included. All characters are kept even where they are more.
        min_count: Stop at the first pair seen less often.

    Returns:
        `token: str, left: str | null, right: str | null, count: u64`: the characters in code-point order, then a
        row a merge, in order. A token that can be made in two ways may have two rows.

    Raises:
        UsageError: `vocab_size` or `min_count` is less than 1.
    """
    if vocab_size < 1 or min_count < 1:
        raise UsageError(f"vocab_size is {vocab_size} and min_count is {min_count}; wanted 1 or more")
    return pl.DataFrame(_core.train_bpe(words["word"], words["count"], vocab_size, min_count))
