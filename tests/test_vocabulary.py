"""The vocabulary: parts, closure, leaves and stems against their definitions; a person's decisions."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from intermediate import vocabulary as rows
from kovocab.errors import UsageError
from kovocab.vocabulary import Decisions, Vocabulary

BASE = frozenset(["▁", "안", "a"])
SMALL = Vocabulary.of(
    rows(
        ("▁", None, None), ("안", None, None), ("녕", None, None), ("하", None, None),
        ("안녕", "안", "녕"), ("▁안녕", "▁", "안녕"), ("안녕하", "안녕", "하"), ("녕하", "녕", "하"),
    ),
    BASE,
)  # fmt: skip


@st.composite
def vocabularies(draw: st.DrawFn) -> Vocabulary:
    """Characters and random pairs of earlier tokens; some of all are the base's."""
    tokens = draw(st.lists(st.sampled_from("가나다라마"), min_size=1, unique=True))
    parts: reference.Parts = dict.fromkeys(sorted(tokens))
    for left, right in draw(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=15)):
        pair = (tokens[left % len(tokens)], tokens[right % len(tokens)])
        token = "".join(pair)
        if len(token) < 20 and token not in parts:
            tokens.append(token)
            parts[token] = pair
    base = frozenset(draw(st.lists(st.sampled_from(tokens), max_size=3)))
    return Vocabulary({t: pair for t, pair in parts.items() if pair or t not in base}, base)


@given(before=vocabularies(), data=st.data())
def test_what_stays_reachable_is_what_can_be_built_down_to_characters(before: Vocabulary, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.sampled_from(sorted(before.parts)))) if before.parts else set()
    cut = before.without(gone)

    def buildable(token: str) -> bool:
        if token not in cut.parts:
            return token in cut.base
        pair = cut.parts[token]
        return pair is None or all(part in cut.base or buildable(part) for part in pair)

    after = cut.reachable()
    assert list(after.parts.items()) == [(t, pair) for t, pair in cut.parts.items() if buildable(t)]
    assert after.reachable() == after


@given(vocabulary=vocabularies())
def test_leaves_are_the_new_tokens_that_nothing_is_made_of(vocabulary: Vocabulary) -> None:
    slow = {
        token
        for token in vocabulary.parts
        if token not in vocabulary.base and not any(token in (pair or ()) for pair in vocabulary.parts.values())
    }
    assert vocabulary.leaves() == slow
    # Without leaves the rest stays closed.
    rest = vocabulary.without(slow)
    assert len(rest.reachable().parts) == len(rest.parts)


@given(vocabulary=vocabularies(), data=st.data())
def test_stems_are_a_token_and_all_that_it_is_made_of(vocabulary: Vocabulary, data: st.DataObject) -> None:
    tokens = data.draw(st.lists(st.sampled_from(["x", "가", *vocabulary.parts])))
    slow = set().union(*(reference.stems(token, dict(vocabulary.parts)) for token in tokens))
    assert vocabulary.with_stems(tokens) == slow


@given(vocabulary=vocabularies(), characters=st.sets(st.sampled_from("가나ㅋ힣")))
def test_characters_come_first_by_code_point(vocabulary: Vocabulary, characters: set[str]) -> None:
    after = vocabulary.with_characters(characters)
    singles = [token for token, pair in after.parts.items() if pair is None]
    assert list(after.parts)[: len(singles)] == singles == sorted(singles)
    assert set(singles) == characters | {t for t, pair in vocabulary.parts.items() if pair is None}
    merged = {t: pair for t, pair in vocabulary.parts.items() if pair}
    assert list(after.parts.items())[len(singles) :] == list(merged.items())
    assert after.with_characters(characters) == after


def test_candidates_are_what_the_base_cannot_make() -> None:
    assert SMALL.new == ["녕", "하", "안녕", "▁안녕", "안녕하", "녕하"]
    assert SMALL.parts["안녕하"] == ("안녕", "하")
    assert SMALL.frame().rows()[2] == ("안녕", "안", "녕")
    # Of a longer token that the base has, the merge is new; the token is not.
    other = Vocabulary.of(SMALL.frame(), [*BASE, "안녕"])
    assert other.parts["안녕"] == ("안", "녕")
    assert "안녕" not in other.new


