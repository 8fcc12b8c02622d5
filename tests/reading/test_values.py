"""Whole JSON as Korean corpora have it: a path into gigabytes of it, and what is told where it leads nowhere."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kovocab.corpus.faults import Fault
from kovocab.corpus.settings import Reading
from kovocab.errors import UsageError
from kovocab.reading import values
from kovocab.reading.formats import read_file
from support.corpora import COMPRESS, fault, read
from support.fuzzing import skipping

PATH = "document[].paragraph[].form"


def corpus_of_the_institute(paragraphs: list[list[str]]) -> dict[str, object]:
    """As 모두의 말뭉치, the corpora of the National Institute of Korean Language, are written."""
    return {
        "id": "NWRW1900000010",
        "metadata": {"title": "국립국어원 신문 말뭉치", "creator": "국립국어원", "year": "2020"},
        "document": [
            {
                "id": f"NWRW1900000010.{number}",
                "metadata": {"title": "신문", "topic": "사회", "original_topic": None},
                "paragraph": [{"id": f"{number}.{at}", "form": form} for at, form in enumerate(forms)],
            }
            for number, forms in enumerate(paragraphs)
        ],
    }


FORMS = [["제목이다", '따옴표 "와" 역빗금 \\ 이다.'], [], ["끝\n줄"]]
WANTED = [form for forms in FORMS for form in forms]


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("suffix", [".json", ".json.gz", ".json.zst", ".json.bz2", ".json.xz"])
def test_the_corpora_of_the_institute(tmp_path: Path, suffix: str, indent: int | None, bom: str) -> None:
    path = tmp_path / f"NWRW{suffix}"
    text = bom + json.dumps(corpus_of_the_institute(FORMS), ensure_ascii=indent is None, indent=indent)
    path.write_bytes(COMPRESS.get(path.suffix, bytes)(text.encode()))
    assert read(path, column=PATH) == WANTED
    assert read(path, column="document[].metadata.title") == ["신문"] * 3
    parts = list(read_file(path, Reading(PATH), start=2))
    assert [text for part in parts for text in part] == WANTED[2:]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("data[].ko", {"data": [{"sn": 1, "ko": "가", "en": "a"}, {"sn": 2, "ko": "나", "en": "b"}]}),
        ("utterance[].form", {"utterance": [{"form": "가", "speaker_id": "1"}, {"form": "나"}]}),
        ("text", [{"text": "가"}, {"text": "나"}]),
        ("[].text", [{"text": "가"}, {"text": "나"}]),
        ("[]", ["가", "나"]),
        ("a.b[][]", {"a": {"b": [["가"], [], ["나"]]}}),
    ],
)
def test_paths(tmp_path: Path, column: str, value: object) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value))
    assert read(path, column=column) == ["가", "나"]
    if isinstance(value, dict):
        (tmp_path / "a.jsonl").write_text(json.dumps(value) + "\n\n" + json.dumps(value))
        assert read(tmp_path / "a.jsonl", column=column) == ["가", "나"] * 2
        for table in (tmp_path / "a.parquet", tmp_path / "a.arrow"):
            rows = pa.Table.from_pylist([value, value])
            if table.suffix == ".parquet":
                pq.write_table(rows, table)
            else:
                with pa.ipc.new_stream(str(table), rows.schema) as out:
                    out.write_table(rows)
            assert read(table, column=column) == ["가", "나"] * 2
        assert read(pl.DataFrame([value]), column=column) == ["가", "나"]


def test_one_object_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"id": 5, "text": "하나"}\n')
    assert read(tmp_path / "a.json") == ["하나"]


def test_a_file_whose_first_value_another_follows_is_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"text": "가"}\n\n{"text": 5}\n{"text": "다"}\n{"text"\n')
    found, faults = skipping(path)
    assert found == ["가", "다"]
    assert [fault.place for fault in faults] == ["line 3", "line 5"]
    path.write_text('{"text": "가"} {"text":\n "나"}\n')
    assert read(path) == ["가", "나"]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("text", 'line 2: no key "text" in ["document", "id"]; wanted a string'),
        ("document[].paragraphs[].form", 'line 2: no key "paragraphs" in ["id", "paragraph"]'),
        ("document.paragraph[].form", 'found an array; wanted an object with the key "paragraph"; a path goes into'),
        ("document[]", "found an object; wanted a string"),
        ("document[].paragraph[].form.text", 'found a string; wanted an object with the key "text"'),
        ("id[]", "found 5; wanted an array"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_is_there(tmp_path: Path, column: str, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"id": 5,\n "document": [{"id": 1, "paragraph": [{"form": "가"}]}]}')
    fault(
        path,
        f"{path}: line 2: " if column[-2:] != "[]" else f"{path}: ",
        said.split("; wanted a string", maxsplit=1)[0],
        column=column,
    )
    pl.read_json(path).write_parquet(tmp_path / "a.parquet")
    fault(tmp_path / "a.parquet", "a.parquet: ", column=column)


@pytest.mark.parametrize("column", ["a..b", ".a", "a[0].b", "a[].", "a[]b"])
def test_what_is_no_path(column: str) -> None:
    with pytest.raises(UsageError, match=r"wanted a name, or a path such as"):
        Reading(column)


def test_what_is_no_text_among_others_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"text": "가"},\n{"text": null},\n{"other": 1}, 7,\n{"text": "라"}]')
    faults: list[object] = []
    assert read(path, skip=lambda fault: faults.append((fault.place, fault.documents))) == ["가", "라"]
    assert faults == [("line 2", 1), ("line 3", 1), ("line 3", 1)]


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_broken_json_gives_what_stands_before(tmp_path: Path, kept: float) -> None:
    texts = [f"문서 {number}" for number in range(300_000)]
    data = json.dumps([{"text": text} for text in texts], ensure_ascii=False, indent=0).encode()
    path = tmp_path / "a.json"
    path.write_bytes(data[: int(len(data) * kept)])
    found, (lost,) = skipping(path)
    assert found == texts[: len(found)]
    assert len(found) == pytest.approx(300_000 * kept, rel=0.05)
    assert (lost.documents, lost.place.startswith("line "), "EOF" in lost.what) == (None, True, True)
    assert skipping(path, 1_000)[0] == found[1_000:]


def test_whoever_stops_early_leaves_no_thread(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": "가나다라" * 1000}] * 3_000, ensure_ascii=False))
    before = threading.active_count()
    parts = read_file(path)
    assert len(next(parts))
    parts.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_whoever_stops_need_not_wait_for_the_next_text(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    piece = b'"a",' * (1 << 18)
    taken = values.read_values(
        path, iter([b'{"others": [', *[piece] * 40, b'"a"], "text": "\xea\xb0\x80"}']), Reading()
    )
    found = [pl.DataFrame(item[0])["text"].to_list() for item in taken if not isinstance(item, Fault)]
    assert found == [[]] * 5 + [["가"]]


def test_half_a_pair_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"text": "a"}, {"text": "\\ud800"}]')
    found, (lost,) = skipping(tmp_path / "a.json")
    assert found == ["a"]
    assert "line 1" in lost.place


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_half_a_pair_costs_its_own_text_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text('{"data": [{"ko": "하나"}, {"ko": "a\\ud83d b"}, {"ko": "둘"}]}\n{"data": [{"ko": "셋"}]}\n')
    faults: list[str] = []
    assert read(path, column="data[].ko", skip=lambda fault: faults.append(str(fault))) == ["하나", "둘", "셋"]
    assert faults == [f"{path}: line 1: holds half of a surrogate pair; wanted text"]


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Some hundred MB in one value, read in less than a third of that."""
    path = tmp_path / "a.json"
    with path.open("w") as out:
        out.write('{"document": [')
        for number in range(3_000):
            forms = [{"id": at, "form": f"{number} {at} " + "가나다라마바사 " * 40} for at in range(100)]
            out.write(("," if number else "") + json.dumps({"paragraph": forms}, ensure_ascii=False))
        out.write("]}")
    assert path.stat().st_size > 250e6
    code = (
        "import sys, resource; from kovocab.corpus.settings import Reading\n"
        "from kovocab.reading.formats import read_file\n"
        "from pathlib import Path\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"n = sum(len(part) for part in read_file(Path(sys.argv[1]), Reading({PATH!r})))\n"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    count, kilobytes = map(int, done.stdout.split())
    assert count == 300_000
    assert kilobytes < 100_000


def test_what_is_too_long_for_a_first_line_is_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_HEAD", 10)
    (tmp_path / "a.json").write_text('{"text": "가나다라마바사"}\n{"text": "나"}\n')
    assert read(tmp_path / "a.json") == ["가나다라마바사", "나"]
