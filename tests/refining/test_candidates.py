"""The vocabulary: parts, closure, leaves and stems against their definitions; a person's decisions."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovocab.errors import UsageError
from kovocab.refining.candidates import Decisions, Vocabulary
from support import reference
from support.vocabularies import vocabulary as rows

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
    return Vocabulary.of(rows(*((token, *(pair or (None, None))) for token, pair in parts.items())), base)


def parts_of(vocabulary: Vocabulary) -> reference.Parts:
    return {token: left and (left, right) for token, left, right in vocabulary.frame().iter_rows()}


def base_of(vocabulary: Vocabulary) -> set[str]:
    """Tokens of the base, as far as candidates are or are made of them."""
    table = vocabulary.table
    used = {*table["left"].drop_nulls(), *table["right"].drop_nulls()} - set(table["token"])
    return used | set(vocabulary.tokens(table["base"]))


def less(vocabulary: Vocabulary, data: st.DataObject) -> Vocabulary:
    tokens = list(parts_of(vocabulary))
    return vocabulary.without(
        vocabulary.rows(data.draw(st.sets(st.sampled_from(tokens)) if tokens else st.just(set())))
    )


@given(before=vocabularies(), data=st.data())
def test_what_stays_reachable_is_what_can_be_built_down_to_characters(before: Vocabulary, data: st.DataObject) -> None:
    cut = less(before, data)
    parts, rows = parts_of(cut), set(cut.table["token"])

    def buildable(token: str) -> bool:
        if token not in parts:
            return token not in rows  # a character of the base, or ▁
        pair = parts[token]
        return pair is None or all(map(buildable, pair))

    after = cut.reachable()
    assert list(parts_of(after).items()) == [(t, pair) for t, pair in parts.items() if buildable(t)]
    assert after.reachable().there.equals(after.there)


@given(before=vocabularies(), data=st.data())
def test_leaves_are_the_new_tokens_that_nothing_is_made_of(before: Vocabulary, data: st.DataObject) -> None:
    vocabulary = less(before, data).reachable()
    parts, base = parts_of(vocabulary), base_of(vocabulary)
    slow = {token for token in parts if token not in base and not any(token in (pair or ()) for pair in parts.values())}
    leaves = vocabulary.leaves()
    assert set(vocabulary.tokens(leaves)) == slow
    # Without leaves the rest stays closed.
    rest = vocabulary.without(leaves)
    assert rest.reachable().there.equals(rest.there)


@given(before=vocabularies(), data=st.data())
def test_stems_are_a_token_and_all_that_it_is_made_of(before: Vocabulary, data: st.DataObject) -> None:
    vocabulary = less(before, data).reachable()
    parts = parts_of(vocabulary)
    tokens = data.draw(st.lists(st.sampled_from(["x", "가", *parts])))
    slow = set().union(*(reference.stems(token, parts) for token in tokens))
    assert set(vocabulary.tokens(vocabulary.with_stems(vocabulary.rows(tokens)))) == slow


@given(before=vocabularies(), data=st.data())
def test_what_comes_back_stands_where_it_stood(before: Vocabulary, data: st.DataObject) -> None:
    vocabulary = less(before, data)
    singles = before.table["character"]
    after = vocabulary.plus(singles)
    there = set(vocabulary.tokens(vocabulary.there)) | set(before.tokens(singles))
    assert list(parts_of(after).items()) == [(t, pair) for t, pair in parts_of(before).items() if t in there]
    characters = [token for token, pair in parts_of(after).items() if pair is None]
    assert list(parts_of(after))[: len(characters)] == characters == sorted(characters)


def test_candidates_are_what_the_base_cannot_make() -> None:
    assert SMALL.tokens(SMALL.new) == ["녕", "하", "안녕", "▁안녕", "안녕하", "녕하"]
    assert SMALL.frame().rows()[2] == ("안녕", "안", "녕")
    # Of a longer token that the base has, the merge is new; the token is not.
    other = Vocabulary.of(SMALL.frame(), [*BASE, "안녕"])
    assert parts_of(other)["안녕"] == ("안", "녕")
    assert "안녕" not in other.tokens(other.new)


def test_of_a_token_that_is_made_in_two_ways_the_first_counts() -> None:
    trained = rows(("가", None, None), ("가가", "가", "가"), ("가가가", "가가", "가"), ("가가가", "가", "가가"))
    assert parts_of(Vocabulary.of(trained, []))["가가가"] == ("가가", "가")


def test_a_value_is_never_changed_in_place() -> None:
    before = parts_of(SMALL)
    SMALL.without(SMALL.rows(["안녕"])).reachable().plus(SMALL.rows(["녕"]))
    assert parts_of(SMALL) == before


def test_counts_by_row() -> None:
    assert SMALL.by_row({"녕": 3, "녕하": 2**63, "없다": 1}).to_list() == [3, 0, 0, 0, 0, 2**63]


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
        "latin.csv": lambda path: path.write_bytes(b"token,decision\n\xff,keep\n"),
        "text.parquet": lambda path: path.write_text("token,decision\n"),
        "lists.parquet": lambda path: pl.DataFrame({"token": [["가"]], "decision": ["keep"]}).write_parquet(path),
    }
    for name, make in makers.items():
        path = tmp_path / name
        make(path)
        wanted = "wanted a CSV with the columns token,decision"
        with pytest.raises(UsageError, match=f"^decisions: {path} cannot be read: .*; {wanted}$"):
            Decisions.load(path)
    with pytest.raises(UsageError, match=f"decisions: {tmp_path} is a folder; wanted a CSV with the columns token"):
        Decisions.load(tmp_path)


def test_a_dropped_token_is_gone_and_a_kept_one_needs_its_stems() -> None:
    after = Decisions(drop=frozenset(["녕하", "unheard of"])).apply(SMALL)
    assert list(parts_of(after)) == ["녕", "하", "안녕", "▁안녕", "안녕하"]
    kept = Decisions(frozenset(["안녕하"]), frozenset(["녕하"]))
    assert parts_of(kept.apply(SMALL)) == parts_of(after)
    with pytest.raises(UsageError, match="'안녕하' is to be kept, but is made of '녕', which is to be dropped"):
        Decisions(frozenset(["안녕하"]), frozenset(["녕"])).apply(SMALL)


def test_decisions_are_read_in_nfc(tmp_path: Path) -> None:
    """A file from a system that takes syllables apart says what was meant."""
    apart = unicodedata.normalize("NFD", "▁안녕하세요")
    assert apart != "▁안녕하세요"
    table = pl.DataFrame({"token": [apart, unicodedata.normalize("NFD", "습니다")], "decision": ["keep", "drop"]})
    table.write_csv(tmp_path / "a.csv")
    expected = Decisions(keep=frozenset(["▁안녕하세요"]), drop=frozenset(["습니다"]))
    assert Decisions.load(tmp_path / "a.csv") == expected
    assert Decisions(frozenset([apart]), frozenset([unicodedata.normalize("NFD", "습니다")])) == expected
    assert Decisions(keep=frozenset([unicodedata.normalize("NFD", "안녕하")])).apply(SMALL).new.any()
    pl.DataFrame({"token": [apart, "▁안녕하세요"], "decision": ["keep", "drop"]}).write_csv(tmp_path / "both.csv")
    with pytest.raises(UsageError, match="both keep and drop of ▁안녕하세요"):
        Decisions.load(tmp_path / "both.csv")


def test_a_row_that_undoes_takes_back_those_above_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = ["▁안녕,keep", " 안녕,undo", "▁안녕,drop", "하,drop", "하,undo", "녕,undo"]
    path.write_text("\n".join(["token,decision", *rows]))
    assert Decisions.load(path) == Decisions(drop=frozenset(["▁안녕"]))
    path.write_text("\n".join(["token,decision", *rows, "▁안녕,keep"]))
    with pytest.raises(UsageError, match="both keep and drop of ▁안녕"):
        Decisions.load(path)


@pytest.mark.parametrize(
    ("token", "has"),
    [
        ("ﾡﾢ", r"U\+FFA1 HALFWIDTH HANGUL LETTER KIYEOK"),
        ("가\ue0bc", r"U\+E0BC \(private use\)"),
        ("가\x1b", r"U\+001B \(no name\)"),
        ("ᄒᆞᆫ글", r"U\+1112 HANGUL CHOSEONG HIEUH"),
        ("▁가나 ", r"U\+0020 SPACE"),
        ("▁", "no Hangul"),
        ("token", r"U\+0074 LATIN SMALL LETTER T"),
    ],
)
def test_what_no_new_token_can_hold_cannot_be_kept(token: str, has: str) -> None:
    """No number of candidates would have it, and none is advised."""
    with pytest.raises(UsageError, match=f"can be no new token, for it has {has}; wanted Hangul syllables") as caught:
        Decisions(keep=frozenset([token])).apply(SMALL)
    assert "intermediate_vocab_size" not in str(caught.value)


def test_a_token_of_the_base_is_not_to_be_kept() -> None:
    with pytest.raises(UsageError, match="'이' is to be kept, and the base has it already; wanted new tokens"):
        Decisions(keep=frozenset(["이"])).apply(SMALL, {"이": 5})


def test_only_candidates_can_be_kept() -> None:
    with pytest.raises(UsageError, match=r"not candidates: 안, 없다 \(2 in all\).*intermediate_vocab_size"):
        Decisions(keep=frozenset(["안", "없다"])).apply(SMALL)
