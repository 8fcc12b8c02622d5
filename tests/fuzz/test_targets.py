"""Some hundred inputs of every fuzzing target; `make fuzz` tries a million of each."""

from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest

from fuzz import cut, records, tokenizer_files
from fuzz.trying import TARGETS, Found, failed, mutated, tried
from kovocab.errors import ArtefactError
from kovocab.record import read_record


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_crashes_and_nothing_differs(target: str, tmp_path: Path) -> None:
    if target in ("encoder", "tokenizer_files") and find_spec("torch") is None:
        pytest.skip("`tokenizers` 1.0 is held to 0.23 elsewhere")
    inputs = {"records": 300, "tokenizer_files": 300}.get(target, 1000)
    assert tried(target, 2_000_000, inputs, tmp_path) == Found(inputs, 0, 0)


def test_an_input_is_made_of_its_number_alone() -> None:
    for number in range(50):
        assert cut.make(Random(number)) == cut.make(Random(number))
        assert tokenizer_files.make(Random(number)) == tokenizer_files.make(Random(number))


def test_a_difference_and_a_crash_are_found_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = cut.words
    monkeypatch.setattr(cut, "words", lambda text, *how: words(text, *how) + ["x"] * (text.count("</s>") > 1))
    found = tried("cut", 0, 800, tmp_path)
    assert found.differences > 0 == found.crashes
    number = int(capsys.readouterr().err.split()[1].rstrip(":"))
    assert cut.make(Random(number)).count("</s>") > 1
    assert isinstance(failed(cut, range(number, number + 1), tmp_path), AssertionError)
    monkeypatch.setattr(cut, "words", lambda *_: 1 / 0)
    assert tried("cut", 0, 5, tmp_path) == Found(5, 5, 0)


def test_files_that_are_as_published_are_taken(tmp_path: Path) -> None:
    """So the target of tokenizer files does not hold because all are refused."""
    taken = 0
    for number in range(200):
        try:
            tokenizer_files.parse(tokenizer_files.json.dumps(tokenizer_files.json_file(Random(number))), "a file")
        except tokenizer_files.TokenizerError:
            continue
        taken += 1
    assert taken > 150


def test_records_are_changed_and_some_are_still_taken(tmp_path: Path) -> None:
    made = records.records(tmp_path)
    assert len(made) == (4 if find_spec("torch") else 1)
    verb, record = made[0]
    refused = 0
    for number in range(100):
        (tmp_path / "kovocab.json").write_text(records.json.dumps(mutated(record, Random(number))), errors="replace")
        try:
            read_record(tmp_path, verb)
        except ArtefactError:
            refused += 1
    assert 0 < refused < 100
