"""Flags, each on words that have it and on words that only look so: all of these stand in real Korean text."""

import polars as pl
import pytest

from kovocab.curating.labels import flags

HAS = {
    "name": ["▁홍길동씨", "김철수님이", "▁이영희교수는"],
    "phone-like": ["▁공일공", "영삼이사", "삼천이백만원", "▁일이삼사번"],
    "profanity": ["▁ㅅㅂ", "▁시발", "새끼들", "▁꺼져", "▁좆"],
    "NFD double": ["\u1112\u1161\u11ab", "▁\u1100\u1161"],
}
LOOKS_SO = {
    "name": ["▁선생님이", "▁국회의원", "장기요양", "국토해양", "▁국가대표", "▁하나님"],
    "phone-like": ["▁일일이", "이번"],
    "profanity": ["조까지", "▁꺼져있는지", "▁시발점"],
    "NFD double": ["한글", "ㅎㅏ"],
}


def said(tokens: list[str], counts: list[int] | None = None, least: int = 1) -> list[list[str]]:
    counts = counts or [9] * len(tokens)
    return flags(pl.Series(tokens), pl.Series(counts), pl.Series([least] * len(tokens))).to_list()


@pytest.mark.parametrize("flag", HAS)
def test_what_has_it_and_what_does_not(flag: str) -> None:
    assert said(HAS[flag]) == [[flag]] * len(HAS[flag])


@pytest.mark.parametrize("flag", LOOKS_SO)
def test_what_only_looks_so(flag: str) -> None:
    assert said(LOOKS_SO[flag]) == [[]] * len(LOOKS_SO[flag])


def test_counts() -> None:
    assert said(["가", "나", "다"], [0, 4, 5], 5) == [["never emitted", "below min_count"], ["below min_count"], []]
