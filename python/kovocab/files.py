"""Which files a corpus is: paths, folders and globs expanded; how each is read, and what identifies it."""

import glob
import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from os.path import commonpath
from pathlib import Path
from typing import Any

from kovocab.errors import CorpusError, UsageError

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


def files(corpus: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the files of a corpus: globs and folders expanded, sorted, each once.

    A folder stands for all files below it with a known suffix; hidden files and folders are left out.

    Raises:
        CorpusError: a path is missing or remote, a glob or folder holds nothing, or a suffix is unknown.
        UsageError: an item is neither `str` nor `Path`.
    """
    found: dict[Path, Path] = {}
    for item in [corpus] if isinstance(corpus, str | Path) else corpus:
        if not isinstance(item, str | Path):
            raise UsageError(f"a corpus in a list holds {item!r}; wanted paths, folders or globs")
        for path in _expand(item):
            kind(path)
            found.setdefault(path.resolve(), path)
    if not found:
        raise CorpusError("the corpus names no files; wanted at least one path, folder or glob")
    return sorted(found.values())


def identities(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Say of each file what identifies it: `{"name", "bytes", "blake2b"}`, see `corpus.fingerprint`.

    Raises:
        CorpusError: a file cannot be read.
    """
    root = commonpath([path.absolute().parent for path in paths])
    rows = []
    for path in paths:
        try:
            size = path.stat().st_size
            digest = blake2b(str(size).encode(), digest_size=16)
            with path.open("rb") as file:
                for start in (0, max(0, size // 2 - (32 << 10)), max(0, size - (64 << 10))):
                    file.seek(start)
                    digest.update(file.read(64 << 10))
        except OSError as error:
            raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
        name = path.absolute().relative_to(root).as_posix()
        rows.append({"name": name, "bytes": size, "blake2b": digest.hexdigest()})
    return rows


def _expand(item: str | Path) -> Iterator[Path]:
    # Path("s3://a") is "s3:/a"; a single letter is a drive of Windows.
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(item)):
        raise CorpusError(f"{item}: remote corpora are not supported yet; wanted a local file, folder or glob")
    path = Path(item).expanduser()
    if path.is_dir():
        below = (p for p in path.rglob("*") if not any(s.startswith(".") for s in p.relative_to(path).parts))
        inside = [p for p in below if _suffix(p) and p.is_file()]
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


def _suffix(path: Path) -> str | None:
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def kind(path: Path) -> str:
    """Say how a file is read, by its suffix: as `lines`, `json` or `parquet`.

    Raises:
        CorpusError: the suffix is unknown.
    """
    suffix = _suffix(path)
    if suffix is None:
        raise CorpusError(f"{path}: unknown suffix; wanted {_wanted()}")
    return SUFFIXES[suffix]
