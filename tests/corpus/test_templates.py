"""Templates: rows of several columns as documents, in every format alike, in both directions, the same every time."""

import json
from pathlib import Path

import polars as pl
import pytest

import kovocab
from kovocab.cli.main import main
from kovocab.corpus.faults import Fault
from kovocab.corpus.settings import Reading
from kovocab.corpus.templates import Templates
from kovocab.errors import CorpusError, UsageError
from kovocab.packing.splitting import HELD_OUT
from kovocab.packing.token_files import Packing, Source
from kovocab.reading.documents import batches, check_readable
from support.base import pack
from support.corpora import archive, raw
from support.servers import put

BOTH = ("{en}\n{ko}", "{ko}\n{en}")
PAIRS = [{"en": f"The {n}th tree. {{a}}", "ko": f"{n}번째 나무 😀", "source": "made"} for n in range(1000)]


def documents(corpus, template=BOTH, **settings):
    return [text for part in batches(corpus, Reading(template=template), **settings) for text in part]


def lines(folder, rows, name="pairs.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_each_row_is_one_document_whatever_it_is_kept_in(tmp_path):
    frame = pl.DataFrame(PAIRS)
    frame.write_parquet(tmp_path / "pairs.parquet")
    wanted = [Templates(BOTH).fill(row) for row in PAIRS]
    for row, text in zip(PAIRS, wanted, strict=True):
        assert text in (f"{row['en']}\n{row['ko']}", f"{row['ko']}\n{row['en']}")
    for corpus in (lines(tmp_path, PAIRS), tmp_path / "pairs.parquet", frame, frame.lazy()):
        assert documents(corpus) == wanted
    assert documents(frame[::-1]) == wanted[::-1]  # whatever stands before a row
    assert documents(tmp_path / "pairs.parquet", "{source}: {ko}") == [f"made: {row['ko']}" for row in PAIRS]


VALUE = {"info": {"id": 1}, "data": [{"sn": str(n), **pair} for n, pair in enumerate(PAIRS)]}
"""As AI-Hub has pairs."""


@pytest.mark.parametrize(
    ("prefix", "value"),
    [
        ("", PAIRS),
        ("[].", PAIRS),
        ("data[].", VALUE),
        ("translation.", [{"id": n, "translation": pair} for n, pair in enumerate(PAIRS)]),
        ("a[].b[].c.", {"a": [{"b": [{"c": pair} for pair in PAIRS[n : n + 300]]} for n in range(0, 1000, 300)]}),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".json.gz", ".zip"])
def test_rows_of_whole_json(tmp_path, suffix, prefix, value):
    template = tuple(f"{{{prefix}{a}}}\n{{{prefix}{b}}}" for a, b in (("en", "ko"), ("ko", "en")))
    wanted = [Templates(BOTH).fill(row) for row in PAIRS]
    data = json.dumps(value, ensure_ascii=False, indent=1).encode()
    path = raw(tmp_path, suffix, archive(suffix, {"a.json": data}) if suffix == ".zip" else data)
    assert documents(path, template) == wanted
    if isinstance(value, dict):
        rows, columns = [value, value], wanted * 2
    elif prefix == "translation.":  # as the pairs on the hub are
        rows, columns = value, wanted
    else:
        return
    frame = pl.DataFrame(rows)
    frame.write_parquet(tmp_path / "rows.parquet")
    frame.write_ipc_stream(tmp_path / "rows.arrow", compat_level=pl.CompatLevel.oldest())
    for corpus in (lines(tmp_path, rows), tmp_path / "rows.parquet", tmp_path / "rows.arrow", frame):
        assert documents(corpus, template) == columns


def test_a_row_of_whole_json_without_one_of_its_texts_is_a_fault(tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text(
        '{"data": [{"en": "a", "ko": "가"},\n{"en": "b"},\n{"ko": "", "en": "c"},\n{"ko": "라", "en": 5}, '
        '{"ko": "마", "en": "e", "en": "f"}]}'
    )
    faults: list[Fault] = []
    assert documents(path, "{data[].en} = {data[].ko}", skip=faults.append) == ["a = 가", "e = 마"]
    assert [(fault.place, fault.what, fault.documents) for fault in faults] == [
        ("line 2", 'no key "ko" in ["en"]', 1),
        ("line 3", 'found "" in "data[].ko"; wanted a string that is not empty', 1),
        ("line 4", 'found 5 in "data[].en"; wanted a string', 1),
    ]
    with pytest.raises(CorpusError, match=r'no key "en" in \["data"\]'):
        documents(path, "{en} = {ko}")


def test_columns_of_different_arrays_are_no_row():
    for template in ("{a[].en} {b[].ko}", "{title} {data[].ko}", "{a[].b[].en} {a[].ko}"):
        with pytest.raises(UsageError, match=r"are not of one row; wanted them behind the same \[\]"):
            Reading(template=template)
    frame = pl.DataFrame({"a": [["x"]], "a[].en": ["y"]})
    with pytest.raises(CorpusError, match=r"are not of one row; it has a, a\[\].en"):
        documents(frame, "{a[].en} {a[]}")


def test_real_pairs_are_balanced(data):
    path = data / "en_ko_pairs.jsonl.zst"
    found = documents(path)
    rows = [row for part in pl.scan_ndjson(path, batch_size=10_000).collect().iter_slices() for row in part.to_dicts()]
    assert len(found) == len(rows) > 40_000
    first = sum(text == f"{row['en']}\n{row['ko']}" for text, row in zip(found, rows, strict=True))
    second = sum(text == f"{row['ko']}\n{row['en']}" for text, row in zip(found, rows, strict=True))
    assert first + second == len(rows)
    assert abs(first / len(rows) - 1 / 2) < 0.01
    three = documents(path, ("{en}\n{ko}", "{ko}\n{en}", "{ko}\v{en}"))
    assert abs(sum("\v" in text for text in three) / len(three) - 1 / 3) < 0.01


def test_braces_and_columns_that_come_twice_or_have_odd_names():
    frame = pl.DataFrame({"a b": ["x"], "나": ["{y}"]})
    assert documents(frame, "{{{a b}}} {나} {a b}") == ["{x} {y} x"]


@pytest.mark.parametrize("missing", [None, ""])
def test_a_row_without_one_of_its_columns_is_a_fault(tmp_path, missing):
    rows = [*PAIRS[:2], {"en": "alone", "ko": missing, "source": "made"}, *PAIRS[2:4]]
    pl.DataFrame(rows).write_parquet(tmp_path / "pairs.parquet")
    wanted = [Templates(BOTH).fill(row) for row in PAIRS[:4]]
    json_said = f"line 3: found {json.dumps(missing)} in 'ko'; wanted a JSON object with strings in the keys \"en\""
    row_said = "row 3: null or empty in one of the columns en, ko; wanted strings in all of them"
    for corpus, said in ((lines(tmp_path, rows), json_said), (tmp_path / "pairs.parquet", row_said)):
        with pytest.raises(CorpusError, match=said):
            documents(corpus)
        faults: list[Fault] = []
        assert documents(corpus, skip=faults.append) == wanted
        assert [fault.documents for fault in faults] == [1]
        assert said in str(faults[0])


def test_a_column_that_is_not_there_is_said_at_once_with_those_that_are(tmp_path):
    pl.DataFrame(PAIRS).write_parquet(tmp_path / "pairs.parquet")
    reading = Reading(template="{en}\n{kr}")
    with pytest.raises(CorpusError, match=r"pairs.parquet: no column 'kr'; it has en, ko, source"):
        check_readable(tmp_path / "pairs.parquet", reading)
    with pytest.raises(CorpusError, match=r"no key 'kr' in \['en', 'ko', 'source'\]"):
        check_readable(lines(tmp_path, PAIRS), reading)
    (tmp_path / "lines.txt").write_text("text")
    with pytest.raises(UsageError, match=r"lines.txt is of lines, which have no columns"):
        check_readable(tmp_path / "lines.txt", reading)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("no columns", "names no column; wanted column names in braces"),
        ("{en}\n{", "Single '{' encountered"),
        ("{en} }", "Single '}' encountered"),
        ("{en} {}", "a column's name alone belongs between braces"),
        ("{en:>5}", "a column's name alone"),
        ("{en!r}", "a column's name alone"),
        ((), "template is an empty list"),
        (("{en}\n{ko}", "{ko}"), "do not both name the column 'en'"),
    ],
)
def test_what_is_no_template(template, says):
    with pytest.raises(UsageError, match=says):
        Reading(template=template)


