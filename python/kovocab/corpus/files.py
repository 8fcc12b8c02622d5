"""Which files a corpus is: paths, URLs, folders and globs expanded; how each is read, and what identifies it."""

import glob
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from os.path import commonpath
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from kovocab.corpus.remote import Remote, expand, is_url
from kovocab.corpus.stores import POLARS_RETRIES
from kovocab.errors import CorpusError, UsageError

File: TypeAlias = Path | Remote
"""A file, here or at a URL."""

SUFFIXES = {
    ".txt": "lines",
    ".txt.gz": "lines",
    ".txt.zst": "lines",
    ".jsonl": "json",
    ".ndjson": "json",
    ".jsonl.gz": "json",
    ".json.gz": "json",
    ".jsonl.zst": "json",
    ".parquet": "parquet",
}
"""The suffixes that are read: a document a line, a JSON object a line, or a table."""


def files(corpus: str | Path | Sequence[str | Path]) -> list[File]:
    """List the files of a corpus: globs and folders expanded, sorted, each once, remote ones last.

    A folder stands for all files below it with a known suffix; hidden files and folders are left out.

    Raises:
        CorpusError: a path is missing or cannot be reached, a glob or folder holds nothing, or a suffix is unknown.
        UsageError: an item is neither `str` nor `Path`.
    """
    found: dict[File, File] = {}
    for item in [corpus] if isinstance(corpus, str | Path) else corpus:
        if not isinstance(item, str | Path):
            raise UsageError(f"a corpus in a list holds {item!r}; wanted paths, URLs, folders or globs")
        for path in _expand(item):
            kind(path)
            found.setdefault(path.resolve() if isinstance(path, Path) else path, path)
    if not found:
        raise CorpusError("the corpus names no files; wanted at least one path, URL, folder or glob")
    return sorted(found.values(), key=lambda path: (isinstance(path, Remote), path))


def source(path: File) -> dict[str, Any]:
    """What `pl.scan_*` takes to read `path`, as keyword arguments."""
    if isinstance(path, Remote):
        return {"source": path.url, "storage_options": POLARS_RETRIES}
    return {"source": path}


def identities(paths: Sequence[File]) -> list[dict[str, Any]]:
    """Say of each file what identifies it, see `corpus.fingerprint`.

    Returns:
        `{"name", "bytes", "blake2b"}`; of a remote file, which is not opened for it, `etag` or `modified` as its
        server has them in place of `blake2b`, unless it has neither.

    Raises:
        CorpusError: a file cannot be read.
    """
    places: list[PurePath] = [path.path if isinstance(path, Remote) else path.absolute() for path in paths]
    # Local and remote files have no folder in common; each kind has its own.
    parents: dict[type, list[PurePath]] = {}
    for place in places:
        parents.setdefault(type(place), []).append(place.parent)
    roots = {type_: commonpath(of_type) for type_, of_type in parents.items()}
    rows = []
    for path, place in zip(paths, places, strict=True):
        name = place.relative_to(roots[type(place)]).as_posix()
        try:
            size = path.stat().st_size
            known = path.identity if isinstance(path, Remote) else {}
            rows.append({"name": name, "bytes": size, **(known or {"blake2b": _sample(path, size)})})
        except CorpusError:
            raise
        except OSError as error:
            raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
    return rows


def _sample(path: File, size: int) -> str:
    """Hash the size of a file and its first, middle and last 64 KiB."""
    digest = blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        for start in (0, max(0, size // 2 - (32 << 10)), max(0, size - (64 << 10))):
            file.seek(start)
            digest.update(file.read(64 << 10))
    return digest.hexdigest()


def _expand(item: str | Path) -> Iterator[File]:
    if is_url(item):
        yield from expand(str(item), lambda name: _suffix(name) is not None, _wanted())
        return
    path = Path(item).expanduser()
    if path.is_dir():
        below = (p for p in path.rglob("*") if not any(s.startswith(".") for s in p.relative_to(path).parts))
        inside = [p for p in below if _suffix(p.name) and p.is_file()]
        if not inside:
            raise CorpusError(f"{item}: the folder holds no file to read; wanted {_wanted()}")
        yield from inside
    elif path.exists() or not glob.has_magic(str(path)):  # a name that exists may hold `[`
        if not path.exists():
            raise CorpusError(f"{item}: no such file or folder")
        yield path
    else:
        names = glob.iglob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
        matches = [found for found in map(Path, names) if found.is_file()]
        if not matches:
            raise CorpusError(f"{item}: the glob matches no file")
        yield from matches


def _wanted() -> str:
    return "one of " + ", ".join(SUFFIXES)


def _suffix(name: str) -> str | None:
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)


def kind(path: File) -> str:
    """Say how a file is read, by its suffix: as `lines`, `json` or `parquet`.

    Raises:
        CorpusError: the suffix is unknown.
    """
    suffix = _suffix(path.name)
    if suffix is None:
        raise CorpusError(f"{path}: unknown suffix; wanted {_wanted()}")
    return SUFFIXES[suffix]
