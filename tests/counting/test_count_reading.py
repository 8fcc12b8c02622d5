"""How a corpus is read enters the words and the record: normal form, encoding, copies."""

import json
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path

import polars as pl
import pytest

from kovocab.cli.main import main
from kovocab.counting.count import combine_to, count, count_to, count_words
from kovocab.counting.word_counts import load_counted
from kovocab.errors import ArtefactError, UsageError
from kovocab.tokenizer.tokenizer_json import TokenizerJson

KILLABLE = Path(__file__).parents[1] / "support" / "killable.py"
TEXTS = ["가나 다라", "the end", "가나 다라", "마바", "", ""]


@pytest.fixture(scope="module")
def base_file(base: TokenizerJson, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base as a `tokenizer.json`, which is loaded sooner."""
    path = tmp_path_factory.mktemp("base") / "tokenizer.json"
    path.write_text(base.pretty())
    return path


def same(left: pl.DataFrame, right: pl.DataFrame) -> None:
    assert left.equals(right)


@pytest.mark.parametrize("depth", [100, 1_000, 100_000])
def test_a_line_nested_deeply_is_read_or_a_fault(tmp_path: Path, base_file: Path, depth: int) -> None:
    corpus, out = tmp_path / "a.jsonl", tmp_path / "w.parquet"
    nested = "[" * depth + "]" * depth
    corpus.write_text(f'{{"text": "가", "x": {nested}}}\n{{"text": "나"}}\n{{"text": {nested}}}\n')
    record, _ = count_to(out, corpus, base_file, on_error="skip")
    faults = record["skipped"]["faults"]
    assert 1 <= faults <= (1 if depth == 100 else 2)
    assert record["documents"] == 3 - faults
    assert "▁나" in load_counted(out).words["word"]


def test_copies_are_left_out_and_counted(tmp_path: Path, base: TokenizerJson) -> None:
    for number in range(3):
        lines = [json.dumps({"text": text}) for text in [*TEXTS, f"글 {number}"]]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(lines))
    wanted = count_words(pl.Series([*dict.fromkeys(TEXTS), "글 0", "글 1", "글 2"]), base)
    for threads in (1, 3):
        counted = count(tmp_path, base, deduplicate=True, threads=threads)
        same(counted.words, wanted)
        record = counted.record
        assert record["documents"] == 7
        assert record["repeated"] == {"documents": 14, "bytes": 3 * (13 * 2 + 7 + 6) - (13 + 7 + 6)}
        assert record["bytes"] == 13 + 7 + 6 + 3 * 5
        assert record["corpus"]["deduplicate"] is True
    counted = count(iter(TEXTS), base, deduplicate=True)
    assert (counted.record["documents"], counted.record["repeated"]["documents"]) == (4, 2)
    assert "repeated" not in count(iter(TEXTS), base).record


@pytest.mark.parametrize(("place", "at"), [("before", 2), ("kept", 2), ("kept", 5), ("renames", 3), ("sort", 1)])
def test_a_killed_count_knows_what_it_saw(tmp_path: Path, base_file: Path, place: str, at: int) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(4):
        lines = [json.dumps({"text": f"문서 {(line * 7 + number) % 5_000} " * 5}) for line in range(4_000)]
        (texts / f"{number}.jsonl").write_text("\n".join(lines))

    def run(place: str, at: int) -> int:
        line = ["--corpus", texts, "--tokenizer", base_file, "--out", tmp_path / "w", "--deduplicate", "--threads", "3"]
        command = [sys.executable, str(KILLABLE), place, str(at), *map(str, line)]
        return subprocess.run(command, capture_output=True, check=False, timeout=120).returncode

    assert run(place, at) == -signal.SIGKILL
    assert (tmp_path / ".w.counting" / "progress.json").exists()
    with pytest.raises(ArtefactError, match="deduplicate was True and is False"):
        count_to(tmp_path / "w", texts, base_file)
    assert run("never", 0) == 0
    counted, whole = load_counted(tmp_path / "w"), count(texts, base_file, deduplicate=True)
    same(counted.words, whole.words)
    assert {**counted.record, "kovocab": ""} == {**whole.record, "kovocab": ""}
    assert whole.record["documents"] == 5_000
    assert whole.record["repeated"]["documents"] == 11_000


def test_what_macos_leaves_is_counted_as_syllables(
    tmp_path: Path, base_file: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_text(unicodedata.normalize("NFD", "가나 다라\n마바사\n"))
    line = ["count", "--corpus", f"{tmp_path}/a.txt", "--tokenizer", str(base_file), "--out", f"{tmp_path}/w"]
    assert main(line) == 0
    assert "count it again with --normalize nfc" in caplog.text
    assert main([*line, "--normalize", "nfc", "--deduplicate", "--overwrite"]) == 0
    counted = load_counted(tmp_path / "w")
    same(counted.words, count_words(pl.Series(["가나 다라", "마바사"]), base_file))
    assert counted.record["corpus"]["normalize"] == "nfc"
    assert counted.record["hangul"]["conjoining"] == 0
    capsys.readouterr()
    caplog.clear()
    assert main([*line[:-1], f"{tmp_path}/v", "--add_to", f"{tmp_path}/w"]) == 0
    assert "was counted with normalize nfc, and is added to words of normalize none" in caplog.text


def test_files_that_are_counted_twice_are_told(
    tmp_path: Path, base_file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is in them, wherever they lie; other columns of a file, and empty files, are not the same text."""
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"ko": "가", "en": "a"}\n')
    Path("b.jsonl").write_text('{"ko": "나", "en": "b"}\n')
    Path("none.jsonl").write_text("")
    Path("day").mkdir()
    for name in ("a.jsonl", "none.jsonl"):
        Path("day", name).write_bytes(Path(name).read_bytes())
    count_to("a", ["a.jsonl", "none.jsonl"], base_file, column="ko")
    count_to("b", ["b.jsonl", "day/none.jsonl"], base_file, column="ko", add_to="a")
    count_to("en", ["a.jsonl", "b.jsonl"], base_file, column="en", add_to="b")
    assert "twice" not in caplog.text
    twice = "a.jsonl, in b too: words are counted twice"
    count_to("c", "day", base_file, column="ko", add_to="b")
    assert twice in caplog.text
    caplog.clear()
    combine_to("d", ["b", "en"])
    assert "a.jsonl and 1 more file, in b too: words are counted twice" in caplog.text
    caplog.clear()
    count_to("a", ["a.jsonl", "none.jsonl"], base_file, column="ko", add_to="a")  # the same command once more
    assert "a.jsonl, in a too: words are counted twice" in caplog.text
    assert load_counted("a").words["count"].to_list() == [2]


