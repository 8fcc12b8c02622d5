"""What a run recorded and `evaluate` measured, as far as it is there; of what is not there, why.

A report is made of a run at any time, so nothing here fails for what is missing: it is `left_out` by name.
"""

import csv
import hashlib
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from kovocab.counting.word_counts import read_counted
from kovocab.errors import ArtefactError, CorpusError, TokenizerError
from kovocab.evaluating.compared import base_tokenizer
from kovocab.evaluating.evaluation import FILE, read_evaluation
from kovocab.evaluating.places import check_run, read_places
from kovocab.evaluating.texts import Budget, held_out
from kovocab.ownership import parquet_of
from kovocab.record import RECORD, Record, as_json, expanded_of, read_model, read_record
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

Points = list[dict[str, float]]


@dataclass(frozen=True)
class Places:
    """Where the parts of a run are, if not where they are looked for."""

    base: str | None = None
    expanded: str | None = None
    tokenizer: str | None = None
    words: str | None = None


@dataclass
class Gathered:
    """What there is of a run.

    Attributes:
        name: That of its folder.
        expanded: The record of `expand`, which holds that of `refine`; None where no stage is finished and the model is
            not where it was.
        stages: What the record of each finished stage says, in order.
        of: How many stages the run has; None where none is finished.
        last: The record of the last finished stage.
        logs: By stage, rows of its metrics by step.
        base: The base's tokenizer.
        target: The target's.
        vocabulary: What refine left, see `kovocab.refining.refined`.
        words: The word counts that it was made from.
        evaluation: See `docs/evaluating.md`.
        unlearned: The same.
        characters: How many characters the text has that was measured on, by source.
        left_out: Names of what is not there, each with its reason: a key of `kovocab.reporting.words`.
    """

    name: str
    expanded: Record | None = None
    stages: list[Record] = field(default_factory=list)
    of: int | None = None
    last: Record | None = None
    logs: dict[int, Points] = field(default_factory=dict)
    base: TokenizerJson | None = None
    target: TokenizerJson | None = None
    vocabulary: pl.DataFrame | None = None
    words: Path | None = None
    evaluation: Record | None = None
    unlearned: pl.DataFrame | None = None
    characters: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def refined(self) -> Record | None:
        """The record of refine."""
        return None if self.expanded is None else self.expanded["tokenizer"]

    @property
    def model(self) -> str | None:
        """What tells the model that the run began with from others."""
        if self.expanded is None:
            return None
        return hashlib.blake2b(as_json(self.expanded), digest_size=16).hexdigest()

    @property
    def first_new_id(self) -> int | None:
        """That of the first new token."""
        return None if self.expanded is None else self.expanded["first_new_id"]


def gather(run: Path, places: Places) -> Gathered:
    """Read what there is of a run.

    Raises:
        ArtefactError: it is no run, or a record of it is damaged.
    """
    check_run(run)
    found = Gathered(run.resolve().name)
    numbered = sorted((int(path.name), path) for path in (run / "stages").glob("*") if path.name.isdecimal())
    noted = read_places(run)
    model = Path(places.expanded or (noted["model"] if noted else ""))
    if numbered:
        found.last = read_record(numbered[-1][1], "fit")
        found.of, found.stages = found.last["of"], [*found.last["earlier"], found.last]
        found.expanded = expanded_of(found.last)
    elif (model / RECORD).is_file():
        found.expanded = expanded_of(read_model(model))
    else:
        found.left_out["expanded"] = "no_expanded"
    found.logs = {number: points for number in _logged(run) if (points := _log(run, number, found.stages))}
    tokenizer = numbered[-1][1] if numbered else model
    if found.expanded is not None:
        try:
            found.target = load_tokenizer(tokenizer)
        except TokenizerError:
            found.left_out["target"] = "no_target"
        found.base = base_tokenizer(found.expanded, places.base)
        if found.base is None:
            found.left_out["base"] = "no_base"
        _vocabulary(found, [places.tokenizer] if places.tokenizer else [run / "tokenizer", model.parent / "tokenizer"])
        _words(found, [places.words] if places.words else [run / "words.parquet", model.parent / "words.parquet"])
    _evaluation(found, run, noted["tokens"] if noted else {})
    return found


def _vocabulary(found: Gathered, folders: list[Any]) -> None:
    """Take the first folder that holds the tokenizer which the run's model was made with."""
    for folder in map(Path, folders):
        try:
            record = read_record(folder, "refine")
            if record.get("target_tokenizer") == (found.refined or {}).get("target_tokenizer"):
                found.vocabulary = pl.read_parquet(folder / "vocabulary.parquet", glob=False)
                return
        except (ArtefactError, OSError, pl.exceptions.PolarsError):
            continue
    found.left_out["vocabulary"] = "no_vocabulary"


def _words(found: Gathered, files: list[Any]) -> None:
    wanted = (found.refined or {}).get("words", {})
    for path in map(Path, files):
        try:
            record = read_counted(path)
        except CorpusError:
            continue
        if all(record.get(key) == wanted.get(key) for key in ("words", "distinct_words", "tokenizer")):
            found.words = path
            return
    found.left_out["words"] = "no_words"


def _evaluation(found: Gathered, run: Path, packed: dict[str, str]) -> None:
    try:
        said = read_evaluation(run / FILE)
    except ArtefactError:
        found.left_out["evaluation"] = "no_evaluation" if not (run / FILE).exists() else "bad_evaluation"
        return
    grown = {model["tokenizer"] for model in said["models"] if model["kind"] in ("expanded", "stage", "export")}
    if found.target is not None and grown != {hashlib.sha256(found.target.text.encode()).hexdigest()}:
        found.left_out["evaluation"] = "other_evaluation"
        return
    found.evaluation = said
    budget = Budget(said["settings"].get("documents"), said["settings"].get("bytes"))
    for text in said["texts"]:
        if (folder := packed.get(text["source"])) is not None:
            with suppress(CorpusError):  # moved, or packed again
                held = held_out(Path(folder), text["source"], budget)
                if held.sha256 == text["sha256"]:
                    found.characters[text["source"]] = int(held.documents.str.len_chars().sum())
    if (table := said["unlearned"]) is not None and table["file"] is not None:
        path = run / Path(table["file"]).name
        if parquet_of("evaluate")(path):
            found.unlearned = pl.read_parquet(path, glob=False)


def _logged(run: Path) -> list[int]:
    names = (re.match(r"stage-(\d+)", path.name) for path in (run / "logs").glob("stage-*"))
    return sorted({int(name[1]) for name in names if name})


def _log(run: Path, number: int, stages: list[Record]) -> Points:
    """A stage's metrics by step: what was logged last where a stage was begun again, and no step behind its last."""
    rows: dict[int, dict[str, float]] = {}
    last = stages[number - 1]["steps"] if number <= len(stages) else None
    named = {
        path: re.fullmatch(rf"stage-{number}(?:-again-(\d+))?", path.name) for path in (run / "logs").glob("stage-*")
    }
    times = {path: int(name[1] or 0) for path, name in named.items() if name}
    for folder in sorted(times, key=times.__getitem__):
        try:
            with (folder / "metrics.csv").open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines):
                    step = int(row["step"])
                    if last is None or step <= last:
                        numbers = {key: float(value) for key, value in row.items() if value and key != "step"}
                        finite = {key: value for key, value in numbers.items() if math.isfinite(value)}
                        rows.setdefault(step, {"step": step}).update(finite)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return [rows[step] for step in sorted(rows)]