def test_of_a_token_that_is_made_in_two_ways_the_first_counts() -> None:
    trained = rows(("가", None, None), ("가가", "가", "가"), ("가가가", "가가", "가"), ("가가가", "가", "가가"))
    assert Vocabulary.of(trained, []).parts["가가가"] == ("가가", "가")


def test_a_value_is_never_changed_in_place() -> None:
    before = dict(SMALL.parts)
    SMALL.without(["안녕"]).reachable().with_characters("ㅋ")
    assert dict(SMALL.parts) == before


# Decisions


def test_decisions_are_read_from_csv_and_parquet(tmp_path: Path) -> None:
    expected = Decisions(keep=frozenset(["▁안녕", "녕하"]), drop=frozenset(["하", "▁의", "1"]))
    table = pl.DataFrame(
        {"token": [" 안녕", "녕하", "하", "▁의", "1"], "note": "", "decision": ["keep"] * 2 + ["drop"] * 3}
    )
    table.write_csv(tmp_path / "a.csv")
    table.write_csv(tmp_path / "with bom [1].csv", include_bom=True, line_terminator="\r\n")
    table.write_parquet(tmp_path / "a.parquet")
    table.cast({"decision": pl.Categorical}).write_parquet(tmp_path / "[b].parquet")
    for path in tmp_path.iterdir():
        assert Decisions.load(path) == expected
        assert Decisions.load(str(path)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("token,choice\n안녕,keep\n", "has no column 'decision'; wanted token,decision"),
        ("안녕,keep\n", "has no column 'decision'; wanted token,decision"),
        ("token,decision\n안녕,keep\n녕,Keep\n", "row 2: '녕', 'Keep'; wanted keep or drop"),
        ("token,decision\n안녕\n", "row 1: '안녕', None; wanted keep or drop"),
        ("token,decision\n,drop\n", "row 1: None, 'drop'; wanted keep or drop"),
        ('token,decision\n"",drop\n', "row 1: '', 'drop'; wanted keep or drop"),
        ("token,decision\n안녕,keep,x\n", "cannot be read: found more fields"),
        ("token,decision\n ㅋ,keep\n▁ㅋ,drop\n", "says both keep and drop of ▁ㅋ"),
        ("", "cannot be read: empty CSV"),
    ],
)
def test_decisions_that_are_none(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "decisions.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"decisions: {path},? {reason}"):
        Decisions.load(path)


def test_decision_files_that_cannot_be_read(tmp_path: Path) -> None:
    makers: dict[str, Callable[[Path], object]] = {
        "none.csv": lambda path: None,
        "folder.csv": lambda path: path.mkdir(),
        "latin.csv": lambda path: path.write_bytes(b"token,decision\n\xff,keep\n"),
        "text.parquet": lambda path: path.write_text("token,decision\n"),
        "lists.parquet": lambda path: pl.DataFrame({"token": [["가"]], "decision": ["keep"]}).write_parquet(path),
    }
    for name, make in makers.items():
        path = tmp_path / name
        make(path)
        with pytest.raises(UsageError, match=f"decisions: {path} cannot be read: "):
            Decisions.load(path)


def test_a_dropped_token_is_gone_and_a_kept_one_needs_its_stems() -> None:
    after = Decisions(drop=frozenset(["녕하", "unheard of"])).apply(SMALL)
    assert list(after.parts) == ["녕", "하", "안녕", "▁안녕", "안녕하"]
    kept = Decisions(frozenset(["안녕하"]), frozenset(["녕하"]))
    assert kept.apply(SMALL) == after
    with pytest.raises(UsageError, match="'안녕하' is to be kept, but is made of '녕', which is to be dropped"):
        Decisions(frozenset(["안녕하"]), frozenset(["녕"])).apply(SMALL)


def test_only_candidates_can_be_kept() -> None:
    with pytest.raises(UsageError, match=r"not candidates: 안, 없다 \(2 in all\).*intermediate_vocab_size"):
        Decisions(keep=frozenset(["안", "없다"])).apply(SMALL)
