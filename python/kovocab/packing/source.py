"""What is packed, and how: a source of the mixture, and how its documents become blocks."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob

from kovocab.corpus.remote import is_url, shown
from kovocab.corpus.settings import Encoding, Normalize, Reading
from kovocab.errors import UsageError
from kovocab.packing.encoding import SpecialTokens
from kovocab.reading.documents import check_readable

log = logging.getLogger(__name__)

_LONGEST = 150  # bytes of a name: folders have 255, and kovocab's words in theirs
_WEIGHTS = 1e-18, 1e18  # beyond them, sums and quotients of weights would be no numbers


@dataclass(frozen=True)
class Source:
    """A named part of the training mix.

    Attributes:
        name: What messages and records call it; also a part of a folder's name.
        corpus: A path or glob, or a list of them.
        weight: Its share of the training blocks, relative to the other sources' weights.
        column: The column or key that holds the text, or a path to it.
        encoding: Of text files: utf-8, cp949 or utf-16.
        normalize: `nfc` brings documents into NFC.
        deduplicate: Whether a document that stood in the corpus before is left out.
        template: In place of a column, what a row becomes a document by: `{en} = {ko}`, say, or a list of such, of
            which each row has one.
    """

    name: str
    corpus: str | list[str]
    weight: float = 1.0
    column: str = "text"
    encoding: Encoding = "utf-8"
    normalize: Normalize = None
    deduplicate: bool = False
    template: str | list[str] | None = None

    def __post_init__(self) -> None:
        """Refuse a name that is no file name and a weight that is no share."""
        if not re.fullmatch(r"[\w-][\w.-]*", self.name):
            raise UsageError(f"data.sources: the name {self.name!r} is not letters, digits, `_`, `-` and `.`")
        if len(self.name.encode()) > _LONGEST:
            raise UsageError(f"data.sources: the name {self.name!r} is too long; wanted at most {_LONGEST} bytes")
        if not self.corpus or (isinstance(self.corpus, list) and "" in self.corpus):
            raise UsageError(f"data.sources: {self.name} has the corpus {self.corpus!r}; wanted a path, or several")
        least, most = _WEIGHTS
        if not least <= self.weight <= most:
            raise UsageError(
                f"data.sources: {self.name} has weight {self.weight}; wanted a number from {least:g} to {most:g}"
            )
        try:
            _ = self.reading
        except UsageError as error:
            raise UsageError(f"data.sources: {self.name}: {error}") from None

    @property
    def reading(self) -> Reading:
        """How its documents are read."""
        return Reading(self.column, self.encoding, self.normalize, self.deduplicate, self.template)


@dataclass(frozen=True)
class Packing:
    """How documents become blocks.

    Attributes:
        length: Tokens per block.
        validation_share: The share of documents to hold out, between 0 and 1; at least one block is held out.
        special_tokens_in_text: What the text of a special token in a document is: text, or that token.
    """

    length: int
    validation_share: float
    special_tokens_in_text: SpecialTokens = "text"

    def __post_init__(self) -> None:
        """Refuse a block without a next token, and a split without one of its parts."""
        if self.length < 2:
            raise UsageError(f"data.length is {self.length}; wanted at least 2: a token and the one that follows")
        if not 0 < self.validation_share < 1:
            raise UsageError(f"data.validation_share is {self.validation_share}; wanted a share between 0 and 1")
        if self.special_tokens_in_text not in ("text", "token"):
            raise UsageError(f"data.special_tokens_in_text is {self.special_tokens_in_text}; wanted text or token")


def check_sources(sources: Sequence[Source]) -> None:
    """See that those of the sources that are here can be read; of one that is not, a line says so.

    Raises:
        CorpusError: a file has no such column, or is none that can be read; names it.
    """
    for source in sources:
        items = [source.corpus] if isinstance(source.corpus, str) else source.corpus
        if any(not is_url(item) and glob(item, recursive=True) for item in items):  # noqa: PTH207 - as `files` does
            check_readable(source.corpus, source.reading)
        else:
            log.info("data.sources: %s was not looked at: %s is not here", source.name, shown(source.corpus))
