"""Artefacts: what a verb leaves. Written beside and renamed, so that there is never half of one.

An earlier one is replaced where it was made from the same in the same way, or its owner says so, and then its own files
alone (`ownership`); what it was made from is in its `record`.
"""

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kovocab.errors import ArtefactError, KovocabError, UsageError
from kovocab.ownership import (
    MARK,
    Files,
    IsOurs,
    changed,
    check_ours,
    foreign,
    in_utf8,
    listing,
    parquet_of,
    real,
    said_by,
)
from kovocab.record import RECORD, Record, as_json, difference, files_of, read_record, write_record
from kovocab.workplace import Place, is_taken, place_beside, remove_files, sync, tidy, turn

log = logging.getLogger(__name__)


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path`; what is written there takes the name `path` when the block ends well.

    A link is followed: what it points to is written. What may be written over is the caller's to check, see
    `check_file`.

    Raises:
        ArtefactError: `path` is a folder, its parent cannot be made, or the system refused what was written.
    """
    path = followed(path)
    check_file(path)
    with _place(path) as place:
        yield place.new
        place.take()


@contextmanager
def new_folder(
    path: str | Path,
    made_from: Record | None = None,
    *,
    overwrite: bool = False,
    yields: Collection[str] = (),
    hashes: Mapping[str, str] | None = None,
) -> Iterator[Path]:
    """Yield an empty folder beside `path` that takes its place when the block ends well.

    An artefact of an earlier run is replaced, see `check_replaceable`: the files that were written with it go, and
    what else is in the folder stays. The new record gets the key `files`, which lists what was written.

    Args:
        path: The folder; a link is followed.
        made_from: What of the record says what the artefact is made from, and how.
        overwrite: Whether an artefact that was made from something else is replaced too.
        yields: Files that stay as they are where somebody changed them since: a model card, say.
        hashes: Of files that were hashed while they were written, by name, as `ownership.identity` has them.

    Raises:
        ArtefactError: as `check_replaceable`; or the parent cannot be made, or the system refused what was written.
    """
    path = followed(path)
    check_replaceable(path)
    with _place(path) as place:
        place.new.mkdir()
        yield place.new
        for file in place.new.glob("*.safetensors"):  # which the package makes for its owner's eyes alone
            file.chmod(place.new.stat().st_mode & 0o666)
        files = listing(place.new, [RECORD], hashes)  # and all is on the disk before others have to wait
        sync(place.new)
        with turn(path.parent):
            stay = _settle(path, place.new, files, made_from, overwrite, yields)
            if (path / RECORD).is_file():
                place.exchange(stay)
            else:
                place.take()


@contextmanager
def scratch_beside(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, on the same disk, that is removed in the end; errors as `new_file`."""
    with _place(followed(path)) as place:
        place.new.mkdir()
        yield place.new


def _settle(
    path: Path, beside: Path, files: Files, made_from: Record | None, overwrite: bool, yields: Collection[str]
) -> list[str]:
    """What of the folder `path` stays when `beside` takes its place; the record of `beside` lists its `files`.

    Raises:
        ArtefactError: `path` is not what may be replaced any more, or a file of `beside` has the name of one that
            is not kovocab's.
    """
    stay: list[str] = []
    if (beside / RECORD).is_file():
        record = read_record(beside)
        stay = _check_replaceable(path, record["verb"], made_from, overwrite, yields)
        if path.is_dir():
            stay += foreign(path, [*files_of(path), RECORD])
        for name in yields:
            if name in stay:
                log.warning("%s is not as kovocab wrote it, and stays as it is", path / name)
                (beside / name).unlink(missing_ok=True)
                files.pop(name, None)
        if taken := [name for name in stay if is_taken(beside, name)]:
            raise ArtefactError(
                f"{path / taken[0]} is not kovocab's and is in the way; move it, or choose another folder"
            )
        write_record(beside, record | {"files": files})
    return stay


def remove_artefact(folder: Path, verb: str) -> None:
    """Remove the files of an artefact, and the folder if nothing else is in it.

    Raises:
        ArtefactError: it is not an artefact of `verb`, or one of its files was changed since.
    """
    check_replaceable(folder, verb)
    read_record(folder, verb)
    remove_files(folder, files_of(folder))


def check_file(path: str | Path, ours: IsOurs | None = None, kind: str = "file") -> None:
    """Check, before long work, that the file `path` may be written.

    Args:
        path: The file.
        ours: Whether a file that is there is one of kovocab's, and may be written over; None: whatever is there is
            the caller's to write over.
        kind: What such a file is called.

    Raises:
        ArtefactError: it is a folder or no plain file, in a folder that cannot be written to, or not ours.
    """
    path = followed(path)
    tidy(path.parent)
    if path.is_dir():
        raise ArtefactError(f"{path} is a folder; wanted the name of a file to write")
    if path.exists() and not path.is_file():
        raise ArtefactError(f"{path} is no plain file; wanted the name of a file to write")
    if ours is not None:
        check_ours(path, ours, kind)
    check_parent(path)


def check_same(path: str | Path, before: Record, made_from: Record, *, overwrite: bool) -> None:
    """Check, before long work, that a file of kovocab's which is there was made from the same.

    Args:
        path: The file that is to be written.
        before: What the one that is there says of what it was made from.
        made_from: What the new one will say.
        overwrite: Whether one that was made from something else may be replaced too.

    Raises:
        ArtefactError: it was; says what differs.
    """
    path = Path(path)
    if overwrite or not path.is_file() or not path.stat().st_size:
        return
    if differs := difference(before, made_from):
        raise ArtefactError(f"{path} is of other settings: {differs}; --overwrite replaces it, or choose another name")


def check_table(path: str | Path, verb: str, kind: str, made_from: Record, *, overwrite: bool) -> None:
    """`check_file` and `check_same` of a Parquet table, see `mark`.

    Args:
        path: The file that is to be written.
        verb: What writes it.
        kind: What such a file is called.
        made_from: What it will say of what it was made from.
        overwrite: As for `check_same`.

    Raises:
        ArtefactError: as they do.
    """
    check_file(path, parquet_of(verb), kind)
    if Path(path).is_file():
        check_same(path, said_by(Path(path)), made_from, overwrite=overwrite)


def mark(verb: str, made_from: Record) -> dict[str, str]:
    """What a Parquet table's metadata says of what made it, and of what."""
    return {MARK: as_json({"verb": verb, **made_from}).decode()}


def check_replaceable(
    path: str | Path,
    verb: str | None = None,
    made_from: Record | None = None,
    *,
    overwrite: bool = False,
    yields: Collection[str] = (),
    reads: Iterable[str | Path] = (),
) -> None:
    """Check, before long work, that the folder `path` may be written: absent, empty, or an artefact of `verb`.

    Args:
        path: The folder.
        verb: What writes it; None where that is not known yet, and then an artefact is not looked into.
        made_from: What of the new artefact's record says what it is made from, and how; None: anything may be.
        overwrite: Whether an artefact that was made from something else may be replaced too.
        yields: Files that may have been changed since they were written.
        reads: Files and folders that are read for it: none may be replaced.

    Raises:
        ArtefactError: it is a file, a folder of something else or of another verb, of an artefact that was made from
            something else, or whose files were changed; it is read; or it is in a folder that cannot be written to.
    """
    path = followed(path)
    if path.name in ("", ".."):
        raise ArtefactError(f"{path} has no name of its own; wanted the name of a folder to write")
    tidy(path.parent)
    with turn(path.parent):
        _check_replaceable(path, verb, made_from, overwrite, yields, reads)


def _check_replaceable(
    path: Path,
    verb: str | None,
    made_from: Record | None,
    overwrite: bool,
    yields: Collection[str],
    reads: Iterable[str | Path] = (),
) -> list[str]:
    """As `check_replaceable`, in one's turn; which of the artefact's files were changed, and may be."""
    edited: list[str] = []
    if path.is_dir():
        if path.is_mount():
            raise ArtefactError(f"{path} is where a disk is mounted, which has no other name; wanted a folder in it")
        if real(path) in map(real, reads):
            raise ArtefactError(f"{path} is what {verb} reads; choose another folder to write")
        if not (path / RECORD).is_file():
            if any(path.iterdir()):
                raise ArtefactError(f"{path} holds files that are not kovocab's (no {RECORD}); choose another folder")
        elif verb is not None:
            edited = _check_artefact(path, verb, made_from, overwrite, yields, reads)
    elif path.exists():
        raise ArtefactError(f"{path} is a file; wanted a folder to write")
    check_parent(path)
    return edited


def _check_artefact(
    path: Path,
    verb: str,
    made_from: Record | None,
    overwrite: bool,
    yields: Collection[str],
    reads: Iterable[str | Path],
) -> list[str]:
    record = read_record(path)
    if (made := record["verb"]) != verb:
        raise ArtefactError(f"{path} was made by `kovocab {made}` and is not replaced; choose another folder")
    written = files_of(path)
    places = {real(path / name) for name in written}
    if read := [read for read in reads if real(read) in places]:
        raise ArtefactError(
            f"{read[0]}, which {verb} reads, is one of the files of {path}; choose another folder to write"
        )
    if made_from is not None and not overwrite and (differs := difference(record, made_from)):
        raise ArtefactError(
            f"{path} is of other settings: {differs}; --overwrite replaces it, or choose another folder"
        )
    edited = changed(path, written)
    if lost := [name for name in edited if name not in yields]:
        raise ArtefactError(
            f"{path / lost[0]} was changed since kovocab wrote it, and would be lost; move it elsewhere, or choose "
            "another folder"
        )
    return edited


def followed(path: str | Path) -> Path:
    """Where a link points to; any other path as it is.

    Raises:
        ArtefactError: it leads nowhere, in a circle say, or goes up from a folder that is not there: once that is made,
            for it, it may be the name of a file that nobody looked at; or it is no UTF-8, which Polars cannot write to.
        UsageError: it is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"the place to write is {path!r}; wanted the path of a file or folder")
    path = Path(path)
    if not in_utf8(path):
        raise ArtefactError(f"{path} is a name in bytes that are no UTF-8; wanted another")
    above = [Path(*path.parts[:at]) for at, part in enumerate(path.parts) if part == ".."]
    if lacking := [folder for folder in above if not folder.is_dir()]:
        raise ArtefactError(f"{path} goes up from {lacking[0]}, which is no folder; wanted a path without it")
    try:
        return path.resolve() if path.is_symlink() else path
    except (OSError, RuntimeError) as error:  # the second up to Python 3.12
        raise ArtefactError(f"{path} is a link that leads nowhere: {error}") from error


def check_parent(path: Path) -> None:
    """The nearest folder above `path` that exists has to be one, and open to us.

    Raises:
        ArtefactError: it is not.
    """
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise ArtefactError(f"{path} cannot be written: {above} is no folder that may be written to")


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtefactError(f"{path.parent} cannot be made: {error.strerror}") from error


@contextmanager
def _place(path: Path) -> Iterator[Place]:
    """A place beside `path`, whose parent is made; errors of the system name `path`, not what is beside it."""
    _make_parent(path)
    with _named(path, path), place_beside(path) as place, _named(path, place.new):
        yield place


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
