"""The column of base pieces is what the base gives for each token."""

import polars as pl

from kovocab.building.rows import pieces_of
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import base_pieces
from kovocab.tokenizer.tokenizer_json import TokenizerJson


def test_pieces_of_tokens_as_a_column(base: TokenizerJson, ko_small: pl.Series) -> None:
    reference = Reference(base)
    words = ["▁" + word for word in " ".join(ko_small.head(50)).split()]
    for tokens in (words, words[:1], []):
        column = pieces_of(reference, tokens)
        wanted = pl.Series("base_pieces", base_pieces(base, tokens), dtype=pl.List(pl.UInt32))
        assert column.name == "base_pieces"
        assert column.dtype == wanted.dtype
        assert column.equals(wanted)
