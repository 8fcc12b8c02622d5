"""What lies in a folder belongs together: tokenizer, vocabulary and base pieces are of one refine; weights are numbers.

What does not would open without a word, and give a model whose new rows are of other tokens.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from kovocab.errors import ArtefactError, ModelError, TokenizerError
from kovocab.forms import short
from kovocab.record import Record, again
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import base_pieces, load_tokenizer
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson

if TYPE_CHECKING:
    import polars as pl


PROMPTS = (
    "안녕하세요. 오늘은 날씨가 좋습니다.",
    "The quick brown fox, 3.14!",
    "섞인 mixed 문장 \n\t 그리고 漢字 🙂",
)
"""What a folder's tokenizer and model are compared on."""


def refined_of(record: Record) -> Record:
    """The record of refine that an artefact's record carries, whatever verb the artefact is of."""
    while record["verb"] != "refine":
        record = record["tokenizer"] if record["verb"] in ("expand", "replace") else record["base"]
    return record


def replaced_of(record: Record) -> Record | None:
    """The record of replace that an artefact's record carries; None where new tokens were appended."""
    made = record["tokenizer"] if record["verb"] == "expand" else record
    return made if made["verb"] == "replace" else None


def check_tokenizer(folder: Path, record: Record, target: TokenizerJson) -> None:
    """See that a folder's tokenizer.json is the target that refine made, by all that decides its ids.

    Args:
        folder: What refine, replace, expand or fit left.
        record: Its record. One that does not say which target it was is of an earlier version.
        target: The tokenizer.json, opened.

    Raises:
        ArtefactError: it is another.
    """
    path, refined = folder / "tokenizer.json", refined_of(record)
    if (replaced := replaced_of(record)) is not None:
        if (replaced["target_tokenizer"], replaced["size"]) != (target.digest, target.size):
            raise ArtefactError(
                f"{path} is another tokenizer than the record of {folder} is of (of another replace?); wanted the one "
                f"that `kovocab {record['verb']}` left there"
            )
        return
    if record["first_new_id"] != refined["first_new_id"]:
        raise ArtefactError(
            f"the record of {folder} says first_new_id {record['first_new_id']:,}, and what it says of refine "
            f"{refined['first_new_id']:,}; {again(folder, record['verb'])}"
        )
    if refined.get("target_tokenizer") not in (None, target.digest):
        raise ArtefactError(
            f"{path} is another tokenizer than the record of {folder} is of (of another refine?); wanted the one that "
            f"`kovocab {record['verb']}` left there"
        )
    if target.size != (tokens := refined["first_new_id"] + refined["new_tokens"]):
        raise ArtefactError(
            f"{path} has {target.size:,} tokens, and the record of {folder} is of {tokens:,}, "
            f"{refined['new_tokens']:,} of them new; wanted the tokenizer that `kovocab {record['verb']}` left there"
        )


def open_tokenizer(folder: Path, of: Path | None = None) -> PreTrainedTokenizerBase:
    """AutoTokenizer's view of a model's folder, checked against its tokenizer.json.

    Which class opens it, config.json has a say in: of some kinds of model one that makes its own of vocabulary and
    merges (Qwen2's, whatever tokenizer_config.json names), which is right for that kind's own tokenizers alone.

    Args:
        folder: With config.json and the tokenizer's files.
        of: Where those are from, for the error.

    Raises:
        TokenizerError: it cannot be opened, or the two give different ids.
    """
    try:
        opened: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # tokenizers raises bare Exceptions
        raise TokenizerError(f"the tokenizer in {of or folder} cannot be opened: {error}") from error
    reference = Reference(load_tokenizer(folder / "tokenizer.json"))
    for prompt, wanted in zip(PROMPTS, reference.encode(PROMPTS, template=True), strict=True):
        given = opened(prompt)["input_ids"]
        if given != wanted:
            raise TokenizerError(
                f"AutoTokenizer gives {given} for {prompt!r} and {of or folder}/tokenizer.json {wanted}: beside the "
                f"model's config.json it opens that as a {type(opened).__name__}"
            )
    return opened


