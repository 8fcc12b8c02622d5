"""Documents cut into words: what `count` counts is what the rule says, whatever the batches, threads and spills."""

import json
import re
from collections import Counter
from functools import cache
from itertools import product
from pathlib import Path
from random import Random

import polars as pl

from fuzz.trying import text
from kovocab import _core
from kovocab.counting.tally import Tally
from support.reference import SPACE, words

BATCH = 400
SPECIAL = ["<s>", "<s>x", "</s>", "한글", "\n\n\n", "😀"]
SPANS = (f"a{SPACE}b", "\n\n", ")의")
"""Of each kind of place, a token that spans it, which forbids to cut there."""
SCHEMES = {"prepend": None, "always": "always", "first": "first", "never": "never"}
WHITE = re.compile("[^\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


def make(random: Random) -> str:
    return text(random, most=random.choice((4, 12, 60)))


@cache
def bpe_of(cut: tuple[bool, bool, bool], scheme: str, special: bool) -> _core.Bpe:
    """A tokenizer that cuts at these kinds of place alone."""
    spans = [token for token, on in zip(SPANS, cut, strict=True) if not on]
    merges = [[token[:at], token[at:]] for token in spans for at in range(1, len(token))]
    tokens = [f"<0x{byte:02X}>" for byte in range(256)] + [
        part for merge in merges for part in (*merge, "".join(merge))
    ]
    vocab = {token: i for i, token in enumerate(dict.fromkeys([*tokens, SPACE, "가", "a"]))}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    prepend = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, replace]}
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": SCHEMES[scheme], "split": False}
    config = {
        "added_tokens": [
            flags | {"id": len(vocab) + i, "content": token} for i, token in enumerate(SPECIAL if special else [])
        ],
        "normalizer": prepend if scheme == "prepend" else None,
        "pre_tokenizer": None if scheme == "prepend" else metaspace,
        "model": {"type": "BPE", "byte_fallback": True, "vocab": vocab, "merges": merges},
    }
    bpe = _core.Bpe(json.dumps(config))
    assert bpe.cut == cut, (bpe.cut, cut)
    return bpe


def check(inputs: list[str], random: Random, folder: Path) -> None:
    cut = random.choice([*product((True, False), repeat=3), (True, True, True)])
    scheme, special = random.choice([*SCHEMES]), random.random() < 0.5
    bpe = bpe_of(cut, scheme, special)
    expected: Counter[str] = Counter()
    for document in inputs:
        found = words(document, SPECIAL if special else (), scheme, cut)
        if not special:
            put = scheme == "prepend" or (scheme in ("always", "first") and not document.startswith((" ", SPACE)))
            assert "".join(found) == (SPACE if put and document else "") + document.replace(" ", SPACE)
        expected.update(found)
    left, between_space = pl.Series(inputs, dtype=pl.String), 0
    with Tally(random.randrange(1, 4), 1 << 40) as tally:
        while len(left):
            size = random.choice((1, 7, 100, len(left)))
            between_space += tally.update(bpe, left[:size])
            left = left[size:]
            if random.random() < 0.02:
                tally.spill()
        distinct, total, tables = tally.finish()
        rows = [row for table in tables for row in table.iter_rows()]
    assert between_space == sum(len(WHITE.findall(document)) for document in inputs)
    assert dict(rows) == expected, {*rows} ^ {*expected.items()}
    assert rows == sorted(rows, key=lambda row: (-row[1], row[0].encode()))
    assert (distinct, total) == (len(expected), expected.total())
