"""Templates: a row of several columns as one document, pairs of sentences say.

`{en} = {ko}` names columns, or paths, in braces; `{{` and `}}` are braces. Of several templates each row has one, by a
hash of what the first makes of it: about as many rows each, and the same one wherever the row stands and whatever is
beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from string import Formatter

import polars as pl

from kovocab.errors import UsageError

Part = tuple[bool, str]
"""Whether it is a column, and its name or the text."""


@dataclass(frozen=True)
class Templates:
    """One or several templates over the same columns.

    Args:
        texts: The templates.

    Raises:
        UsageError: one cannot be read, or names other columns than the first.
    """

    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be filled in."""
        if not self.texts:
            raise UsageError("template is an empty list; wanted at least one, '{en}\\n{ko}' say")
        for text in self.texts:
            if names := set(self.columns) ^ {name for is_column, name in _parts(text) if is_column}:
                raise UsageError(
                    f"template: {self.texts[0]!r} and {text!r} do not both name the column {min(names)!r}; wanted the "
                    "same columns in all of them"
                )

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that are named, in the order of the first template."""
        return tuple(dict.fromkeys(name for is_column, name in _parts(self.texts[0]) if is_column))

    def fill(self, row: Mapping[str, str]) -> str:
        """The document of a row of strings."""
        first, *others = ("".join(row[name] if is_column else name for is_column, name in parts) for parts in self._all)
        return (first, *others)[int.from_bytes(_hash(first.encode()), "little") % len(self.texts)]

    def expression(self, texts: Mapping[str, pl.Expr]) -> pl.Expr:
        """The documents of a frame's rows, from the texts of the columns: String; null where one is null or empty."""
        filled = [
            pl.concat_str(texts[name] if is_column else pl.lit(name) for is_column, name in parts)
            for parts in self._all
        ]
        whole = pl.all_horizontal(text.str.len_bytes() > 0 for text in texts.values())
        found = filled[0]
        if len(filled) > 1:
            number = found.map_batches(self._choices, return_dtype=pl.UInt32, is_elementwise=True)
            for at, other in enumerate(filled[1:], start=1):
                found = pl.when(number == at).then(other).otherwise(found)
        return pl.when(whole).then(found)  # where it is null, so is the document

    @cached_property
    def _all(self) -> list[list[Part]]:
        return [_parts(text) for text in self.texts]

    def _choices(self, firsts: pl.Series) -> pl.Series:
        """Which template each row has."""
        hashes = pl.Series(map(_hash, firsts.fill_null("").cast(pl.Binary).to_list()), dtype=pl.Binary)
        return (hashes.bin.reinterpret(dtype=pl.UInt64, endianness="little") % len(self.texts)).cast(pl.UInt32)


def templates_of(given: str | Sequence[str] | None) -> Templates | None:
    """What a setting says: one, several or none."""
    if given is None:
        return None
    return Templates((given,) if isinstance(given, str) else tuple(given))


def _hash(first: bytes) -> bytes:
    # Not the one by which documents are held out: those would all have the same template.
    return blake2b(first, digest_size=8, person=b"template").digest()


def _parts(text: str) -> list[Part]:
    """The pieces of a template."""
    wanted = "wanted column names in braces, '{en}\\n{ko}' say, and {{ and }} for braces"
    parts: list[Part] = []
    try:
        for literal, name, form, conversion in Formatter().parse(text):
            if literal:
                parts.append((False, literal))
            if name is not None:
                if not name or form or conversion:
                    raise ValueError("a column's name alone belongs between braces")
                parts.append((True, name))
    except ValueError as error:
        raise UsageError(f"template {text!r}: {error}; {wanted}") from None
    if not any(is_column for is_column, _ in parts):
        raise UsageError(f"template {text!r} names no column; {wanted}")
    return parts
