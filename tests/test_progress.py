"""Progress: the bar's total is near the truth early, log lines are few, and the last one sums up."""

import json
import logging
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from kovocab import progress as room
from kovocab.corpus.settings import Reading
from kovocab.counting.word_counts import read_counted
from kovocab.example.text import write_sample
from kovocab.progress import progress
from kovocab.reading.documents import Corpus, batches, corpus_files

TEXT = "가나다라 마바사 " * 40


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    fake = Terminal()
    monkeypatch.setattr(room, "sys", SimpleNamespace(stderr=fake))  # pytest sets the real one
    return fake


def read(corpus: Corpus, column: str = "text") -> tuple[list[float], int]:
    """What a pass took for the size of the text, before each batch and at its end, and what it was."""
    totals, read = [], 0
    files = corpus_files(corpus)
    with progress("count", files, (column,)) as watch:
        for part in files or [corpus]:
            before = read
            for batch in batches(part, Reading(column), batch_size=20_000):
                totals.append(float(watch.total))
                size = int(batch.str.len_bytes().sum())
                watch.update(size)
                read += size
            if files:
                watch.finished(part, read - before)
        totals.append(float(watch.total))
    return totals, read


@pytest.mark.parametrize("ensure_ascii", [False, True])
def test_the_total_of_plain_files_is_right_from_the_start(
    tmp_path: Path, terminal: Terminal, ensure_ascii: bool
) -> None:
    row = {"id": "x" * 500, "body": TEXT}
    line = json.dumps(row, ensure_ascii=ensure_ascii) + "\n"
    (tmp_path / "a.jsonl").write_text(line * 500)
    (tmp_path / "b.txt").write_text((TEXT + "\n") * 500)
    totals, size = read(tmp_path, "body")
    assert totals[0] == pytest.approx(size, rel=0.01)
    assert totals[-1] == size == 1000 * len(TEXT.encode())
    assert f"0% 0.00/{size / 1e3:.0f}k" in re.sub(r"\|.*?\|", "", terminal.getvalue())


def test_the_total_of_compressed_files_is_right_once_one_was_read(tmp_path: Path, terminal: Terminal) -> None:
    for number in range(10):
        series = pl.Series("text", [f"{number} {i} {TEXT}" for i in range(300)])
        series.to_frame().write_parquet(tmp_path / f"{number}.parquet")
    totals, size = read(tmp_path)
    assert abs(totals[0] - size) > size / 2  # so regular a text is far smaller on disk than any guess
    assert totals[len(totals) // 5] == pytest.approx(size, rel=0.02)
    assert totals[-1] == size


def test_a_bar_without_total_counts_what_is_in_memory(terminal: Terminal) -> None:
    totals, size = read(pl.Series("text", [TEXT] * 100))
    assert set(totals) == {0}
    assert size == 100 * len(TEXT.encode())
    assert "count: " in terminal.getvalue()
    assert "%" not in terminal.getvalue()


def test_elsewhere_a_line_each_30_seconds_and_one_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0

    def monotonic() -> float:
        return now

    monkeypatch.setattr(room.time, "monotonic", monotonic)
    (tmp_path / "a.txt").write_text("x" * 999_999 + "\n")
    caplog.set_level(logging.INFO)
    with progress("count", [tmp_path / "a.txt"]) as watch:
        for _ in range(100):
            now += 1.0
            watch.update(10_000)
        watch.finished(tmp_path / "a.txt", 999_999)
    assert caplog.messages == [
        "count: 300.00 kB of text, 10.00 kB/s, 30%, 70 s left",
        "count: 600.00 kB of text, 10.00 kB/s, 60%, 40 s left",
        "count: 900.00 kB of text, 10.00 kB/s, 90%, 10 s left",
        "count: 1,000,000 bytes of text, 100.0 s, 10.00 kB/s",
    ]


@pytest.mark.parametrize("line", [b"", b"5\n", b"{}\n", b"[1]\n", b'{"text": 5}\n', b"\xff\n", b"{\n"])
def test_a_file_that_is_not_json_is_the_readers_to_name(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(line * 3)
    with progress("count", [tmp_path / "a.jsonl"]) as watch:
        assert watch.total == 3 * len(line)


def test_a_pass_that_fails_does_not_say_that_it_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.txt").write_text("가\n")
    caplog.set_level(logging.INFO)
    with pytest.raises(RuntimeError), progress("count", [tmp_path / "a.txt"]):
        raise RuntimeError
    assert caplog.messages == []


@pytest.mark.parametrize("fault", [b"", b"\xff\n"])
def test_lines_for_machines(tmp_path: Path, base_model_file: Path, fault: bytes) -> None:
    """All that a run says on standard error, in a process of its own."""
    for number in range(3):
        write_sample(tmp_path / f"{number}.txt", 300_000, seed=number)
    with (tmp_path / "0.txt").open("ab") as file:
        file.write(fault)
    code = (
        "import sys; from kovocab.reading import blocks; from kovocab.machine import memory\n"
        "from kovocab import progress; from kovocab.counting import one_pass, tally; progress.EVERY = 0.0\n"
        "memory.LEAST, tally._LEAST, one_pass.BATCH_SIZE, blocks.BLOCK = 1, 0, 50_000, 50_000\n"
        "from kovocab.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    line = f"count --corpus {tmp_path}/*.txt --tokenizer {base_model_file} --out {tmp_path}/w --log json --memory 1"
    if fault:
        line += " --on_error skip"
    command = [sys.executable, "-c", code, *line.split(), "--tokens", str(tmp_path / "t")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == (3 if fault else 0), run.stderr
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    record = read_counted(tmp_path / "w")
    *rest, done = lines
    assert len(rest) > 10
    for told in rest:
        assert told["event"] == "progress"
        wanted = {"bytes", "seconds", "bytes_per_second", "share", "seconds_left", "distinct_words", "memory"}
        assert wanted <= told.keys()
        assert 0 < told["share"] <= 1
    assert [told["bytes"] for told in rest] == sorted({told["bytes"] for told in rest})
    assert [told["spilled_bytes"] for told in rest] == sorted(told["spilled_bytes"] for told in rest)
    assert done["event"] == "done"
    assert done["verb"] == "count"
    assert done["bytes"] == record["bytes"]
    assert done["distinct_words"] == record["distinct_words"]
    assert done["seconds"] > 0
    assert done["spilled_bytes"] > record["distinct_words"]
    assert done["peak_memory"] > 50_000_000
    assert not {"share", "seconds_left"} & done.keys()


def test_other_lines_become_objects_too(capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("as before: %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        for form in ("json", "text"):
            with room.all_as(form):  # type: ignore[arg-type]
                logging.getLogger("kovocab.counting.count").warning("entries of %s", '"가"')
        logging.getLogger("kovocab.counting.count").warning("after")
    finally:
        logging.getLogger().removeHandler(handler)
    first, *rest = capsys.readouterr().err.splitlines()
    assert json.loads(first) == {"event": "note", "level": "warning", "message": 'entries of "가"'}
    assert rest == ['as before: entries of "가"', "as before: after"]