def check_rows(config: PreTrainedConfig, folder: Path, record: Record) -> None:
    """See that a model has as many rows as its record says, by its config.json, to which its weights are held.

    Raises:
        ModelError: it has not.
    """
    rows = getattr(config.get_text_config(), "vocab_size", None)
    if rows != record["vocab_size"]:
        raise ModelError(
            f"{folder} has vocab_size {short(rows)} in its config.json and {record['vocab_size']:,} in its record; "
            f"wanted the config.json that `kovocab {record['verb']}` left there"
        )


def check_vocabulary(path: Path, vocabulary: "pl.DataFrame", target: TokenizerJson, first_new_id: int) -> None:
    """See that refine's table of tokens is of a target: every token, and the parts that it is merged from.

    Args:
        path: Where the table is from, for the error.
        vocabulary: `id: u32, token: str`; also `left` and `right`, where the table has them.
        target: The tokenizer beside it.
        first_new_id: New tokens are listed from there on, each once.

    Raises:
        ArtefactError: they do not belong together; names the first row that tells.
    """
    for row, token in vocabulary.select("id", "token").iter_rows():
        if (there := target.text_of.get(row)) != token:
            raise ArtefactError(
                f"{path} is not of the tokenizer.json beside it: the token {row:,} is {token!r} in the one and "
                f"{there!r} in the other; wanted both of one refine"
            )
    new = sum(row >= first_new_id for row in vocabulary["id"])
    if new != target.size - first_new_id:
        raise ArtefactError(
            f"{path} has {new:,} new tokens and the tokenizer.json beside it {target.size - first_new_id:,}; wanted "
            "both of one refine"
        )
    if not isinstance(target.model, BpeModel) or not {"left", "right"} <= set(vocabulary.columns):
        return
    merges = set(target.model.merges)
    for token, left, right in vocabulary.select("token", "left", "right").drop_nulls().iter_rows():
        if (target.spelling.spell(left), target.spelling.spell(right)) not in merges:
            raise ArtefactError(
                f"{path} is not of the tokenizer.json beside it: that does not merge {left!r} and {right!r} to "
                f"{token!r}; wanted both of one refine"
            )


def check_spelling(path: Path, vocabulary: "pl.DataFrame", base: TokenizerJson, first_new_id: int) -> None:
    """See that the base pieces of new tokens are what the base makes of their text.

    Args:
        path: Where the table is from, for the error.
        vocabulary: `id: u32, token: str, base_pieces: list[u32]`.
        base: The base's own tokenizer.
        first_new_id: Rows below are not looked at.

    Raises:
        ArtefactError: names the first token that it spells otherwise.
    """
    new = vocabulary.filter(vocabulary["id"] >= first_new_id)
    wanted = base_pieces(base, new["token"].to_list())
    for token, pieces, given in zip(new["token"], new["base_pieces"].to_list(), wanted, strict=True):
        if pieces != given:
            raise ArtefactError(
                f"{path} is of another base: its base_pieces of {token!r} are {pieces}, and the base makes {given} of "
                "it; run `kovocab refine` again"
            )


def check_finite(model: nn.Module, of: str | Path) -> None:
    """See that all of a model's weights are numbers.

    Raises:
        ModelError: one is NaN or infinite; names the tensor.
    """
    for name, tensor in model.state_dict().items():
        if not is_finite(tensor):
            broken = int((~tensor.isfinite()).sum())
            raise ModelError(
                f"{name} of {of} holds {broken:,} of {tensor.numel():,} numbers that are NaN or infinite; wanted "
                "weights that are numbers"
            )


@torch.no_grad()
def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds nothing but numbers, in one pass without a copy."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    # NaN goes through; `isfinite` takes thirty times as long.
    least, most = (tensor if tensor.dtype.itemsize > 1 else tensor.float()).aminmax()
    return bool(least.isfinite() and most.isfinite())
