"""What a token is labelled with for its text alone: its stem, flags that say what to look at, and its kind.

Advice, all of it: a flag takes nothing out, and what kiwipiepy takes for a word is often part of one.
"""

import re
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal

import msgspec
import polars as pl

from kovocab.tokenizer.script import SPACE

Kind = Literal["noun", "particle form", "ending", "jamo/neologism", "name", "mixed"]
Flag = Literal[
    "one source",
    "one document",
    "name",
    "phone-like",
    "profanity",
    "NFD double",
    "never emitted",
    "below min_count",
]

_PARTICLES = (
    "은 는 이 가 을 를 의 에 에서 에게 에게서 께 께서 한테 와 과 랑 이랑 하고 도 만 로 으로 로서 으로서 로써 "
    "으로써 부터 까지 처럼 같이 보다 만큼 마다 조차 마저 밖에 뿐 대로 나 이나 든지 이든지 라도 이라도 라 이라 "
    "란 이란 라고 이라고 라는 이라는 라면 이라면 며 이며 야 이야 요 이요 여 이여 들 님 씨 적 적인 적으로"
)
_ENDINGS = (
    "다 이다 였다 이었다 입니다 입니까 인 일 이고 이지만 인데 이라서 이니 이므로 고 서 면 지 지만 는데 은데 니 "
    "니까 으니까 게 도록 려고 으려고 려면 기 기도 기에 음 던 든 는지 은지 을지 ㄴ지 거나 자 네 네요 죠 지요 "
    "세요 습니다 습니까 ㅂ니다 니다 어 어서 어도 어야 아 아서 아도 아야 었 았 었다 았다 었던 았던 었습니다 "
    "았습니다 하 하는 하고 하여 해 해서 했다 했던 한 할 함 하기 하지 하면 합니다 했습니다 되 되는 되고 되어 된 "
    "될 됨 돼 됐다 됩니다 되었다 된다 한다 시키는 시켜 당한 스러운 스럽게 롭게"
)
_BEHIND = re.compile(f"(?:{'|'.join(sorted({*_PARTICLES.split(), *_ENDINGS.split()}, key=len, reverse=True))}){{1,3}}")

_DIGITS = "영공일이삼사오육륙칠팔구"
_PHONE = re.compile(f"(?!일일이$)(?:[{_DIGITS}]{{3,}}|[{_DIGITS}십백천만억조]{{4,}})(?:번|원|호)?")
"""Three digits in a row, or a longer number; Hangul tokens hold no others."""

_SURNAMES = (
    "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허남심노하곽성차주우구민진나지엄채"
    "원천방공현함변염여추도소석선설마길연위표명기반왕금옥육인맹제모탁국은편용"
)
_CALLED = "씨|님|선생|교수|기자|의원|대표|감독|배우|판사|검사|변호사"
_PERSON = re.compile(f"[{_SURNAMES}][가-힣]{{2}}")
"""A surname and a given name of two syllables, as most are; of one they are not to be told from other words."""
_NAME = re.compile(f"{_PERSON.pattern}(?:{_CALLED})(?:은|는|이|가|을|를|의|도|와|과)?")
"""A person and what people are called by."""

_PROFANITY = re.compile(
    "씨발|시발(?!점|역)|씨바|쓰발|ㅅㅂ|ㅆㅂ|ㅆㅃ|시부랄|씨부랄|씨팔|시팔|병신|븅신|ㅂㅅ|ㅄ|지랄|ㅈㄹ|좆|좃같|존나|졸라|ㅈㄴ|조까(?!지)|"
    "개새|개색|새끼|쌔끼|ㅅㄲ|썅|쌍년|쌍놈|미친[년놈]|ㅁㅊ|엠창|느금|니애미|니미럴|애미[없뒤]|애비없|보지[년털]|자지[털]|창녀|창년|"
    "걸레년|화냥|후장|닥쳐|ㄷㅊ|꺼져(?![있서가버도])|ㄲㅈ|엿먹|등신|똥꼬|쪽바리|짱깨|짱개|홍어새|[가-힣]충새|한남충|김치녀|된장녀|맘충|급식충|틀딱"
)
"""Swear words and slurs as people write them, jamo forms too; a short list of ours, and no judgement of a text."""

_JAMO = re.compile("[ㄱ-ㆎ]")
_HANGUL = re.compile("[ᄀ-ᇿㄱ-ㆎ가-힣]")


def stems(tokens: Sequence[str], counts: Sequence[int]) -> list[str]:
    """The stem of each token, without the space before it: 그리고, 그리고는 and 그리고서 are decided together.

    A token goes with the longest other candidate that it begins with, of two characters or more and emitted more often
    than it, if nothing but particles and endings follows; a space before it makes no difference.

    Args:
        tokens: As word counts write them.
        counts: How often each is emitted.
    """
    emitted: dict[str, int] = {}
    for token, count in zip(tokens, counts, strict=True):
        text = token.removeprefix(SPACE)
        emitted[text] = emitted.get(text, 0) + count
    found: dict[str, str] = {}
    for text in sorted(emitted, key=len):  # what a token begins with is shorter than it
        found[text] = text
        for end in range(len(text) - 1, 1, -1):
            stem = text[:end]
            if emitted.get(stem, 0) > emitted[text] and _BEHIND.fullmatch(text, end):
                found[text] = found[stem]
                break
    return [found[token.removeprefix(SPACE)] for token in tokens]


def flags(tokens: pl.Series, counts: pl.Series, least: pl.Series) -> pl.Series:
    """The flags that a token and its count tell by themselves: `list[str]`, by row.

    Args:
        tokens: As word counts write them.
        counts: How often each is emitted.
        least: The threshold of each.
    """
    texts = [token.removeprefix(SPACE) for token in tokens]
    found: list[list[str]] = []
    for text, count, threshold in zip(texts, counts, least, strict=True):
        said: list[Flag] = []
        if _NAME.fullmatch(text):
            said.append("name")
        if _PHONE.fullmatch(text):
            said.append("phone-like")
        if _PROFANITY.search(text):
            said.append("profanity")
        if not unicodedata.is_normalized("NFC", text):
            said.append("NFD double")
        if count == 0:
            said.append("never emitted")
        if count < threshold:
            said.append("below min_count")
        found.append(list(said))
    return pl.Series("flags", found, dtype=pl.List(pl.String))


def kinds(tokens: Sequence[str]) -> list[tuple[Kind | None, bool]] | None:
    """The kind of each token, as word counts write it, and whether it names a person; None without kiwipiepy.

    Tags are those of the Sejong corpus. A *name* is a proper noun alone; a *noun* has nouns, roots and what makes
    nouns; a *particle form* ends with a particle (of nothing else, or of a noun); an *ending* has endings, or is a verb
    or adjective before them; *jamo/neologism* holds single jamo, or what the analysis does not know. A token without
    Hangul has none.
    """
    if find_spec("kiwipiepy") is None:
        return None
    # In a process of its own: while it loads its model Python runs nothing else, for seconds in which no key is heard.
    # It hears of no Ctrl-C, and ends by itself.
    command, given = [sys.executable, "-m", "kovocab.curating.labels"], msgspec.json.encode(list(tokens))
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
        person = tags[:1] == ["NNP"] and _PERSON.fullmatch(parts[0].form) and all(tag[0] == "J" for tag in tags[1:])
        found.append((kind(text, tags) if _HANGUL.search(text) else None, bool(person)))
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
