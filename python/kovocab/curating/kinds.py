"""What kind of word a token is, by kiwipiepy's analysis of it alone: advice, for a token is often part of a word."""

import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal

import msgspec

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
    if find_spec("kiwipiepy") is None:
        return None
    # In a process of its own: while it loads its model Python runs nothing else, for seconds in which no key is heard.
    # It hears of no Ctrl-C, and ends by itself.
    command, given = [sys.executable, "-m", "kovocab.curating.kinds"], msgspec.json.encode(list(tokens))
    ended = subprocess.run(command, input=given, capture_output=True, start_new_session=True, check=False)
    if ended.returncode:
        raise OSError(f"kiwipiepy ended: {ended.stderr.decode(errors='replace').strip().rpartition(chr(10))[2]}")
    return msgspec.json.decode(ended.stdout, type=list[tuple[Kind | None, bool]])


def _analysed(tokens: Sequence[str]) -> list[tuple[Kind | None, bool]]:
    from kiwipiepy import Kiwi

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


if __name__ == "__main__":
    sys.stdout.buffer.write(
        msgspec.json.encode(_analysed(msgspec.json.decode(sys.stdin.buffer.read(), type=list[str])))
    )
