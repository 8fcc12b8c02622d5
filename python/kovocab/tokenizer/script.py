"""Scripts: the code-point classes that the text half goes by, in one place. Hangul is the default everywhere.

Each class is written as the inside of a regex character class, so that `re` and Polars (whose regex engine is Rust's
and knows Unicode's scripts) read the same ranges.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from kovocab.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

SPACE = "▁"
"""How word counts, vocabularies and SentencePiece write a space."""

WHITE_SPACE = "\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's White_Space. What Python calls white space has U+001C to U+001F too."""

WORD = f"[^{WHITE_SPACE}]+"
"""A word as people count them, everywhere: a run of characters that are not white space; as the engine has it."""


@dataclass(frozen=True)
class Script:
    """One script or several, as far as tokens are concerned.

    Attributes:
        name: Its name, or names.
        characters: Its characters: a text that holds none of them is encoded as before.
        candidates: What new tokens may be made of.
        wanted: The same in words.
    """

    name: str
    characters: str
    candidates: str
    wanted: str

    @property
    def runs(self) -> str:
        """The regex of what a new token can be: a run of candidates, with a space before it or without."""
        return f"{SPACE}?[{self.candidates}]+"

    @cached_property
    def every_candidate(self) -> str:
        """All characters that new tokens may be made of, one after another."""
        ranges = re.findall("(.)-(.)", self.candidates, re.DOTALL)
        return "".join(chr(i) for first, last in ranges for i in range(ord(first), ord(last) + 1))

    @cached_property
    def _runs(self) -> re.Pattern[str]:
        return re.compile(self.runs)

    @cached_property
    def _holds(self) -> re.Pattern[str]:
        return re.compile(f"[{self.characters}]")

    def holds(self, text: str) -> bool:
        """Whether `text` has a character of the script."""
        return self._holds.search(text) is not None

    def can_be_new(self, token: str) -> bool:
        """Whether a new token may have this text."""
        return self._runs.fullmatch(token) is not None

    @cached_property
    def in_bytes(self) -> "Script":
        """The script as a byte-level base can have it (`kovocab.building.byte_level`).

        A character of three bytes is made over its first two, and these are shared by 64 code points. It is no
        candidate unless all of them that are assigned are of the script, or of no script in particular (as ฿ among
        Thai letters); and then all 64 are the script's characters, for their encoding changes. Characters of four
        bytes are no candidates.
        """
        import polars as pl

        of_none = r"\p{Cn}\p{Common}\p{Inherited}"
        block = pl.col("point") // 64
        table = _points(0x10000).with_columns(
            block=block,
            candidate=pl.col("character").str.contains(f"[{self.candidates}]"),
            foreign=~pl.col("character").str.contains(f"[{self.characters}{of_none}]"),
        )
        long = table.filter(
            (pl.col("point") >= 0x800).and_(
                pl.col("candidate").any().over("block"), ~pl.col("foreign").any().over("block")
            )
        )
        short = table.filter(pl.col("candidate") & (pl.col("point") < 0x800))
        candidates = [*short["point"], *long.filter("candidate")["point"]]
        narrow = replace(
            self,
            characters=self.characters + _ranges(long["point"]),
            candidates=_ranges(candidates),
            wanted=f"{self.wanted}, but for those that a byte-level base cannot have",
        )
        vars(narrow)["in_bytes"] = narrow  # as it is already
        return narrow


