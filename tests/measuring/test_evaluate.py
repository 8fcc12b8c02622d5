"""`kovocab evaluate`: a run in one call, any models, what is kept of it, and what is refused."""

import json
import math
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kovocab.cli.main import main
from kovocab.evaluating.evaluation import read_evaluation
from kovocab.record import read_record
from support.base import BASE_TOKENS, save_tokenizer
from support.models import tiny


@pytest.fixture
def run(street: Path, tmp_path: Path) -> Path:
    """A copy of the run, which may be written to."""
    torch.set_num_threads(1)
    return Path(shutil.copytree(street / "run", tmp_path / "run"))


def evaluate(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    assert main(["evaluate", *map(str, args)]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], code: int, *args: object) -> str:
    assert main(["evaluate", *map(str, args)]) == code
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1, said
    return said[0]


def test_a_run_is_measured_in_one_call(run, street, capsys):
    said = evaluate(capsys, run, "--export", street / "export", "--new_tokens", 4, "--documents", 20)
    found = read_evaluation(run / "evaluation.json")
    assert said.splitlines()[-2:] == [str(run / "evaluation.json"), str(run / "unlearned.parquet")]
    assert [model["name"] for model in found["models"]] == ["base", "expanded", "stage 1", "export"]
    assert found["run"] == {"stages": 1, "finished": 1}
    assert found["left_out"] == []
    rows = {row["model"]: row for row in found["figures"] if (row["source"], row["script"]) == ("ko", "all")}
    assert rows["export"]["bits_per_byte"] == pytest.approx(rows["stage 1"]["bits_per_byte"], abs=1e-6)
    assert rows["base"]["tokens"] > rows["expanded"]["tokens"] == rows["stage 1"]["tokens"]
    assert len({row["bytes"] for row in rows.values()}) == 1
    assert {(sample["model"], len(sample["tokens"])) for sample in found["samples"]} == {(name, 4) for name in rows}
    for name, row in rows.items():
        assert row["bits_per_byte"] == pytest.approx(row["nats"] / math.log(2) / row["bytes"])
        assert f"{name:<8}" in said
        assert f"{row['bits_per_byte']:.4f}" in said
    assert str(street) not in (run / "evaluation.json").read_text()  # no path of the machine
    assert str(run) not in (run / "evaluation.json").read_text()


def test_bits_per_byte_are_those_of_transformers_on_what_was_held_out(run, street, tmp_path, capsys):
    """Document by document, with the tokenizer's own template, of five that fit the context."""
    held = next((street / "tokens").glob("ko.*/validation.jsonl")).read_text(encoding="utf-8").splitlines()
    chosen = sorted((json.loads(line)["text"] for line in held), key=len)[:5]
    text = tmp_path / "text.txt"
    text.write_text("\n".join(chosen), encoding="utf-8")
    evaluate(capsys, run, "--corpus", text, "--new_tokens", 0, "--unlearned", "false")
    row = next(row for row in read_evaluation(run / "evaluation.json")["figures"] if row["model"] == "stage 1")
    folder = street / "run/stages/1"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    nats, tokens = 0.0, 0
    for document in chosen:
        ids = tokenizer(document, return_tensors="pt")["input_ids"]
        assert ids.shape[1] <= 64
        nats += model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert (row["documents"], row["tokens"]) == (5, tokens)
    assert row["nats"] == pytest.approx(nats, rel=1e-5)
    assert row["bytes"] == sum(len(document.encode()) for document in chosen)


def test_what_fit_says_of_a_stage_is_what_evaluate_says(run, capsys):
    evaluate(capsys, run, "--new_tokens", 0, "--unlearned", "false")
    row = next(row for row in read_evaluation(run / "evaluation.json")["figures"] if row["model"] == "stage 1")
    said = read_record(run / "stages/1", "fit")["evaluation"]
    assert said["sources"]["ko"]["bits_per_byte"] == pytest.approx(row["bits_per_byte"], rel=1e-6)
    assert {key: said["sources"]["ko"][key] for key in ("documents", "bytes", "tokens")} == {
        key: row[key] for key in ("documents", "bytes", "tokens")
    }


