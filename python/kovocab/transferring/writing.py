"""The files of the result: config.json of the sibling, weights laid out as those of the adapted model."""

import json
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

from kovocab.errors import ModelError
from kovocab.expanding.config_files import CONFIG, finish, read_json
from kovocab.model.tensor_files import Weights, write_blocks
from kovocab.tokenizer.tokenizer import base_pieces
from kovocab.transferring.siblings import Three
from kovocab.transferring.sums import Ids, Matrix, Sums

log = logging.getLogger(__name__)


def matrices_of(three: Three, ids: Ids, *, move: bool) -> dict[str, Matrix]:
    """What the adapted model has by token; rows of new tokens move as `expand` makes them, of all pieces or the first.

    Raises:
        ModelError: rows are to move, and the base makes nothing of a new token.
    """
    base, adapted = three.base, three.adapted
    pieces = _pieces(three, ids) if move else None
    first = None if pieces is None else [each[:1] for each in pieces]
    found = {adapted.embedding: Matrix(base.embedding, pieces)}
    if not adapted.tied:
        found[adapted.head] = Matrix(base.head, first)
    if adapted.bias is not None and base.bias is not None:
        found[adapted.bias] = Matrix(base.bias, first)
    return found


def _pieces(three: Three, ids: Ids) -> list[list[int]]:
    tokens = [three.adapted.tokenizer.text_of[row] for row in range(ids.old, ids.old + ids.new)]
    found = base_pieces(three.base.tokenizer, tokens)
    for token, pieces in zip(tokens, found, strict=True):
        if not pieces:
            raise ModelError(f"the tokenizer of {three.base.called} makes nothing of {token!r}; wanted a piece or more")
    return found


def write_config(folder: Path, three: Three, ids: Ids) -> None:
    """The instruct model's config.json and generation_config.json, with the rows, tie and dtype of the weights."""
    adapted, instruct = three.adapted, three.instruct
    said: dict[str, Any] = read_json(instruct.folder, CONFIG) or {}
    dtype = str(adapted.weights.rows(adapted.embedding, 0, 1).dtype).removeprefix("torch.")
    said |= {"vocab_size": ids.rows, "tie_word_embeddings": adapted.tied, "dtype": dtype}
    if adapted.config.architectures:
        said["architectures"] = adapted.config.architectures
    (folder / CONFIG).write_text(json.dumps(said), encoding="utf-8")
    finish(folder, instruct.folder)


def write_weights(folder: Path, three: Three, scale: float, ids: Ids, matrices: dict[str, Matrix]) -> dict[str, str]:
    """Write the tensors of the result into files as the adapted model has them.

    Returns:
        The hash of each file, as `ownership.identity` has it.

    Raises:
        ModelError: a tensor holds what is no number, or a file does not say what was written into it.
    """
    base, adapted, instruct = three
    sums = Sums(base.weights, adapted.weights, instruct.weights, scale, ids, matrices)
    entries = {
        name: entry.with_rows(ids.rows) if name in matrices else entry
        for name, entry in adapted.weights.entries.items()
        if name in adapted.names
    }
    hashes: dict[str, str] = {}
    places: dict[str, str] = {}
    for path, names in adapted.weights.files.items():
        wanted = {name: entries[name] for name in names if name in entries}
        hashes[path.name] = write_blocks(folder / path.name, wanted, adapted.weights.metadata[path], sums.blocks)
        places |= dict.fromkeys(wanted, path.name)
        log.info("%s written, %s bytes", path.name, f"{(folder / path.name).stat().st_size:,}")
    if (adapted.folder / SAFE_WEIGHTS_INDEX_NAME).is_file() and len(hashes) > 1:
        total = sum(entry.nbytes for entry in entries.values())
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
        (folder / SAFE_WEIGHTS_INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    with ExitStack() as stack:
        if Weights(folder, stack).entries != entries:
            raise ModelError("the files of weights do not say what was written into them; nothing was written")
    return hashes
