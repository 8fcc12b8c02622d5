"""What kind of word a token is, by kiwipiepy's analysis of it alone: advice, for a token is often part of a word."""

import re
from collections.abc import Sequence
from typing import Any, Literal

from kovocab.curating.flags import PERSON
from kovocab.tokenizer.script import SPACE

Kind = Literal["noun", "particle form", "ending", "jamo/neologism", "name", "mixed"]

_JAMO = re.compile("[ㄱ-ㆎ]")


def kinds(tokens: Sequence[str]) -> list[tuple[Kind | None, bool]] | None:
    """The kind of each token, as word counts write it, and whether it names a person; None without kiwipiepy.

    Tags are those of the Sejong corpus. A *name* is a proper noun alone; a *noun* has nouns, roots and what makes
    nouns; a *particle form* ends with a particle (of nothing else, or of a noun); an *ending* has endings, or is a verb
    or adjective before them; *jamo/neologism* holds single jamo, or what the analysis does not know.
    """
    try:
        from kiwipiepy import Kiwi  # loads some 100 MB of a model: where it is asked for
    except ModuleNotFoundError:
        return None
    texts = [token.removeprefix(SPACE) for token in tokens]
    analysed: Any = Kiwi().tokenize(iter(texts))
    found: list[tuple[Kind | None, bool]] = []
    for text, parts in zip(texts, analysed, strict=True):
        tags = [part.tag for part in parts]
        # A proper noun of three syllables is a person or a place; few places begin with a surname.
        person = tags[:1] == ["NNP"] and PERSON.fullmatch(parts[0].form) and all(tag[0] == "J" for tag in tags[1:])
        found.append((kind(text, tags) if text else None, bool(person)))
    return found


def kind(text: str, tags: Sequence[str]) -> Kind:
    """The kind of a text of which the parts have these tags."""
    plain = [tag.partition("-")[0] for tag in tags]  # VV-R and VV-I, say
    if _JAMO.search(text) or not plain or any(tag.startswith(("S", "U", "W")) and tag != "SN" for tag in plain):
        return "jamo/neologism"
    if plain == ["NNP"]:
        return "name"
    if plain[-1].startswith("J"):
        return "particle form"
    if all(tag.startswith("N") or tag in ("XR", "XPN", "XSN", "SN") for tag in plain):
        return "noun"
    if any(tag.startswith(("E", "VC")) for tag in plain) or all(tag.startswith(("V", "XSV", "XSA")) for tag in plain):
        return "ending"
    return "mixed"
