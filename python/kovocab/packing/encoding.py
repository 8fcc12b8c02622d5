"""Documents → token ids, with the measures that a record has of them. What a document holds is text."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kovocab.building.placement import base_of
from kovocab.errors import TokenizerError
from kovocab.tokenizer.companions import read_config
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer_json import TokenizerJson

if TYPE_CHECKING:
    import polars as pl

SpecialTokens = Literal["text", "token"]
"""What becomes of the text of a special token in a document: `</s>` read as four characters, or as the end."""

AT_ONCE = 1024
"""Documents given to the tokenizer in one call: enough for all threads, little to hold."""

EOS_NAMES = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<|im_end|>")
"""What the end of a document is called where a bare tokenizer.json does not say."""

UNKNOWN = "\U0010fffd"
"""A character that no model has learned."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was encoded.

    Attributes:
        text: The document.
        ids: Its token ids, with those that the template and eos put round it.
        words: Runs of characters that are not white space.
        bytes: UTF-8.
        text_tokens: Those of `ids` that are the text's.
    """

    text: str
    ids: list[int]
    words: int
    bytes: int
    text_tokens: int


class Encoder:
    """A tokenizer as packing uses it.

    Args:
        tokenizer: The target.
        eos: The token that ends each document, if any.
        special: What becomes of the text of a special token in a document.
        first_new_id: Where the tokens begin that the base has not; None where there is no base.

    Attributes:
        special_tokens: The text of each special token; of the one that ends documents too.
        with_special_tokens: How many documents held one of them, of those that were encoded.

    Raises:
        TokenizerError: it cannot be read, or makes a special token of its text by itself.
    """

    def __init__(
        self, tokenizer: TokenizerJson, eos: str | None, special: SpecialTokens, first_new_id: int | None
    ) -> None:
        # An eos that a folder names, and its tokenizer.json calls no special token, is one all the same.
        tokens = [replace(token, special=token.special or token.content == eos) for token in tokenizer.added_tokens]
        self.special_tokens = [token.content for token in tokens if token.special]
        if eos is not None and eos not in self.special_tokens:
            self.special_tokens.append(eos)
        self.with_special_tokens = 0
        tokenizer = replace(tokenizer, added_tokens=tuple(tokens), encode_special_tokens=special == "text")
        self._eos = None if eos is None else tokenizer.ids[eos]
        self._reference = Reference(tokenizer)
        base = None if first_new_id is None else base_of(tokenizer, first_new_id)
        self._base = None if base is None else Reference(base)
        self._round = len(self._reference.encode(["a"], template=True)[0]) - len(self._reference.encode(["a"])[0])
        if special == "text":
            self._check_text(tokenizer)

    @property
    def has_base(self) -> bool:
        """Whether it is known what the base makes of a text."""
        return self._base is not None

    def documents(self, series: "pl.Series") -> Iterator[Document]:
        """Encode the documents of `series` that are not empty."""
        series = series.filter(series.str.len_bytes() > 0)
        for start in range(0, len(series), AT_ONCE):
            part = series[start : start + AT_ONCE]
            texts = part.to_list()
            words, sizes = part.str.count_matches(r"\S+").to_list(), part.str.len_bytes().to_list()
            if self.special_tokens:
                self.with_special_tokens += int(part.str.contains_any(self.special_tokens).sum())
            encoded = self._reference.encode(texts, template=True)
            for text, ids, count, size in zip(texts, encoded, words, sizes, strict=True):
                own = len(ids) - self._round
                if self._eos is not None and ids[-1:] != [self._eos]:
                    ids.append(self._eos)
                yield Document(text, ids, count, size, own)

    def base_tokens(self, texts: list[str]) -> int:
        """How many tokens the base makes of `texts`; see `has_base`."""
        return 0 if self._base is None else sum(map(len, self._base.encode(texts)))

    def _check_text(self, tokenizer: TokenizerJson) -> None:
        """See that no special token comes out of its own text, by a merge say."""
        unknown = self._reference.encode([UNKNOWN])[0]  # to a model without bytes, a part of a token's text may be that
        tokens = [token for token in self.special_tokens if tokenizer.ids[token] not in unknown]
        alone, behind = self._reference.encode(tokens), self._reference.encode([f"\n{token}" for token in tokens])
        for token, *found in zip(tokens, alone, behind, strict=True):
            if any(tokenizer.ids[token] in ids for ids in found):
                raise TokenizerError(
                    f"{tokenizer.name} makes the special token {token!r} of that text by its model alone; "
                    "wanted data.special_tokens_in_text: token"
                )


def eos_of(tokenizer: TokenizerJson, where: str | Path) -> str | None:
    """The token that ends a document: as `tokenizer_config.json` says, else an added token of a usual name.

    A token of such a name that is not added is a word like others: Qwen's `</s>` is one.
    """
    folder = Path(where)
    config = (folder if folder.is_dir() else folder.parent) / "tokenizer_config.json"
    named = [_said_eos(config)] if config.is_file() else []
    added = {token.content for token in tokenizer.added_tokens}
    usual = [name for name in EOS_NAMES if name in added]
    return next((name for name in [*named, *usual] if name in tokenizer.ids), None)


def _said_eos(config: Path) -> str | None:
    """The `eos_token` of a tokenizer_config.json: a string, or an object with its `content`."""
    eos = read_config(config).get("eos_token")
    if isinstance(eos, dict):
        eos = eos.get("content")
    if not isinstance(eos, str | None):
        raise TokenizerError(f"{config}: eos_token is {eos!r}; wanted a token's text")
    return eos
