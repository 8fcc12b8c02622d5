"""Initialise: how the rows of new tokens are made from the base's.

Input row = mean of the pieces' rows, output row = the row of the first piece (EEVE report, arXiv 2402.14714).
So before any training the model reads a new token as the average of what it read before, and where it would
have begun the old spelling it now gives the new token the same logit.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedModel

from kovocab.errors import ModelError
from kovocab.expanding.split_rows import is_tied, plain_embeddings

if TYPE_CHECKING:
    import polars as pl

INITIALISATION = {"input": "mean of the base pieces' rows", "output": "row of the first base piece"}
"""How new rows are made; where the embeddings are tied there is one row, the input's."""


def subword_mean(weight: Tensor, pieces: list[list[int]]) -> Tensor:
    """The mean of the pieces' rows of `weight` (`[rows, hidden]`), in fp32, cast back: `[tokens, hidden]`."""
    new = weight.new_empty((len(pieces), *weight.shape[1:]))
    for row, ids in enumerate(pieces):
        new[row] = weight[ids].float().mean(dim=0)
    return new


def first_piece(weight: Tensor, pieces: list[list[int]]) -> Tensor:
    """The first piece's row of `weight` (`[rows, hidden]` or a bias `[rows]`), for each token."""
    return weight[[ids[0] for ids in pieces]].clone()


def mean_row(weight: Tensor, first_new_id: int) -> Tensor:
    """The mean of the rows of old tokens, in fp32, cast back: `[hidden]`, or a scalar of a bias."""
    return weight[:first_new_id].mean(dim=0, dtype=torch.float32).to(weight.dtype)


RULES = {"input embeddings": subword_mean, "output embeddings": first_piece, "output bias": first_piece}
"""The rule of each matrix that expand grows; `output bias` is there where the head has one (Phi)."""


def matrices(model: PreTrainedModel) -> dict[str, Tensor]:
    """What expand grows, by name; where the embeddings are tied, the matrix once."""
    embedding, head = plain_embeddings(model)
    found = {"input embeddings": embedding.weight, "output embeddings": head.weight, "output bias": head.bias}
    if is_tied(model):
        del found["output embeddings"]
    return {name: matrix for name, matrix in found.items() if matrix is not None}


def base_pieces(vocabulary: "pl.DataFrame", first_new_id: int) -> list[list[int]]:
    """The base pieces of each new token, in the order of ids.

    Raises:
        ModelError: a column is missing, there is no new token, new ids are not contiguous, or a token has no
            base pieces or one that is not a base id.
    """
    import polars as pl

    missing = {"id", "token", "base_pieces"} - set(vocabulary.columns)
    if missing:
        raise ModelError(f"the vocabulary has no column {', '.join(sorted(missing))}; it has {vocabulary.columns}")
    new = vocabulary.filter(pl.col("id") >= first_new_id).sort("id")
    if new.is_empty():
        raise ModelError(f"the vocabulary has no new token: no id is {first_new_id:,} or more")
    found: list[list[int]] = []
    for wanted, (row, token, pieces) in enumerate(
        new.select("id", "token", "base_pieces").iter_rows(), start=first_new_id
    ):
        if row != wanted:
            raise ModelError(f"new ids are not contiguous: after {wanted - 1:,} comes {row:,} ({token!r})")
        if not pieces:
            raise ModelError(f"the token {token!r} (id {row:,}) has no base pieces; wanted at least one")
        outside = [piece for piece in pieces if piece is None or piece >= first_new_id]
        if outside:
            raise ModelError(
                f"the token {token!r} (id {row:,}) has the base piece {outside[0]}; "
                f"wanted ids of the base, below {first_new_id:,}"
            )
        found.append(pieces)
    return found
