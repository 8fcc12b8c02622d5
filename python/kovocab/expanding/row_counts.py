"""How many rows a model has: as many as tokens, or rounded up; and counts that others take for a model of their own.

A row without a token serves training on some machines and nobody else: its id can be sampled, and tools that match rows
to tokens stumble over it. So what is exported has none but where they are asked for.
"""

from typing import Any

import torch
from transformers import PreTrainedModel

from kovocab.errors import ModelError, UsageError
from kovocab.expanding.new_rows import matrices, mean_row
from kovocab.expanding.split_rows import plain_embeddings

MOST_MULTIPLE = 65_536
"""Largest multiple that rows are rounded up to: a larger one is a slip, and would fill the memory."""

MEANINGS = {
    32_016: "takes ids 32,007 to 32,010 for CodeLlama's infill tokens, the last of which ends a text",
    49_152: "turns the start token off, as for a small Granite",
}
"""What llama.cpp's converter does to a model of the Llama family with so many rows, whatever model it is."""

_FAMILY = ("LlamaForCausalLM", "MistralForCausalLM", "MixtralForCausalLM")
"""The architectures that it converts so."""


def check_multiple(multiple: int | None) -> None:
    """See that `pad_to_multiple_of` is one.

    Raises:
        UsageError: it is not between 1 and `MOST_MULTIPLE`.
    """
    if multiple is not None and not 1 <= multiple <= MOST_MULTIPLE:
        raise UsageError(f"pad_to_multiple_of is {multiple}; wanted a number from 1 to {MOST_MULTIPLE:,}, or none")


def rows_for(rows: int, tokens: int, pad_to_multiple_of: int | None = None) -> int:
    """How many rows a model of `rows` gets for `tokens`, old and new: padding rows are taken first.

    Where they are rounded up, a row count with a meaning of its own is passed over for the next multiple.

    Raises:
        UsageError: `pad_to_multiple_of` is not between 1 and `MOST_MULTIPLE`.
    """
    check_multiple(pad_to_multiple_of)
    multiple = pad_to_multiple_of or 1
    total = -(-max(rows, tokens) // multiple) * multiple
    while pad_to_multiple_of is not None and total in MEANINGS:
        total += multiple
    return total


def meaning(rows: int, architecture: str) -> str | None:
    """What is said of a row count that has a meaning of its own, and what to do; None where it has none."""
    if rows not in MEANINGS or architecture not in _FAMILY:
        return None
    return (
        f"{rows:,} rows have a meaning of their own to llama.cpp: its converter {MEANINGS[rows]}; "
        "--pad_to_multiple_of 64 gives it another number of rows"
    )


def without_token(rows: int, tokens: int, *, sentencepiece: bool) -> str | None:
    """What is said of rows without a token; None where there are none.

    Args:
        rows: Of the model.
        tokens: Of its tokenizer.
        sentencepiece: Whether that is SentencePiece-style: of a byte-level one llama.cpp fills the rows up itself.
    """
    if rows <= tokens:
        return None
    ids = f"Id {tokens:,} has" if rows == tokens + 1 else f"Ids {tokens:,} to {rows - 1:,} have"
    converter = ", and so does llama.cpp without a tokenizer.model" if sentencepiece else ""
    return (
        f"{ids} a row and no token ({rows:,} rows, {tokens:,} tokens). Sampling can choose them, which "
        "`suppress_tokens` in a generation config prevents, at some milliseconds a step; outlines with xgrammar wants "
        f"as many rows as tokens{converter}; trl adds dummy tokens for them."
    )


def set_rows(model: PreTrainedModel, rows: int, tokens: int, first_new_id: int) -> None:
    """Give a model so many rows, in place: padding rows go, or come as the mean of all old rows.

    Raises:
        ModelError: a token's row did not stay what it was.
    """
    there = plain_embeddings(model)[0].num_embeddings
    if there == rows:
        return
    before: dict[str, Any] = matrices(model)
    kept = min(there, rows)
    with torch.no_grad():
        model.resize_token_embeddings(rows, mean_resizing=False)
        for name, matrix in matrices(model).items():
            matrix[there:] = mean_row(before[name], first_new_id)
            if kept < tokens or not torch.equal(matrix[:kept], before[name][:kept]):
                raise ModelError(f"the {name} of {there:,} rows did not keep them where they became {rows:,}")
