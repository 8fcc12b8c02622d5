"""Kinds: as a person would say of plain words, and null where nothing can be said."""

import sys

import pytest

from kovocab.curating.kinds import kind, kinds

SAID = {
    "▁대한민국": "name", "▁연구": "noun", "연구에서": "particle form", "에서": "particle form",
    "▁들의": "particle form", "▁했다": "ending", "습니다": "ending", "▁기발한": "ending",
    "ㅋㅋㅋ": "jamo/neologism", "▁그리고": "mixed",
}  # fmt: skip


def test_plain_words() -> None:
    pytest.importorskip("kiwipiepy", reason="pip install kovocab[kinds]")
    assert dict(zip(SAID, kinds([*SAID, "▁"]) or [], strict=False)) == SAID
    assert (kinds(["▁"]) or [""])[0] is None


def test_tags() -> None:
    assert kind("가나", ["NNG", "XSN"]) == "noun"
    assert kind("가나", ["VV-R", "EF"]) == "ending"
    assert kind("가나", ["MAG"]) == "mixed"
    assert kind("가ㅋ", ["NNG"]) == "jamo/neologism"
    assert kind("가나", ["UN"]) == "jamo/neologism"


def test_without_the_package_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    assert kinds(["가"]) is None
