"""A tokenizer as packing uses it: its template, the end of a document, and that what a document holds is text."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kovocab.building.placement import base_of
from kovocab.errors import TokenizerError
from kovocab.packing.encoders import Encoded, encoder_of
from kovocab.tokenizer.companions import read_config
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer_json import TokenizerJson

if TYPE_CHECKING:
    import polars as pl

DTYPES = ("<u2", "<u4")
"""What token ids are kept as: as many bytes as the largest needs."""

SpecialTokens = Literal["text", "token"]
"""What becomes of the text of a special token in a document: `</s>` read as four characters, or as the end."""

EOS_NAMES = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<|im_end|>")
"""What the end of a document is called where a bare tokenizer.json does not say."""

UNKNOWN = "\U0010fffd"
"""A character that no model has learned."""


class Encoder:
    """A tokenizer as packing uses it.

    Args:
        tokenizer: The target.
        eos: The token that ends each document, if any.
        special: What becomes of the text of a special token in a document.
        first_new_id: Where the tokens begin that the base has not; None where there is no base.
        threads: How many threads encode.
        memory: Bytes that words may take which were encoded before.

    Attributes:
        dtype: Of the ids.
        special_tokens: The text of each special token; of the one that ends documents too.
        with_special_tokens: How many documents held one of them, of those that were encoded.

    Raises:
        TokenizerError: it cannot be read, or makes a special token of its text by itself.
    """

    def __init__(
        self,
        tokenizer: TokenizerJson,
        eos: str | None,
        special: SpecialTokens,
        first_new_id: int | None,
        *,
        threads: int = 1,
        memory: int = 64 << 20,
    ) -> None:
        # An eos that a folder names, and its tokenizer.json calls no special token, is one all the same.
        tokens = [replace(token, special=token.special or token.content == eos) for token in tokenizer.added_tokens]
        self.special_tokens = [token.content for token in tokens if token.special]
        if eos is not None and eos not in self.special_tokens:
            self.special_tokens.append(eos)
        self.with_special_tokens = 0
        tokenizer = replace(tokenizer, added_tokens=tuple(tokens), encode_special_tokens=special == "text")
        self.dtype = dtype_of(tokenizer)
        self._reference = Reference(tokenizer)
        if special == "text":
            self._check_text(tokenizer)
        self._encoder = encoder_of(
            tokenizer,
            self.dtype,
            template=True,
            eos_id=None if eos is None else tokenizer.ids[eos],
            sought=self.special_tokens,
            threads=threads,
            memory=memory,
            reference=self._reference,
        )
        base = None if first_new_id is None else base_of(tokenizer, first_new_id)
        self._base = None
        if base is not None:
            self._base = encoder_of(
                base,
                dtype_of(base),
                template=False,
                eos_id=None,
                sought=[],
                threads=threads,
                memory=memory // 8,
            )

    @property
    def has_base(self) -> bool:
        """Whether it is known what the base makes of a text."""
        return self._base is not None

    def encode(self, documents: "pl.Series") -> Encoded:
        """Encode those of `documents` that are not empty."""
        filled = documents.str.len_bytes() > 0
        encoded, found = self._encoder.encode(documents if filled.all() else documents.filter(filled))
        self.with_special_tokens += found
        return encoded

    def base_tokens(self, texts: "pl.Series") -> int:
        """How many tokens the base makes of `texts`; see `has_base`."""
        return 0 if self._base is None else len(self._base.encode(texts)[0].ids)

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


def dtype_of(tokenizer: TokenizerJson) -> str:
    """What the ids of a tokenizer are kept as."""
    return DTYPES[tokenizer.size > 1 << 16]


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
