"""Which files a corpus is: paths, URLs, folders and globs expanded; and how each is read."""

import glob
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from kovocab.corpus.archives import Member
from kovocab.corpus.remote import Remote, expand, is_url
from kovocab.corpus.stores import POLARS_RETRIES
from kovocab.errors import CorpusError, UsageError
from kovocab.ownership import in_utf8

log = logging.getLogger(__name__)

File: TypeAlias = Path | Remote
"""A file, here or at a URL."""

_COMPRESSED = ("", ".gz", ".zst", ".bz2", ".xz")
_TEXTS = {".txt": "lines", ".jsonl": "json", ".ndjson": "json", ".json": "value", ".csv": "csv", ".tsv": "tsv"}
SUFFIXES = {
    **{suffix + more: kind for suffix, kind in _TEXTS.items() for more in _COMPRESSED},
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".zip": "archive",
    **{".tar" + more: "archive" for more in _COMPRESSED},
    ".tgz": "archive",
}
"""The suffixes that are read, and as what: a document a line, a JSON object a line, JSON, tables, archives of these."""

_PAPERS = re.compile(
    r"(readme|licen[cs]e|copying|notice|changelog|citation|authors)(\W.*)?|_success"
    r"|(sha\d+|md5)sums?|.*\.(sha\d+|md5|crc)"
)
"""Names of what lies beside a corpus and is none."""


_KINDS: dict[str, Callable[[Path], bool]] = {
    "a pipe": Path.is_fifo,
    "a socket": Path.is_socket,
    "a device": lambda path: path.is_char_device() or path.is_block_device(),
}
"""What a path may be that is neither file nor folder."""


def files(corpus: str | Path | Sequence[str | Path]) -> list[File]:
    """List the files of a corpus: globs and folders expanded, sorted, each once, remote ones last.

    A folder stands for all files below it, and so does one that a glob matches. What is hidden is left out; a README, a
    licence and checksums are so too, and that is said, unless they are of a suffix that is read. Anything else that is
    not read is an error.

    Raises:
        CorpusError: a path is missing or cannot be reached, a glob or folder holds nothing, or a suffix is unknown.
        UsageError: an item is neither `str` nor `Path`.
    """
    found: dict[File, File] = {}
    for item in [corpus] if isinstance(corpus, str | Path) else corpus:
        if not isinstance(item, str | Path):
            raise UsageError(f"a corpus in a list holds {item!r}; wanted paths, URLs, folders or globs")
        if item == "":
            raise UsageError("a path of the corpus is empty; wanted a file, folder, glob or URL")
        for path in _expand(item):
            if path.name == "dataset_dict.json":
                raise _several_splits(PurePath(str(path)), [])
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


def _expand(item: str | Path) -> Iterator[File]:
    if is_url(item):
        yield from expand(str(item), corpus_of)
        return
    path = Path(item).expanduser()
    try:
        is_folder = path.is_dir()
    except OSError as error:  # a name that is too long, say
        start = " ".join(str(item)[:60].split())
        raise CorpusError(f"{start}…: {error.strerror}{_no_text(path)}") from error
    if is_folder:
        yield from map(Path, corpus_of(_below(path), f"{item}: the folder"))
    elif path.exists() or not glob.has_magic(str(path)):  # a name that exists may hold `[`
        if not path.exists():
            raise CorpusError(f"{item}: no such file or folder{_no_text(path)}")
        yield _plain(path)
    else:
        # Python's own `**` matches each folder below, whose files it then matches too, one that is not there, and
        # before 3.12 a file as `file/`.
        names = glob.iglob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
        found = [Path(name) for name in names if not name.endswith(os.sep) or os.path.isdir(name)]  # noqa: PTH112 - the slash
        inside = [name for folder in found if path.name != "**" and folder.is_dir() for name in _below(folder)]
        matches = [_plain(name) for name in found if name.is_file() or not _is_passed(name)]
        matches += [Path(name) for name in corpus_of(inside, f"{item}: the glob", empty=True)]
        if not matches:
            raise CorpusError(f"{item}: the glob matches no file")
        yield from matches


