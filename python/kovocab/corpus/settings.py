"""Settings of reading: how the documents of a corpus are found in its files, as one value that all readers share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, TypeAlias

import polars as pl

from kovocab.corpus.paths import is_path, shared, steps_of
from kovocab.corpus.templates import Templates, templates_of
from kovocab.errors import UsageError

Encoding: TypeAlias = Literal["utf-8", "cp949", "utf-16"]
"""What the bytes of text files are."""

Normalize: TypeAlias = Literal["nfc"] | None
"""What documents are brought into, if anything."""

Template: TypeAlias = str | Sequence[str] | None
"""What a row becomes a document by, if by more than a column."""

ENCODINGS = ("utf-8", "cp949", "utf-16")


@dataclass(frozen=True)
class Reading:
    """How a corpus is read.

    Attributes:
        column: The column (tables, frames) or key (JSON) that holds the text, or a path to it: `data[].ko`.
        encoding: Of text files: utf-8, cp949 (with EUC-KR in it) or utf-16. Parquet and Arrow have their own.
        normalize: `nfc`: documents are brought into NFC, so that Hangul in conjoining jamo becomes syllables.
        deduplicate: Whether a document that stood in the corpus before is left out, and counted.
        template: What a row becomes a document by, if by more than a column: `{en} = {ko}`, also of paths with the
            same array, `{data[].en} = {data[].ko}`; or several, of which each row has one, see `corpus.templates`.

    Raises:
        UsageError: a value is none that is known.
    """

    column: str = "text"
    encoding: Encoding = "utf-8"
    normalize: Normalize = None
    deduplicate: bool = False
    template: Template = None

    def __post_init__(self) -> None:
        """Refuse what cannot be read by."""
        if self.encoding not in ENCODINGS:
            raise UsageError(f"encoding is {self.encoding!r}; wanted {', '.join(ENCODINGS[:-1])} or {ENCODINGS[-1]}")
        if self.normalize not in (None, "nfc"):
            raise UsageError(f"normalize is {self.normalize!r}; wanted nfc, or nothing")
        if not isinstance(self.column, str):
            raise UsageError(f"column is {self.column!r}; wanted a name, or a path such as document[].paragraph[].form")
        if not isinstance(self.template, str | Sequence | None):
            raise UsageError(f"template is {self.template!r}; wanted text such as '{{en}} = {{ko}}', or a list of such")
        if self.template is not None and not isinstance(self.template, str):
            object.__setattr__(self, "template", tuple(self.template))
        if self.templates is not None and self.column != "text":
            raise UsageError(f"column is {self.column!r} and there is a template; wanted one of them")
        if shared(self.paths) is None:
            raise UsageError(
                f"template: the columns {' and '.join(self.columns)} are not of one row; wanted them behind the same "
                "[], '{data[].en} = {data[].ko}' say"
            )

    @cached_property
    def templates(self) -> Templates | None:
        """The template, or several, read."""
        return templates_of(self.template)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a document is made of."""
        return (self.column,) if self.templates is None else self.templates.columns

    @property
    def paths(self) -> list[list[str]]:
        """The steps to each of the columns."""
        return [steps_of(column) if is_path(column) else [column] for column in self.columns]

    def expression(self, places: Mapping[str, pl.Expr] | None = None) -> pl.Expr:
        """The document of a row: String, named `text`; null where there is none. `places`: where else columns are."""
        texts = {column: (places or {}).get(column, pl.col(column)).cast(pl.String) for column in self.columns}
        return (texts[self.column] if self.templates is None else self.templates.expression(texts)).alias("text")

    def recorded(self) -> dict[str, Any]:
        """What a record says of it: the column, and whatever else is not as it is by default."""
        values = ((field, getattr(self, field.name)) for field in fields(self))
        said = {field.name: value for field, value in values if field.name == "column" or value != field.default}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}


TEXT = Reading()
"""The column `text` of UTF-8, as it stands."""
