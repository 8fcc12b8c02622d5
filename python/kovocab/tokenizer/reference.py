"""The one door to the library `tokenizers`: what it makes of a `tokenizer.json`.

kovocab reads and writes the file by itself and counts with its own engine. The library is what both are held to, in
promises and in tests, and the encoder of tokenizers that the engine does not cover. Only what its versions 0.23 and
1.0 have in common is called.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer

from kovocab.errors import TokenizerError
from kovocab.tokenizer.tokenizer_json import TokenizerJson

__all__ = ["Reference", "Tokenizer"]


class Reference:
    """A tokenizer as the library has it.

    Args:
        document: The tokenizer.
        once: It is for one use, and remembers no words: what a tokenizer of `tokenizers` 0.23 remembered stays in
            memory when it is gone (`findings/tokenizer-memory-kept.sh`).

    Attributes:
        document: The tokenizer.
        library: The `tokenizers.Tokenizer`.

    Raises:
        TokenizerError: the library does not read it, or cannot encode or decode with it.
    """

    def __init__(self, document: TokenizerJson, *, once: bool = False) -> None:
        with TemporaryDirectory(prefix="kovocab-") as folder:
            path = Path(folder, "tokenizer.json")
            path.write_text(document.text, encoding="utf-8")
            with _said(f"{document.name} cannot be read"):
                library = Tokenizer.from_file(str(path))
        self._take(document, library)
        if once and (resize := getattr(getattr(library, "model", None), "_resize_cache", None)):
            resize(0)

    def _take(self, document: TokenizerJson, library: Any) -> None:
        self.document = document
        self.library: Tokenizer = library
        self._encode = getattr(library, "encode_batch_fast", library.encode_batch)
        self._settings: dict[str, bool] = {}
        if document.encode_special_tokens:
            if hasattr(library, "encode_special_tokens"):
                library.encode_special_tokens = True
            else:
                self._settings["encode_special_tokens"] = True

    @classmethod
    def of(cls, tokenizer: "TokenizerJson | Reference") -> "Reference":
        """The tokenizer as the library has it: making one takes as long as reading the file."""
        return tokenizer if isinstance(tokenizer, Reference) else cls(tokenizer)

    @classmethod
    def alone(cls, tokenizer: "TokenizerJson | Reference") -> "Reference":
        """The model of a tokenizer by itself (`TokenizerJson.model_alone`), of a Reference made once."""
        return tokenizer._alone if isinstance(tokenizer, Reference) else cls(tokenizer.model_alone())

    @cached_property
    def _alone(self) -> "Reference":
        """The model as it was read, which the library lends; where it is to be another, or is not lent, from a file."""
        alone, library = self.document.model_alone(), self.library
        if alone.model is not self.document.model or not hasattr(library, "model"):
            return Reference(alone)
        reference = Reference.__new__(Reference)
        reference._take(alone, Tokenizer(library.model))
        return reference

    def encode(self, texts: Sequence[str], *, template: bool = False) -> list[list[int]]:
        """The ids of each text; `template` puts the special tokens round it that the tokenizer wants there."""
        with _said(f"{self.document.name} cannot encode"):
            encodings = self._encode(list(texts), add_special_tokens=template, **self._settings)
        return [encoding.ids for encoding in encodings]

    def spans(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]] | None]]:
        """The ids of each text, without a template, and the characters that each of them is of, from and to.

        None in place of these where the library does not tell them, as its version 1.0.
        """
        library: Any = self.library
        with _said(f"{self.document.name} cannot encode"):
            encodings = library.encode_batch(list(texts), add_special_tokens=False, **self._settings)
        return [(encoding.ids, getattr(encoding, "offsets", None)) for encoding in encodings]

    def decode(self, ids: Sequence[int], *, special: bool = True) -> str:
        """The text of `ids`, with or without the special tokens."""
        with _said(f"{self.document.name} cannot decode"):
            text: str = self.library.decode(ids, skip_special_tokens=not special)
        return text

    def decode_all(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """`decode` of many texts' ids, by all processors; version 1.0 of the library takes one after another."""
        together = getattr(self.library, "decode_batch", None)
        if together is None:
            return [self.decode(one) for one in ids]
        with _said(f"{self.document.name} cannot decode"):
            texts: list[str] = together(ids, skip_special_tokens=False)
        return texts


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Round what the library does: it raises bare Exceptions, and what is no Exception at all where it panics."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        raise TokenizerError(f"{what} by tokenizers: {' '.join(str(error).split())}") from error
