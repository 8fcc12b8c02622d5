"""What of a run there is to measure: its models, and the text that its sources hold out."""

from pathlib import Path
from typing import Any, TypedDict

from kovocab.errors import ArtefactError, CorpusError, ModelError, TokenizerError
from kovocab.evaluating.places import check_run, read_places
from kovocab.evaluating.texts import Budget, Text, held_out
from kovocab.hub import local
from kovocab.measuring.subject import Named
from kovocab.record import RECORD, Record, read_model, read_record
from kovocab.run.folder import Run


class Models(TypedDict):
    """What there is of a run, and what is not.

    Attributes:
        named: In the order of the street.
        left_out: Of each that is not there, `model` and `why`.
        run: How many stages the run has, and how many are finished; the first is null where none is finished.
    """

    named: list[Named]
    left_out: list[dict[str, str]]
    run: Record


def models_of(run: Path, base: str | None, expanded: str | None, export: str | None) -> Models:
    """The models of a run that are there.

    Args:
        run: Its folder.
        base: Where the base is; what the expanded model's record says, if not given.
        expanded: Where the model is that the run began with; what the run noted, if not given.
        export: Where its export is; `RUN/export`, if not given.

    Raises:
        ArtefactError: it is no run; or what is there is no stage, or not what a verb left there.
    """
    check_run(run)
    places = read_places(run)
    named: list[Named] = []
    left_out: list[dict[str, str]] = []
    if expanded is not None and not (Path(expanded) / RECORD).is_file():
        raise ArtefactError(f"{expanded} is no folder that `kovocab expand` or `fit` left")
    began = expanded or (places["model"] if places else None)
    if began is not None and (Path(began) / RECORD).is_file():
        said = base or _base_of(read_model(began))
        if said is not None and (base is not None or _is_there(said)):
            named.append(Named("base", "base", said))
        else:
            where = "it is not where the record of the expanded model says that it was"
            left_out.append({"model": "base", "why": f"{where}; wanted --base"})
        named.append(Named("expanded", "expanded", began))
    else:
        why = "the run does not say where it is" if began is None else "it is not where it was"
        left_out += [{"model": name, "why": f"{why}; wanted --{name}"} for name in ("base", "expanded")]
        if base is not None:
            left_out.pop(0)
            named.append(Named("base", "base", base))
    folders = Run(run, Path(began or "")).folder / "stages"
    stages = sorted((int(path.name), path) for path in folders.glob("*") if path.name.isdecimal())
    named += [Named(f"stage {number}", "stage", str(path), number) for number, path in stages]
    of = read_record(stages[-1][1], "fit")["of"] if stages else None
    there = {number for number, _ in stages}
    gone = sorted(set(range(1, max(there, default=0))) - there)
    left_out += [{"model": f"stage {number}", "why": "it is not there, and a later one is"} for number in gone]
    finished = Path(export) if export else run / "export"
    if (finished / RECORD).is_file() and read_record(finished)["verb"] == "export":
        named.append(Named("export", "export", str(finished)))
    elif export:
        raise ArtefactError(f"{export} is no folder that `kovocab export` left")
    else:
        left_out.append({"model": "export", "why": f"it is not in {finished.name} of the run; wanted --export"})
    if not named:
        raise ArtefactError(f"{run} has no finished stage, and does not say where its model is; wanted --expanded")
    return {"named": named, "left_out": left_out, "run": {"stages": of, "finished": len(stages)}}


def texts_of(run: Path, budget: Budget) -> list[Text]:
    """What each source of a run holds out.

    Raises:
        ArtefactError: it is no run.
        CorpusError: it is not known where that is, or it is not there.
    """
    check_run(run)
    places = read_places(run)
    if places is None:
        raise CorpusError(
            f"{run} does not say where its token files are: an earlier kovocab trained it; wanted --corpus with text "
            "to measure on"
        )
    return [held_out(Path(folder), name, budget) for name, folder in places["tokens"].items()]


def _is_there(model: str) -> bool:
    """Whether a folder, or the cache for a name on the hub, holds a model."""
    try:
        return local(model, weights=True).is_dir()
    except (ModelError, TokenizerError):
        return False


def _base_of(record: Record) -> str | None:
    while record["verb"] == "fit":
        record = record["base"]
    said: Any = record.get("base_model")
    return said if isinstance(said, str) else None