def test_models_on_any_text(street, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("나무 그늘\nold trees\n\n가\n", encoding="utf-8")
    args = ("--models", street / "base", street / "export", "--corpus", "text.txt", "--prompts", "나무")
    said = evaluate(capsys, *args, "--out", "out.json")
    found = read_evaluation("out.json")
    assert "corpus: 3 of 3 documents" in said
    assert {row["script"] for row in found["figures"]} == {"all", "Hangul", "Latin"}
    assert found["run"] is None
    assert found["unlearned"]["file"] == "out.unlearned.parquet"
    assert [sample["prompt"] for sample in found["samples"]] == ["나무", "나무"]
    one = {row["model"]: row["nats"] for row in found["figures"] if row["script"] == "all"}
    evaluate(capsys, *args, "--batch_tokens", 1, "--out", "out.json")  # and an earlier one is replaced
    assert {
        row["model"]: row["nats"] for row in read_evaluation("out.json")["figures"] if row["script"] == "all"
    } == pytest.approx(one, rel=1e-5)
    parts = [row["nats"] for row in found["figures"] if row["script"] != "all" and row["model"] == str(street / "base")]
    assert sum(parts) == pytest.approx(one[str(street / "base")])


def test_a_run_half_done_and_one_of_an_earlier_kovocab(run, street, capsys):
    shutil.rmtree(run / "stages/1")
    said = evaluate(capsys, run, "--new_tokens", 0, "--documents", 2)
    assert [model["name"] for model in read_evaluation(run / "evaluation.json")["models"]] == ["base", "expanded"]
    assert "left out: export: it is not in export of the run; wanted --export" in said
    assert "expanded: " in said  # whose new tokens are looked at
    (run / "places.json").unlink()
    assert "has no finished stage, and does not say where its model is" in refused(capsys, 1, run)
    assert "does not say where its token files are" in refused(capsys, 1, run, "--expanded", street / "expanded")
    text = street / "ko.txt"
    more = ("--expanded", street / "expanded", "--corpus", text, "--documents", 2, "--new_tokens", 0)
    assert "is of other settings: its text of ko is another; --overwrite replaces it" in refused(capsys, 1, run, *more)
    evaluate(capsys, run, *more, "--overwrite")
    (run / "places.json").write_text('{"model": 1}')
    assert "places.json is not a record of kovocab" in refused(capsys, 1, run)


def test_no_new_tokens_and_documents_of_one_token(street, tmp_path, capsys):
    (tmp_path / "text.txt").write_text("가\n", encoding="utf-8")
    out = tmp_path / "out.json"
    args = ("--models", street / "base", "--corpus", tmp_path / "text.txt", "--out", out)
    said = evaluate(capsys, *args)
    found = read_evaluation(out)
    assert found["unlearned"] is None
    assert (found["models"][0]["used"], found["models"][0]["new_tokens"]) == (None, 0)
    assert not (tmp_path / "out.unlearned.parquet").exists()
    assert said.endswith(f"\n{out}\n")


def test_what_cannot_be_measured_is_one_line(run, street, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = ("--corpus", street / "ko.txt")
    assert "wanted the folder of a run (kovocab evaluate RUN), --models, or --tokenizers" in refused(capsys, 2)
    assert "wanted --corpus with the text to measure models on" in refused(capsys, 2, "--models", street / "base")
    assert "wanted --corpus" in refused(capsys, 2, "--tokenizers", street / "base")
    assert "tokenizers are measured without models" in refused(capsys, 2, run, "--tokenizers", street / "base")
    assert "base is a run's" in refused(capsys, 2, "--models", "a", "--base", street / "base", *text)
    assert "is there twice" in refused(capsys, 2, "--models", "a", "a", *text)
    assert "nothing does not exist; wanted the folder that `kovocab fit` wrote" in refused(capsys, 1, "nothing")
    assert f"{street / 'ko.txt'} is a file; wanted the folder that `kovocab fit` wrote" in refused(
        capsys, 1, street / "ko.txt"
    )
    said = refused(capsys, 1, street / "expanded")
    assert f"(a model is measured by `kovocab evaluate --models {street / 'expanded'}`)" in said
    assert "there is no model at gone: no such folder" in refused(capsys, 1, "--models", "gone", *text)
    assert "is no run: it has no stages" in refused(capsys, 1, street / "tokenizer")
    assert "no config.json" in refused(capsys, 1, "--models", street / "tokenizer", *text)
    monkeypatch.setattr("kovocab.measuring.measure.open_subject", None)  # before the first is loaded
    assert "no config.json" in refused(capsys, 1, "--models", street / "base", street / "tokenizer", *text)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert "is no folder that `kovocab export` left" in refused(capsys, 1, run, "--export", street / "expanded")
    for setting in ("documents", "bytes", "context", "stride", "batch_tokens"):
        assert f"{setting} is 0; wanted at least 1" in refused(capsys, 2, run, f"--{setting}", 0)
    assert "new_tokens is -1" in refused(capsys, 2, run, "--new_tokens", -1)
    assert "new_tokens is 64, and base reads 64 tokens" in refused(capsys, 2, run, "--new_tokens", 64)
    assert "context is 65, and the model reads 64" in refused(capsys, 2, run, "--context", 65)
    assert "device is cuda:9, which is not here" in refused(capsys, 2, run, "--device", "cuda:9")
    (tmp_path / "mine.json").write_text("{}")
    assert "is no evaluation that kovocab wrote" in refused(capsys, 1, run, "--out", "mine.json")
    (tmp_path / "empty.txt").write_text("\n\n")
    assert "holds no text to measure on" in refused(capsys, 1, run, "--corpus", "empty.txt")
    for out in ("", ".", "/"):
        said = f"out is {out!r}; wanted the name of a file" if out else "out is empty (a shell variable that is"
        assert said in refused(capsys, 2, run, "--out", out)
    prompt = refused(capsys, 2, run, "--prompts", "\udcff")  # as Python has bytes of a shell that are no UTF-8
    assert prompt == "kovocab evaluate: prompts: '\\udcff' is no text; wanted UTF-8"
    assert not (run / "evaluation.json").exists()


def test_a_setting_that_would_change_nothing_is_refused(run, street, capsys):
    alone = ("--tokenizers", street / "base", "--corpus", street / "ko.txt")
    for setting in (
        "documents",
        "bytes",
        "new_tokens",
        "context",
        "stride",
        "prompts",
        "tasks",
        "task_folder",
        "few_shot",
        "base",
        "export",
        "batch_tokens",
        "device",
    ):
        assert f"{setting} is for models" in refused(capsys, 2, *alone, f"--{setting}", 3)
    assert "unlearned is for models" in refused(capsys, 2, *alone, "--unlearned", "false")
    for setting in ("task_folder", "task_limit", "few_shot"):
        assert f"{setting} is for tasks of lm_eval; wanted --tasks" in refused(capsys, 2, run, f"--{setting}", 3)
    for setting, value in {"column": "ko", "encoding": "cp949", "normalize": "nfc", "deduplicate": "true"}.items():
        assert f"{setting} says how a corpus is read" in refused(capsys, 2, run, f"--{setting}", value)


def test_what_cannot_be_said_of_a_model_is_refused_before_it_is_scored(run, capsys, monkeypatch):
    monkeypatch.setattr("kovocab.measuring.measure.score", None)
    assert "new_tokens is 64, and base reads 64 tokens" in refused(capsys, 2, run, "--new_tokens", 64)


def test_unlearned_tokens_are_those_of_the_last_model_that_has_some(run, street, tmp_path, capsys):
    """In whichever order models are given."""
    out, expanded, base = tmp_path / "out.json", street / "expanded", street / "base"
    some = ("--corpus", street / "ko.txt", "--documents", 3, "--new_tokens", 0)
    for models in ([expanded, base], [base, expanded]):
        evaluate(capsys, "--models", *models, *some, "--out", out)
        found = read_evaluation(out)["unlearned"]
        assert found["model"] == str(expanded)
        assert len(pl.read_parquet(tmp_path / "out.unlearned.parquet")) == found["tokens"] > 0


def test_each_evaluation_has_a_table_of_its_own(street, tmp_path, capsys):
    some = ("--corpus", street / "ko.txt", "--documents", 3)
    for name in ("a.one", "a.json"):
        evaluate(capsys, "--models", street / "expanded", *some, "--out", tmp_path / name)
    evaluate(capsys, "--models", street / "base", *some, "--out", tmp_path / "a.two")  # which has none
    assert {path.name for path in tmp_path.glob("*.parquet")} == {"a.one.unlearned.parquet", "a.unlearned.parquet"}


def test_a_model_of_another_vocabulary(street, tmp_path, capsys):
    folder = tmp_path / "model"
    folder.mkdir()
    size = save_tokenizer(folder)
    tiny(rows=size - 1).save_pretrained(folder)
    said = refused(capsys, 1, "--models", folder, "--corpus", street / "ko.txt")
    assert f"the tokenizer has {size:,} tokens and the model {size - 1:,} rows" in said
    expanded = Path(shutil.copytree(street / "expanded", tmp_path / "expanded"))
    shutil.copy(street / "base/tokenizer.json", expanded)
    assert "tokenizer.json is not what `kovocab expand` wrote" in refused(
        capsys, 1, "--models", expanded, "--corpus", street / "ko.txt"
    )


def test_the_table_of_unlearned_tokens(run, capsys):
    said = evaluate(capsys, run, "--new_tokens", 0, "--documents", 20)
    table = pl.read_parquet(run / "unlearned.parquet")
    found = read_evaluation(run / "evaluation.json")["unlearned"]
    record = read_record(run / "stages/1", "fit")
    assert table["id"].sort().to_list() == list(range(record["first_new_id"], record["vocab_size"]))
    assert table["need"].is_sorted(descending=True)
    assert found["neediest"] == table.head(50).to_dicts()
    assert found["model"] == "stage 1"
    trained = table["trained"].sum()
    assert 0 < trained < record["tokens"]
    assert repr(table["token"][0]) in said
    assert record["first_new_id"] > BASE_TOKENS
