"""The hand-over to lm_eval: a task that is defined here, the start token once, and what it would stumble over."""

import json

import pytest

from kovocab.cli.main import main
from kovocab.errors import NotInstalled, UsageError
from kovocab.evaluating.evaluation import read_evaluation
from kovocab.measuring import tasks as tasks_file
from kovocab.measuring.subject import Named
from kovocab.measuring.tasks import Tasks, chosen, run_tasks
from support.base import save_tokenizer
from support.models import tiny

TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: {kind}
{rest}
"""
ROLLING = 'doc_to_text: ""\ndoc_to_target: "{{text}}"\nmetric_list: [{metric: bits_per_byte}]'
CHOICE = (
    'doc_to_text: "{{{{text}}}}"\ndoc_to_choice: ["{0}", "무"]\ndoc_to_target: 0\n'
    'target_delimiter: "{1}"\nmetric_list: [{{metric: acc}}]'
)


@pytest.fixture
def tasks(tmp_path):
    """A folder of tasks, on two documents."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    documents = ["나무 그늘 바다", "old trees 하늘 나"]
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    named = {
        "bits": ("loglikelihood_rolling", ROLLING),
        "apart": ("multiple_choice", CHOICE.format("그늘", " ")),
        "joined": ("multiple_choice", CHOICE.format("그늘", "")),
    }
    for name, (kind, rest) in named.items():
        (folder / f"{name}.yaml").write_text(TASK.format(name=name, file=file, kind=kind, rest=rest))
    return folder


@pytest.mark.filterwarnings("ignore")
def test_a_task_of_ones_own_is_run_with_the_start_token_once(tasks, tmp_path, capsys, monkeypatch):
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    model, out, text = tmp_path / "model", tmp_path / "out.json", tmp_path / "text.jsonl"
    model.mkdir()
    tiny(rows=save_tokenizer(model)).save_pretrained(model)
    text.write_text((tmp_path / "texts.jsonl").read_text())
    args = ["--models", model, "--corpus", text, "--new_tokens", 0, "--out", out, "--tasks", "bits", "apart"]
    assert main(["evaluate", *map(str, args), "--task_folder", str(tasks)]) == 0, capsys.readouterr().err
    found = read_evaluation(out)
    rows = {(row["task"], row["metric"]): row for row in found["tasks"]}
    ours = next(row for row in found["figures"] if row["script"] == "all")
    assert rows["bits", "bits_per_byte"]["value"] == pytest.approx(ours["bits_per_byte"], rel=1e-5)
    assert 0 <= rows["apart", "acc"]["value"] <= 1
    assert rows["apart", "acc"]["samples"] == 2
    assert f"bits, bits_per_byte: {model} {ours['bits_per_byte']:.4f}" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
def test_a_task_without_a_delimiter_is_named_before_it_begins(tasks, tmp_path, monkeypatch):
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    save_tokenizer(tmp_path)  # 나무 is one token: 무 behind 나 is none
    named = Named("tiny", "model", str(tmp_path))
    tiny().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"joined: of 4 continuations 1 are empty .* '무' behind 'd trees 하늘 나'"):
        run_tasks([named], Tasks(("joined",), str(tasks)), "cpu")
    with pytest.raises(UsageError, match="lm_eval cannot load nothing"):
        run_tasks([named], Tasks(("nothing",), str(tasks)), "cpu")


def test_without_the_package_one_line_says_what_to_install(monkeypatch, capsys, street):
    monkeypatch.setattr(tasks_file, "find_spec", lambda name: None)
    with pytest.raises(NotInstalled, match=r"pip install 'kovocab\[tasks\]'"):
        Tasks(("kobest",))
    assert main(["evaluate", str(street / "run"), "--tasks", "kobest"]) == 2
    assert "lm_eval is not installed" in capsys.readouterr().err


def test_limits_and_which_models(monkeypatch):
    monkeypatch.setattr(tasks_file, "find_spec", lambda name: True)
    with pytest.raises(UsageError, match="task_limit is 0; wanted at least 1"):
        Tasks(("a",), limit=0)
    with pytest.raises(UsageError, match="few_shot is -1; wanted at least 0"):
        Tasks(("a",), few_shot=-1)
    kinds = ["base", "expanded", "stage", "stage", "export", "model"]
    named = [Named(f"{kind} {number}", kind, "") for number, kind in enumerate(kinds)]
    assert [each.kind for each in chosen(named)] == ["base", "export", "model"]
    assert [each.name for each in chosen(named[:4])] == ["base 0", "stage 3"]
