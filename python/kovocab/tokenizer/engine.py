"""A tokenizer as the engine has it: what cuts words, and encodes them."""

from functools import lru_cache

from kovocab import _core
from kovocab.errors import TokenizerError
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson


def bpe_of(tokenizer: TokenizerJson) -> _core.Bpe:
    """A tokenizer as the engine has it, which cuts words.

    Raises:
        TokenizerError: it is neither SentencePiece-style nor byte-level with a pattern that the engine reads; says what
            it is.
    """
    try:
        if not isinstance(tokenizer.model, BpeModel):
            raise _core.UnreadableTokenizer(f"its model is {tokenizer.model.type}, not BPE")
        if tokenizer.encode_special_tokens:
            raise _core.UnreadableTokenizer("special tokens are encoded as text")
        return _engine(tokenizer.text)
    except _core.UnreadableTokenizer as error:
        raise TokenizerError(
            f"words are cut for SentencePiece-style and byte-level tokenizers, and of this one {error}; "
            "count_tokens on a corpus takes any tokenizer"
        ) from error


@lru_cache(maxsize=2)  # of a large vocabulary it takes as long as counting some megabytes
def _engine(text: str) -> _core.Bpe:
    return _core.Bpe(text)
