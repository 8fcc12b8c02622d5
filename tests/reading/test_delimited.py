"""Tables as text: quoting, newlines in quotes, files that know no quoting; and what is ragged."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovocab.reading import blocks, delimited
from support.corpora import fault, read
from support.fuzzing import fuzzed, hangul, in_tabs, skipping

NSMC = "id\tdocument\tlabel\n"
"""How the films' reviews (NSMC) begin."""


def test_reviews_of_films(tmp_path: Path) -> None:
    path = tmp_path / "ratings_train.tsv"
    rows = [
        "9976970\t아 더빙.. 진짜 짜증나네요 목소리\t0",
        "3819312\t흠...포스터보고 초딩영화줄....오버연기조차 가볍지 않구나\t1",
        '1\t"사랑" 이란 무엇인가\t1',
        '2\t키는 5" 정도\t0',
        '3\t"닫지 않은 따옴표\t0',
        '4\t"다 인용된 평"\t1',
        '5\t"한 ""겹"" 인용"\t1',
        "6\t\t1",
        '7\t"두 줄\n짜리 평"\t0',
    ]
    path.write_text(NSMC + "\n".join(rows) + "\n")
    assert read(path, column="document") == [
        "아 더빙.. 진짜 짜증나네요 목소리",
        "흠...포스터보고 초딩영화줄....오버연기조차 가볍지 않구나",
        '"사랑" 이란 무엇인가',
        '키는 5" 정도',
        '"닫지 않은 따옴표',
        "다 인용된 평",
        '한 "겹" 인용',
        "",
        "두 줄\n짜리 평",
    ]


@pytest.mark.parametrize("block", [8, 200, blocks.BLOCK])
@pytest.mark.parametrize(("suffix", "dialect"), [(".csv", "excel"), (".csv", "unix"), (".tsv", "excel-tab")])
@fuzzed
@given(texts=st.lists(hangul, max_size=20), start=st.integers(0, 9))
def test_what_python_writes_is_read(
    tmp_path: Path, suffix: str, dialect: str, block: int, texts: list[str], start: int
) -> None:
    path = tmp_path / f"a{suffix}"
    texts = in_tabs(texts) if suffix == ".tsv" else texts
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, dialect).writerows(
            [["제목, 하나", "text"], *([f"n,{at}", text] for at, text in enumerate(texts))]
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", block)
        assert skipping(path) == (texts, [])
        assert skipping(path, start) == (texts[start:], [])


def test_quotes_in_a_tsv_of_one_column_are_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\n"두 줄\n짜리"\n"닫지 않은\n끝 "말"\n')
    assert read(path) == ["두 줄\n짜리", '"닫지 않은', '끝 "말"']


def test_lines_that_are_records_each_are_not_one_in_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('n\ttext\n1\t"닫지 않은\n2\t따옴표"\n3\t"두 줄\n짜리"\n')
    assert read(path) == ['"닫지 않은', '따옴표"', "두 줄\n짜리"]


def test_a_record_with_a_line_that_is_no_text_is_lost_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('a,text\n1,"가\n'.encode() + b"\xff\xff\n" + '나"\n2,다\n'.encode())
    found, (lost,) = skipping(path)
    assert (found, lost.place, lost.documents) == (["다"], "line 3", 1)
    path.write_bytes("n\xfcmmer,text\n1,가\n".encode("latin-1", "ignore"))
    found, faults = skipping(path)
    assert (found, [fault.place for fault in faults]) == ([], ["line 1", "line 1"])


def test_a_template_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('sn,en,ko\n1,"a, b",가\n2,,나\n3,c,"다\n라"\n')
    faults: list[str] = []
    assert read(path, template="{ko}: {en}", skip=lambda fault: faults.append(str(fault))) == ["가: a, b", "다\n라: c"]
    assert faults == [f"{path}: line 3: empty in one of the columns ko, en; wanted strings in all of them"]


def test_ragged_records_are_told_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,text\n1,가\n2\n\n3,"다\n라"\n4,마,바\n5,"사" 아\n6,"자\n')
    found, faults = skipping(path)
    assert found == ["가", "다\n라"]
    assert [(fault.place, fault.what.split(";")[0], fault.documents) for fault in faults] == [
        ("line 3", "1 field", 1),
        ("line 7", "3 fields", 1),
        ("line 8", "a quoted field that is none (',' expected after '\"')", 1),
        ("line 9", "a quoted field that is none (unexpected end of data)", 1),
    ]
    fault(path, f"{path}: line 3: 1 field; wanted 2: a, text")


def test_a_quote_that_nobody_closes_takes_no_more_than_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MOST", 1_000)
    path = tmp_path / "a.csv"
    path.write_text('a,text\n1,"열린\n' + "".join(f"{n},글 {n}\n" for n in range(500)))
    found, (lost,) = skipping(path)
    assert found == [f"글 {n}" for n in range(500)]
    assert lost.place == "line 2"


def test_one_line_may_be_of_any_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MOST", 1_000)
    path = tmp_path / "a.csv"
    path.write_text(f'a,text\n1,{"가" * 2_000}\n2,"{"나" * 2_000}"\n')
    assert read(path) == ["가" * 2_000, "나" * 2_000]


def test_lines_that_end_in_carriage_returns_are_not_one_of_names(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,a\rb,1\rc,2\r")
    fault(path, f"{path}: line 1: a carriage return; wanted lines that end in a newline")


def test_what_is_no_table_is_not_told_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(bytes(100_000))
    (lost,) = skipping(path)[1]
    assert lost.what.startswith("no column 'text'; it has \0")
    assert len(lost.what) < 400


def test_no_such_column(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(NSMC + "1\t가\t0\n")
    fault(path, f"{path}: no column 'text'; it has id, document, label")
    path.write_text("text\tid\ttext\n가\t1\t나\n")
    fault(path, f"{path}: two columns 'text'; it has text, id, text")
    path.write_text("id\ttext\tid\n1\t가\t2\n")
    assert skipping(path) == (["가"], [])
    path.write_text("")
    fault(path, "holds no documents")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,text\n1,ok\n2,\xff\n3,fine\n")
    found, (lost,) = skipping(path)
    assert found == ["ok", "fine"]
    assert str(lost) == f"{path}: line 3: invalid UTF-8 at byte 2 of the line; wanted UTF-8"
