"""Expand: grow a model's embeddings to the target tokenizer. `new_rows` says what the new rows are."""

import logging
import shutil
from collections.abc import Container
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from kovocab.artefact import check_replaceable, new_folder
from kovocab.errors import ModelError, UsageError, model_errors
from kovocab.expanding.checks import check_finite, check_spelling, check_tokenizer, check_vocabulary, open_tokenizer
from kovocab.expanding.config_files import CONFIG, check_special_ids, find_file, read_json, save_model
from kovocab.expanding.new_rows import (
    INITIALISATION,
    RULES,
    base_pieces,
    check_replaced,
    matrices,
    mean_row,
    replace_rows,
    replaced_pieces,
)
from kovocab.expanding.row_counts import check_multiple, rows_for
from kovocab.expanding.split_rows import is_tied, plain_embeddings, untie_embeddings
from kovocab.hub import HUB_ID, local
from kovocab.record import Record, check_files, read_record, write_record
from kovocab.tokenizer.companions import COMPANIONS
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

if TYPE_CHECKING:  # loading and training need no tables, and run where there is no Polars
    import polars as pl

log = logging.getLogger(__name__)

Dtype = Literal["auto", "bfloat16", "float32", "float16"]

MOST_PADDING_ROWS = 1024
"""A base with more rows than tokens plus this is not the tokenizer's model (phi-2 has 905 to spare)."""

VOCABULARY = "vocabulary.parquet"
"""The table of tokens that refine leaves."""

TOKENIZER_FILES = ("tokenizer", "special_tokens_map.", "added_tokens.", "vocab.", "merges.", "chat_template.")
"""How the names of a tokenizer's files begin (not `vocab`, as refine's vocabulary.parquet does)."""


def expand(
    model: PreTrainedModel,
    vocabulary: "pl.DataFrame",
    *,
    first_new_id: int,
    pad_to_multiple_of: int | None = None,
    untie: bool = False,
) -> PreTrainedModel:
    """Grow both embeddings of `model` to the vocabulary, in place; old rows keep every bit.

    A base with padding rows (phi-2: 51,200 rows, 50,295 tokens) keeps them: new tokens take them first, and
    what is left stays as it was. Fresh padding rows get the mean of all old rows: a padding id is never fed
    in, but its logit is computed, and a row of zeros would give it logit 0, which can be the largest of all.
    Tied embeddings stay tied, so there the output row is the input row too, unless they are to be untied first.
    The model never shrinks.

    Args:
        model: A causal language model with plain embeddings.
        vocabulary: The table that `refine` leaves: `id` u32, `token` str, `base_pieces` list of u32, the ids
            that the base tokenizer gives for the token's text. Rows below `first_new_id` are not looked at.
        first_new_id: Number of tokens of the base.
        pad_to_multiple_of: Round the number of rows up to a multiple of this.
        untie: Give tied output embeddings a matrix of their own.

    Returns:
        The same model; `config.vocab_size` is the new number of rows.

    Raises:
        UsageError: `pad_to_multiple_of` is not between 1 and `MOST_MULTIPLE`, or `model` is a path, say.
        ModelError: the model has fewer rows than `first_new_id`, new ids are not contiguous, a token has no
            base pieces or one that is not a base id, or the embeddings are not plain.
    """
    if not isinstance(model, PreTrainedModel):
        raise UsageError(f"model is of type {type(model).__name__}; wanted a model, as transformers loads it")
    check_multiple(pad_to_multiple_of)
    pieces = base_pieces(vocabulary, first_new_id)
    rows = plain_embeddings(model)[0].num_embeddings
    if rows < first_new_id:
        raise ModelError(
            f"the model has {rows:,} embedding rows and the base tokenizer {first_new_id:,} tokens; "
            "wanted at least a row for each"
        )
    if untie:
        untie_embeddings(model)
    last = first_new_id + len(pieces)
    total = rows_for(rows, last, pad_to_multiple_of)

    with torch.no_grad():
        before = matrices(model)
        new = [RULES[name](matrix, pieces) for name, matrix in before.items()]
        padding = [mean_row(matrix, first_new_id) for matrix in before.values()]
        model.resize_token_embeddings(total, mean_resizing=False)
        for matrix, new_rows, padding_row in zip(matrices(model).values(), new, padding, strict=True):
            matrix[max(rows, last) :] = padding_row
            matrix[first_new_id:last] = new_rows
    return model


def check_padding(model: str | Path, rows: int, tokens: int, of: str) -> None:
    """See that a base has a row for each token, and not so many more that the tokenizer cannot be its own.

    Args:
        model: The base, for the error.
        rows: Its embedding rows.
        tokens: Tokens of the base tokenizer.
        of: Where that is from, for the error.

    Raises:
        ModelError: it has fewer, or too many more.
    """
    if not tokens <= rows <= tokens + MOST_PADDING_ROWS:
        raise ModelError(
            f"{model} has {rows:,} embedding rows and the base tokenizer of {of} has {tokens:,} "
            f"tokens; wanted a row for each and at most {MOST_PADDING_ROWS:,} of padding"
        )


