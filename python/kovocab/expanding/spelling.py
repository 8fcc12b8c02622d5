"""New tokens as the base spells them: labels and ids of old tokens, made from new ones.

`expand` leaves the pieces beside the model, so that training needs neither the base's tokenizer nor the text.
"""

import shutil
from itertools import zip_longest
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kovocab.corpus.faults import POLARS_ERRORS, first_line
from kovocab.errors import ArtefactError, ModelError, quantity
from kovocab.expanding.new_rows import base_pieces
from kovocab.tokenizer.tokenizer_json import TokenizerJson

PIECES = "base_pieces.parquet"
"""The file in a model's folder: `id` u32, `token` str, `base_pieces` list of u32, a row for each new token."""

_SCHEMA: Any = {"id": pl.UInt32, "token": pl.String, "base_pieces": pl.List(pl.UInt32)}


def save_pieces(vocabulary: pl.DataFrame, first_new_id: int, folder: str | Path) -> None:
    """Write the base pieces of all new tokens to `folder`, from the table that `refine` or `replace` left."""
    new = vocabulary.filter(pl.col("id") >= first_new_id).sort("id")
    new.select("id", "token", "base_pieces").write_parquet(Path(folder) / PIECES)


def copy_pieces(source: Path, target: Path) -> None:
    """Copy the file from one model's folder to another's, if it is there."""
    if (source / PIECES).is_file():
        shutil.copyfile(source / PIECES, target / PIECES)


def read_pieces(path: Path) -> pl.DataFrame:
    """Read a table of tokens with their base pieces, as `refine` and `save_pieces` leave it.

    Returns:
        The table with the columns of `base_pieces.parquet`, in their types, and what else it has.

    Raises:
        ArtefactError: it is not there, or no such table.
    """
    try:
        table = pl.read_parquet(path, glob=False).cast(_SCHEMA)
    except POLARS_ERRORS as error:
        raise ArtefactError(f"{path} cannot be read: {first_line(error)}") from error
    for name in ("id", "token"):  # pieces of new tokens alone are looked at, and then whether there are any
        if nulls := table[name].null_count():
            raise ArtefactError(f"{path} cannot be read: {quantity(nulls, 'row')} of {name} null; wanted none")
    return table


class BasePieces:
    """The base pieces of every new token.

    Args:
        first_new_id: Number of tokens of the base.
        pieces: Those of each new token, in the order of ids; at least one each.
        tokens: The new tokens.
    """

    def __init__(self, first_new_id: int, pieces: list[list[int]], tokens: list[str] | None = None) -> None:
        self.first_new_id, self._tokens = first_new_id, tokens or []
        self._table = pad_sequence([torch.tensor(ids) for ids in pieces], batch_first=True)
        self._lengths = torch.tensor([len(ids) for ids in pieces])

    @classmethod
    def read(cls, folder: str | Path, first_new_id: int) -> "BasePieces":
        """Read what `save_pieces` wrote.

        Raises:
            ModelError: it is not there, or cannot be read.
        """
        try:
            table = read_pieces(Path(folder) / PIECES)
        except ArtefactError as error:
            raise ModelError(
                f"{error}; every label_mode but plain needs the base pieces of new tokens, which `kovocab expand` "
                "leaves there"
            ) from error
        return cls(first_new_id, base_pieces(table, first_new_id), table.sort("id")["token"].to_list())

    def check(self, tokenizer: TokenizerJson) -> None:
        """See that they are those of the tokenizer's new tokens.

        Raises:
            ModelError: names the first token that differs.
        """
        ids = range(self.first_new_id, max(tokenizer.size, self.first_new_id + len(self._tokens)))
        for row, there in zip_longest(ids, self._tokens):
            if (token := tokenizer.text_of.get(row)) != there:
                raise ModelError(
                    f"{PIECES} is of another vocabulary: the token {row:,} is {there!r} there and {token!r} in the "
                    "tokenizer; run `kovocab expand` again"
                )

    def first(self, ids: Tensor) -> Tensor:
        """`ids` (int64, any shape) with each new token's first piece in its place; labels to ignore stay."""
        new, row = self._rows(ids)
        return torch.where(new, self._table[row, 0], ids)

    def spell(self, ids: Tensor, most: int | None = None) -> tuple[Tensor, Tensor]:
        """Spell sequences in old tokens.

        This is the base's own tokenisation of the text, but for runs of spaces before a new token, of which
        the base joins the last one too.

        Args:
            ids: `[batch, length]`, int64.
            most: Cut sequences of old tokens off there.

        Returns:
            The old ids, `[batch, longest]`, 0 behind the end of the shorter ones; and for each token of `ids`
            the position of its last piece in them, `[batch, length]`, `longest` or more where it was cut off.
        """
        new, row = self._rows(ids)
        lengths = torch.where(new, self._lengths[row], 1)
        ends = lengths.cumsum(dim=1) - 1
        longest = int(ends[:, -1].max()) + 1
        longest = longest if most is None else min(longest, most)
        pieces = torch.where(new.unsqueeze(-1), self._table[row], ids.unsqueeze(-1))
        number = torch.arange(pieces.shape[-1], device=ids.device)
        at = (ends - lengths + 1).unsqueeze(-1) + number
        there = (number < lengths.unsqueeze(-1)) & (at < longest)
        sequence = torch.arange(len(ids), device=ids.device).view(-1, 1, 1).expand_as(at)
        old = ids.new_zeros(len(ids), longest)
        old[sequence[there], at[there]] = pieces[there]
        return old, ends

    def _rows(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each id is a new token's, and its row here; the tables follow the ids to their device."""
        self._table, self._lengths = self._table.to(ids.device), self._lengths.to(ids.device)
        return ids >= self.first_new_id, (ids - self.first_new_id).clamp(min=0)
