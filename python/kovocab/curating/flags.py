"""What a person should look at, each with the reason in two words. A flag takes nothing out."""

import re
import unicodedata
from typing import Literal

import polars as pl

from kovocab.tokenizer.script import SPACE

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

_DIGITS = "영공일이삼사오육륙칠팔구"
_PHONE = re.compile(f"(?!일일이$)(?:[{_DIGITS}]{{3,}}|[{_DIGITS}십백천만억조]{{4,}})(?:번|원|호)?")
"""Three digits in a row, or a longer number; Hangul tokens hold no others."""

_SURNAMES = (
    "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허남심노하곽성차주우구민진나지엄채"
    "원천방공현함변염여추도소석선설마길연위표명기반왕금옥육인맹제모탁국은편용"
)
_CALLED = "씨|님|선생|교수|기자|의원|대표|감독|배우|판사|검사|변호사"
PERSON = re.compile(f"[{_SURNAMES}][가-힣]{{2}}")
"""A surname and a given name of two syllables, as most are; of one they are not to be told from other words."""
_NAME = re.compile(f"{PERSON.pattern}(?:{_CALLED})(?:은|는|이|가|을|를|의|도|와|과)?")
"""A person and what people are called by."""

_PROFANITY = re.compile(
    "씨발|시발(?!점|역)|씨바|쓰발|ㅅㅂ|ㅆㅂ|ㅆㅃ|시부랄|씨부랄|씨팔|시팔|병신|븅신|ㅂㅅ|ㅄ|지랄|ㅈㄹ|좆|좃같|존나|졸라|ㅈㄴ|조까(?!지)|"
    "개새|개색|새끼|쌔끼|ㅅㄲ|썅|쌍년|쌍놈|미친[년놈]|ㅁㅊ|엠창|느금|니애미|니미럴|애미[없뒤]|애비없|보지[년털]|자지[털]|창녀|창년|"
    "걸레년|화냥|후장|닥쳐|ㄷㅊ|꺼져(?![있서가버도])|ㄲㅈ|엿먹|등신|똥꼬|쪽바리|짱깨|짱개|홍어새|[가-힣]충새|한남충|김치녀|된장녀|맘충|급식충|틀딱"
)
"""Swear words and slurs as people write them, jamo forms too; a short list of ours, and no judgement of a text."""


def of_tokens(tokens: pl.Series, counts: pl.Series, least: pl.Series) -> pl.Series:
    """The flags that a token and its count tell by themselves: `list[str]`, by row.

    Args:
        tokens: As word counts write them.
        counts: How often each is emitted.
        least: The threshold of each.
    """
    texts = [token.removeprefix(SPACE) for token in tokens]
    found: list[list[str]] = []
    for text, count, threshold in zip(texts, counts, least, strict=True):
        flags: list[Flag] = []
        if _NAME.fullmatch(text):
            flags.append("name")
        if _PHONE.fullmatch(text):
            flags.append("phone-like")
        if _PROFANITY.search(text):
            flags.append("profanity")
        if not unicodedata.is_normalized("NFC", text):
            flags.append("NFD double")
        if count == 0:
            flags.append("never emitted")
        if count < threshold:
            flags.append("below min_count")
        found.append(list(flags))
    return pl.Series("flags", found, dtype=pl.List(pl.String))