def expand_folder(
    model: str,
    tokenizer: Path,
    out: Path,
    *,
    pad_to_multiple_of: int | None = None,
    dtype: Dtype = "auto",
    untie: bool = False,
    overwrite: bool = False,
) -> Record:
    """Expand the model in a folder (or on the hub) to a tokenizer that `refine` left, and write it to `out`.

    Of a tokenizer that `replace` left, new tokens take the rows of old ones, and there are as many rows as before.

    What was written is loaded again before it takes its name: old rows must have kept every bit, new rows
    must be what the rule gives.

    Args:
        model: Folder or hub id of a causal language model. Code that it may carry is not run.
        tokenizer: Folder left by `kovocab refine`, or by `kovocab replace`.
        out: Folder to write: plain Hugging Face layout, tokenizer, `base_pieces.parquet`, `kovocab.json`.
        pad_to_multiple_of: Round the number of rows up to a multiple of this.
        dtype: Of the weights written; `auto` keeps the base's.
        untie: Give tied output embeddings a matrix of their own, so that all stages can train them.
        overwrite: Whether what expand left in `out` of another model, tokenizer or settings is replaced too.

    Returns:
        The record that `out` holds.

    Raises:
        UsageError: `pad_to_multiple_of` is not between 1 and `MOST_MULTIPLE`, or the tokenizer is of the base's size.
        ModelError: the model cannot be loaded whole, holds what is no number, or does not fit the tokenizer.
        TokenizerError: the model's own tokenizer.json cannot be read, or AutoTokenizer reads the target otherwise.
        ArtefactError: `tokenizer` was not made by refine or replace, or not all of it by one; or `out` cannot be
            written.
    """
    from kovocab.expanding.spelling import read_pieces, save_pieces

    check_multiple(pad_to_multiple_of)
    refined = read_record(tokenizer, "refine", "replace")
    if (in_place := refined["verb"] == "replace") and pad_to_multiple_of is not None:
        raise UsageError(
            f"pad_to_multiple_of is {pad_to_multiple_of}, and {tokenizer} was made by `kovocab replace`: there are as "
            "many rows as before; wanted none"
        )
    made_from: Record = {
        "base_model": model,
        "settings": {"pad_to_multiple_of": pad_to_multiple_of, "dtype": dtype, "untie": untie},
        "tokenizer": refined,
    }
    check_replaceable(out, "expand", made_from, overwrite=overwrite, reads=(model, tokenizer))
    check_files(tokenizer, refined)
    # The number of the base's tokens: behind them, or at ids of theirs that are in `replaced`.
    first_new_id, table = refined["size" if in_place else "first_new_id"], tokenizer / VOCABULARY
    vocabulary = read_pieces(table)
    replaced = replaced_pieces(vocabulary, first_new_id) if in_place else {}
    check_model_folder(model)
    source = str(local(model, weights=True))
    target = load_tokenizer(tokenizer / "tokenizer.json")
    Reference(target)  # what it cannot read would be found after training
    check_tokenizer(tokenizer, refined, target)
    base_tokenizer = _base_tokenizer(source, tokenizer, target, first_new_id, replaced)
    check_vocabulary(table, vocabulary, target, first_new_id)
    # Without the base's own tokenizer nobody can say what it makes of a text: then the digest of the table has to do.
    if base_tokenizer is not None and "base_tokenizer" in refined:
        new = vocabulary.filter(vocabulary["new"]) if in_place else vocabulary
        check_spelling(table, new, base_tokenizer, 0 if in_place else first_new_id)
    check_special_ids(source, first_new_id, replaced)
    loaded = load_plain(source, dtype)
    check_finite(loaded, model)
    rows = plain_embeddings(loaded)[0].num_embeddings
    check_padding(model, rows, first_new_id, str(tokenizer))
    untied = untie and untie_embeddings(loaded)
    base = {name: matrix.detach().clone() for name, matrix in matrices(loaded).items()}
    if in_place:
        replace_rows(loaded, replaced)
    else:
        expand(loaded, vocabulary, first_new_id=first_new_id, pad_to_multiple_of=pad_to_multiple_of)
    pieces = list(replaced.values()) if in_place else base_pieces(vocabulary, first_new_id)
    tied = is_tied(loaded)
    record: Record = {
        "verb": "expand",
        "kovocab": version("kovocab"),
        "base_model": model,
        "base_name": hub_id(model),
        "settings": made_from["settings"],
        "architecture": type(loaded).__name__,
        "first_new_id": None if in_place else first_new_id,
        "vocab_size": plain_embeddings(loaded)[0].num_embeddings,
        "new_tokens": len(pieces),
        "tied": tied,
        "untied": untied,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "initialisation": INITIALISATION | ({"output": INITIALISATION["input"]} if tied else {}),
        "base_tokenizer_checked": base_tokenizer is not None,
        "tokenizer": refined,
    }
    with new_folder(out, made_from, overwrite=overwrite) as folder:
        save_model(loaded, folder, source)
        del loaded  # so that only one model is in memory while what was written is checked
        if in_place:
            check_replaced(load_plain(str(folder)), base, replaced)
        else:
            _check_written(folder, base, pieces, first_new_id, tied)
        copy_tokenizer(tokenizer, folder)
        open_tokenizer(folder, tokenizer)  # what others would read otherwise would be found after training
        if in_place:
            save_pieces(vocabulary.filter(vocabulary["new"]), 0, folder)
        else:
            save_pieces(vocabulary, first_new_id, folder)
        write_record(folder, record)
    return read_record(out)


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy what belongs to the tokenizer, its chat template too, from one folder to another."""
    for file in source.iterdir():
        if file.name.startswith(TOKENIZER_FILES) and file.is_file():
            shutil.copyfile(file, target / file.name)


def load_plain(model: str, dtype: Dtype = "auto", **quantization: Any) -> PreTrainedModel:
    """Load a causal language model whole: every weight found, none left over.

    Args:
        model: Folder or hub id.
        dtype: Of the weights; `auto` is as they were written.
        **quantization: What `from_pretrained` needs to quantise.

    Raises:
        ModelError: there is none, it cannot be read, or weights are missing, unexpected or of another shape
            (transformers would fill them with random numbers and go on).
    """
    check_model_folder(model)
    source = local(model, weights=True)
    with model_errors(f"the model {model} cannot be loaded"):
        loaded, info = cast(
            "tuple[PreTrainedModel, dict[str, Any]]",
            AutoModelForCausalLM.from_pretrained(
                source,
                dtype=dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # named below
                trust_remote_code=False,
                use_safetensors=True,
                **quantization,
            ),
        )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[kind]:
            found = sorted(key if isinstance(key, str) else key[0] for key in info[kind])
            raise ModelError(
                f"the model {model} has {len(found)} {kind.replace('_', ' ')}, the first {found[0]}; "
                f"wanted exactly the weights of {type(loaded).__name__}"
            )
    return loaded


def check_length(config: PreTrainedConfig, length: int) -> None:
    """See that a block has no more tokens than the model has positions.

    Raises:
        UsageError: it has.
    """
    most = getattr(config, "max_position_embeddings", None)
    if most is not None and length > most:
        raise UsageError(
            f"data.length is {length:,}, and the model's config.json has max_position_embeddings {most:,}; wanted at "
            "most as many tokens as positions"
        )


def _check_written(
    folder: Path, base: dict[str, Tensor], pieces: list[list[int]], first_new_id: int, tied: bool
) -> None:
    """Load what was written and compare it with the base's matrices and with the rule."""
    written = load_plain(str(folder))
    if is_tied(written) != tied:
        raise ModelError("the embeddings were tied and are not, or the reverse; nothing was written")
    for name, matrix in matrices(written).items():
        if not torch.equal(matrix[:first_new_id], base[name][:first_new_id]):
            raise ModelError(f"old rows of the {name} are not what they were; nothing was written")
        new = RULES[name](base[name], pieces)
        if not torch.equal(matrix[first_new_id : first_new_id + len(pieces)], new):
            raise ModelError(f"new rows of the {name} are not what the rule gives; nothing was written")


