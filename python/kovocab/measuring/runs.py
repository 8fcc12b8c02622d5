"""What of a run there is to measure: its models, and the text that its sources hold out.

A record holds no path. So `fit` notes beside its stages where the run's model and its token files are, and whoever
moves them says where they are now.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from kovocab.artefact import new_file
from kovocab.errors import ArtefactError, CorpusError, ModelError, TokenizerError
from kovocab.evaluating.texts import Budget, Text, held_out
from kovocab.hub import local
from kovocab.measuring.subject import Named
from kovocab.record import MODEL_VERBS, RECORD, Record, as_json, parsed, read_record
from kovocab.run.folder import Run

PLACES = "places.json"
"""Where a run's model and token files are: absolute, or from the run's folder if they are in it."""


class Places(TypedDict):
    """What `PLACES` holds."""

    model: str
    tokens: dict[str, str]


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


def note_places(run: Path, model: Path, packed: Mapping[str, Path]) -> None:
    """Write where a run's model and its sources' token files are."""

    def place(path: Path) -> str:
        path, home = path.resolve(), run.resolve()
        return str(path.relative_to(home) if path.is_relative_to(home) else path)

    said = {"model": place(model), "tokens": {name: place(folder) for name, folder in packed.items()}}
    run.mkdir(parents=True, exist_ok=True)
    with new_file(run / PLACES) as beside:
        beside.write_bytes(as_json(said, indent=2) + b"\n")


def read_places(run: Path) -> Places | None:
    """Where a run's model and token files are; None of a run of an earlier kovocab.

    Raises:
        ArtefactError: what says it is damaged.
    """
    if not (run / PLACES).is_file():
        return None
    said = parsed((run / PLACES).read_bytes(), run / PLACES, Places)
    return {"model": str(run / said["model"]), "tokens": {name: str(run / at) for name, at in said["tokens"].items()}}


def check_run(run: Path) -> None:
    """See that a folder is one of a run.

    Raises:
        ArtefactError: it is not.
    """
    if (run / PLACES).is_file() or (run / "stages").is_dir():
        return
    said = f"{run} is no run: it has no stages"
    if (run / "config.json").is_file():
        raise ArtefactError(f"{said}; wanted the folder that `kovocab fit` wrote, or --models {run}")
    raise ArtefactError(f"{said if run.is_dir() else f'{run} does not exist'}; wanted the folder that `fit` wrote")


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
        said = base or _base_of(read_record(began, *MODEL_VERBS))
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