def test_an_address_is_a_cluster_s(tmp_path: Path, base_file: Path) -> None:
    (tmp_path / "a.txt").write_text("가\n")
    with pytest.raises(UsageError, match="address is auto, and the engine local counts on this machine"):
        count_to(tmp_path / "w", tmp_path / "a.txt", base_file, address="auto")


@pytest.mark.parametrize("setting", [["--encoding", "latin-1"], ["--normalize", "nfkd"], ["--column", "a..b"]])
def test_wrong_settings_exit_2(tmp_path: Path, base_file: Path, setting: list[str]) -> None:
    (tmp_path / "a.txt").write_text("가\n")
    line = ["count", "--corpus", f"{tmp_path}/a.txt", "--tokenizer", str(base_file), "--out", f"{tmp_path}/w"]
    assert main([*line, *setting]) == 2
    assert main(["evaluate", "--corpus", f"{tmp_path}/a.txt", "--tokenizers", str(base_file), *setting]) == 2


def test_a_cluster_does_not_know_what_others_saw(tmp_path: Path, base_file: Path) -> None:
    (tmp_path / "a.txt").write_text("가\n")
    with pytest.raises(UsageError, match="deduplicate is true, and the engine ray"):
        count_to(tmp_path / "w", tmp_path / "a.txt", base_file, engine="ray", deduplicate=True)
