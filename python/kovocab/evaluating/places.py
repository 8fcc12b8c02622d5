"""Where a run's model and token files are: no record holds a path, so `fit` notes it beside the stages.

Whoever moves them says where they are now.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from kovocab.artefact import new_file
from kovocab.errors import ArtefactError
from kovocab.record import as_json, parsed

PLACES = "places.json"
"""Where a run's model and token files are: absolute, or from the run's folder if they are in it."""


class Places(TypedDict):
    """What `PLACES` holds."""

    model: str
    tokens: dict[str, str]


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
    what = "is a file" if run.exists() else "does not exist"
    said = f"{run} is no run: it has no stages" if run.is_dir() else f"{run} {what}"
    models = f" (a model is measured by `kovocab evaluate --models {run}`)" if (run / "config.json").is_file() else ""
    raise ArtefactError(f"{said}; wanted the folder that `kovocab fit` wrote{models}")
