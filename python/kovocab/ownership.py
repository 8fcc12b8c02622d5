"""Whose a file is: what may be written over or removed is what kovocab wrote and nobody changed, known by its content.

A verb writes beside what it reads and never over it. A file of kovocab's says so in its metadata or by its form; a
folder's record lists the files that were written with it, each with its size and a hash.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from kovocab.errors import ArtefactError, UsageError

Files = dict[str, str]
"""Files below a folder, by their names relative to it, each with what identifies it, see `identity`."""

IsOurs = Callable[[Path], bool]
"""Whether a file is of the kind that kovocab would write there."""

PIECE = 1 << 20

_SAID = "as kovocab wrote it: "

MARK = "kovocab"
"""The key of a Parquet file's metadata under which kovocab says what made it."""


def identity(path: Path, *, sample: bool = False) -> str:
    """What identifies a file: its size, and a hash of all of it; a sample is its first, middle and last MiB."""
    size, digest = path.stat().st_size, blake2b(digest_size=16)
    with path.open("rb") as file:
        for start in (0, size // 2, max(0, size - PIECE)) if sample else range(0, size, PIECE):
            file.seek(start)
            digest.update(file.read(PIECE))
    return f"{size} {digest.hexdigest()}"


def listing(folder: Path, leave_out: Iterable[str] = (), hashes: Mapping[str, str] | None = None) -> Files:
    """The files below `folder` but those named, with what identifies each; some by a hash that is known."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    known = hashes or {}
    return {
        name: f"{(folder / name).stat().st_size} {known[name]}" if name in known else identity(folder / name)
        for name in sorted(set(files) - set(leave_out))
    }


def changed(folder: Path, written: Files) -> list[str]:
    """Which of the files that were `written` are in `folder` and not what they were."""
    there = [folder / name for name in written if os.path.lexists(folder / name)]
    plain = {path for path in there if path.is_file() and not path.is_symlink()}
    names = {path: path.relative_to(folder).as_posix() for path in there}
    return [names[path] for path in there if path not in plain or identity(path) != written[names[path]]]


def foreign(folder: Path, written: Iterable[str]) -> list[str]:
    """What is in `folder` beside the files that were `written`; a folder that holds none of those counts as one."""
    written, found = set(written), []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if not entry.is_dir(follow_symlinks=False):
            found += [entry.name] if entry.name not in written else []
            continue
        inside = {name.removeprefix(f"{entry.name}/") for name in written if name.startswith(f"{entry.name}/")}
        found += [f"{entry.name}/{name}" for name in foreign(Path(entry), inside)] if inside else [entry.name]
    return found


def move(names: Iterable[str], source: Path, target: Path) -> None:
    """Move what has these names in one folder to the same places in another."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).rename(target / name)


def in_utf8(path: str | Path) -> bool:
    """Whether a path is text: a name out of an archive of Korean Windows may be bytes that are none."""
    return not any("\udc80" <= c <= "\udcff" for c in str(path))  # what Python makes of such bytes, see PEP 383


def check_ours(path: Path, ours: IsOurs, kind: str) -> None:
    """Check that the file `path` may be written: it is not there, is empty, or is one of `kind` that is `ours`.

    Raises:
        ArtefactError: it is something else.
    """
    if path.exists() and not (path.is_file() and (path.stat().st_size == 0 or ours(path))):
        raise ArtefactError(f"{path} is there and is no {kind} that kovocab wrote; choose another name")


def check_apart(writes: Mapping[str, str | Path | None], reads: Mapping[str, Iterable[str | Path]]) -> None:
    """Check that nothing is written over what is read, or twice to one place.

    Args:
        writes: Files to write, by the names of the settings that bring them in; one without a path is left out.
        reads: Files to read, in the same way.

    Raises:
        UsageError: two of them are one file, by whatever name or link; names both settings.
    """
    taken: dict[Any, str] = {}
    for setting, paths in reads.items():
        for path in paths:
            taken.setdefault(_place(Path(path)), setting)
    for setting, out in writes.items():
        if out is None:
            continue
        if (other := taken.setdefault(_place(Path(out)), setting)) != setting:
            what = "which is read" if other in reads else "which is written too"
            raise UsageError(f"{setting} is {out}, {what} as {other}; wanted a file of its own")


def said_by(path: Path) -> dict[str, Any]:
    """What a Parquet table of kovocab's says of what made it; nothing where it is none.

    Raises:
        OSError: the file is not there, or not to be read.
    """
    import polars as pl

    try:
        said = json.loads(pl.read_parquet_metadata(path)[MARK])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, LookupError, TypeError, ValueError,
            RecursionError):  # fmt: skip
        return {}
    return said if isinstance(said, dict) else {}


def parquet_of(verb: str) -> IsOurs:
    """Whether a file is a Parquet table that `verb` wrote."""

    def ours(path: Path) -> bool:
        try:
            return bool(said_by(path).get("verb") == verb)
        except OSError:
            return False

    return ours


def json_lines_of(keys: Iterable[str]) -> IsOurs:
    """Whether each line of a file is a JSON object with these keys and no others."""
    wanted = set(keys)

    def ours(path: Path) -> bool:
        try:
            with path.open(encoding="utf-8") as lines:
                return all(isinstance(row, dict) and row.keys() == wanted for row in map(json.loads, lines))
        except (OSError, ValueError, RecursionError):
            return False

    return ours


def marked(text: str, opens: str = "# ", closes: str = "") -> str:
    """A text, lines of YAML say, with a comment behind it that says what kovocab wrote; how comments open and close."""
    return f"{text}{opens}{_SAID}{blake2b(text.encode(), digest_size=16).hexdigest()}{closes}\n"


def is_marked(path: Path, opens: str = "# ", closes: str = "") -> bool:
    """Whether a file is what `marked` gave, unchanged."""
    try:
        given = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return given == marked(given.rpartition(f"{opens}{_SAID}")[0], opens, closes)


def real(path: str | Path) -> str:
    """A path without links; of one that leads in a circle, what `Path.resolve` raises for, as far as it leads."""
    return os.path.realpath(path)


def _place(path: Path) -> Any:
    """What is the same for two names of one file."""
    try:
        found = path.stat()
    except OSError:
        return real(path)
    return found.st_dev, found.st_ino
