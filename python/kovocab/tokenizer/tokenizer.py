"""Tokenizers: load one, and see what it makes of a text by its model alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kovocab.errors import TokenizerError
from kovocab.hub import local
from kovocab.tokenizer import sentencepiece_model
from kovocab.tokenizer.companions import with_companions
from kovocab.tokenizer.parsing import parse
from kovocab.tokenizer.tokenizer_json import TokenizerJson

if TYPE_CHECKING:
    from kovocab.tokenizer.reference import Reference


class Written(Protocol):
    """A `tokenizers.Tokenizer` of 0.23, or what else gives its `tokenizer.json`."""

    def to_str(self, pretty: bool = False) -> str:
        """The file."""


class Fast(Protocol):
    """A tokenizer of transformers that encodes with one of `tokenizers`."""

    backend_tokenizer: Written


Source = str | Path | TokenizerJson | Written | Fast
"""A path to `tokenizer.json` or `tokenizer.model`, a folder holding one, what `load_tokenizer` made of one, a
`tokenizers.Tokenizer` of 0.23, or a tokenizer of transformers that has one."""

_WANTED = "wanted a tokenizer.json, a SentencePiece tokenizer.model or a folder holding one"


def load_tokenizer(source: Source) -> TokenizerJson:
    """Open a tokenizer.

    Args:
        source: A path to a `tokenizer.json`, to a SentencePiece `tokenizer.model` (under any name), or to a
            folder holding one of the two; the folder's `tokenizer.json` comes first, and tokens that its other
            files add are the tokenizer's too, as for AutoTokenizer. Or a name on the hub, see
            `kovocab.hub`. A `TokenizerJson` is handed back as it is; a `tokenizers.Tokenizer` is read and not
            changed.

    Returns:
        The tokenizer, without truncation and padding: they are settings of one use of it, and with them on a count
        would miss text without a word.

    Raises:
        TokenizerError: there is no such file, it holds no tokenizer of a kind that is covered, or files of the
            folder contradict each other.
    """
    if isinstance(source, TokenizerJson):
        return source
    if not isinstance(source, str | Path):
        return _written(source)
    source = local(source)
    path = _find(source)
    data = read_bytes(path)
    is_model = not data.lstrip().startswith(b"{")
    if is_model:
        own = sentencepiece_model.to_tokenizer(sentencepiece_model.read_model(data, str(path)), str(path))
    else:
        own = parse(data, path)
    return with_companions(own, source, in_text=is_model) if source.is_dir() else own


def _written(source: Written | Fast) -> TokenizerJson:
    name = type(source).__name__
    written: Any = getattr(source, "backend_tokenizer", source)
    if not hasattr(written, "to_str"):
        raise TokenizerError(
            f"a {name} does not give its tokenizer.json; wanted a path or a Tokenizer of tokenizers 0.23, or one of "
            "transformers that holds such a Tokenizer"
        )
    try:
        text = written.to_str()
    except Exception as error:  # a bare one, where a part of it is Python
        raise TokenizerError(f"the {name} does not give its tokenizer.json: {error}; wanted a path") from error
    document = parse(text, f"the {name}")
    return replace(document, encode_special_tokens=bool(getattr(written, "encode_special_tokens", False)))


def base_pieces(base: "TokenizerJson | Reference", tokens: Sequence[str]) -> list[list[int]]:
    """The ids that a tokenizer gives for each token's own text, tokens as word counts write them.

    This is the model alone: `▁안녕` is read as it stands, no space is put before it, no special token is
    looked for, and merges have to reach each piece (`ignore_merges` is off).
    """
    from kovocab.tokenizer.reference import Reference

    spell = (base.document if isinstance(base, Reference) else base).spelling.spell
    return Reference.alone(base).encode([spell(token) for token in tokens])


def _find(path: Path) -> Path:
    if path.is_dir():
        for name in ("tokenizer.json", "tokenizer.model"):
            if (path / name).is_file():
                return path / name
        raise TokenizerError(f"{path} holds neither tokenizer.json nor tokenizer.model; {_WANTED}")
    if not path.is_file():
        raise TokenizerError(f"{path} does not exist; {_WANTED}")
    return path


def read_bytes(path: Path) -> bytes:
    """What a file holds.

    Raises:
        TokenizerError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{path} cannot be read: {error.strerror}") from error
