"""Numbers as large, small or strange as they can be typed, and too little memory: one line, before work begins."""

from pathlib import Path

import polars as pl
import pytest

from kovocab.cli.main import main
from kovocab.counting.word_counts import Counted, load_counted
from support.street import skip_training

ODD = ["1" + "0" * 30, "-1", "0", "1e300", "nan", "inf"]
LINES = {
    "count": "--corpus {street}/ko.txt --tokenizer {street}/base --out out.parquet",
    "refine": "--words {street}/words.parquet --base {street}/base --out out",
    "sample": "--out out.txt",
    "expand": "--model {street}/base --tokenizer {street}/tokenizer --out out",
    "fit": "--config {street}/fit.yaml --run out",
    "plan": "--config {street}/fit.yaml",
}
# The values that a setting can have are left out.
CASES = [
    ("count", "threads", ODD),
    ("count", "memory", ODD[1:]),
    ("refine", "min_count", ODD),
    ("refine", "min_syllable_count", ODD),
    ("refine", "intermediate_vocab_size", ODD),
    ("refine", "max_new_tokens", ODD),
    ("sample", "megabytes", ODD),
    ("sample", "seed", ODD[3:]),
    ("expand", "pad_to_multiple_of", ODD),
    ("fit", "defaults.lr", ["-1", "0", "1e300", "nan", "inf"]),
    ("fit", "defaults.steps", ODD),
    ("fit", "defaults.warmup", [ODD[0], "-1", "1e300", "nan", "inf"]),
    ("fit", "defaults.weight_decay", ["-1", "1e300", "nan", "inf"]),
    ("fit", "data.length", ODD),
    ("fit", "data.batch_size", ODD),
    ("fit", "data.validation_share", ODD),
    ("fit", "data.num_workers", [ODD[0], "-1", *ODD[3:]]),
    ("fit", "trainer.accumulate_grad_batches", ODD),
    ("fit", "trainer.devices", [ODD[0], "9223372036854775807"]),
    ("fit", "trainer.num_nodes", [ODD[0], "9223372036854775807", *ODD[3:]]),
    ("plan", "mfu", ODD),
]


@pytest.mark.parametrize(("verb", "setting", "values"), CASES, ids=[f"{verb} {setting}" for verb, setting, _ in CASES])
def test_an_odd_number_is_one_line_and_nothing_is_left(
    verb: str, setting: str, values: list[str], street: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_training(verb)
    for value in values:
        code = main([verb, *LINES[verb].format(street=street).split(), f"--{setting}", value])
        (line,) = capsys.readouterr().err.splitlines()
        assert code == (1 if setting == "megabytes" and value[0] == "1" else 2), line
        assert line.startswith(f"kovocab {verb}: ")
        name = setting.rpartition(".")[2]
        assert name in line or "tokens" in line or "No space left" in line, line
        assert "wanted" in line, line
        assert "<class" not in line, line
        assert list(here.iterdir()) == [], value


def test_a_wrong_kind_is_said_plainly(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["count", "--corpus", "a.txt", "--tokenizer", "b", "--out", "c", "--threads", "many"]) == 2
    assert capsys.readouterr().err == (
        "kovocab count: threads is many; wanted a whole number or null (see `kovocab count --help`)\n"
    )


def test_counts_of_zero_change_nothing(street: Path, here: Path) -> None:
    """Words that were counted never, as another tool may leave them, are as if they were not there."""
    counted = load_counted(street / "words.parquet")
    never = pl.DataFrame({"word": ["▁영", "번째"], "count": [0, 0]}, counted.words.schema)
    record = counted.record | {"distinct_words": len(counted.words) + 2}
    Counted(pl.concat([counted.words, never]), record).save("zero.parquet")
    settings = "--min_count 20 --min_syllable_count 20 --intermediate_vocab_size 800"
    for words, out in ((street / "words.parquet", "a"), (Path("zero.parquet"), "b")):
        line = f"refine --words {words} --base {street}/base --out {out} {settings}"
        assert main(line.split()) == 0
    for name in ("tokenizer.json", "vocabulary.parquet", "rounds.parquet"):
        assert (here / "a" / name).read_bytes() == (here / "b" / name).read_bytes()
