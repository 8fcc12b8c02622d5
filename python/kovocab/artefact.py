"""Artefacts: what a verb leaves. Written beside and renamed, so that there is never half of one.

Each folder holds `kovocab.json`, the record of what made it. Records nest: an artefact's record carries the
records of the artefacts that it was made from, so the last one tells the whole street.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kovocab.errors import ArtefactError

RECORD = "kovocab.json"

Record = dict[str, Any]


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path`; what is written there takes the name `path` when the block ends well.

    Raises:
        ArtefactError: `path` is a folder, or its parent cannot be made.
    """
    path = Path(path)
    if path.is_dir():
        raise ArtefactError(f"{path} is a folder; wanted the name of a file to write")
    _make_parent(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that takes its place when the block ends well.

    An artefact of an earlier run is replaced; a folder that holds anything else is left alone.

    Raises:
        ArtefactError: something that is not an artefact of kovocab is in the way.
    """
    path = Path(path)
    check_replaceable(path)
    _make_parent(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        if path.exists():
            path.rename(old)
        beside.rename(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check_replaceable(path: str | Path) -> None:
    """Check, before long work, that the folder `path` may be written: absent, empty, or an artefact.

    Raises:
        ArtefactError: it is a file, or a folder of something else.
    """
    path = Path(path)
    if path.is_dir():
        if any(path.iterdir()) and not (path / RECORD).is_file():
            raise ArtefactError(f"{path} holds files that are not kovocab's (no {RECORD}); choose another folder")
    elif path.exists():
        raise ArtefactError(f"{path} is a file; wanted a folder to write")


def write_record(folder: str | Path, record: Record) -> None:
    """Write `record` as the folder's `kovocab.json`: sorted by nothing, dated by nothing, the same every time."""
    text = json.dumps(record, ensure_ascii=False, indent=2, default=str) + "\n"
    (Path(folder) / RECORD).write_text(text, encoding="utf-8")


def read_record(folder: str | Path, verb: str | None = None) -> Record:
    """Read the record of the artefact in `folder`; with `verb`, check that this verb made it.

    Raises:
        ArtefactError: there is none, it is not JSON, or another verb made it.
    """
    path = Path(folder) / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        made_by = f"`kovocab {verb}`" if verb else "kovocab"
        raise ArtefactError(f"{folder} is not an artefact of {made_by}: it has no {RECORD}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtefactError(f"{path} cannot be read: {error}") from error
    if not isinstance(record, dict) or "verb" not in record:
        raise ArtefactError(f"{path} is not a record of kovocab: it has no key `verb`")
    if verb is not None and record["verb"] != verb:
        raise ArtefactError(f"{folder} was made by `kovocab {record['verb']}`; wanted one made by `kovocab {verb}`")
    return record


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtefactError(f"{path.parent} cannot be made: {error.strerror}") from error
