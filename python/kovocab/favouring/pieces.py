"""Pieces of a source's training part in an order of their own, read as one text: what a bias repeats, contexts.

The order is two mapped files, 16 bytes a piece, so a run of any length holds none of it in memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from kovocab.errors import ArtefactError
from kovocab.ownership import changed
from kovocab.packing.packed import ENDS, PackedSource
from kovocab.packing.splitting import Part
from kovocab.record import Record, again, difference, read_record

Numbers = npt.NDArray[Any]

_CHECKED: set[Path] = set()
"""Folders whose files this process has hashed."""


class Blocks(Protocol):
    """What a source is to those who read its blocks."""

    length: int

    def blocks(self, part: Part) -> int:
        """The number of blocks in `part`."""
        ...

    def block(self, part: Part, index: int) -> npt.NDArray[np.int64]:
        """The token ids of one block, int64 [length]."""
        ...

    def boundaries(self, part: Part, index: int) -> npt.NDArray[np.int64]:
        """The places in a block at which a document begins."""
        ...


class Pieces:
    """A source whose training part is pieces of its token files; cut into blocks as `PackedSource` is.

    The last block is filled up from the first pieces, so that none is lost.

    Args:
        folder: Where `NAME.starts` (uint64: a piece begins at that token of `train.bin`) and `NAME.ends` (uint64: how
            many tokens there are up to its end) are.
        name: Of the source.
        packed: Its token files.

    Raises:
        ArtefactError: the two files are not there, or not of one length.
    """

    def __init__(self, folder: Path, name: str, packed: PackedSource) -> None:
        self.folder, self.name, self.packed, self.length = folder, name, packed, packed.length
        starts, ends = (folder / f"{name}.{kind}" for kind in ("starts", "ends"))
        sizes = {path.stat().st_size if path.is_file() else 0 for path in (starts, ends)}
        if len(sizes) > 1 or not min(sizes) or min(sizes) % ENDS.itemsize:
            raise ArtefactError(f"{starts} and {ends} are not of one length; {again(folder, 'fit')}")
        # Plain views: slicing a memmap takes ten times as long, and a block is many slices.
        self._starts, self._ends = (np.asarray(np.memmap(path, dtype=ENDS, mode="r")) for path in (starts, ends))
        self._tokens = np.asarray(packed.tokens("train"))
        self.tokens = int(self._ends[-1])

    def __reduce__(self) -> tuple[type["Pieces"], tuple[Path, str, PackedSource]]:
        """Cross to a worker process by name."""
        return Pieces, (self.folder, self.name, self.packed)

    def blocks(self, part: Part) -> int:
        """The number of blocks in `part`."""
        return -(-self.tokens // self.length) if part == "train" else self.packed.blocks(part)

    def block(self, part: Part, index: int) -> npt.NDArray[np.int64]:
        """The token ids of one block, int64 [length]."""
        if part != "train":
            return self.packed.block(part, index)
        runs = [self._tokens[start : start + length] for start, length, _ in self._runs(index)]
        ids: npt.NDArray[np.int64] = np.concatenate(runs).astype(np.int64)
        return ids

    def boundaries(self, part: Part, index: int) -> npt.NDArray[np.int64]:
        """Where in a block pieces begin, int64, ascending; not 0 where one goes on from the block before."""
        if part != "train":
            return self.packed.boundaries(part, index)
        at, places = 0, []
        for _, length, begins in self._runs(index):
            if begins:
                places.append(at)
            at += length
        return np.asarray(places, dtype=np.int64)

    def _runs(self, index: int) -> Iterator[tuple[int, int, bool]]:
        """What a block is made of: the first token, how many there are, and whether a piece begins there."""
        at, left = index * self.length, self.length
        while left:
            # Of the ends' own type: with another one, numpy would first make a copy of all of them.
            piece = int(np.searchsorted(self._ends, np.uint64(at), side="right"))
            while left and piece < len(self._ends):
                begin = int(self._ends[piece - 1]) if piece else 0
                length = min(left, int(self._ends[piece]) - at)
                yield int(self._starts[piece]) + at - begin, length, at == begin
                at, left, piece = at + length, left - length, piece + 1
            at = 0  # behind the last piece comes the first


def check_found(folder: Path, verb: str, made_from: Record) -> None:
    """See that what is in a folder was made from that and holds what was written: by a hash of all, once a process.

    Raises:
        ArtefactError: it is of something else, or damaged; names it.
    """
    record = read_record(folder, verb)
    if differs := difference(record, made_from):
        raise ArtefactError(f"{folder} is of something else: {differs}; {again(folder, 'fit')}")
    if folder not in _CHECKED:
        gone = [name for name in record["files"] if not (folder / name).is_file()]
        for name in [*gone, *changed(folder, record["files"])]:
            raise ArtefactError(f"{folder / name} does not hold what was written; {again(folder, 'fit')}")
        _CHECKED.add(folder)


class PieceWriter:
    """Writes the two files of `Pieces`; see `writing`.

    Attributes:
        tokens: How many are in all pieces that were written.
    """

    def __init__(self, starts: BinaryIO, ends: BinaryIO) -> None:
        self._starts, self._ends, self.tokens = starts, ends, 0

    def add(self, starts: Numbers, lengths: Numbers) -> None:
        """Add pieces: the token each begins at, and how many it has, at least one."""
        ends = self.tokens + np.cumsum(lengths, dtype=np.int64)
        self._starts.write(starts.astype(ENDS).tobytes())
        self._ends.write(ends.astype(ENDS).tobytes())
        self.tokens = int(ends[-1]) if len(ends) else self.tokens


@contextmanager
def writing(folder: Path, name: str) -> Iterator[PieceWriter]:
    """Write the pieces of the source `name` into `folder`."""
    with (folder / f"{name}.starts").open("wb") as starts, (folder / f"{name}.ends").open("wb") as ends:
        yield PieceWriter(starts, ends)
