"""Lists on a command line: of every verb, of settings that a class declares, of what is no text, and where they end."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kovocab.cli.main import main
from kovocab.flags.lists import configs_apart, is_flag
from support.front import answer
from support.street import skip_training

SETTINGS = {
    "count": ("--tokenizer t --out o", ["corpus", "add_to", "template"]),
    "combine": ("--out o", ["words"]),
    "refine": ("--words w --base b --out o", ["script"]),
    "thresholds": ("--words w --base b", ["script"]),
    "curate": ("--tokenizer t --words w --base b", ["corpus", "template"]),
    "replace": ("--tokenizer t --words w --base b --out o", ["keep"]),
    "export": ("--out o", ["datasets"]),
    "transfer": ("--base b --adapted a --instruct i --out o", ["datasets"]),
    "pack": ("--tokenizer t --out o", ["corpus", "template"]),
    "evaluate": ("", ["models", "tokenizers", "corpus", "template", "prompts", "tasks"]),
}


def printed(capsys: pytest.CaptureFixture[str], verb: str, args: list[str]) -> Any:
    capsys.readouterr()
    assert main([verb, *args, "--print_config"]) == 0, capsys.readouterr().err
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize(("verb", "flag"), [(verb, flag) for verb in SETTINGS for flag in SETTINGS[verb][1]])
def test_every_list_of_every_verb_is_what_follows_its_flag(
    verb: str, flag: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed, flags = SETTINGS[verb]
    others = [arg for other in flags if other != flag and other in ("corpus", "words") for arg in (f"--{other}", "x")]
    args = [*needed.split(), *others]
    values = ["Hangul", "Thai"] if flag == "script" else ["{a} b", "c"] if flag == "template" else ["a", "b.txt"]
    for line in (
        [f"--{flag}", *values, *args],
        [*args, f"--{flag}", *values],
        [*args, f"--{flag}", values[0], f"--{flag}", values[1]],
        [*args, f"--{flag}={values[0]}", values[1]],
        [*args, f"--{flag}", str(values)],
    ):
        assert printed(capsys, verb, line)[flag] == values
    single = printed(capsys, verb, [*args, f"--{flag}", values[0]])[flag]
    assert single == ([values[0]] if verb == "combine" else values[0])
    Path("c.yaml").write_text(yaml.safe_dump({flag: values}))
    assert printed(capsys, verb, [*args, "--config", "c.yaml"])[flag] == values


def test_every_list_of_a_verb_is_tested() -> None:
    """That is, of those of text; `settings` are those of refine."""
    from typing import get_args, get_type_hints

    from kovocab.cli.main import VERBS
    from kovocab.refining.settings import RefineSettings

    of_class = {verb: get_type_hints(RefineSettings) for verb in ("refine", "thresholds")}
    found = {
        (verb, name)
        for verb, function in VERBS.items()
        for name, type_ in (get_type_hints(function) | of_class.get(verb, {})).items()
        if list[str] in (type_, *get_args(type_))
    }
    assert found == {(verb, flag) for verb in SETTINGS for flag in SETTINGS[verb][1]}


def test_lists_of_a_run_that_are_no_text(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skip_training("fit")
    one, two = "{name: a, corpus: b}", '{"name": "c", "corpus": ["d", "e"]}'
    model = ["--model.model", "m"]
    said = printed(capsys, "fit", [*model, "--data.sources", one, two, "--trainer.devices", "0", "1"])
    assert [source["corpus"] for source in said["data"]["sources"]] == ["b", ["d", "e"]]
    assert said["trainer"]["devices"] == [0, 1]
    for alone in ([one], [f"[{one}]"]):
        said = printed(capsys, "fit", ["--data.sources", *alone, *model, "--trainer.devices", "2"])
        assert [source["name"] for source in said["data"]["sources"]] == ["a"]
        assert said["trainer"]["devices"] in (2, "2")
    called = ["--trainer.callbacks", "EarlyStopping", "LearningRateMonitor", "--model.activation_checkpointing"]
    said = printed(capsys, "fit", [*model, "--data.sources", one, *called])
    assert [callback["class_path"].rpartition(".")[2] for callback in said["trainer"]["callbacks"]] == called[1:3]
    assert said["model"]["activation_checkpointing"] is True


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("evaluate --device cpu RUN", "RUN stands behind no flag that takes it"),
        ("evaluate --device cpu RUN", "`kovocab evaluate RUN` begins with its run"),
        ("count a.txt", "a.txt stands behind no flag that takes it"),
        ("count --corpus a --tokenizer t u --out o", "u stands behind no flag"),
        ("refine --words w --base b c --out o", "c stands behind no flag"),
        ("fit --model.model RUN RAN", "RAN stands behind no flag"),
        ("count --corpus --tokenizer t --out o", "--corpus has nothing behind it; wanted its value"),
        ("count --corpus a --unknown b c", "--unknown"),
        ("thresholds w --base b --memory -4GB", "kovocab thresholds: memory is '-4GB'; wanted bytes, or a size such"),
    ],
)
def test_what_stands_bare_is_named(line: str, wanted: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if line.startswith("fit"):
        skip_training("fit")
    code, said = answer(capsys, line.split())
    assert (code, said.count("\n")) == (2, 1), said
    assert wanted in said
    assert "stands behind" not in said or "--unknown" not in line


def test_help_says_where_lists_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "several values follow the flag, up to the next one" in said
    assert "What stands bare comes first: kovocab evaluate RUN --SETTING VALUE." in said
    assert main(["count", "--help"]) == 0
    assert "stands bare" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("--config a b --out c", "--config a --config b --out c"),
        ("-c a b c", "-c a -c b -c c"),
        ("--config=a b -c c", "--config=a --config b -c c"),
        ("--config a", "--config a"),
        ("--corpus a b --config c", "--corpus a b --config c"),
        ("--config", "--config"),
        ("--config --out c d", "--config --out c d"),
    ],
)
def test_files_of_settings_may_follow_one_flag(line: str, wanted: str) -> None:
    assert configs_apart(line.split()) == wanted.split()


def test_a_later_file_after_one_flag_wins(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text("out: a\ncolumn: x\n")
    Path("b.yaml").write_text("count: {out: b}\n")  # a preset
    said = printed(capsys, "count", ["--config", "a.yaml", "b.yaml", "--corpus", "c", "--tokenizer", "t"])
    assert (said["out"], said["column"]) == ("b", "x")


def test_numbers_and_dashes_are_no_flags() -> None:
    assert [is_flag(arg) for arg in ("-1", "-0.5", "-", "a", "-c", "--x", "-1e")] == [False] * 4 + [True] * 3
