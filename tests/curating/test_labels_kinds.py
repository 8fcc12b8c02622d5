"""Kinds: as a person would say of plain words, and null where nothing can be said."""

import sys
from importlib.util import find_spec

import pytest

from kovocab.curating.labels import kind, kinds

SAID = {
    "▁대한민국": "name", "▁연구": "noun", "연구에서": "particle form", "에서": "particle form",
    "▁들의": "particle form", "▁했다": "ending", "습니다": "ending", "▁기발한": "ending",
    "ㅋㅋㅋ": "jamo/neologism", "▁그리고": "mixed",
}  # fmt: skip


with_kiwipiepy = pytest.mark.skipif(find_spec("kiwipiepy") is None, reason="pip install kovocab[kinds]")


@with_kiwipiepy
def test_plain_words() -> None:
    found = kinds([*SAID, "▁こと", "▁"])
    assert found is not None
    assert dict(zip(SAID, (said for said, _ in found), strict=False)) == SAID
    assert found[-2:] == [(None, False)] * 2
    assert "kiwipiepy" not in sys.modules  # while it loads its model, the process answers nobody


@with_kiwipiepy
def test_persons_are_told_from_other_words() -> None:
    people = ["▁문재인", "▁송강호", "임영웅", "문재인이"]
    others = ["▁대한민국", "▁서울", "▁선생님", "▁부산에서", "▁파이썬"]
    found = kinds([*people, *others])
    assert found is not None
    assert [person for _, person in found] == [True] * len(people) + [False] * len(others)


def test_tags() -> None:
    assert kind("가나", ["NNG", "XSN"]) == "noun"
    assert kind("가나", ["VV-R", "EF"]) == "ending"
    assert kind("가나", ["MAG"]) == "mixed"
    assert kind("가ㅋ", ["NNG"]) == "jamo/neologism"
    assert kind("가나", ["UN"]) == "jamo/neologism"


def test_without_the_package_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    assert kinds(["가"]) is None
