"""The token files of a source, as they are read: memory-mapped, cut into blocks, and held to their record before."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kovocab.corpus.contents import Hashes
from kovocab.errors import ArtefactError, CorpusError
from kovocab.packing.splitting import PARTS, Part
from kovocab.record import RECORD, Record, again, difference, read_record

ENDS = np.dtype("<u8")
"""What the ends of documents are kept as."""


class PackedSource:
    """The token files of one source, cut into blocks.

    Args:
        folder: What `TokenFiles.pack` returned.

    Raises:
        ArtefactError: the record is damaged, or a file is not of the size that it says.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.record = read_record(folder, "pack")
        except ArtefactError as error:
            raise _damaged(folder, str(error)) from error
        self.length: int = self.record["length"]
        dtype = np.dtype(self.record["dtype"])
        for part in PARTS:
            said = self.record[part]
            for path, wanted in (
                (folder / f"{part}.bin", said["tokens"] * dtype.itemsize),
                (folder / f"{part}.ends", said["documents"] * ENDS.itemsize),
            ):
                if (size := path.stat().st_size if path.is_file() else None) != wanted:
                    found = "is missing" if size is None else f"has {size:,} bytes and its record says {wanted:,}"
                    raise _damaged(folder, f"{path} {found}")
        self._tokens = {part: np.memmap(folder / f"{part}.bin", dtype=dtype, mode="r") for part in PARTS}
        self._ends = {part: np.memmap(folder / f"{part}.ends", dtype=ENDS, mode="r") for part in PARTS}

    def __reduce__(self) -> tuple[type["PackedSource"], tuple[Path]]:
        """Cross to a worker process by name: a pickled memmap would carry all its tokens."""
        return PackedSource, (self.folder,)

    def blocks(self, part: Part) -> int:
        """The number of whole blocks in `part`."""
        return len(self._tokens[part]) // self.length

    def block(self, part: Part, index: int) -> npt.NDArray[np.int64]:
        """The token ids of one block, int64 [length]."""
        return self._tokens[part][index * self.length : (index + 1) * self.length].astype(np.int64)

    def tokens(self, part: Part) -> npt.NDArray[Any]:
        """All token ids of `part`, document by document, mapped: uint16 or uint32 [tokens]."""
        return self._tokens[part]

    def ends(self, part: Part) -> npt.NDArray[np.uint64]:
        """Where each document of `part` ends among its tokens, mapped: uint64 [documents]."""
        return self._ends[part]

    def boundaries(self, part: Part, index: int) -> npt.NDArray[np.int64]:
        """The places in a block at which a document begins, ascending: int64; 0 only if one begins with the block."""
        ends, start = self._ends[part], index * self.length
        # Of the ends' own type: with another one, numpy would first make a copy of all of them.
        first, last = np.searchsorted(ends, np.array([start, start + self.length], dtype=ENDS))
        begun = ends[first:last].astype(np.int64) - start
        return begun if index else np.concatenate([np.zeros(1, dtype=np.int64), begun])

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
        paths = [self.folder / f"{part}.{kind}" for part in PARTS for kind in ("bin", "ends")]
        try:
            found = hashes(paths)
        except CorpusError as error:
            raise ArtefactError(str(error)) from error
        for path, hash_ in zip(paths, found, strict=True):
            if self.record["files"].get(path.name) != f"{path.stat().st_size} {hash_}":
                raise _damaged(self.folder, f"{path} does not hold what was written")


def _damaged(folder: Path, what: str) -> ArtefactError:
    advice = f"; {again(folder, 'pack')}"
    return ArtefactError(what.removesuffix(advice) + advice)
