"""What a vocabulary may hold, row by row: tokens of a script, each made of what is there already."""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from kovocab.errors import TokenizerError
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import SPACE, Script
from kovocab.tokenizer.tokenizer import base_pieces
from kovocab.tokenizer.tokenizer_json import TokenizerJson

if TYPE_CHECKING:
    import polars as pl

Row = tuple[str, str | None, str | None]
"""One row of a vocabulary: a token and the two parts that merge to it, None and None for a character."""


def read_rows(
    vocabulary: "pl.DataFrame", pieces: Collection[str], added: Collection[str], script: Script
) -> Iterator[Row]:
    """Yield the rows of `vocabulary`, each checked against what is known when it is its turn.

    Args:
        vocabulary: Columns `token`, `left`, `right`, in merge order.
        pieces: The base's tokens.
        added: Its special and other added tokens, which are no parts.
        script: What new tokens may be made of.

    Raises:
        TokenizerError: a column is missing, or a row cannot be used; names it.
    """
    if missing := {"token", "left", "right"} - set(vocabulary.columns):
        raise TokenizerError(f"the vocabulary lacks column {min(missing)!r}; wanted token, left, right")
    seen: set[str] = set()
    for i, (token, left, right) in enumerate(vocabulary.select("token", "left", "right").iter_rows()):
        where = f"row {i} of the vocabulary ({token!r})"
        if token is None or not script.can_be_new(token):
            raise TokenizerError(f"{where} is not made of {script.wanted}, with or without {SPACE} before")
        if token in seen or token in added:
            raise TokenizerError(f"{where} repeats an earlier row or a special token")
        if left is None and right is None:
            if len(token) != 1:
                raise TokenizerError(f"{where} has no parts; only a single character may have none")
        elif None in (left, right) or left + right != token:
            raise TokenizerError(f"{where} is not the two parts {left!r} and {right!r} put together")
        else:
            for part in (left, right):
                if part not in seen and part not in pieces:
                    raise TokenizerError(
                        f"{where} has the part {part!r}, which neither the base nor an earlier row has"
                    )
        seen.add(token)
        yield token, left, right


def listed(
    vocabulary: "pl.DataFrame", scaffolds: Sequence[str], base: TokenizerJson | Reference, target: TokenizerJson
) -> "pl.DataFrame":
    """The rows of a vocabulary, and then the scaffolds, which have no parts, as they are saved.

    Columns `id: u32` in the target, `token`, `left`, `right` and `base_pieces: list[u32]`.
    """
    import polars as pl

    rows = pl.concat([vocabulary, pl.DataFrame({"token": scaffolds}, {"token": pl.String})], how="diagonal")
    tokens = rows["token"].to_list()
    ids = pl.Series("id", [target.texts[token] for token in tokens], dtype=pl.UInt32)
    return rows.select(ids, "token", "left", "right", _column(base_pieces(base, tokens)))


def _column(pieces: Sequence[Sequence[int]]) -> "pl.Series":
    import polars as pl

    # A list in a column is a column to Polars: 35,000 of them take it fifteen times as long as one of all ids.
    ids = pl.Series("base_pieces", [*chain.from_iterable(pieces)], dtype=pl.UInt32)
    rows = pl.select(row=pl.int_range(len(pieces)).repeat_by(pl.Series([*map(len, pieces)], dtype=pl.UInt32)).explode())
    return rows.with_columns(ids).group_by("row", maintain_order=True).agg("base_pieces")["base_pieces"]
