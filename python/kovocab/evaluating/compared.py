"""A text in the tokens of base and target, side by side: what a reader sees at once of an expansion."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from kovocab.errors import ModelError, TokenizerError
from kovocab.evaluating.fertility import text_reference
from kovocab.hub import local
from kovocab.record import Record
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

KOREAN = "대한민국의 수도는 서울이고, 사람들은 그곳에서 한국어로 이야기합니다."
ENGLISH = "The capital of Korea is Seoul, and its people speak Korean there."
"""What is shown where there is no text of a run's own."""


@dataclass(frozen=True)
class Piece:
    """A token of a text.

    Attributes:
        token: Its text, `▁` for a space; `<0xEA>` where it is no text.
        new: Whether the base does not have it.
    """

    token: str
    new: bool


@dataclass(frozen=True)
class Compared:
    """A text, and the tokens that base and target make of it."""

    text: str
    base: list[Piece]
    target: list[Piece]

    @property
    def changed(self) -> bool:
        """Whether the target makes other tokens of it than the base."""
        return self.base != self.target


def compared(texts: Sequence[str], base: TokenizerJson, target: TokenizerJson, first_new_id: int) -> list[Compared]:
    """Each text in the tokens of both; literal special tokens in it are text.

    Raises:
        TokenizerError: a tokenizer cannot encode.
    """

    def pieces(tokenizer: TokenizerJson) -> list[list[Piece]]:
        text_of = tokenizer.text_of
        encoded = text_reference(tokenizer).encode(list(texts))
        return [[Piece(text_of.get(i, ""), i >= first_new_id) for i in ids] for ids in encoded]

    return [Compared(*each) for each in zip(texts, pieces(base), pieces(target), strict=True)]


def base_tokenizer(expanded: Record, place: str | None = None) -> TokenizerJson | None:
    """The tokenizer of the base that a model was expanded from; None where it is not found, or is another.

    Args:
        expanded: The record of `expand`.
        place: Where it is; where the record says that it was, if not given.
    """
    place = place or expanded.get("base_model")
    if not place:
        return None
    try:
        base = load_tokenizer(local(place))
    except (TokenizerError, ModelError):
        return None
    return base if expanded["tokenizer"].get("base_tokenizer", base.digest) == base.digest else None


def visible(text: str) -> str:
    """A text whose characters can all be seen, and turn no line round; of those that do not, their names."""
    hidden = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return "".join(f"[U+{ord(c):04X}]" if unicodedata.category(c) in hidden else c for c in text)


def chosen_texts(prompts: Sequence[str], korean: bool) -> list[str]:
    """Texts to show: a few of a run's own, and an English one that no expansion changes.

    Args:
        prompts: What the models of the run were asked to go on from.
        korean: Whether the new tokens are Hangul.
    """
    own = [text for text in dict.fromkeys(" ".join(prompt.split()) for prompt in prompts) if text][:3]
    own = own or ([KOREAN] if korean else [])
    return own if any(text.isascii() for text in own) else [*own, ENGLISH]
