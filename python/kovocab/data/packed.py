"""The token files of a source, as they are read: memory-mapped, cut into blocks, and held to their record before."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from kovocab.corpus.contents import Hashes
from kovocab.data.splitting import COUNTED, PARTS, Part
from kovocab.errors import ArtefactError, CorpusError
from kovocab.record import RECORD, Record, difference, read_record

DTYPES = ("<u2", "<u4")
"""What token ids are kept as: as many bytes as the largest needs."""


class PackedSource:
    """The token files of one source, cut into blocks.

    Args:
        folder: What `TokenFiles.pack` returned.

    Raises:
        ArtefactError: the record is damaged, or a file is not of the size that it says.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = _record(folder)
        self.length: int = self.record["length"]
        dtype = np.dtype(self.record["dtype"])
        for part in PARTS:
            path, wanted = folder / f"{part}.bin", self.record[part]["tokens"] * dtype.itemsize
            if (size := path.stat().st_size if path.is_file() else None) != wanted:
                found = "is missing" if size is None else f"has {size:,} bytes and its record says {wanted:,}"
                raise _damaged(folder, f"{path} {found}")
        self._tokens = {part: np.memmap(folder / f"{part}.bin", dtype=dtype, mode="r") for part in PARTS}

    def __reduce__(self) -> tuple[type["PackedSource"], tuple[Path]]:
        """Cross to a worker process by name: a pickled memmap would carry all its tokens."""
        return PackedSource, (self.folder,)

    def blocks(self, part: Part) -> int:
        """The number of whole blocks in `part`."""
        return len(self._tokens[part]) // self.length

    def block(self, part: Part, index: int) -> npt.NDArray[np.int64]:
        """The token ids of one block, int64 [length]."""
        return self._tokens[part][index * self.length : (index + 1) * self.length].astype(np.int64)

    def check(self, made_from: Record) -> None:
        """Check that this is what was made from that.

        Raises:
            ArtefactError: the record says something else.
        """
        if any(self.record.get(key) != value for key, value in made_from.items()):
            differs = difference(self.record, made_from)
            raise _damaged(self.folder, f"{self.folder / RECORD} is of something else: {differs}")

    def check_contents(self, hashes: Hashes) -> None:
        """Check that each file holds what was written, by a hash of all of it.

        Raises:
            ArtefactError: one does not; names it.
        """
        paths = [self.folder / f"{part}.bin" for part in PARTS]
        try:
            found = hashes(paths)
        except CorpusError as error:
            raise ArtefactError(str(error)) from error
        for path, hash_ in zip(paths, found, strict=True):
            if self.record["files"].get(path.name) != f"{path.stat().st_size} {hash_}":
                raise _damaged(self.folder, f"{path} does not hold what was written")


def _record(folder: Path) -> Record:
    """The record of token files, in the form that it is written in."""
    try:
        record = read_record(folder, "pack")
    except ArtefactError as error:
        raise _damaged(folder, str(error)) from error
    # What is compared with the configuration, and with the files, is not looked at here.
    numbers = {"documents_with_special_tokens": record.get("documents_with_special_tokens")}
    numbers["length"] = record.get("length") or None
    for part in PARTS:
        counts = record.get(part)
        counts = counts if isinstance(counts, dict) else {}
        numbers |= {f"{part}.{key}": counts.get(key) for key in (*COUNTED, "blocks", "dropped_tokens")}
        numbers[f"{part}.blocks"] = counts.get("blocks") or None
    wrong = [key for key, number in numbers.items() if type(number) is not int or number < 0]
    wrong += [] if record.get("dtype") in DTYPES else ["dtype"]
    wrong += [] if isinstance(record.get("files"), dict) else ["files"]
    if wrong:
        raise _damaged(folder, f"{folder / RECORD} is damaged: {wrong[0]} is not what packing wrote")
    return record


def _damaged(folder: Path, what: str) -> ArtefactError:
    return ArtefactError(f"{what}; remove the folder {folder}, and the same command packs it again")
