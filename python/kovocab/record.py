"""The record of an artefact: what made it, of what, and which files were written with it.

Records nest: an artefact's record carries the records of the artefacts that it was made from, so the last one tells the
whole street.
"""

import glob
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from kovocab.errors import ArtefactError
from kovocab.forms import Made, Verb, fault, short
from kovocab.ownership import Files, changed, identity

log = logging.getLogger(__name__)

RECORD = "kovocab.json"

Record = dict[str, Any]

MODEL_VERBS = ("expand", "fit")
"""The verbs that leave a model with new rows, to be trained on."""


def difference(before: Record, now: Record) -> str | None:
    """Say where `before`, as far as `now` has its keys, is not as `now`: the first name, and both values."""
    old, new = flat({key: before.get(key) for key in now}), flat(now)
    for name in dict.fromkeys([*new, *old]):
        if old.get(name) != new.get(name):
            return f"{name} was {_said(name, old.get(name))} and is {_said(name, new.get(name))}"
    return None


def _said(name: str, value: Any) -> str:
    """A value as people are told; a setting that a record leaves out, or has as null, was left to its default."""
    return "not given" if value is None and name.startswith("settings.") else short(value)


def write_record(folder: str | Path, record: Record) -> None:
    """Write `record` as the folder's `kovocab.json`: sorted by nothing, dated by nothing, the same every time."""
    (Path(folder) / RECORD).write_bytes(as_json(record, indent=2) + b"\n")


def as_json(record: Record, indent: int | None = None) -> bytes:
    """A record as JSON in UTF-8; of a file's name that is no UTF-8, the bytes as JSON's escapes."""
    text = json.dumps(record, ensure_ascii=False, indent=indent, default=str)
    return text.encode("utf-8", errors="backslashreplace")


def read_record(folder: str | Path, *verbs: str) -> Record:
    """Read the record of the artefact in `folder`.

    Args:
        folder: Where it is.
        *verbs: Of which one has to have made it; the record has the form of that verb's then. Without any it has
            what every record has, see `forms.Made`.

    Raises:
        ArtefactError: there is none, it cannot be read, another verb made it, or it lacks something, or says
            something that cannot be; names the key.
    """
    path = Path(folder) / RECORD
    made_by = f"`kovocab {' or '.join(verbs)}`" if verbs else "kovocab"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        # Where names cannot be exchanged in one step, a run that was killed between two renames leaves it there.
        before = sorted(path.parent.parent.glob(f".{glob.escape(path.parent.name)}.*.part/old/{RECORD}"))
        if not before and not Path(folder).exists():
            raise ArtefactError(f"there is no folder {folder}; wanted one that {made_by} wrote") from None
        more = f"; what it was is in {before[0].parent}, and comes back when it is written again" if before else ""
        raise ArtefactError(f"{folder} is not an artefact of {made_by}: it has no {RECORD}{more}") from None
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}") from error
    record = parsed(text, path, Verb)
    verb = record["verb"]
    if verbs and verb not in verbs:
        raise ArtefactError(f"{folder} was made by `kovocab {verb}`; wanted one made by {made_by}")
    if said := fault(record, verb if verbs else Made):
        raise ArtefactError(f"{path} is not what `kovocab {verb}` wrote: {said}; {again(folder, verb)}")
    if verbs and verb in ("fit", "export"):  # which only ever go back to a model with a block of new rows
        check_block(folder, expanded_of(record.get("model", record)))
    return record


def read_model(folder: str | Path) -> Record:
    """Read the record of a model with a block of new rows, to be trained on, as `expand` or `fit` leaves it.

    Raises:
        ArtefactError: as `read_record`; or its new tokens have no block of rows of their own.
    """
    record = read_record(folder, *MODEL_VERBS)
    check_block(folder, record)
    return record


def check_block(folder: str | Path, record: Record) -> None:
    """See that the new rows of a model are the last ones.

    Raises:
        ArtefactError: they are at the ids of old tokens.
    """
    if record.get("first_new_id", 0) is None:
        raise ArtefactError(
            f"{folder} has its new tokens at the ids of old ones (`kovocab replace`), and stages train new rows as a "
            "block of their own; wanted a model expanded to what `kovocab refine` left, or another trainer: the folder "
            "is a plain one"
        )


