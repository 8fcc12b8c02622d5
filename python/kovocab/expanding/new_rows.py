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
from kovocab.expanding.split_rows import is_tied, plain_embeddings, untie_embeddings

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

    _check_columns(vocabulary, {"id", "token", "base_pieces"})
    new = vocabulary.filter(pl.col("id") >= first_new_id).sort("id")
    if new.is_empty():
        raise ModelError(f"the vocabulary has no new token: no id is {first_new_id:,} or more")
    found: list[list[int]] = []
    for wanted, (row, token, pieces) in enumerate(
        new.select("id", "token", "base_pieces").iter_rows(), start=first_new_id
    ):
        if row != wanted:
            raise ModelError(f"new ids are not contiguous: after {wanted - 1:,} comes {row:,} ({token!r})")
        found.append(_checked(row, token, pieces, first_new_id))
    return found


def replaced_pieces(vocabulary: "pl.DataFrame", tokens: int) -> dict[int, list[int]]:
    """The base pieces of each new token by its id, of the table that `replace` leaves.

    Args:
        vocabulary: As for `base_pieces`, with the column `new`.
        tokens: Of the base, and so of the target.

    Raises:
        ModelError: as `base_pieces`; or an id is listed twice, or none of the base's.
    """
    _check_columns(vocabulary, {"id", "token", "base_pieces", "new"})
    found: dict[int, list[int]] = {}
    new = vocabulary.filter(vocabulary["new"]).sort("id")
    for row, token, pieces in new.select("id", "token", "base_pieces").iter_rows():
        if row in found or row >= tokens:
            raise ModelError(f"the new token {token!r} has the id {row:,}; wanted one of the {tokens:,} ids, each once")
        found[row] = _checked(row, token, pieces, tokens)
    if not found:
        raise ModelError("the vocabulary has no new token; wanted at least one")
    return found


def replace_rows(model: PreTrainedModel, pieces: dict[int, list[int]], *, untie: bool = False) -> PreTrainedModel:
    """Give rows of `model` to new tokens, in place: each by the rule, of the rows as they were before any was given.

    All others keep every bit, and their number is what it was.

    Args:
        model: A causal language model with plain embeddings.
        pieces: The base pieces of each new token, by its id.
        untie: Give tied output embeddings a matrix of their own.

    Returns:
        The same model.

    Raises:
        ModelError: the model has no row of an id, or its embeddings are not plain.
    """
    rows, ids = plain_embeddings(model)[0].num_embeddings, list(pieces)
    if (most := max(ids)) >= rows:
        raise ModelError(
            f"the model has {rows:,} embedding rows, and a new token the id {most:,}; wanted a row for each"
        )
    if untie:
        untie_embeddings(model)
    with torch.no_grad():
        for name, matrix in matrices(model).items():
            matrix[ids] = RULES[name](matrix, list(pieces.values()))
    return model


def check_replaced(model: PreTrainedModel, base: dict[str, Tensor], pieces: dict[int, list[int]]) -> None:
    """See that a model has the base's matrices but for the rows of new tokens, and these by the rule.

    Raises:
        ModelError: it has not.
    """
    for name, matrix in matrices(model).items():
        wanted = base[name].clone()
        wanted[list(pieces)] = RULES[name](base[name], list(pieces.values()))
        if not torch.equal(matrix, wanted):
            raise ModelError(f"rows of the {name} are not the base's and what the rule gives; nothing was written")


def _check_columns(vocabulary: "pl.DataFrame", wanted: set[str]) -> None:
    if missing := wanted - set(vocabulary.columns):
        raise ModelError(f"the vocabulary has no column {', '.join(sorted(missing))}; it has {vocabulary.columns}")


def _checked(row: int, token: str, pieces: list[int] | None, tokens: int) -> list[int]:
    """The pieces of a token, once they are seen to be ids of the base, which has so many tokens."""
    if not pieces:
        raise ModelError(f"the token {token!r} (id {row:,}) has no base pieces; wanted at least one")
    outside = [piece for piece in pieces if piece is None or piece >= tokens]
    if outside:
        raise ModelError(
            f"the token {token!r} (id {row:,}) has the base piece {outside[0]}; "
            f"wanted ids of the base, below {tokens:,}"
        )
    return pieces
