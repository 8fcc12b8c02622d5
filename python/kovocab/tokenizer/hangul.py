"""Hangul: the code-point classes that the text half goes by, in one place.

Each class is written as the inside of a regex character class, so that `re` and Polars (whose regex engine is
Rust's) read the same ranges.
"""

import re

SYLLABLE = "\uac00-\ud7a3"
"""The 11,172 modern syllables, 가 to 힣."""

CANDIDATE = SYLLABLE + "\u3131-\u3163"
"""What a new token may be made of: modern syllables and compatibility jamo (ㄱ to ㅣ, as in ㅋㅋ and ㅠㅠ).

Conjoining jamo, half-width and circled letters stay with the base: they are rare in NFC text, and a token
list without them needs no normalisation of its own.
"""

HANGUL = (
    "\u1100-\u11ff"  # conjoining jamo
    "\u302e\u302f"  # tone marks
    "\u3131-\u318e"  # compatibility jamo, old ones included
    "\u3200-\u321e"  # parenthesised
    "\u3260-\u327e"  # circled
    "\ua960-\ua97c"  # conjoining jamo, extended A
    "\uac00-\ud7a3"  # syllables
    "\ud7b0-\ud7c6\ud7cb-\ud7fb"  # conjoining jamo, extended B
    "\uffa0-\uffbe\uffc2-\uffc7\uffca-\uffcf\uffd2-\uffd7\uffda-\uffdc"  # half-width
)
"""Every character whose Unicode script is Hangul (Scripts.txt; unchanged since Unicode 5.2, U+302E and U+302F
since 6.0)."""

_HAS_HANGUL = re.compile(f"[{HANGUL}]")


def is_syllable(character: str) -> bool:
    """Whether `character`, one code point, is a modern Hangul syllable (U+AC00 to U+D7A3)."""
    return "\uac00" <= character <= "\ud7a3"


def has_hangul(text: str) -> bool:
    """Whether `text` holds a character whose Unicode script is Hangul, of any of its blocks."""
    return _HAS_HANGUL.search(text) is not None