def test_a_column_beside_it():
    with pytest.raises(UsageError, match="column is 'ko' and there is a template; wanted one of them"):
        Reading("ko", template=BOTH)
    assert Reading(template=list(BOTH)).recorded() == {"column": "text", "template": list(BOTH)}


def test_counting_takes_it_from_a_flag_and_from_a_file(mistral, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pairs.jsonl").write_text(json.dumps(PAIRS[0]) + "\n" + json.dumps(PAIRS[1]) + "\n")
    Path("count.yaml").write_text('template: ["{en}\\n{ko}", "{ko}\\n{en}"]\n')
    args = ["count", "--corpus", "pairs.jsonl", "--tokenizer", str(mistral)]
    assert main([*args, "--out", "flag.parquet", "--template", *BOTH]) == 0
    assert main([*args, "--out", "file.parquet", "--config", "count.yaml"]) == 0
    assert main([*args, "--out", "one.parquet", "--template", "{en} {ko}"]) == 0
    flag, file, one = (pl.read_parquet(f"{name}.parquet") for name in ("flag", "file", "one"))
    assert flag.equals(file)
    words = kovocab.count_words(iter([Templates(BOTH).fill(row) for row in PAIRS[:2]]), mistral)
    assert flag.equals(words)
    assert one["count"].sum() > 0
    said = json.loads(pl.read_parquet_metadata("flag.parquet")["kovocab"])
    assert said["corpus"]["template"] == list(BOTH)
    assert main([*args, "--out", "bad.parquet", "--template", "{en} {"]) == 2


def test_a_remote_source_is_packed_as_a_local_one(s3, mistral, tmp_path):
    rows = pl.DataFrame(PAIRS)
    rows.write_parquet(tmp_path / "pairs.parquet")
    packed = []
    for corpus in (tmp_path / "pairs.parquet", lines(tmp_path, PAIRS)):
        remote = put(s3, corpus, corpus.name)
        for place in (str(corpus), remote):
            source = Source("pairs", place, template=list(BOTH))
            folder = tmp_path / f"tokens-{len(packed)}"
            packed.append(pack(source, mistral, folder, Packing(64, 0.05)))
    for name in ("train.bin", "train.ends", "validation.bin", "validation.ends", HELD_OUT):
        assert len({(each.folder / name).read_bytes() for each in packed}) == 1
