"""The one door to the library `tokenizers`: what it makes of a `tokenizer.json`.

kovocab reads and writes the file by itself and counts with its own engine. The library is what both are held to, in
promises and in tests, and the encoder of tokenizers that the engine does not cover. Only what its versions 0.23 and
1.0 have in common is called.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer

from kovocab.errors import TokenizerError
from kovocab.tokenizer.parsing import parse
from kovocab.tokenizer.tokenizer_json import TokenizerJson

__all__ = ["Reference", "Tokenizer", "read"]


class Reference:
    """A tokenizer as the library has it.

    Args:
        document: The tokenizer.

    Attributes:
        library: The `tokenizers.Tokenizer`.

    Raises:
        TokenizerError: the library does not read it.
    """

    def __init__(self, document: TokenizerJson) -> None:
        try:
            with TemporaryDirectory(prefix="kovocab-") as folder:
                path = Path(folder, "tokenizer.json")
                path.write_text(document.text, encoding="utf-8")
                self.library = Tokenizer.from_file(str(path))
        except Exception as error:  # 0.23 raises bare Exceptions
            raise TokenizerError(f"tokenizers cannot read the tokenizer.json: {error}") from error
        library: Any = self.library
        self._encode = getattr(library, "encode_batch_fast", library.encode_batch)
        self._settings: dict[str, bool] = {}
        if document.encode_special_tokens:
            if hasattr(library, "encode_special_tokens"):
                library.encode_special_tokens = True
            else:
                self._settings["encode_special_tokens"] = True

    def encode(self, texts: Sequence[str], *, template: bool = False) -> list[list[int]]:
        """The ids of each text; `template` puts the special tokens round it that the tokenizer wants there."""
        encodings = self._encode(list(texts), add_special_tokens=template, **self._settings)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Sequence[int], *, special: bool = True) -> str:
        """The text of `ids`, with or without the special tokens."""
        text: str = self.library.decode(ids, skip_special_tokens=not special)
        return text


def read(tokenizer: Tokenizer) -> TokenizerJson:
    """The `tokenizer.json` of somebody's `tokenizers.Tokenizer`.

    Raises:
        TokenizerError: it is something else, or of version 1.0, which does not give its file back.
    """
    if not isinstance(tokenizer, Tokenizer):
        raise TokenizerError(f"a tokenizer is a path or a tokenizers.Tokenizer; got {type(tokenizer).__name__}")
    if not hasattr(tokenizer, "to_str"):
        raise TokenizerError("this version of tokenizers does not give a Tokenizer's file back; wanted its path")
    document = parse(tokenizer.to_str(), "the tokenizers.Tokenizer")
    if tokenizer.encode_special_tokens:
        return replace(document, encode_special_tokens=True)
    return document
