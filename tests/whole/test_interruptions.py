"""Ctrl-C in the middle of every verb, a full disk and a closed pipe: one line, and never half an artefact."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kovocab.cli.main import STREET, main
from support.street import skip_training

# ── Ctrl-C ──


def held(number: int) -> Callable[..., None]:
    """Stands where a verb does its work, and is interrupted there."""

    def inner(*_: object, **__: object) -> None:
        signal.raise_signal(number)
        time.sleep(5)
        raise AssertionError("the signal was not heard")

    return inner


# Of each verb: its settings, and where it is held up: late, where it has begun to write what it writes.
HELD = {
    "count": (
        "--corpus {street}/ko.txt --tokenizer {street}/base --out out",
        "polars.LazyFrame.sink_parquet",
    ),
    "combine": ("--words [{street}/words.parquet] --out out", "polars.LazyFrame.sink_parquet"),
    "refine": (
        "--words {street}/words.parquet --base {street}/base --out out --min_count 50",
        "kovocab.building.promises.check_promises",
    ),
    "thresholds": (
        "--words {street}/words.parquet --base {street}/base --intermediate_vocab_size 800 --out out.svg",
        "kovocab.curating.thresholds.drawn",
    ),
    "curate": (
        "{street}/tokenizer --words {street}/words.parquet --base {street}/base --decisions out.csv --port 0",
        "kovocab.curating.server.application",
    ),
    "replace": (
        "--tokenizer {street}/tokenizer --words {street}/words.parquet --base {street}/base "
        "--keep {street}/english.parquet --out out",
        "kovocab.replacing.promises.check_reachable",
    ),
    "expand": (
        "--model {street}/base --tokenizer {street}/tokenizer --out out",
        "kovocab.expanding.expand._check_written",
    ),
    "pack": (
        "--corpus {street}/ko.txt --tokenizer {street}/base --out out",
        "kovocab.packing.token_files.write_record",
    ),
    "coverage": ("--config {street}/fit.yaml", "kovocab.planning.coverage.coverage"),
    "plan": ("--config {street}/fit.yaml", "kovocab.planning.costs.Skeleton.cost"),
    "fit": ("--config {street}/fit.yaml --run out", "kovocab.fitting.fit.save_plain"),
    "validate": ("--config {street}/fit.yaml", "kovocab.model.causal_lm.CausalLM.validation_step"),
    "test": ("--config {street}/fit.yaml", "kovocab.model.causal_lm.CausalLM.test_step"),
    "predict": (
        "--config {street}/fit.yaml --predictions out",
        "kovocab.model.causal_lm.CausalLM.predict_step",
    ),
    "export": ("--stage {street}/run --out out", "kovocab.exporting.export._check"),
    "transfer": (
        "--base {street}/base --adapted {street}/expanded --instruct {street}/instruct --out out",
        "kovocab.transferring.transfer.write_record",
    ),
    "evaluate": (
        "{street}/run --documents 5 --out out.json",
        "kovocab.measuring.evaluate.save",
    ),
    "report": ("{street}/run --out out.html", "kovocab.reporting.report.marked"),
    "sample": ("--out out.jsonl --megabytes 1", "json.dumps"),
}


def test_every_verb_is_stopped_below() -> None:
    assert {*STREET, "sample"} == {*HELD, "push"}  # which leaves nothing on this machine


@pytest.mark.parametrize("verb", HELD)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_what_asks_to_stop_leaves_no_half_artefact(
    name: str,
    verb: str,
    street: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    skip_training("fit" if verb in ("evaluate", "report") else verb)  # of models, here
    if verb in ("report", "thresholds"):
        pytest.importorskip("altair", reason="pip install kovocab[report]")
    if verb == "curate":
        pytest.importorskip("starlette", reason="pip install kovocab[curate]")
    settings, place = HELD[verb]
    number = getattr(signal, name)
    monkeypatch.setattr(place, held(number))
    before = signal.signal(number, signal.default_int_handler)  # the shell that runs the tests may ignore it
    try:
        assert main([verb, *settings.format(street=street).split()]) == 128 + number
    finally:
        signal.signal(number, before)
    assert capsys.readouterr().err.endswith(f"kovocab {verb}: stopped\n")
    left = {path.relative_to(here) for path in here.rglob("*")}
    if verb == "fit":  # which keeps what it needs to go on
        assert Path("out/stages/.1") in left
        assert Path("out/stages/1") not in left
        assert not [path for path in left if path.suffix in (".part", ".old")]
    elif verb == "pack":  # so does it, hidden
        assert not [path for path in left if not path.name.startswith(".") and path.parts[:1] != ("out",)]
        assert not [path for path in left if len(path.parts) == 2 and not path.name.startswith(".")]
    else:
        assert left == set()


def test_ctrl_c_in_the_engine_is_heard_at_once_and_the_bar_is_on_the_terminal(street: Path, tmp_path: Path) -> None:
    """Nothing is held up here: Polars reads and Rust counts three gigabytes of hard links."""
    text = tmp_path / "0.txt"
    text.write_bytes((street / "ko.txt").read_bytes() * 50)
    (tmp_path / "corpus").mkdir()
    for number in range(300):
        (tmp_path / "corpus" / f"{number}.txt").hardlink_to(text)
    line = f"count --corpus corpus --tokenizer {street}/base --out out".split()
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 100))
    # The shell that runs the tests may ignore Ctrl-C, and a child would inherit that.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from kovocab.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, *line],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while not re.search(rb" [1-9]\d?%\|", said):  # a fast machine shows no 1 %
        said += _read(ours)
        assert child.poll() is None, said
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=10) == 130
    while chunk := _read(ours):
        said += chunk
    os.close(ours)
    assert b"/3.02G" in said  # the total: 300 files of 10 MB
    assert said.endswith(b"kovocab count: stopped\r\n")
    assert b"Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.txt", "corpus"]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other end is closed
        return b""


# ── a full disk ──


@pytest.fixture
def full(disk: Callable[[str], Path]) -> Path:
    return disk("16k")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("count --corpus {street}/ko.txt --tokenizer {street}/base --out {full}/w.parquet", "w.parquet"),
        ("combine --words [{street}/words.parquet] --out {full}/w.parquet", "w.parquet"),
        ("refine --words {street}/words.parquet --base {street}/base --out {full}/tok", "tok"),
        ("expand --model {street}/base --tokenizer {street}/tokenizer --out {full}/model", "model"),
        ("export --stage {street}/run --out {full}/hub", "hub"),
        ("sample --out {full}/s.txt", "s.txt"),
        ("sample --out {full}/s.jsonl", "s.jsonl"),
        ("sample --out {full}/s.parquet", "s.parquet"),
    ],
)
def test_a_full_disk_is_named_and_nothing_is_left(
    line: str,
    name: str,
    street: Path,
    full: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    skip_training(line.split(maxsplit=1)[0])
    if name == "tok":
        line += " --min_count 20 --min_syllable_count 20"
    code = main(line.format(street=street, full=full).split())
    said = capsys.readouterr().err.splitlines()[-1]
    assert code == 1, said
    assert f" {full}/{name}" in said
    assert "cannot be written: " in said
    assert "No space left on device" in said
    assert list(full.iterdir()) == []


def test_an_artefact_outlives_a_run_that_fills_the_disk(full: Path) -> None:
    out = full / "s.txt"
    assert main(["sample", "--out", str(out), "--megabytes", "0.004"]) == 0
    before = out.read_bytes()
    assert main(["sample", "--out", str(out), "--megabytes", "1"]) == 1
    assert out.read_bytes() == before
    assert list(full.iterdir()) == [out]


# ── a closed pipe ──


@pytest.mark.parametrize(
    "line", ["--help", "count --help", "evaluate --corpus {street}/ko.txt --tokenizers [{street}/base]"]
)
def test_a_closed_pipe_is_no_error_to_tell_of(line: str, street: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    child = subprocess.run(
        [sys.executable, "-m", "kovocab", *line.format(street=street).split()],
        stdout=theirs, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(theirs)
    assert child.returncode in (0, 1)
    assert child.stderr == ""