def corpus_of(names: Iterable[str], where: str, *, empty: bool = False) -> list[str]:
    """Those of the files in a folder that are a corpus, by their names.

    Args:
        names: All that are not hidden, as messages are to call them.
        where: What the folder is called.
        empty: Whether there may be none.

    Raises:
        CorpusError: there is none, or one that is neither a corpus nor one of its papers.
    """
    names = sorted(names)
    saved = {PurePath(name).parent for name in names if name.lower().endswith(".arrow")}
    for name in names:
        if PurePath(name).name == "dataset_dict.json":
            raise _several_splits(PurePath(name), saved)
    beside = {name for name in names if _is_beside(PurePath(name), saved)}
    found = [name for name in names if _suffix(name) and name not in beside]
    if not found and not empty:
        raise CorpusError(f"{where} holds no file to read; wanted {_wanted()}")
    papers = [name for name in names if name in beside or (not _suffix(name) and _is_paper(name))]
    if unknown := [name for name in names if not _suffix(name) and name not in papers]:
        more = f", and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
        raise CorpusError(
            f"{where} holds {unknown[0]}{more}, of an unknown suffix; wanted {_wanted()}, or the names or a glob of "
            "those that are meant"
        )
    for name in papers:
        log.warning("%s is left out: it is no part of a corpus", name)
    return found


def _is_paper(name: str) -> bool:
    return _PAPERS.fullmatch(PurePath(name).name.lower()) is not None


def _is_beside(path: PurePath, saved: Iterable[PurePath]) -> bool:
    """Whether a file is what `datasets` writes of its data: beside data in one of `saved`, or of a repository."""
    return path.name in ("dataset_info.json", "dataset_infos.json") or (
        path.name == "state.json" and path.parent in saved
    )


def _several_splits(path: PurePath, saved: Iterable[PurePath]) -> CorpusError:
    splits = sorted(str(folder) for folder in saved if folder.parent == path.parent)
    return CorpusError(
        f"{path.parent} holds the splits of a data set, which are not mixed; wanted the folder of one: "
        f"{', '.join(splits) or 'none is there'}"
    )


def _below(folder: Path) -> Iterator[str]:
    """The files below `folder` that are not hidden; links to folders are followed, each folder once."""
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, onerror=_refused, followlinks=True):
        found = Path(root).stat()
        if (found.st_dev, found.st_ino) in seen:
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(root, name) for name in names if not name.startswith(".")):
            yield str(_plain(path))


def _is_passed(path: Path) -> bool:
    """Whether what a glob gave is a folder, by more links than the system follows too, or nothing."""
    return not os.path.lexists(path) or Path(os.path.realpath(path)).is_dir()


def _plain(path: Path) -> Path:
    """The path, if it is one of a plain file.

    Raises:
        CorpusError: it is something else; says what.
    """
    if said := not_plain(path):
        raise CorpusError(f"{path}: {said}")
    return path


def not_plain(path: str | Path) -> str | None:
    """Say what a path leads to that is neither file nor folder, and what is wanted; None if it is one, or not there.

    What can be read once, or waits for a writer, is found out before it is opened: that might not return.
    """
    path = Path(path)
    if not path.exists():
        return "is a link to nothing; wanted files" if path.is_symlink() else None
    what = next((name for name, is_one in _KINDS.items() if is_one(path)), None)
    return (
        what and f"is {what}, which cannot be read twice, nor told from another; wanted a file that holds what it gives"
    )


def no_table(path: str | Path) -> str | None:
    """`not_plain` of what Polars is to read, which takes names in UTF-8 alone."""
    no_text = (
        None if in_utf8(path) else "is a name in bytes that are no UTF-8, which tables are not read by; wanted another"
    )
    return not_plain(path) or no_text


def _refused(error: OSError) -> None:
    raise CorpusError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _no_text(path: Path) -> str:
    """What to say, of a name that is no file's, to who meant it as a text: of one with spaces, or without a folder."""
    if _suffix(path.name) or (len(path.parts) > 1 and not re.search(r"\s", str(path))):
        return ""
    told = "a string names a file, folder, glob or URL, and texts are handed over as pl.Series(texts) or iter(texts)"
    return f"; in Python, {told}"  # a command line has no texts


def _wanted() -> str:
    texts, others = (
        ", ".join(_TEXTS),
        [suffix for suffix in SUFFIXES if suffix.count(".") == 1 and suffix not in _TEXTS],
    )
    return f"one of {texts} (or these with {', '.join(_COMPRESSED[1:])}), {', '.join(others)}"


def _suffix(name: str) -> str | None:
    parts = name.lower().rsplit(".", 2)
    ends = [".".join(["", *parts[-count:]]) for count in (2, 1) if len(parts) > count]
    return next((end for end in ends if end in SUFFIXES), None)


def kind(path: File | Member) -> str:
    """Say how a file is read, by its suffix: see `SUFFIXES`.

    Raises:
        CorpusError: the suffix is unknown.
    """
    suffix = _suffix(path.name)
    if suffix is None:
        raise CorpusError(f"{path}: unknown suffix; wanted {_wanted()}")
    return SUFFIXES[suffix]
