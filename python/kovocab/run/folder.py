"""The folder of a run: which stages are finished, which one is begun, and whether they are of this run.

RUN/stages/K/    a finished stage: a plain Hugging Face folder and its record
RUN/stages/.K/   a stage in progress: `settings.json`, `last.ckpt`
RUN/logs/        metrics.csv, by stage; RUN/tensorboard/ the same
"""

import logging
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from kovocab import ownership
from kovocab.artefact import followed, new_file
from kovocab.errors import ArtefactError, ModelError
from kovocab.expanding.spelling import PIECES
from kovocab.forms import short
from kovocab.record import (
    MODEL_VERBS,
    RECORD,
    Record,
    as_json,
    difference,
    files_of,
    flat,
    parsed,
    read_model,
    read_record,
)
from kovocab.run.processes import LOCK, held, is_marked, rank
from kovocab.workplace import remove, remove_files, tidy

SETTINGS = "settings.json"
KEPT = ("last.ckpt", "last.old")
"""The checkpoints of a stage in progress: the last, and the one before it until that one is sure."""
HALF = "last.part"
"""A checkpoint that is being written."""
MERGED = "merged"
"""The folder, where a stage works, of what QLoRA was merged into."""

_PRECISIONS = {"None": "32-true", "32": "32-true", "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}

log = logging.getLogger(__name__)


class Run:
    """A run's folder.

    Args:
        folder: Made when the first stage begins; a link is followed.
        base: The expanded model that stage 1 starts from.
    """

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder, self.base = followed(folder), base

    def finished(self, number: int) -> Path:
        """Where the artefact of a stage goes."""
        return self.folder / "stages" / str(number)

    def begun(self, number: int) -> Path:
        """Where a stage works until it is finished."""
        return self.folder / "stages" / f".{number}"

    def start(self, number: int) -> Path:
        """What a stage starts from: the stage before it, or the base."""
        return self.finished(number - 1) if number > 1 else self.base

    def done(self, settings: list[Record]) -> int:
        """The number of stages that are finished; all that is there is checked against `settings`.

        Raises:
            ArtefactError: a stage of another number, base, data or settings, or one whose predecessor is missing or
                another than it was trained from.
        """
        done, before = 0, list[Record]()
        for number, wanted in enumerate(settings, start=1):
            finished, begun = self.finished(number), self.begun(number)
            if finished.exists():
                if done < number - 1:
                    raise ArtefactError(
                        f"{finished} is there and {self.finished(number - 1)}, which it was trained from, is "
                        "not; remove it, or choose another `run`"
                    )
                record = read_record(finished, "fit")
                if record["stage"] != number:
                    raise ArtefactError(
                        f"{finished} holds stage {record['stage']} of its run; wanted stage {number}: move it to where "
                        "it was, or remove it to train that stage again"
                    )
                compare(finished, record["settings"], wanted)
                _check_chain(finished, record, before)
                before = [*before, earlier(record)]
                done = number
                # The run was stopped between the renaming and this.
                self.clear(number)
            elif (begun / SETTINGS).exists() and _has_steps(begun):
                compare(begun, _read(begun / SETTINGS), wanted)
        return done

    def begin(self, number: int) -> Path:
        """Make the folder in which a stage works, or find the one that it was stopped in."""
        folder = self.begun(number)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtefactError(f"{folder} cannot be made: {error.strerror}") from error
        return folder

    def bind(self, number: int, settings: Record) -> None:
        """Say by which settings the stage trains, unless steps of it are kept; call it where no other run has it."""
        folder = self.begun(number)
        if not (folder / SETTINGS).exists() or not _has_steps(folder):
            with new_file(folder / SETTINGS) as path:
                path.write_bytes(as_json(settings, indent=2))

    def clear(self, number: int) -> None:
        """Remove, on the first process, what a stage kept while it worked; what is not kovocab's stays, and is named.

        Raises:
            ArtefactError: another run is at it.
        """
        begun = self.begun(number)
        if rank() or not begun.is_dir():
            return
        if is_marked(begun):
            with held(begun):
                tidy(begun)
                for name in (SETTINGS, HALF, *KEPT):
                    remove(begun / name)
                with suppress(ArtefactError):  # a record that is none of kovocab's
                    remove_files(begun / MERGED, files_of(begun / MERGED))
            remove(begun / LOCK)  # only now that it is closed, as network file systems want it
        try:
            begun.rmdir()
        except OSError:
            log.warning("%s is not kovocab's, and stays", next(begun.iterdir(), begun))


def base_record(folder: Path) -> Record:
    """The record of the model to start from: one that `expand` left, or an earlier run's stage.

    Raises:
        ArtefactError: it is not an artefact, or its record is damaged.
        ModelError: it is an artefact of a verb that leaves no model with new rows.
    """
    if (verb := read_record(folder)["verb"]) not in MODEL_VERBS:
        raise ModelError(f"model.model: {folder} was left by `kovocab {verb}`; wanted one by `expand` or `fit`")
    return read_model(folder)


def identity(folder: Path) -> Record:
    """Tell one model folder from another: what identifies each of its files, by name; of weights a sample."""
    names = [RECORD, "config.json", PIECES, *sorted(file.name for file in folder.glob("*.safetensors"))]
    return {name: ownership.identity(folder / name, sample=True) for name in names if (folder / name).is_file()}


def compare(path: Path, found: Record, wanted: Record) -> None:
    """Compare the settings that the stage or checkpoint at `path` was trained with to those of this run.

    Raises:
        ArtefactError: they differ; names what does, with the values of the first.
    """
    before, now = (_with_one_name(flat(settings)) for settings in (found, wanted))
    different = [key for key in dict.fromkeys([*now, *before]) if before.get(key) != now.get(key)]
    # Digests say only that something differs; where a value does too, it says what.
    named = [key for key in different if not (_is_digest(before.get(key)) and _is_digest(now.get(key)))]
    if not different:
        order = _order(found, wanted)
        if order is None:
            return
        said = order
    elif named:
        key = named[0]
        others = f"; {', '.join(named[1:])} differ too" if named[1:] else ""
        said = f"{key} {short(before.get(key))}; the configuration now gives {short(now.get(key))}{others}"
    else:
        said = f"{' and '.join(different)} of other content than the configuration now names"
    raise ArtefactError(
        f"{path} was trained with {said}. Choose another `run`, or remove {path} to train that stage again"
    )


def _with_one_name(settings: Record) -> Record:
    """Settings in which a precision that Lightning has several names for has one of them."""
    key = "trainer.precision"
    return settings | {key: _PRECISIONS.get(str(settings[key]), settings[key])} if key in settings else settings


def _order(found: Record, wanted: Record) -> str | None:
    """Say that sources are named in another order, if they are: where two are due at once, the first comes first."""
    before, now = (list(settings.get("data", {}).get("sources", {})) for settings in (found, wanted))
    if before == now:
        return None
    return f"data.sources in the order {', '.join(before)}; the configuration now has them as {', '.join(now)}"


def earlier(record: Record) -> Record:
    """What of a stage's record those of later stages say."""
    kept = {
        key: record[key]
        for key in ("stage", "loss", "steps", "tokens", "served", "freezing", "evaluation", "qlora")
        if key in record
    }
    return kept | {"settings": {"stage": record["settings"]["stage"]}}


def _check_chain(finished: Path, record: Record, before: list[Record]) -> None:
    """See that a stage was trained from the stages before it that are there."""
    said = record["earlier"]
    if len(said) != len(before):
        raise ArtefactError(f"{finished} was trained after {len(said)} stages, and there are {len(before)}; remove it")
    for number, (was, there) in enumerate(zip(said, before, strict=True), start=1):
        if differs := difference(was, there):
            raise ArtefactError(
                f"{finished} was trained from another stage {number} than {finished.with_name(str(number))}: "
                f"{differs}; remove the one that is not of this run"
            )


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"(\d+ )?[0-9a-f]{32,64}", value) is not None


def _has_steps(begun: Path) -> bool:
    """Whether a checkpoint of the stage is kept: without one no settings were trained with."""
    return any((begun / name).exists() for name in KEPT)


def _read(path: Path) -> Record:
    try:
        return parsed(path.read_bytes(), path, dict[str, Any])
    except OSError as error:
        said = error if isinstance(error, ArtefactError) else f"{path} cannot be read: {error.strerror}"
        raise ArtefactError(f"{said}; remove {path.parent}, a stage in progress, to begin it again") from error