HANGUL = Script(
    "Hangul",
    "\u1100-\u11ff"  # conjoining jamo
    "\u302e\u302f"  # tone marks
    "\u3131-\u318e"  # compatibility jamo, old ones included
    "\u3200-\u321e"  # parenthesised
    "\u3260-\u327e"  # circled
    "\ua960-\ua97c"  # conjoining jamo, extended A
    "\uac00-\ud7a3"  # syllables
    "\ud7b0-\ud7c6\ud7cb-\ud7fb"  # conjoining jamo, extended B
    "\uffa0-\uffbe\uffc2-\uffc7\uffca-\uffcf\uffd2-\uffd7\uffda-\uffdc",  # half-width
    "\uac00-\ud7a3\u3131-\u3163",
    "Hangul syllables (가 to 힣) and jamo (ㄱ to ㅣ)",
)
"""Every character whose Unicode script is Hangul (Scripts.txt; unchanged since Unicode 5.2, U+302E and U+302F since
6.0). Candidates are the 11,172 modern syllables and compatibility jamo (ㄱ to ㅣ, as in ㅋㅋ and ㅠㅠ).

Conjoining jamo, half-width and circled letters stay with the base: they are rare in NFC text, and a token list
without them needs no normalisation of its own.
"""


def script_of(names: str | Sequence[str]) -> Script:
    """The script of a name that Unicode has for it, or those of several taken as one.

    Raises:
        UsageError: there is no such script; names those whose names are near.
    """
    wanted = script_names(names)
    if not wanted:
        raise UsageError("script is empty; wanted the name of a script, or a list of names")
    scripts = [_script(name) for name in wanted]
    if len(scripts) == 1:
        return scripts[0]
    return Script(
        " or ".join(script.name for script in scripts),
        "".join(script.characters for script in scripts),
        "".join(script.candidates for script in scripts),
        " or ".join(script.wanted for script in scripts),
    )


def script_names(names: str | Sequence[str]) -> list[str]:
    """The name, or the names, of one or several scripts: each once, in order, as it is first spelled."""
    found: dict[str, str] = {}
    for name in [names] if isinstance(names, str) else names:
        found.setdefault(folded_name(name), name)
    return list(found.values())


def folded_name(name: str) -> str:
    """A script's name as Unicode compares it: without case, blanks and hyphens; Hangul's code is its name."""
    folded = re.sub("[-_ ]", "", name).casefold()
    return "hangul" if folded == "hang" else folded


@lru_cache
def _script(name: str) -> Script:
    import polars as pl

    folded = folded_name(name)
    if folded == "hangul":
        return HANGUL
    if folded not in _OF_NO_SCRIPT and folded.isalpha():
        try:
            found = _points().filter(pl.col("character").str.contains(rf"\p{{sc={folded}}}"))
        except pl.exceptions.ComputeError:
            found = _points(0)
        if not found.is_empty():
            stable = [ord(c) for c in found["character"] if unicodedata.is_normalized("NFC", c)]
            return Script(name, _ranges(found["point"]), _ranges(stable), f"characters of {name}")
    near = ", ".join(_near(name))
    raise UsageError(
        f"script is {name!r}, and Unicode has none of that name; wanted one as it names them, such as {near}"
    )


_OF_NO_SCRIPT = ("common", "zyyy", "inherited", "zinh", "qaai", "unknown", "zzzz")


def _near(name: str) -> list[str]:
    """The scripts whose names are nearest; Hangul where none is near."""
    words = [unicodedata.name(chr(i), "").split() for i in range(0x20000)]
    first = {" ".join(parts[:count]) for parts in words for count in (1, 2, 3)}
    close = get_close_matches(name.replace("_", " ").upper(), [*sorted(first), "HAN"], n=20)
    return [found.title() for found in close if _is_script(found)][:3] or [HANGUL.name]


def _is_script(name: str) -> bool:
    import polars as pl

    try:
        pl.Series([""]).str.contains(rf"\p{{sc={name}}}")
    except pl.exceptions.ComputeError:
        return False
    return True


@lru_cache
def _points(end: int = 0x110000) -> "pl.DataFrame":
    """`point: i64, character: str`: every code point below `end` that can stand in a text."""
    import polars as pl

    points = [i for i in range(end) if not 0xD800 <= i < 0xE000]
    return pl.DataFrame({"point": points, "character": map(chr, points)}, {"point": pl.Int64, "character": pl.String})


def _ranges(points: Iterable[int]) -> str:
    """Code points, in order, as the inside of a regex character class."""
    ranges: list[list[int]] = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
