"""Settings of reading: how the documents of a corpus are found in its files, as one value that all readers share."""

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from kovocab.corpus.paths import is_path, steps_of
from kovocab.errors import UsageError

Encoding: TypeAlias = Literal["utf-8", "cp949", "utf-16"]
"""What the bytes of text files are."""

Normalize: TypeAlias = Literal["nfc"] | None
"""What documents are brought into, if anything."""

ENCODINGS = ("utf-8", "cp949", "utf-16")


@dataclass(frozen=True)
class Reading:
    """How a corpus is read.

    Attributes:
        column: The column (tables, frames) or key (JSON) that holds the text, or a path to it: `data[].ko`.
        encoding: Of text files: utf-8, cp949 (with EUC-KR in it) or utf-16. Parquet and Arrow have their own.
        normalize: `nfc`: documents are brought into NFC, so that Hangul in conjoining jamo becomes syllables.
        deduplicate: Whether a document that stood in the corpus before is left out, and counted.
        template: What a row becomes a document by, if by more than a column.

    Raises:
        UsageError: a value is none that is known.
    """

    column: str = "text"
    encoding: Encoding = "utf-8"
    normalize: Normalize = None
    deduplicate: bool = False
    template: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be read by."""
        if self.encoding not in ENCODINGS:
            raise UsageError(f"encoding is {self.encoding!r}; wanted {', '.join(ENCODINGS[:-1])} or {ENCODINGS[-1]}")
        if self.normalize not in (None, "nfc"):
            raise UsageError(f"normalize is {self.normalize!r}; wanted nfc, or nothing")
        if is_path(self.column):
            steps_of(self.column)

    def recorded(self) -> dict[str, Any]:
        """What a record says of it: the column, and whatever else is not as it is by default."""
        values = ((field, getattr(self, field.name)) for field in fields(self))
        return {field.name: value for field, value in values if field.name == "column" or value != field.default}


TEXT = Reading()
"""The column `text` of UTF-8, as it stands."""
