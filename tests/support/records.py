"""Records as the verbs leave them, of runs that never were: what each form asks for, and no more."""

from typing import Any

REFINED: dict[str, Any] = {
    "verb": "refine",
    "first_new_id": 90,
    "new_tokens": 10,
    "settings": {"min_count": 5, "prune": "threshold"},
    "words": {
        "verb": "count",
        "corpus": {"kind": "files", "column": "text", "bytes": 1234, "files": [{"name": "ko.jsonl", "bytes": 1234}]},
        "documents": 4321,
        "words": 120_000,
        "words_between_space": 98_765,
        "distinct_words": 1200,
    },
    "base_tokens_per_word": 4.75,
    "rounds": [
        {
            "round": 1,
            "size": 40,
            "dropped": 8,
            "added": 0,
            "unreachable": 0,
            "tokens_per_word": 2.5,
            "bytes_per_token": 3.1,
        },
        {
            "round": 2,
            "size": 32,
            "dropped": 0,
            "added": 0,
            "unreachable": 0,
            "tokens_per_word": 2.6,
            "bytes_per_token": 3.0,
        },
    ],
}


def refined(first_new_id: int, new_tokens: int) -> dict[str, Any]:
    """Of refine."""
    return REFINED | {"first_new_id": first_new_id, "new_tokens": new_tokens}


def expanded(first_new_id: int, rows: int) -> dict[str, Any]:
    """Of expand, without padding."""
    new = max(0, rows - first_new_id)
    sizes = {"first_new_id": first_new_id, "vocab_size": rows, "new_tokens": new}
    return {"verb": "expand", **sizes, "tokenizer": refined(first_new_id, new)}


def trained(first_new_id: int, rows: int) -> dict[str, Any]:
    """Of fit: the only stage of a run."""
    part = {"documents": 2, "tokens": 64}
    source = {"name": "ko", "share": 1.0, "corpus": {"kind": "memory"}, "train": part, "validation": part}
    counted = ("frozen_parameters", "frozen_elements", "verified_parameters", "moved_parameters")
    return {
        "verb": "fit",
        "stage": 1,
        "of": 1,
        "first_new_id": first_new_id,
        "vocab_size": rows,
        "settings": {"stage": {"input_rows": "new", "output_rows": "all", "layers": False, "lr": 1e-3}},
        "loss": {"train": 1.0, "val_before": 1.0, "val": 1.0},
        "steps": 2,
        "tokens": 128,
        "freezing": dict.fromkeys(counted, 0),
        "data": {"length": 32, "sources": [source]},
        "versions": {"kovocab": "0.1.0"},
        "earlier": [],
        "base": expanded(first_new_id, rows),
    }
