"""How a tokenizer's file spells its tokens, and how all else is written here: one notation for every kind of base.

Word counts, vocabularies and decisions write text, and `▁` for a space. A SentencePiece-style file does so too. A
byte-level one writes each byte of UTF-8 as a character of its own, `ìķĪ` for 안; there a `▁` of the text is written as
a space: the two change places. What is no UTF-8 is written in bytes, `<0xEA><0xB0>`, as SentencePiece writes them.
"""

import re
from codecs import charmap_build, charmap_decode, charmap_encode
from collections.abc import Iterable
from typing import Final

from kovocab.tokenizer.script import SPACE, Script

_SWAP = str.maketrans({SPACE: " ", " ": SPACE})
_BYTES = re.compile("(?:<0x[0-9A-F]{2}>)+")


def _byte_characters() -> list[str]:
    """GPT-2's: a byte that can be seen is itself, the others follow from U+0100 on."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = (chr(0x100 + i) for i in range(256))
    return [chr(byte) if byte in seen else next(hidden) for byte in range(256)]


BYTES: Final = _byte_characters()
"""The character that a byte-level file writes for each byte."""

BYTE_PIECES: Final = {f"<0x{byte:02X}>": byte for byte in range(256)}
"""The byte that each piece of a SentencePiece-style base stands for which is one."""

# What Python's own one-byte encodings are made of.
_CHARACTERS: Final = "".join(BYTES)
_TO_BYTES: Final = charmap_build(_CHARACTERS)


def _bytes_of(spelled: str) -> bytes:
    """The bytes that characters of `BYTES` are written for; a UnicodeEncodeError where one is none of them."""
    return charmap_encode(spelled, "strict", _TO_BYTES)[0]


def raw_bytes(token: str) -> bytes:
    """The bytes that a byte-level file's token is; those of its text where it is made of others, as added ones may be.

    As the library's decoder has it.
    """
    try:
        return _bytes_of(token)
    except UnicodeEncodeError:
        return token.encode()


class Spelling:
    """That of a SentencePiece-style file, which is the notation itself."""

    byte_level = False

    def spell(self, token: str) -> str:
        """The token as the file has it."""
        return token

    def read(self, token: str) -> str:
        """The file's token as all else has it."""
        return token

    def read_all(self, tokens: Iterable[str]) -> list[str]:
        """Many at a time."""
        return list(tokens)

    def possible(self, script: Script) -> Script:
        """What of a script can be new tokens of such a base."""
        return script


class ByteSpelling(Spelling):
    """That of a byte-level file."""

    byte_level = True

    def spell(self, token: str) -> str:
        """The token as the file has it."""
        if token.startswith("<0x") and _BYTES.fullmatch(token):
            return "".join(BYTES[int(token[at + 3 : at + 5], 16)] for at in range(0, len(token), 6))
        text = token.translate(_SWAP) if SPACE in token or " " in token else token
        return charmap_decode(text.encode(), "strict", _CHARACTERS)[0]

    def read(self, token: str) -> str:
        """The file's token as all else has it; one that is not made of bytes, as added ones may be, as it is."""
        try:
            raw = _bytes_of(token)
        except UnicodeEncodeError:
            return token
        try:
            return raw.decode().translate(_SWAP)
        except UnicodeDecodeError:
            return "".join(f"<0x{byte:02X}>" for byte in raw)

    def read_all(self, tokens: Iterable[str]) -> list[str]:
        """Many at a time: a character is a byte, so their bytes are found for all together."""
        listed = list(tokens)
        try:
            raw = _bytes_of("".join(listed))
        except UnicodeEncodeError:
            return [self.read(token) for token in listed]
        found, end = [], 0
        for token in listed:
            start, end = end, end + len(token)
            try:
                text = raw[start:end].decode()
            except UnicodeDecodeError:
                text = self.read(token)
            else:
                if SPACE in text:
                    text = text.translate(_SWAP)
                elif " " in text:
                    text = text.replace(" ", SPACE)
            found.append(text)
        return found

    def possible(self, script: Script) -> Script:
        """What of a script can be new tokens of such a base."""
        return script.in_bytes
