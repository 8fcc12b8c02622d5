"""New tokens that a model has not learned: a row each, the neediest first. What need is, `docs/evaluating.md` says."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from kovocab.artefact import new_file
from kovocab.expanding.split_rows import plain_embeddings
from kovocab.measuring.scoring import BATCH_TOKENS, Ids, Reader, Scores
from kovocab.measuring.subject import Subject
from kovocab.model.cross_entropy import PIECE_LOGITS
from kovocab.ownership import MARK
from kovocab.record import Record

FILE = "unlearned.parquet"

COPIES = 8
"""How often a token stands in the prompt that asks to repeat it."""

PRIOR = 4
"""How many places like those of all new tokens each is given beside its own."""

HEAD = 50
"""Rows that evaluation.json has."""

Floats = npt.NDArray[np.float64]


def unlearned(
    subject: Subject,
    documents: Sequence[Ids],
    scores: Sequence[Scores],
    trained: Floats | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> pl.DataFrame:
    """What a model has learned of each new token.

    Args:
        subject: The model.
        documents: The tokens of the text that it was measured on.
        scores: What it gave them.
        trained: How often each new token was trained on, float64 [new]; None where that is not known.
        batch_tokens: Tokens that are read at once, at most.

    Returns:
        A row a new token, see `docs/evaluating.md`.
    """
    first, new = subject.first_new_id or subject.tokens, subject.new_tokens
    ids = np.arange(first, first + new)
    norms = [_norms(module.weight, first, new) for module in plain_embeddings(subject.model)]
    chance = _repeat(subject, ids, batch_tokens)
    targets = np.concatenate([np.asarray(each, dtype=np.int64) for each in documents] or [np.empty(0, np.int64)])
    best = np.concatenate([each.best for each in scores] or [np.empty(0, np.int64)])
    nats = np.concatenate([each.nats for each in scores] or [np.empty(0, np.float32)])
    bits = nats.astype(np.float64) / math.log(2)
    own = targets >= first
    places = targets[own] - first
    held_out = np.bincount(places, minlength=new)
    predicted = np.bincount(places[best[own] == targets[own]], minlength=new)
    surprise: Floats = np.bincount(places, weights=bits[own], minlength=new).astype(np.float64)
    there = np.where(held_out > 0, held_out, 1)
    table = pl.DataFrame(
        {
            "id": ids.astype(np.uint32),
            "token": [subject.reference.document.text_of.get(int(i)) for i in ids],
            "need": need(chance[1], held_out, predicted, surprise),
            "trained": np.full(new, np.nan) if trained is None else trained,
            "input_norm": norms[0],
            "output_norm": norms[1],
            "repeats": chance[1].astype(bool),
            "repeat_probability": chance[0],
            "held_out": held_out.astype(np.uint64),
            "predicted": predicted.astype(np.uint64),
            "recall": np.where(held_out > 0, predicted / there, np.nan),
            "surprise": np.where(held_out > 0, surprise / there, np.nan),
        },
        schema_overrides={"token": pl.String},
    )
    return table.with_columns(pl.col("trained", "recall", "surprise").fill_nan(None)).sort(
        ["need", "trained", "id"], descending=[True, False, False], nulls_last=True
    )


def need(
    repeats: npt.NDArray[np.bool_], held_out: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], bits: Floats
) -> Floats:
    """How much each new token is in need, 0 to 1: all of them [new].

    Args:
        repeats: Whether the model repeats it.
        held_out: How often it is a target.
        predicted: How often it was the most probable token there.
        bits: Its surprise, summed over these places.
    """
    places = held_out.sum()
    if not places:
        return 1.0 - repeats.astype(np.float64)
    recall = (predicted + PRIOR * predicted.sum() / places) / (held_out + PRIOR)
    chance = np.exp2(-(bits + PRIOR * bits.sum() / places) / (held_out + PRIOR))
    found: Floats = 1.0 - (repeats + recall + chance) / 3
    return found


def summary(table: pl.DataFrame, model: str, file: str | None) -> Record:
    """What the table comes to, with its first rows, for evaluation.json."""
    targets = int(table["held_out"].sum())
    there = table.filter(pl.col("held_out") > 0)
    bits = (there["surprise"] * there["held_out"]).sum()
    return {
        "model": model,
        "file": file,
        "tokens": len(table),
        "repeated": _mean(table["repeats"]),
        "in_text": len(there),
        "predicted": int((table["predicted"] > 0).sum()),
        "recall": int(table["predicted"].sum()) / targets if targets else None,
        "surprise": float(bits) / targets if targets else None,
        "need": {"least": table["need"].min(), "half": table["need"].median(), "most": table["need"].max()},
        "neediest": table.head(HEAD).to_dicts(),
    }


def save(table: pl.DataFrame, path: Path, tokenizer: str) -> None:
    """Write the table, with the hash of the tokenizer whose tokens they are."""
    with new_file(path) as beside:
        table.write_parquet(beside, metadata={MARK: json.dumps({"verb": "evaluate", "tokenizer": tokenizer})})


def _norms(weight: torch.Tensor, first: int, new: int) -> Floats:
    """The lengths of the new tokens' rows, by the median of the old ones'."""
    lengths = torch.cat([part.float().norm(dim=-1) for part in torch.split(weight.detach(), 1 << 14)])[: first + new]
    middle = float(lengths[:first].median()) if first else 1.0
    found: Floats = (lengths[first:].double() / (middle or 1.0)).cpu().numpy()
    return found


@torch.no_grad()
def _repeat(subject: Subject, ids: npt.NDArray[np.int64], batch_tokens: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """How probable each token is behind copies of itself, and whether it is the most probable one there."""
    reader, before = Reader(subject.model), torch.tensor(subject.start)
    chance, most = np.empty(len(ids)), np.empty(len(ids), dtype=bool)
    rows = max(1, min(batch_tokens // (COPIES + len(before)), PIECE_LOGITS // subject.rows))
    for at in range(0, len(ids), rows):
        part = torch.from_numpy(ids[at : at + rows])
        prompt = torch.cat([before.expand(len(part), -1), part.unsqueeze(1).expand(-1, COPIES)], dim=1)
        logits = reader.last(prompt)
        own = part.to(logits.device)
        found = logits.log_softmax(dim=-1).gather(1, own.unsqueeze(1)).squeeze(1).exp()
        chance[at : at + rows] = found.double().cpu().numpy()
        most[at : at + rows] = (logits.argmax(dim=-1) == own).cpu().numpy()
    return chance, most


def _mean(column: pl.Series) -> float | None:
    return float(column.sum()) / len(column) if len(column) else None