def expanded_of(record: Record) -> Record:
    """The record of `expand` that a stage's record goes back to, over all runs; that record itself."""
    while record["verb"] == "fit":
        record = record["base"]
    return record


def again(folder: str | Path, verb: str) -> str:
    """What to do about an artefact that is damaged."""
    return f"remove {folder}, and " + ("it is packed again" if verb == "pack" else f"run `kovocab {verb}` again")


def parsed(text: str | bytes, where: str | Path, form: Any) -> Record:
    """A record from its text.

    Args:
        text: JSON.
        where: It is from there, for the error.
        form: As `forms.fault` has it.

    Raises:
        ArtefactError: it is no JSON, or of another form.
    """
    try:
        record = json.loads(text)
        if _is_deep(record):
            raise RecursionError(f"it is nested more than {DEEPEST} deep")
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, a number of 4,301 digits
        raise ArtefactError(f"{where} cannot be read: {error}; wanted a record as kovocab writes it") from error
    if said := fault(record, form):
        raise ArtefactError(f"{where} is not a record of kovocab: {said}")
    return dict(record)


DEEPEST = 200
"""How deep records nest, at most: what goes through them must not run out of Python's stack."""


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [part for part in level if isinstance(part, dict | list)]
        level = [inner for part in level for inner in (part.values() if isinstance(part, dict) else part)]
    return bool(level)


def files_of(folder: Path) -> Files:
    """The files that were written into `folder` with its record; none where there is no record."""
    if not (folder / RECORD).is_file():
        return {}
    files: Files | None = read_record(folder).get("files")
    if files is None:
        raise ArtefactError(f"{folder / RECORD} does not say which files were written with it; choose another folder")
    return files


LOAD_BEARING = ("tokenizer.json", "tokenizer.model", "vocabulary.parquet", "base_pieces.parquet")
"""Files of an artefact that decide what a model computes, beside its weights; config.json and the like people edit."""

WEIGHTS = "*.safetensors"


def check_files(folder: str | Path, record: Record) -> None:
    """See that an artefact's weights, tokenizer and tables are those that were written with its record.

    All of them are hashed, several at a time; of a record that lists no files nothing is known.

    Args:
        folder: The artefact.
        record: Its record.

    Raises:
        ArtefactError: one is another, is gone, or is one too many; names it.
    """
    folder, written = Path(folder), record.get("files")
    if written is None:
        return
    weights = {path.name for path in folder.glob(WEIGHTS)}
    wanted = {name for name in written if name in LOAD_BEARING or fnmatch(name, WEIGHTS)}
    there = {name for name in wanted if (folder / name).is_file()}
    by = f"`kovocab {record['verb']}`"
    if more := min(weights - wanted, default=None):
        raise ArtefactError(f"{folder / more} is none of the files that {by} wrote there; wanted those alone")
    # A table or a second tokenizer may be gone: who needs it says so.
    if gone := min((name for name in wanted - there if name not in LOAD_BEARING[1:]), default=None):
        raise ArtefactError(f"{folder / gone} is not there, and {by} wrote it; wanted all of its files")
    others = {name: hash_ for name, hash_ in written.items() if name not in wanted}
    for name in changed(folder, others):
        log.warning("%s is not as %s wrote it, and is used as it is", folder / name, by)
    names = sorted(there)
    with ThreadPoolExecutor() as threads:  # hashes are taken outside of Python's lock
        found = threads.map(lambda name: identity(folder / name), names)
        for name, given in zip(names, found, strict=True):
            if given != written[name]:
                raise ArtefactError(
                    f"{folder / name} is not what {by} wrote there (of another stage or run?); wanted the file whose "
                    "record stands beside it"
                )


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested values by dotted names; JSON's view of them, so that tuples and lists compare."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    found: dict[str, Any] = {}
    for key, inner in items:
        found |= flat(inner, f"{name}.{key}" if name else str(key))
    return found or {name: json.loads(json.dumps(value, default=str))}
