"""What a card says of a stage that was measured: two rows and two sentences, in both languages, or nothing."""

import json
import shutil
from pathlib import Path

import pytest

from kovocab.cli.main import main
from kovocab.evaluating.compared import KOREAN, Compared, Piece
from kovocab.exporting.measured import before_and_after, section
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.measured import measure


@pytest.fixture
def walked(street: Path, tmp_path: Path) -> Path:
    shutil.copytree(street / "run", tmp_path / "run")
    return tmp_path


def card(walked: Path) -> str:
    out = walked / "hub"
    assert main(["export", "--stage", str(walked / "run"), "--out", str(out)]) == 0
    return (out / "README.md").read_text(encoding="utf-8")


def test_a_measured_stage_has_its_figures_and_a_sentence(walked, street):
    measure(walked)
    said = card(walked).partition("## Before and after (전과 후)")[2].partition("\n## ")[0]
    assert "|  | tokens per word (단어당 토큰), ko | bits per byte (바이트당 비트), ko |" in said
    assert "| base (기반) | 8.12 | 7.375 |\n| this model (이 모델) | 4.25 | 3.625 |" in said
    assert "On text that no stage was trained on" in said
    assert "학습에 쓰지 않은 글" in said
    assert KOREAN in said
    counts = [len(Reference(load_tokenizer(street / at)).encode([KOREAN])[0]) for at in ("base", "tokenizer")]
    assert f"{counts[0]} tokens before, {counts[1]} after (전 {counts[0]}개, 후 {counts[1]}개)" in said
    assert counts[0] > 2 * counts[1]
    assert str(street) not in said


def test_a_stage_that_was_not_measured_has_none(walked):
    assert "## Before and after" not in card(walked)


def test_a_stage_in_a_container_s_root_has_none():
    assert section(Path("/stage"), {}, None) == ""


@pytest.mark.parametrize("change", ["tokenizer", "bits", "file"])
def test_figures_of_another_training_are_not_its_own(walked, caplog, change):
    measure(walked)
    path = walked / "run/evaluation.json"
    evaluation = json.loads(path.read_text(encoding="utf-8"))
    if change == "tokenizer":
        evaluation["models"][1]["tokenizer"] = "f" * 64
    elif change == "bits":  # of the same text the stage's own record says something else
        held = json.loads((walked / "run/stages/1/kovocab.json").read_text(encoding="utf-8"))["evaluation"]["sources"][
            "ko"
        ]
        row = next(row for row in evaluation["figures"] if (row["model"], row["source"]) == ("stage 1", "ko"))
        row |= {"bytes": held["bytes"], "tokens": held["tokens"], "bits_per_byte": held["bits_per_byte"] * 1.05}
    path.write_text("{" if change == "file" else json.dumps(evaluation), encoding="utf-8")
    assert "## Before and after" not in card(walked)
    assert "the card says nothing of what was measured" in caplog.text


def test_a_token_cannot_leave_its_block():
    row = {"tokens_per_word": 2.0, "bits_per_byte": 1.0}
    text = Compared("a ``` b\u202e", [Piece("````", False), Piece("\n# x", False)], [Piece("<0xEA>", True)])
    said = before_and_after({"ko": (row, row)}, [text])
    block = said.partition("(전 2개, 후 1개):\n\n")[2]
    fence = block.partition("text\n")[0]
    assert fence == "`" * 5
    assert block.splitlines() == [f"{fence}text", "a ``` b[U+202E]", "base: ```` | [U+000A]# x", "this: <0xEA>", fence]
