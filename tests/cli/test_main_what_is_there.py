"""What a verb may write over, and what it says of what it was given."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import kovocab
from kovocab.cli.main import main
from kovocab.counting.word_counts import load_counted
from kovocab.errors import ArtefactError
from kovocab.record import read_record
from support.front import answer, tree
from support.street import REFINE, skip_training


@pytest.fixture
def mine(street: Path, here: Path) -> Path:
    """What a user has: a corpus, a tokenizer, word counts, and notes of their own."""
    Path("d.txt").write_text("안녕하세요 세계\n" * 30)
    Path("link.txt").symlink_to("d.txt")
    Path("notes.md").write_text("mine")
    shutil.copyfile(street / "words.parquet", "w.parquet")
    shutil.copyfile(street / "words.parquet", "ko.parquet")
    shutil.copyfile(street / "ko.txt", "ko.txt")
    pl.DataFrame({"text": ["가 나"]}).write_parquet("text.parquet")
    shutil.copytree(street / "base", "base")
    shutil.copytree(street / "tokenizer", "target")
    Path("decisions.csv").write_text("token,decision\n")
    return here


COUNT = "count --corpus d.txt --tokenizer base"


@pytest.mark.parametrize(
    ("line", "code", "wanted"),
    [
        (f"{COUNT} --out d.txt", 2, "out is d.txt, which is read as corpus"),
        (f"{COUNT} --out link.txt", 2, "out is link.txt, which is read as corpus"),
        (f"{COUNT} --out notes.md", 1, "notes.md is there and is no file of word counts that kovocab wrote"),
        (f"{COUNT} --out text.parquet", 1, "text.parquet is there and is no file of word counts"),
        (f"{COUNT} --out base/tokenizer.json", 1, "tokenizer.json is there and is no file of word counts"),
        (f"{COUNT} --out n --report d.txt", 2, "report is d.txt, which is read as corpus"),
        (f"{COUNT} --out n --report notes.md", 1, "notes.md is there and is no report"),
        (f"{COUNT} --out n --tokens w.parquet", 1, "w.parquet is there and is no file of token counts"),
        (f"{COUNT} --out n --tokens link.txt", 2, "tokens is link.txt, which is read as corpus"),
        (f"{COUNT} --out w.parquet --add_to w.parquet", 2, "out is w.parquet, which is read as add_to"),
        (f"{COUNT} --out n.parquet --add_to w.parquet --tokens ./w.parquet", 2, "tokens is ./w.parquet, which is read"),
        (f"{COUNT} --out /dev/null", 1, "/dev/null is no plain file"),
        ("count --corpus w.parquet --column word --tokenizer base --out w.parquet", 2, "which is read as corpus"),
        ("combine --words w.parquet w.parquet --out w.parquet", 2, "out is w.parquet, which is read as words"),
        ("combine --words w.parquet --out text.parquet", 1, "text.parquet is there and is no file of word counts"),
        ("sample --out notes.md", 2, "wanted the suffix"),
        ("sample --out d.txt --megabytes 0.1", 1, "d.txt is there and is not this sample"),
        ("sample --out text.parquet --megabytes 0.1", 1, "text.parquet is there and is not this sample"),
        ("count --corpus link.txt --tokenizer base --out w.parquet", 1, 'files.0 was "ko.txt" and is "link.txt"'),
        ("count --corpus d.txt --tokenizer base --out ko.parquet --column x", 1, "--overwrite replaces it"),
        ("count --corpus ko.txt --tokenizer target --out w.parquet", 1, "w.parquet is of other settings: tokenizer"),
        (f"{COUNT} --out w.parquet --add_to ko.parquet", 1, "w.parquet is of other settings: corpus.1.kind was null"),
        ("combine --words w.parquet w.parquet --out ko.parquet", 1, "corpus.1.kind was null"),
        ("refine --words w.parquet --base target --out target", 1, "target is what refine reads"),
        ("refine --words w.parquet --base target/tokenizer.json --out target", 1, "is one of the files of target"),
        ("refine --words w.parquet --base base --out base", 1, "base holds files that are not kovocab's"),
        ("refine --words w.parquet --base base --out target --min_count 21", 1, "20 and is 21; --overwrite"),
        ("refine --words w.parquet --base base --out target --decisions decisions.csv", 1, "settings.min_count was 20"),
        ("quickstart --out .", 1, "base"),
    ],
)  # fmt: skip
def test_what_is_the_users_stays(
    line: str, code: int, wanted: str, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(mine)
    given, said = answer(capsys, line.split())
    assert (given, said.count("\n")) == (code, 1), said
    assert wanted in said
    assert tree(mine) == before


def test_what_kovocab_wrote_is_written_again(mine: Path) -> None:
    count = [*COUNT.split(), "--out", "n", "--tokens", "t", "--report", "r"]
    assert main(count) == 0
    first = tree(mine)
    assert main(count) == 0
    assert tree(mine) == first
    Path("d.txt").write_bytes(b"\xff\n\xec\x95\x88\n")
    for _ in range(2):
        assert main([*count, "--on_error", "skip"]) == 3
        assert len(Path("r").read_text().splitlines()) == 1
    Path("d.txt").write_text("안\n")
    assert main(count) == 0
    assert not Path("r").exists()
    for _ in range(2):
        assert main(["combine", "--words", "n", "w.parquet", "--out", "both"]) == 0
        assert main(["sample", "--out", "s.parquet", "--megabytes", "0.01"]) == 0


def test_counts_of_something_else_are_replaced_when_told_so(mine: Path) -> None:
    count = ["count", "--tokenizer", "base", "--out", "n", "--corpus"]
    assert main([*count, "d.txt"]) == 0
    assert main([*count, "ko.txt"]) == 1
    assert main([*count, "d.txt", "--normalize", "nfc"]) == 1
    assert main([*count, "ko.txt", "--overwrite"]) == 0
    Path("n").touch()
    assert main([*count, "ko.txt", "--threads", "1", "--fingerprint", "full"]) == 0  # settings that change no count
    combine = ["combine", "--out", "both", "--words"]
    assert main([*combine, "n", "w.parquet"]) == 0
    assert main([*combine, "n", "w.parquet"]) == 0
    assert main([*combine, "n"]) == 1
    assert main([*combine, "n", "--overwrite"]) == 0


def test_a_report_that_is_not_kovocab_s_stays(mine: Path) -> None:
    """Also where it came, or was changed, while the count ran; and of a link what it points to is the report."""
    count = [*COUNT.split(), "--out", "n", "--report"]
    Path("empty").touch()
    assert main([*count, "empty"]) == 0
    assert Path("empty").read_bytes() == b""
    Path("d.txt").write_bytes(b"\xff\n\xec\x95\x88\n")
    Path("pointer").symlink_to("r")
    assert main([*count, "pointer", "--on_error", "skip"]) == 3
    assert Path("pointer").is_symlink()
    assert len(Path("r").read_text().splitlines()) == 1
    Path("d.txt").write_text("안\n")
    assert main([*count, "pointer"]) == 0
    assert Path("pointer").is_symlink()
    assert not Path("r").exists()


@pytest.mark.parametrize("skipped", [False, True])
def test_a_report_s_place_that_is_taken_meanwhile(
    skipped: bool, mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from kovocab.counting import count

    write = count.write_words

    def meanwhile(*what: Any) -> None:
        write(*what)
        Path("r").write_text("mine")

    monkeypatch.setattr(count, "write_words", meanwhile)
    Path("d.txt").write_bytes(b"\xff\n\xec\x95\x88\n" if skipped else "안\n".encode())
    code, said = answer(capsys, [*COUNT.split(), "--out", "n", "--report", "r", "--on_error", "skip"])
    assert code == int(skipped), said
    assert "r is there and is no report of what was skipped that kovocab wrote" in said or not skipped
    assert Path("r").read_text() == "mine"


@pytest.mark.parametrize(
    "line",
    [
        "count --corpus pipe.jsonl --tokenizer base --out n",
        "count --corpus c --tokenizer base --out n",
        f"{COUNT} --out n --add_to pipe.jsonl",
        "combine --words w.parquet pipe.jsonl --out n",
        "refine --words pipe.jsonl --base base --out new",
        "refine --words w.parquet --base base --out new --decisions pipe.jsonl",
        "evaluate --corpus pipe.jsonl --tokenizers base",
        'fit --config {street}/fit.yaml --data.sources [{{"name":"a","corpus":"c/*"}}] --run new',
    ],
)
@pytest.mark.timeout(60)
def test_a_pipe_is_named_and_not_waited_for(
    line: str, street: Path, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if line.startswith("fit"):
        skip_training("fit")
    os.mkfifo("pipe.jsonl")
    Path("c").mkdir()
    Path("pipe.jsonl").rename("c/pipe.jsonl") if " c " in line or "c/*" in line else None
    before = tree(mine)
    code, said = answer(capsys, line.format(street=street).split())
    assert code == (2 if "decisions" in line else 1), said
    assert said.count("\n") == 1
    assert "pipe.jsonl" in said
    assert "is a pipe, which cannot be read twice" in said
    assert tree(mine) == before


def test_refine_replaces_its_own_files_alone(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("target/.git/refs").mkdir(parents=True)
    Path("target/decisions.csv").write_text("token,decision\n")
    line = ["refine", "--words", "w.parquet", "--base", "base", "--out", "target", *REFINE.split()]
    assert main(line) == 0  # the same again
    assert main([*line, "--max_new_tokens", "9", "--overwrite", "--decisions", "target/decisions.csv"]) == 0
    assert read_record("target")["new_tokens"] == 9
    assert Path("target/.git/refs").is_dir()
    assert Path("target/decisions.csv").exists()
    Path("target/tokenizer_config.json").write_text("{}")
    code, said = answer(capsys, [*line, "--overwrite"])
    assert code == 1
    assert "target/tokenizer_config.json was changed since kovocab wrote it" in said
    assert read_record("target")["new_tokens"] == 9


def test_a_second_export_leaves_what_was_put_beside_it(
    street: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_training("export")
    line = ["export", "--stage", str(street / "run"), "--out", "X"]
    assert main(line) == 0
    Path("X/.git/objects").mkdir(parents=True)
    Path("X/README.md").write_text("edited")
    Path("X/model.gguf").write_bytes(b"GGUF")
    assert main(line) == 0
    code, said = answer(capsys, [*line, "--dtype", "bfloat16"])
    assert (code, said.count("\n")) == (1, 1)
    assert 'X is of other settings: settings.dtype was "auto" and is "bfloat16"; --overwrite replaces it' in said
    assert main([*line, "--dtype", "bfloat16", "--overwrite"]) == 0
    assert read_record("X")["dtype"] == "bfloat16"
    assert Path("X/.git/objects").is_dir()
    assert Path("X/README.md").read_text() == "edited"
    assert Path("X/model.gguf").read_bytes() == b"GGUF"
    # Expand, in the same way.
    shutil.copytree(street / "expanded", "E")
    Path("E/notes").touch()
    expand = ["expand", "--model", str(street / "base"), "--tokenizer", str(street / "tokenizer"), "--out", "E"]
    code, said = answer(capsys, [*expand, "--pad_to_multiple_of", "64"])
    assert (code, said.count("\n")) == (1, 1)
    assert "settings.pad_to_multiple_of was not given and is 64; --overwrite replaces it" in said
    assert main([*expand, "--pad_to_multiple_of", "64", "--overwrite"]) == 0
    assert read_record("E")["vocab_size"] % 64 == 0
    assert Path("E/notes").exists()


def test_token_counts_of_other_words_stay_until_told(here: Path, base_model_file: Path, capsys) -> None:
    for name, text in (("a", "one text\n"), ("b", "another text\n")):
        Path(f"{name}.txt").write_text(text)
    line = f"count --tokenizer {base_model_file} --tokens t.parquet --out {{0}}.parquet --corpus {{0}}.txt"
    for _ in range(2):
        assert main(line.format("a").split()) == 0
    before = tree(here)
    code, said = answer(capsys, line.format("b").split())
    assert code == 1
    assert 't.parquet is of other settings: corpus.0.files.0 was "a.txt" and is "b.txt"; --overwrite replaces' in said
    assert tree(here) == before  # and no words were counted for it
    assert main([*line.format("b").split(), "--overwrite"]) == 0
    counts = kovocab.count_tokens("b.txt", base_model_file)
    assert pl.read_parquet("t.parquet").equals(counts)


def test_a_report_of_another_count_stays_until_told(here: Path, base_model_file: Path, capsys) -> None:
    Path("a.jsonl").write_text('{"text": "one"}\nbroken\n')
    Path("b.jsonl").write_text('{"text": "two"}\n')
    line = (
        f"count --tokenizer {base_model_file} --report r.jsonl --on_error skip --out {{0}}.parquet --corpus {{0}}.jsonl"
    )
    for _ in range(2):
        assert main(line.format("a").split()) == 3
    before = tree(here)
    code, said = answer(capsys, line.format("b").split())
    assert code == 1
    assert "r.jsonl lists what another count skipped; --overwrite replaces it, or choose another name" in said
    assert tree(here) == before
    assert main([*line.format("b").split(), "--overwrite"]) == 0
    assert not Path("r.jsonl").exists()


def test_words_saved_from_python_are_not_lost_in_silence(here: Path, base_model_file: Path) -> None:
    one, two = (kovocab.count(pl.Series([text]), base_model_file) for text in ("one", "two"))
    for _ in range(2):
        one.save("w.parquet")
    with pytest.raises(ArtefactError, match=r"w.parquet is of other settings: .*--overwrite replaces it"):
        two.save("w.parquet")
    two.save("w.parquet", overwrite=True)
    assert load_counted("w.parquet").words.equals(two.words)


def test_predictions_are_written_over_predictions_alone(
    street: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_training("predict")
    line = ["predict", "--config", str(street / "fit.yaml"), "--predictions", "p.parquet"]
    for _ in range(2):
        assert main(line) == 0
    stage, first = ["--model.model", str(street / "run/stages/1")], Path("p.parquet").read_bytes()
    for more, wanted in (
        (stage, "weights.model.safetensors was"),
        (["--data.length", "16"], "sources.ko.length was 32"),
    ):
        code, said = answer(capsys, [*line, *more])
        assert code == 1
        assert f"p.parquet is of other settings: {wanted}" in said
        assert "--overwrite replaces it" in said
    assert Path("p.parquet").read_bytes() == first
    assert main([*line, *stage, "--overwrite"]) == 0
    assert Path("p.parquet").read_bytes() != first
    pl.DataFrame({"mine": [1]}).write_parquet("p.parquet")
    before = tree(here)
    code, said = answer(capsys, line)
    assert code == 1
    assert "p.parquet is there and is no file of predictions that kovocab wrote" in said
    assert tree(here) == before


# ── what a folder holds ──


def test_what_a_folder_holds_is_counted_or_refused(
    street: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("c/deep").mkdir(parents=True)
    Path("far").mkdir()
    for name in ("c/b.txt", "c/deep/d.txt", "far/e.txt"):
        Path(name).write_text("안녕\n")
    Path("c/far").symlink_to("../far")
    Path("c/round").symlink_to("../c")
    Path("c/README.md").write_text("what it is")
    line = ["count", "--tokenizer", str(street / "base"), "--out", "w", "--corpus"]
    for corpus in (["c"], ["c/*"], ["c/**"], ["c/b.txt", "c/deep", "c/far"]):
        capsys.readouterr()
        if corpus == ["c/*"]:
            Path("c/README.md").unlink()  # a glob names it
        assert main([*line, *corpus, "--overwrite"]) == 0
        assert "3 documents" in capsys.readouterr().out
    for name in ("c/a.docx", "c/deep/c.xml", "c/LICENSES"):
        Path(name).write_text("x")
        for corpus in ("c", "c/*"):
            code, said = answer(capsys, [*line, corpus])
            assert (code, said.count("\n")) == (1, 1)
            assert Path(name).name in said
            assert "unknown suffix; wanted" in said
        Path(name).unlink()
    Path("c/gone.txt").symlink_to("nowhere")
    for corpus in ("c", "c/*"):
        code, said = answer(capsys, [*line, corpus])
        assert code == 1
        assert "/gone.txt: is a link to nothing" in said


def test_where_all_was_skipped_the_report_says_why(
    street: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.jsonl").write_text('{"txet": "가"}\n{"txet": "나"}\n')
    line = ["count", "--tokenizer", str(street / "base"), "--out", "w", "--on_error", "skip", "--corpus", "a.jsonl"]
    code, said = answer(capsys, line)
    assert code == 1
    assert "a.jsonl holds no documents that can be read: 2 faults were skipped; wanted at least one" in said
    assert "w.skipped.jsonl lists what was skipped" in said
    faults = [json.loads(row) for row in Path("w.skipped.jsonl").read_text().splitlines()]
    assert [fault["place"] for fault in faults] == ["line 1", "line 2"]
    assert "no such key in ['txet']" in faults[0]["what"]
    assert not Path("w").exists()


def test_scripts_that_are_added_to_the_default_are_said_once(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "refine --words w.parquet --base base --out both --min_count 20 --min_syllable_count 20"
    code, _ = answer(capsys, [*line.split(), "--script+", "Thai", "--script+", "Hangul"])
    assert code == 0
    assert read_record("both")["settings"]["script"] == ["Hangul", "Thai"]
    assert main([*line.split(), "--script", "[Hangul, thai, Thai]", "--overwrite"]) == 0
    said = capsys.readouterr().out
    assert " without Hangul or thai encoded as before" in said
    assert " with Hangul or thai decoded as before" in said
