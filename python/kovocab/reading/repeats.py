"""Documents that stood in a corpus before, known by a hash each."""

import polars as pl

from kovocab import _core
from kovocab.errors import UsageError, quantity


class Seen:
    """The documents of a corpus that were met, in some 20 to 40 bytes each, whatever they hold.

    Args:
        limit: Bytes that may be used, if that is bounded.

    Attributes:
        documents: How many were left out.
        bytes: How much text that was.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._core, self._limit = _core.Seen(), limit
        self.documents = self.bytes = 0

    def first(self, documents: pl.Series) -> pl.Series:
        """Those of the documents that were not met before.

        Raises:
            UsageError: what is known of them passes the limit.
        """
        kept = documents.filter(pl.DataFrame(self._core.first(documents)).to_series())
        if len(kept) < len(documents):
            self.documents += len(documents) - len(kept)
            self.bytes += int(documents.str.len_bytes().sum()) - int(kept.str.len_bytes().sum())
        known, size = self._core.size()
        if self._limit is not None and size > self._limit:
            raise UsageError(
                f"deduplicate: the hashes of {quantity(known, 'document')} take {size / 1e9:.2f} GB, and they may take "
                f"{self._limit / 1e9:.2f} GB, half of memory; wanted a larger --memory"
            )
        return kept
