"""`kovocab report`: a run as one page, of what it recorded and `evaluate` measured."""

import json
import re
from contextlib import suppress
from html import unescape
from pathlib import Path

from kovocab.artefact import check_file, check_same, new_file
from kovocab.errors import ArtefactError
from kovocab.ownership import is_marked, marked
from kovocab.record import Record
from kovocab.reporting.charts import charts_installed
from kovocab.reporting.gathered import Places, gather
from kovocab.reporting.page import page
from kovocab.reporting.words import Language

FILE = "report.html"
_COMMENT = ("<!-- ", " -->")
_GENERATOR = '<meta name="generator" content="kovocab report">'
_OF = re.compile('<meta name="kovocab" content="(.*?)">')


def report(
    run: str | Path,
    out: str | Path | None = None,
    *,
    language: Language = "en",
    places: Places | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the report of a run, however far the run is.

    Args:
        run: Its folder.
        out: The file to write; `report.html` in the run's folder, if not given. An earlier report is replaced.
        language: en or ko.
        places: Where parts of the run are, if not where they were.
        overwrite: Whether a report of another run or in another language, or one that somebody changed since, is
            replaced too.

    Returns:
        The file that was written.

    Raises:
        NotInstalled: the packages of `kovocab[report]` are not there.
        ArtefactError: `run` is no run, a record of it is damaged, or `out` is something else, or of something else.
    """
    path = Path(run, FILE) if out is None else Path(out)
    with charts_installed():
        found = gather(Path(run), places or Places())
        check_file(path, _is_report if overwrite else _is_unchanged, "report")
        before = _said_by(path)
        # Of a run that had not begun the model was not known, and it may be gone by now.
        model = found.model or before.get("model")
        made_from: Record = {"run": found.name, "language": language, "model": model}
        if before.get("model", model) is None:
            before["model"] = model
        check_same(path, before, made_from, overwrite=overwrite)
        made = page(found, language, json.dumps(made_from))
    with new_file(path) as beside:
        text = made.encode("utf-8", errors="replace").decode()  # a token may be half a pair
        beside.write_text(marked(text, *_COMMENT), encoding="utf-8", newline="\n")
    return path


def _is_unchanged(path: Path) -> bool:
    if not is_marked(path, *_COMMENT) and _is_report(path):
        raise ArtefactError(
            f"{path} is a report that was changed since it was written; wanted another --out, or --overwrite"
        )
    return is_marked(path, *_COMMENT)


def _said_by(path: Path) -> Record:
    """What a report says that it is of; one of an earlier version says nothing."""
    with suppress(OSError, ValueError, RecursionError):
        found = _OF.search(path.read_text(encoding="utf-8")[:2000])
        said = json.loads(unescape(found[1])) if found else {}
        return said if isinstance(said, dict) else {}
    return {}


def _is_report(path: Path) -> bool:
    try:
        return _GENERATOR in path.read_text(encoding="utf-8")[:2000]
    except (OSError, ValueError):
        return False
