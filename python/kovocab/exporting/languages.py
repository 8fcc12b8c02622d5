"""What a card says of the scripts of new tokens: names, languages that they tell for sure, a text to begin with."""

from collections.abc import Sequence
from dataclasses import dataclass

from kovocab.record import Record
from kovocab.tokenizer.script import HANGUL, SPACE, Script, folded_name, script_names, script_of
from kovocab.tokenizer.tokenizer_json import TokenizerJson

_LANGUAGES = {
    "hangul": "ko",
    "greek": "el",
    "grek": "el",
    "thai": "th",
    "lao": "lo",
    "laoo": "lo",
    "khmer": "km",
    "khmr": "km",
    "georgian": "ka",
    "geor": "ka",
    "armenian": "hy",
    "armn": "hy",
    "sinhala": "si",
    "sinh": "si",
    "tamil": "ta",
    "taml": "ta",
    "telugu": "te",
    "telu": "te",
    "kannada": "kn",
    "knda": "kn",
    "malayalam": "ml",
    "mlym": "ml",
    "gujarati": "gu",
    "gujr": "gu",
    "hiragana": "ja",
    "hira": "ja",
    "katakana": "ja",
    "kana": "ja",
}
"""The language of a script that writes one, by Unicode's name for it and its code. Devanagari, Ethiopic or Cyrillic
write several: which, no record says."""

_LEAST = 3
"""Characters of a token that is shown as a text; a shorter one where there is none."""


@dataclass(frozen=True)
class Scripts:
    """The scripts of a record of refine; one that names none is of an earlier kovocab, which knew Hangul alone."""

    names: Sequence[str]

    @classmethod
    def of(cls, refined: Record) -> "Scripts":
        """What a record says."""
        return cls(script_names(refined["settings"].get("script", HANGUL.name)))

    @property
    def _folded(self) -> list[str]:
        return [folded_name(name) for name in self.names]

    @property
    def korean(self) -> bool:
        """Whether Hangul is among them."""
        return folded_name(HANGUL.name) in self._folded

    @property
    def called(self) -> str:
        """What new tokens are called: Korean, or by their scripts."""
        return "Korean" if self.korean and len(self.names) == 1 else " and ".join(map(_titled, self.names))

    @property
    def languages(self) -> list[str]:
        """Codes of the languages that the scripts tell for sure, and English, which the base is taken to have."""
        found = [_LANGUAGES[name] for name in self._folded if name in _LANGUAGES]
        return [*dict.fromkeys(found), "en"]

    @property
    def tags(self) -> list[str]:
        """The hub's tags: of Hangul its language, else the script."""
        return ["korean" if name == "hangul" else name for name in self._folded]

    def prompt(self, target: TokenizerJson, first_new_id: int) -> str | None:
        """A text to begin with: in Korean a greeting, else the first new token that looks like a word.

        Returns:
            None where no new token is text.
        """
        if self.korean:
            return "안녕하세요"
        new = _words(target, first_new_id, target.spelling.possible(script_of(self.names)))
        return next((text for text in new if len(text) >= _LEAST), new[0] if new else None)


def _words(target: TokenizerJson, first_new_id: int, script: Script) -> list[str]:
    """New tokens without the space before them, by id; those that begin with a letter."""
    texts = (target.text_of.get(row, "") for row in range(first_new_id, target.size))
    words = (text.removeprefix(SPACE) for text in texts if script.can_be_new(text))
    return [word for word in words if word[:1].isalpha()]


def _titled(name: str) -> str:
    """A script's name as Unicode writes it: of `hang` Hangul, of `old_italic` Old Italic."""
    if folded_name(name) == folded_name(HANGUL.name):
        return HANGUL.name
    return name.replace("_", " ").title()
