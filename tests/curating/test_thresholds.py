"""`kovocab thresholds`: a row a threshold, and which suits."""

from pathlib import Path
from xml.dom.minidom import parseString

import pytest

from kovocab.cli.main import main
from kovocab.counting.count import count_to


@pytest.fixture(scope="module")
def words(ko_small, mistral: Path, tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("thresholds") / "words.parquet"
    count_to(path, ko_small.gather_every(12), mistral)
    return path


def run(words: Path, base: Path, *more: object) -> int:
    settings = ["--intermediate_vocab_size", "2000"]
    return main(["thresholds", str(words), "--base", str(base), *settings, *map(str, more)])


def test_it_says_what_each_leaves_and_which_suits(words, mistral, tmp_path, capsys) -> None:
    assert run(words, mistral, "--min_count", 33, "--out", tmp_path / "curve.svg") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["min_count", "new", "tokens", "tokens/word", "bytes/token"]
    rows = [line.split() for line in out[1:-1]]
    assert [row[0] for row in rows] == ["5", "10", "20", "33", "50", "100", "200", "500", "1,000", "2,000", "6,000"]
    assert [line for line in out if "suits so much text" in line] == [out[2]]  # 1 MB: 10
    sizes = [int(row[1].replace(",", "")) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1_000 > sizes[-1]
    svg = (tmp_path / "curve.svg").read_text()
    assert "tokens per word" in svg
    assert run(words, mistral, "--min_count", 33, "--out", tmp_path / "curve.svg") == 0  # the same again


def test_a_curve_of_something_else_stays_until_told(words, mistral, tmp_path, capsys) -> None:
    curve = tmp_path / "curve--2.svg"
    few = ["--intermediate_vocab_size", 1000, "--out", curve]
    assert run(words, mistral, *few) == 0
    first = curve.read_bytes()
    assert run(words, mistral, *few, "--min_count", 33) == 1
    said = capsys.readouterr().err
    assert "settings.min_count was 6000 and is 33; --overwrite replaces it" in said
    assert curve.read_bytes() == first
    curve.write_bytes(first.replace(b"new tokens", b"my title"))
    assert run(words, mistral, *few) == 1
    assert "was changed since it was written; wanted another --out, or --overwrite" in capsys.readouterr().err
    assert run(words, mistral, *few, "--overwrite") == 0
    assert curve.read_bytes() == first
    parseString(first)  # whose comments hold no two dashes


def test_wrong_input_is_a_line(words, mistral, data, tmp_path, capsys) -> None:
    theirs = tmp_path / "theirs.svg"
    theirs.write_text("<svg/>")
    for more, code, said in (
        (["--out", theirs], 1, "is there and is no curve that kovocab wrote"),
        (["--out", tmp_path / "curve.png"], 2, "wanted the name of an SVG file"),
        (["--min_count", 0], 2, "min_count is 0; wanted 1 or more"),
        (["--base", data / "tokenizers/gpt2"], 2, "the words were counted for another tokenizer"),
        (["--words", tmp_path / "none.parquet"], 1, "none.parquet"),
    ):
        assert run(words, mistral, *more) == code, more
        error = capsys.readouterr().err.splitlines()
        assert said in error[-1], error
    assert theirs.read_text() == "<svg/>"
