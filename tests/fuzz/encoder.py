"""Documents encoded: what kovocab's engine counts of each id is what `tokenizers` gives, and ids are those of the file.

The bases are those beside the checkout, where they are, that of the package mistral_common, and a target built on it.
"""

import os
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import mistral_common
import numpy as np
import polars as pl
from tokenizers import Tokenizer

from fuzz.trying import text
from kovocab import _core
from kovocab.building.target import build_target
from kovocab.counting.word_counts import WORDS
from kovocab.errors import TokenizerError
from kovocab.example.text import sample_documents
from kovocab.tokenizer.engine import bpe_of
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support import byte_level
from support.vocabularies import train_vocabulary

BATCH = 250
DATA = Path(os.environ.get("KOVOCAB_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "tokenizers"


def make(random: Random) -> str:
    return text(random, most=random.choice((4, 12, 30)))


@cache
def bases() -> list[tuple[TokenizerJson, Reference, Any, _core.Bpe | None]]:
    """Each tokenizer: ours, as the library has ours, the library's own of the file, and the engine's."""
    packaged = load_tokenizer(Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1")
    korean = list(sample_documents(300_000, language="ko"))
    made = [packaged, build_target(packaged, train_vocabulary(korean, 1500))]
    found: list[tuple[TokenizerJson, Any]] = [(tokenizer, Reference(tokenizer).library) for tokenizer in made]
    for path in sorted(DATA.glob("*/tokenizer.json")):
        found.append((load_tokenizer(path), Tokenizer.from_file(str(path))))
    if found[2:]:
        real = [byte_level.load(DATA.parent, name) for name in ("qwen2", "llama3")]
        found += [(tokenizer, Reference(tokenizer).library) for tokenizer in real]
    return [(tokenizer, Reference(tokenizer), library, engine(tokenizer)) for tokenizer, library in found]


def engine(tokenizer: TokenizerJson) -> _core.Bpe | None:
    try:
        return bpe_of(tokenizer)
    except TokenizerError:
        return None


def check(inputs: list[str], random: Random, folder: Path) -> None:
    counted = [base for base in bases() if base[3] is not None]
    tokenizer, reference, library, bpe = random.choice([*bases(), *counted])
    theirs = [encoding.ids for encoding in library.encode_batch_fast(inputs, add_special_tokens=False)]
    if bpe is None or random.random() < 0.1:
        assert reference.encode(inputs) == theirs
    if bpe is None:
        return
    expected = np.bincount(np.fromiter((i for ids in theirs for i in ids), np.int64), minlength=tokenizer.size)
    tokens, counter = _core.TokenCounter(random.randrange(1, 3)), _core.WordCounter(random.randrange(1, 3))
    tokens.update(bpe, pl.Series(inputs, dtype=pl.String))
    found = pl.DataFrame(tokens.counts(bpe))["count"].to_numpy()
    assert (found == expected).all(), different(tokenizer, found, expected)
    if random.random() < 0.1:  # the two ways to count again: all words, and those that are no special token
        counter.update(bpe, pl.Series(inputs, dtype=pl.String))
        table = counter.sorted().take(1 << 20)
        words = pl.DataFrame(schema=WORDS) if table is None else pl.DataFrame(table)
        found = counts_of(bpe, words, 2)
        assert (found == expected).all(), different(tokenizer, found, expected)
        words = words.filter(~pl.col("word").is_in([token.word for token in tokenizer.added_tokens]))
        expected = counts_of(bpe, words, 1)
        segmenter = _core.Segmenter(bpe, "", 2)
        for part in (words[::2], words[1::2]):
            segmenter.feed(part["word"], part["count"])
        found = pl.DataFrame(segmenter.segments().count_tokens())["count"].to_numpy()
        assert (found == expected).all(), different(tokenizer, found, expected)


def counts_of(bpe: _core.Bpe, words: pl.DataFrame, threads: int) -> Any:
    """The count of each id over counted words."""
    counter = _core.TokenCounter(threads)
    counter.add(bpe, words["word"], words["count"])
    return pl.DataFrame(counter.counts(bpe))["count"].to_numpy()


def different(tokenizer: TokenizerJson, found: Any, expected: Any) -> list[tuple[str, int, int]]:
    """The tokens whose counts differ, with ours and theirs."""
    return [
        (tokenizer.tokens.get(int(i), "?"), int(found[i]), int(expected[i]))
        for i in np.flatnonzero(found != expected)[:8]
    ]
