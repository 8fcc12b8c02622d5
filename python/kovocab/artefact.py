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

from kovocab.errors import ArtefactError, KovocabError

RECORD = "kovocab.json"

Record = dict[str, Any]


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path`; what is written there takes the name `path` when the block ends well.

    Raises:
        ArtefactError: `path` is a folder, its parent cannot be made, or the system refused what was written.
    """
    path = Path(path)
    check_file(path)
    _make_parent(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _named(path, beside):
            yield beside
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that takes its place when the block ends well.

    An artefact of an earlier run is replaced; a folder that holds anything else is left alone.

    Raises:
        ArtefactError: something that is not an artefact of kovocab is in the way, the parent cannot be made, or
            the system refused what was written.
    """
    path = Path(path)
    check_replaceable(path)
    _make_parent(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with _named(path, beside):
            beside.mkdir()
            yield beside
            if (beside / RECORD).is_file():
                check_replaceable(path, read_record(beside)["verb"])
            for file in beside.glob("*.safetensors"):  # which the package makes for its owner's eyes alone
                file.chmod(beside.stat().st_mode & 0o666)
            if path.exists():
                path.rename(old)
            beside.rename(path)
    finally:
        if old.exists() and not path.exists():  # stopped between the two
            old.rename(path)
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check_file(path: str | Path) -> None:
    """Check, before long work, that the file `path` may be written.

    Raises:
        ArtefactError: it is a folder, or in a folder that cannot be written to.
    """
    path = Path(path)
    if path.is_dir():
        raise ArtefactError(f"{path} is a folder; wanted the name of a file to write")
    _check_parent(path)


def check_replaceable(path: str | Path, verb: str | None = None) -> None:
    """Check, before long work, that the folder `path` may be written: absent, empty, or an artefact of `verb`.

    Raises:
        ArtefactError: it is a file, a folder of something else or of another verb, or in a folder that cannot be
            written to.
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise ArtefactError(f"{path} has no name of its own; wanted the name of a folder to write")
    if path.is_dir():
        if any(path.iterdir()) and not (path / RECORD).is_file():
            raise ArtefactError(f"{path} holds files that are not kovocab's (no {RECORD}); choose another folder")
        if verb is not None and (path / RECORD).is_file() and (made := read_record(path)["verb"]) != verb:
            raise ArtefactError(f"{path} was made by `kovocab {made}` and is not replaced; choose another folder")
    elif path.exists():
        raise ArtefactError(f"{path} is a file; wanted a folder to write")
    _check_parent(path)


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


def _check_parent(path: Path) -> None:
    """The nearest folder above `path` that exists has to be one, and open to us."""
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise ArtefactError(f"{path} cannot be written: {above} is no folder that may be written to")


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtefactError(f"{path.parent} cannot be made: {error.strerror}") from error


@contextmanager
def _named(path: Path, beside: Path) -> Iterator[None]:
    """What the system refuses in the block, a full disk say, becomes an error that names `path`, not `beside`."""
    try:
        yield
    except Exception as error:
        ours = isinstance(error, KovocabError)
        if ours and not (isinstance(error, ArtefactError) and str(beside) in str(error)):
            raise
        # In Rust's libraries (Polars, safetensors) it is an error of their own, which ends with its number.
        if not isinstance(error, OSError) and "(os error " not in str(error):
            raise
        said = error.strerror if isinstance(error, OSError) and error.filename is None else None
        told = (said or str(error)).replace(str(beside), str(path))
        raise ArtefactError(told if ours else f"{path} cannot be written: {told}") from error
