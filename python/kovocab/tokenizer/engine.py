"""A tokenizer as the engine has it: what cuts words, and encodes them."""

from collections.abc import Sequence
from functools import lru_cache

from kovocab import _core
from kovocab.errors import TokenizerError
from kovocab.machine.threads import threads_of
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson

_MEMORY = 1 << 24  # for words that were encoded before


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


class Encoder:
    """Encodes as `Reference.encode` does; words are kept from one call to the next.

    Args:
        tokenizer: What to encode with.

    Raises:
        TokenizerError: as `bpe_of`, or entries of the vocabulary span words.
    """

    def __init__(self, tokenizer: TokenizerJson) -> None:
        import polars as pl

        bpe = bpe_of(tokenizer)
        if not bpe.cut[0]:
            raise TokenizerError("entries of its vocabulary span words")
        none = pl.Series([], dtype=pl.UInt32)
        self._packer = _core.Packer(
            bpe, threads_of(None), _MEMORY, wide=True, before=none, behind=none, last=None,
            sought=pl.Series([], dtype=pl.String), special_as_text=False,
        )  # fmt: skip

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        import polars as pl

        packed, table, _ = self._packer.pack(pl.Series([text for text in texts if text], dtype=pl.String))
        ids, ends = pl.Series(packed).to_list(), iter(pl.DataFrame(table)["end"].to_list())
        found, start = [], 0
        for text in texts:
            end = next(ends) if text else start
            found.append(ids[start:end])
            start = end
        return found


@lru_cache(maxsize=3)  # a base, and the first and the last target of refine: a large one takes as long as 50 MB of text
def _engine(text: str) -> _core.Bpe:
    return _core.Bpe(text)
