"""The intermediate tokenizer: BPE learned from word counts, with 64-bit pair counts (`_core.train_bpe`).

It sees the words that new tokens can stand in and nothing else: an optional `▁` and a run of the script. Merges never
cross a cut, so leaving the rest out changes no merge of the script; it leaves the whole vocabulary to it.
"""

from collections.abc import Sequence

import polars as pl

from kovocab import _core
from kovocab.errors import UsageError
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL, SPACE, Script
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson


def training_words(words: pl.DataFrame, script: Script = HANGUL) -> pl.DataFrame:
    """Cut from word counts what new tokens can be: `▁?[Hangul]+`, or another script's, summed.

    Returns:
        `word: str, count: u64`, sorted by word.
    """
    runs = pl.col("word").str.extract_all(script.runs)
    some = words.filter(pl.col("word").str.contains(f"[{script.candidates}]"))
    exploded = some.select(runs, "count").explode("word")
    return exploded.group_by("word").agg(pl.col("count").sum()).sort("word")


def train(words: pl.DataFrame, vocab_size: int, min_count: int = 1, first: Sequence[str] = ()) -> pl.DataFrame:
    """Learn a BPE vocabulary from word counts.

    On the same words and settings the merges are those of `tokenizers.trainers.BpeTrainer`, in the same order.

    Args:
        words: `word: str, count: u64`; each word is taken as it is, merges stay inside it.
        vocab_size: Tokens to reach, characters included. All characters are kept even where they are more.
        min_count: Stop at the first pair seen less often.
        first: Tokens to begin with, of which `vocab_size` counts those that can be made: each is merged from the two
            parts that those before it make of it, and passed over where they make another number of parts.

    Returns:
        `token: str, left: str | null, right: str | null, count: u64`: the characters in code-point order, then a
        row a merge, those of `first` before others, in order. A token that can be made in two ways may have two rows.

    Raises:
        UsageError: `vocab_size` or `min_count` is less than 1.
    """
    if vocab_size < 1 or min_count < 1:
        raise UsageError(f"vocab_size is {vocab_size} and min_count is {min_count}; wanted 1 or more")
    begin = pl.Series(first, dtype=pl.String)
    return pl.DataFrame(_core.train_bpe(words["word"], words["count"], begin, vocab_size, min_count))


def tokens_of(base: TokenizerJson, script: Script) -> list[str]:
    """What a base merges of the script, in the order of its merges: where continued training begins.

    Tokens that a byte-level base never gives are passed over: its pattern parts them, or an added token is in them.
    """
    if not isinstance(base.model, BpeModel):
        return []
    made = dict.fromkeys(base.text_of[base.model.vocab["".join(merge)]] for merge in base.model.merges)
    tokens = [token for token in made if len(token) > 1 and script.can_be_new(token)]
    if not base.spelling.byte_level:
        return tokens
    encoded = Reference(base).encode([token.replace(SPACE, " ") for token in tokens])
    return [token for token, ids in zip(tokens, encoded, strict=True) if ids == [base.texts[token]]]
