"""What is saved of a vocabulary: its ids are the target's, its pieces what the base gives for each token."""

from types import SimpleNamespace

import polars as pl

from kovocab.building.rows import listed
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import base_pieces
from kovocab.tokenizer.tokenizer_json import TokenizerJson


def test_rows_have_the_ids_of_the_target_and_the_pieces_of_the_base(base: TokenizerJson, ko_small: pl.Series) -> None:
    reference = Reference(base)
    words = sorted({"▁" + word for word in " ".join(ko_small.head(50)).split()})
    for tokens, scaffolds in ((words, ["<0xEC><0x95>"]), (words[:1], []), ([], [])):
        target = SimpleNamespace(texts={token: 40_000 - i for i, token in enumerate([*tokens, *scaffolds])})
        frame = pl.DataFrame(
            {"token": tokens, "left": [t[:1] for t in tokens], "right": [t[1:] for t in tokens]},
            {"token": pl.String, "left": pl.String, "right": pl.String},
        )
        table = listed(frame, scaffolds, reference, target)
        rows = [*tokens, *scaffolds]
        assert table.schema == {
            "id": pl.UInt32,
            "token": pl.String,
            "left": pl.String,
            "right": pl.String,
            "base_pieces": pl.List(pl.UInt32),
        }
        assert table["token"].to_list() == rows
        assert table["id"].to_list() == [40_000 - i for i in range(len(rows))]
        assert table["left"].to_list() == [t[:1] for t in tokens] + [None] * len(scaffolds)
        assert table["base_pieces"].to_list() == base_pieces(reference, rows)
