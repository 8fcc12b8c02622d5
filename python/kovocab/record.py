"""The record of an artefact: what made it, of what, and which files were written with it.

Records nest: an artefact's record carries the records of the artefacts that it was made from, so the last one tells the
whole street.
"""

import json
from pathlib import Path
from typing import Any

from kovocab.errors import ArtefactError
from kovocab.ownership import Files

RECORD = "kovocab.json"

Record = dict[str, Any]


def difference(before: Record, now: Record) -> str | None:
    """Say where `before`, as far as `now` has its keys, is not as `now`: the first name, and both values."""
    old, new = flat({key: before.get(key) for key in now}), flat(now)
    for name in dict.fromkeys([*new, *old]):
        if old.get(name) != new.get(name):
            return f"{name} was {short(old.get(name))} and is {short(new.get(name))}"
    return None


def write_record(folder: str | Path, record: Record) -> None:
    """Write `record` as the folder's `kovocab.json`: sorted by nothing, dated by nothing, the same every time."""
    text = json.dumps(record, ensure_ascii=False, indent=2, default=str) + "\n"
    (Path(folder) / RECORD).write_text(text, encoding="utf-8")


def read_record(folder: str | Path, verb: str | None = None) -> Record:
    """Read the record of the artefact in `folder`; with `verb`, check that this verb made it.

    Raises:
        ArtefactError: there is none, it is not JSON, or another verb made it.
    """
    try:
        record = _read(Path(folder))
    except FileNotFoundError:
        made_by = f"`kovocab {verb}`" if verb else "kovocab"
        raise ArtefactError(f"{folder} is not an artefact of {made_by}: it has no {RECORD}") from None
    if verb is not None and record["verb"] != verb:
        raise ArtefactError(f"{folder} was made by `kovocab {record['verb']}`; wanted one made by `kovocab {verb}`")
    return record


def _read(folder: Path) -> Record:
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtefactError(f"{path} cannot be read: {error}") from error
    if not isinstance(record, dict) or "verb" not in record:
        raise ArtefactError(f"{path} is not a record of kovocab: it has no key `verb`")
    return record


def files_of(folder: Path) -> Files:
    """The files that were written into `folder` with its record; none where there is no record."""
    if not (folder / RECORD).is_file():
        return {}
    files = _read(folder).get("files")
    if not isinstance(files, dict):
        raise ArtefactError(f"{folder / RECORD} does not say which files were written with it; choose another folder")
    return files


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested values by dotted names; JSON's view of them, so that tuples and lists compare."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    found: dict[str, Any] = {}
    for key, inner in items:
        found |= flat(inner, f"{name}.{key}" if name else str(key))
    return found or {name: json.loads(json.dumps(value, default=str))}


def short(value: Any) -> str:
    """A value as JSON, shortened to what fits a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 80 else text[:77] + "..."
