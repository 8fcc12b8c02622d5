"""A tiny run, measured by hand: figures that a report has to show as they are."""

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl

from kovocab.evaluating.texts import Budget, held_out
from kovocab.ownership import MARK
from kovocab.record import read_record
from kovocab.tokenizer.tokenizer import load_tokenizer

HOSTILE = "<script>alert(1)</script>&\"'\u202e\x00\x1b▁"


def measure(walked: Path) -> None:
    """Leave an evaluation in `walked/run`, whose figures are known."""
    run = walked / "run"
    packed = json.loads((run / "places.json").read_text())["tokens"]["ko"]
    text = held_out(Path(packed), "ko", Budget(5, None))
    target = load_tokenizer(run / "stages/1")
    evaluation = _evaluation(text, hashlib.sha256(target.text.encode()).hexdigest(), target.size)
    evaluation["models"][1]["first_new_id"] = read_record(run / "stages/1", "fit")["first_new_id"]
    (run / "evaluation.json").write_text(json.dumps(evaluation, ensure_ascii=False), encoding="utf-8")
    needs = pl.DataFrame(
        {"id": [300, 301], "token": ["▁나무", HOSTILE], "input_norm": [0.5, 1.5], "output_norm": [1.0, 1.25]}
    )
    needs.write_parquet(run / "unlearned.parquet", metadata={MARK: json.dumps({"verb": "evaluate"})})


def _evaluation(text: Any, tokenizer: str, size: int) -> dict[str, Any]:
    model = {"dtype": "float32", "parameters": 1, "rows": size, "tokens": size, "start": "<s>", "context": 64}
    model |= {"stride": 32, "seconds": 1.5, "used": None, "produced": None, "first_new_id": None, "new_tokens": 0}
    row = {"script": "all", "documents": 5, "bytes": text.bytes, "words": 100, "nats": 1.0, "bytes_per_token": 2.0}
    row |= {"new_token_share": 0.0, "used": None}
    before = {"tokens": 800, "tokens_per_word": 8.125, "bits_per_byte": 7.375, "one_token": 0.0625, "two_tokens": 0.125}
    after = {"tokens": 400, "tokens_per_word": 4.25, "bits_per_byte": 3.625, "one_token": 0.25, "two_tokens": 0.75}
    neediest = {"id": 301, "token": HOSTILE, "need": 0.875, "trained": 12.0, "input_norm": 1.5, "output_norm": 1.25}
    neediest |= {
        "repeats": False,
        "repeat_probability": 0.0,
        "held_out": 3,
        "predicted": 1,
        "recall": 1 / 3,
        "surprise": 14.5,
    }
    named = [("base", "base", None), ("stage 1", "stage", 1)]
    return {
        "verb": "evaluate",
        "run": {"stages": 1, "finished": 1},
        "settings": {"documents": 5, "bytes": None, "context": None, "stride": None, "new_tokens": 0,
                     "prompts": [f"나무 그늘 {HOSTILE}", "old trees"]},
        "versions": {"kovocab": "0.1.0"},
        "device": "cpu",
        "texts": [{"source": "ko", "documents": 5, "of": 9, "bytes": text.bytes, "words": 100, "sha256": text.sha256}],
        "models": [
            {**model, "name": name, "kind": kind, "stage": stage, "tokenizer": tokenizer if stage else "0" * 64,
             "new_tokens": 32 if stage else 0}
            for name, kind, stage in named
        ],
        "figures": [{**row, **numbers, "model": name, "source": source}
                    for source in ("ko", "all") for name, numbers in (("base", before), ("stage 1", after))],
        "samples": [],
        "left_out": [],
        "unlearned": {"model": "stage 1", "file": "unlearned.parquet", "tokens": 32, "repeated": 0.375, "in_text": 17,
                      "predicted": 1, "recall": 0.0625, "surprise": 9.0,
                      "need": {"least": 0.1, "half": 0.5, "most": 0.875}, "neediest": [neediest]},
        "tasks": [],
    }  # fmt: skip
