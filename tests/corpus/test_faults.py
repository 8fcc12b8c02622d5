"""Faults in a line: each is an error that names its place."""

from pathlib import Path

import pytest

from kovocab.corpus import faults
from kovocab.corpus.faults import Fault
from kovocab.corpus.files import SUFFIXES
from support.corpora import TEXT, fault, raw, read


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"text": null}', "found null"),
        (b'{"other": "a"}', "no such key in ['other']"),
        (b'{"text": 5}', "found 5"),
        (b'{"text": -1.5e3}', "found -1500.0"),
        (b'{"text": true}', "found true"),
        (b'{"text": ["a"]}', 'found ["a"]'),
        (b'{"text": {"a": "b"}}', 'found {"a": "b"}'),
        (b'{"text": "a"', "Expecting ',' delimiter at character 13"),
        (b'{"text": "a"} {"text": "b"}', "Extra data at character 15"),
        (b'{"text": "a"},{"text": "b"}', "Extra data at character 14"),
        (b"{'text': 'a'}", "Expecting property name"),
        (b'{"text": "a\tb"}', "Invalid control character at character 12"),
        (b'{"text": "a", "x": NaN}', "NaN is not JSON"),
        (b'["a"]', "found '[\"a\"]'"),
        (b"null", "found 'null'"),
        (b'{"text": "a\\ud83d"}', "\\ud83d is half of a surrogate pair"),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_a_faulty_json_line(tmp_path: Path, suffix: str, line: bytes, said: str) -> None:
    path = raw(tmp_path, suffix, b'{"text": "fine"}\n\n' + line + b'\n{"text": "fine"}\n')
    fault(path, f"{path}: line 3: {said}", 'wanted a JSON object with a string in the key "text"')


def test_a_line_of_json_that_goes_on_in_the_next(tmp_path: Path) -> None:
    path = raw(tmp_path, ".jsonl", b'{"text": "a", "x": [1\n2]}\n')
    fault(path, f"{path}: line 1: ")


def test_the_fault_is_found_far_into_a_file(tmp_path: Path) -> None:
    lines = [b'{"text": "%d"}' % i for i in range(200_000)]
    lines[123_455] = b'{"text": 123455}'
    path = raw(tmp_path, ".jsonl.zst", b"\n".join(lines))
    fault(path, f"{path}: line 123456: found 123455")


@pytest.mark.parametrize("suffix", TEXT)
def test_invalid_utf8(tmp_path: Path, suffix: str) -> None:
    good, bad = b'{"text": "\xea\xb0\x80"}', b'{"text": "\xea\xb0"}'
    path = raw(tmp_path, suffix, b"\n".join([good, good, bad, good]))
    fault(path, f"{path}: line 3: invalid UTF-8 at byte 10 of the line; wanted UTF-8")


@pytest.mark.parametrize("suffix", TEXT)
def test_byte_order_mark_and_carriage_returns(tmp_path: Path, suffix: str) -> None:
    lines = (
        ["가", '{"text": "나\ufeff"}'] if SUFFIXES[suffix] == "lines" else ['{"text": "가"}', '{"text": "나\ufeff"}']
    )
    path = raw(tmp_path, suffix, ("\ufeff" + "".join(line + "\r\n" for line in lines)).encode())
    assert read(path) == (lines if SUFFIXES[suffix] == "lines" else ["가", "나\ufeff"])


def test_a_null_character_is_not_half_a_pair(tmp_path: Path) -> None:
    path = raw(tmp_path, ".jsonl", b'{"text": "a\\u0000b"}\n{"text": "\\ud83d\\ude00"}\n')
    assert read(path) == ["a\0b", "😀"]


def test_a_line_that_polars_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "LONGEST", 3)
    found: list[Fault] = []
    assert list(faults.line_documents(b"abc\nabcd\nab", 7, "f.txt", None, found.append)) == ["abc", "ab"]
    assert found == [Fault("f.txt", "line 8", "a line of 4 bytes; wanted at most 3", 1)]
