"""What of an export goes to the hub, and what keeps it from going."""

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard

from kovocab.errors import ArtefactError
from kovocab.ownership import changed
from kovocab.pushing.leaks import leaks
from kovocab.record import RECORD, Record, check_files, read_record

CARD = "README.md"
EXPORTS = ("export", "transfer")
"""The verbs that leave a folder for the hub."""

_HIDDEN = (".gitattributes", ".gitignore")
"""What goes though its name begins with a dot."""
_PICKLED = (".bin", ".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".npy", ".npz")
_TOKENS = ("tokenizer.json", "vocab.json", "merges.txt")
"""Texts whose words are anybody's: /usr/bin is a token of some."""
_LONGEST = 64 << 20
"""Bytes of a text that is looked through."""


@dataclass
class Contents:
    """What goes.

    Attributes:
        folder: Where it is.
        record: Of the export.
        sizes: Of each file that goes, in bytes, by its name in the folder.
        foreign: Which of them kovocab did not write.
        left_out: What is there and does not go.
        metadata: What the card's YAML says.
    """

    folder: Path
    record: Record
    sizes: dict[str, int]
    foreign: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


def look_over(folder: str | Path) -> Contents:
    """See that a folder is an export, whole, with nothing in it that should stay here.

    Raises:
        ArtefactError: it is not; names each file that keeps it from going, and why.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArtefactError(f"{folder} is no folder; wanted one that `kovocab export` or `kovocab transfer` left")
    record = read_record(folder, *EXPORTS)
    written: dict[str, str] | None = record.get("files")
    if written is None:
        raise ArtefactError(f"{folder / RECORD} does not say which files belong to it; wanted a whole export")
    names, left_out = _names(folder)
    if CARD not in names:
        raise ArtefactError(f"{folder} has no {CARD}; wanted the model card (run `kovocab {record['verb']}` again)")
    if gone := sorted(name for name in written if name not in names):
        raise ArtefactError(
            f"{folder / gone[0]} is not there, and belongs to the export; run `kovocab {record['verb']}` again"
        )
    check_files(folder, record)
    metadata = _metadata(folder / CARD)
    if refused := list(_refused(folder, names, changed(folder, _small(written)))):
        more = f" (and {len(refused) - 3:,} more)" if len(refused) > 3 else ""
        raise ArtefactError(f"{folder} is not pushed: {'; '.join(refused[:3])}{more}")
    sizes = {name: (folder / name).stat().st_size for name in names}
    return Contents(
        folder, record, sizes, [name for name in names if name not in {*written, RECORD}], left_out, metadata
    )


def _names(folder: Path) -> tuple[list[str], list[str]]:
    """Files that go, and files and folders that do not, by their names in the folder."""
    names: list[str] = []
    left_out: list[str] = []
    for root, folders, files in os.walk(folder):
        inside = Path(root).relative_to(folder)
        left_out += [(inside / name).as_posix() + "/" for name in folders if name.startswith((".", "__pycache__"))]
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        linked = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in sorted([*files, *linked]):
            hidden = name.startswith(".") and name not in _HIDDEN
            (left_out if hidden else names).append((inside / name).as_posix())
    return names, left_out


def _small(written: dict[str, str]) -> dict[str, str]:
    """What was written but weights, which are compared with the record already."""
    return {name: said for name, said in written.items() if not name.endswith(".safetensors")}


def _refused(folder: Path, names: list[str], edited: list[str]) -> Iterator[str]:
    for name in names:
        path = folder / name
        if path.is_symlink():
            yield f"{name} is a link; wanted a copy of what it points to"
        elif not path.is_file():
            yield f"{name} is no plain file"
        elif path.suffix in _PICKLED or _is_pickle(path):
            yield f"{name} can hold a pickle, which runs code where it is opened; wanted safetensors alone"
        elif path.name not in _TOKENS and _is_text(path):
            yield from _said(path, name, edited=name in edited)


def _said(path: Path, name: str, *, edited: bool) -> Iterator[str]:
    if path.stat().st_size > _LONGEST:
        yield f"{name} has more than {_LONGEST >> 20} MiB, which nobody looks through; wanted a shorter text"
        return
    for line, what in leaks(path.read_text(encoding="utf-8", errors="replace")):
        how = ", which was edited," if edited else ""
        yield f"line {line} of {name}{how} has {what}"
        return


def _is_text(path: Path) -> bool:
    """Whether a file is text by how it begins, whatever it is called: no NUL, as weights and pictures have."""
    with path.open("rb") as file:
        return b"\0" not in file.read(8192)


def _is_pickle(path: Path) -> bool:
    """Whether a file is a pickle by what it holds, whatever it is called."""
    with path.open("rb") as file:
        start = file.read(4)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return True
    if start != b"PK\x03\x04":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _metadata(card: Path) -> dict[str, Any]:
    """What the YAML at a card's head says, as the hub reads it.

    Raises:
        ArtefactError: the hub would refuse it.
    """
    wanted = "wanted the YAML that the hub reads, between lines of ---, as `kovocab export` wrote it"
    try:
        data: Any = ModelCard(card.read_text(encoding="utf-8")).data
        said: dict[str, Any] = data.to_dict()
    except (ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ArtefactError(f"{card}: {' '.join(str(error).split())}; {wanted}") from error
    if not said:
        raise ArtefactError(f"{card} says nothing to the hub; {wanted}")
    return said