def hub_id(model: str) -> str | None:
    """What the model is called on the hub; of a folder, what its config.json says that it came from."""
    said = (read_json(model, CONFIG) or {}).get("_name_or_path") if Path(model).is_dir() else model
    return said if isinstance(said, str) and HUB_ID.fullmatch(said) and not Path(said).exists() else None


def check_model_folder(model: str) -> None:
    """What is no name on the hub is a folder, and holds a model: else transformers asks the hub for it, for minutes."""
    if Path(model).is_dir():
        if not (Path(model) / "config.json").is_file():
            raise ModelError(f"{model} is not a model: it has no config.json")
    elif Path(model).exists():
        raise ModelError(f"{model} is a file; wanted the folder of a model, with its config.json")
    elif not HUB_ID.fullmatch(model):
        raise ModelError(f"there is no model at {model}: no such folder; wanted one, or a name on the hub: user/name")


def _base_tokenizer(
    model: str, tokenizer: Path, target: TokenizerJson, first_new_id: int, but: Container[int]
) -> TokenizerJson | None:
    """The model's own tokenizer, compared with the target below `first_new_id` but for some; None where it has none."""
    files = [found for name in ("tokenizer.json", "tokenizer.model", *COMPANIONS) if (found := find_file(model, name))]
    if not files or not files[0].name.startswith("tokenizer."):
        return None
    own = load_tokenizer(files[0].parent)
    base = own.tokens
    wanted = {row: token for row, token in target.tokens.items() if row < first_new_id}
    for row in sorted(base.keys() | wanted.keys()):
        if row not in but and base.get(row) != wanted.get(row):
            raise ModelError(
                f"{tokenizer} was not made from the tokenizer of {model}: id {row:,} is "
                f"{base.get(row)!r} in the model's and {wanted.get(row)!r} in the target's base"
            )
    return own
