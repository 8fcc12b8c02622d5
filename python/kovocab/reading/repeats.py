"""Documents that stood in a corpus before, known by a hash each."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from kovocab import _core
from kovocab.errors import ArtefactError, UsageError, quantity


class Seen:
    """The documents of a corpus that were met: some 20 to 40 bytes for each, whatever it holds.

    Two documents are the same if 128 bits of hash are: among a billion others one is taken for another with a chance
    of 10^-21.

    Attributes:
        limit: Bytes that may be used, if that is bounded.
    """

    def __init__(self) -> None:
        self._core = _core.Seen()
        self.limit: int | None = None

    def first(self, documents: pl.Series) -> tuple[pl.Series, int]:
        """Those of the documents that were not met before, and the bytes of text of the others.

        Raises:
            UsageError: what is known of them passes the limit.
        """
        kept = documents.filter(pl.DataFrame(self._core.first(documents)).to_series())
        left = 0
        if len(kept) < len(documents):
            left = int(documents.str.len_bytes().sum()) - int(kept.str.len_bytes().sum())
        known, size = self._core.size()
        if self.limit is not None and size > self.limit:
            raise UsageError(
                f"deduplicate: what is known of {quantity(known, 'document')} takes {size / 1e9:.2f} GB, and half of "
                f"the memory that may be used is {self.limit / 1e9:.2f} GB; wanted a larger --memory"
            )
        return kept, left

    def take_new(self) -> bytes:
        """What is known since this was last asked for, to be kept in a file."""
        return self._core.take_new()

    def keep(self, path: Path) -> int:
        """Write what came since into a file that keeps it; how long that is."""
        try:
            with path.open("ab") as file:
                file.write(self.take_new())
                return file.tell()
        except OSError as error:
            raise ArtefactError(f"{path} cannot be written: {error.strerror}") from error

    def load(self, path: Path) -> None:
        """Know what was kept."""
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                self._core.add(piece)


def first_of_each(parts: Iterator[pl.Series]) -> Iterator[pl.Series]:
    """Documents without those that came before."""
    seen = Seen()
    return (seen.first(part)[0] for part in parts)
