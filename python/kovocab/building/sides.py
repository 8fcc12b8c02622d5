"""The two sides of a promise: the base as the engine has it, and what was written as the library has it.

They share no code. Were the engine wrong about the base, what was written would differ from it, and no promise hold.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from kovocab.errors import TokenizerError
from kovocab.tokenizer.engine import Encoder
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import SPACE
from kovocab.tokenizer.spelling import BYTE_PIECES, raw_bytes
from kovocab.tokenizer.tokenizer_json import TokenizerJson

_REMEMBERED = 1 << 23  # ids, some 100 MB

_STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
_SENTENCEPIECE: list[Any] = [
    {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
    {"type": "ByteFallback"},
    {"type": "Fuse"},
]


class OfBase(Reference):
    """A base that the engine encodes with, where it can, and whose ids are put together here, where that is known.

    It takes a tenth of the library's time.
    """

    def __init__(self, reference: Reference) -> None:
        vars(self).update(vars(reference))
        self._engine: Encoder | None
        try:
            self._engine = Encoder(self.document)
        except TokenizerError:
            self._engine = None
        self._raw, self._begins = _decoder(self.document)

    def encode(self, texts: Sequence[str], *, template: bool = False) -> list[list[int]]:
        """As `Reference.encode`, by the engine."""
        if self._engine is None or template:
            return super().encode(texts, template=template)
        return self._engine.encode(texts)

    def decode(self, ids: Sequence[int], *, special: bool = True) -> str:
        """As `Reference.decode`, of what the bytes of each id are."""
        if special and self._raw:
            try:
                text = b"".join(map(self._raw.__getitem__, ids)).decode()
            except (KeyError, UnicodeDecodeError):  # what becomes of halves of characters is the library's to say
                return super().decode(ids)
            return text.removeprefix(self._begins)
        return super().decode(ids, special=special)

    def decode_all(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """As `Reference.decode_all`, of what the bytes of each id are."""
        return [self.decode(one) for one in ids] if self._raw else super().decode_all(ids)


class OfTarget(Reference):
    """What was written: by the library, a text once, for promises are checked on the same ones."""

    def __init__(self, reference: Reference) -> None:
        vars(self).update(vars(reference))
        self._known: dict[str, list[int]] = {}
        self._ids = 0

    def encode(self, texts: Sequence[str], *, template: bool = False) -> list[list[int]]:
        """As `Reference.encode`; of a text that was encoded before, what came then."""
        if template:
            return super().encode(texts, template=True)
        if self._ids > _REMEMBERED:
            self._known, self._ids = {}, 0
        lacking = [text for text in dict.fromkeys(texts) if text not in self._known]
        found = super().encode(lacking)
        self._known.update(zip(lacking, found, strict=True))
        self._ids += sum(map(len, found))
        return [self._known[text] for text in texts]

    @cached_property
    def _alone(self) -> Reference:
        return OfTarget(super()._alone)


def _decoder(document: TokenizerJson) -> tuple[dict[int, bytes], str]:
    """The bytes of each id, and what a text loses at its beginning; no bytes where the decoder is another."""
    step: Any = document.decoder or {}
    steps = step.get("decoders")
    if step.get("type") == "ByteLevel":
        return {i: raw_bytes(token) for i, token in document.tokens.items()}, ""
    if step.get("type") == "Sequence" and steps in (_SENTENCEPIECE, [*_SENTENCEPIECE, _STRIP]):
        raw = {i: token.replace(SPACE, " ").encode() for i, token in document.tokens.items() if token[:3] != "<0x"}
        spelled = {piece: bytes([byte]) for piece, byte in BYTE_PIECES.items()}
        raw |= {document.ids[token]: byte for token, byte in spelled.items() if token in document.ids}
        return raw, " " if len(steps) > 3 else ""
    return {}, ""
