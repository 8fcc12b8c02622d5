"""A file for the whole street: each verb reads its own part, and what is no such file is left to the parser."""

import json

import pytest
import yaml

from kovocab.cli.main import main
from kovocab.cli.presets import own_parts
from kovocab.errors import UsageError

VERBS = ("count", "refine", "fit", "evaluate")


@pytest.fixture
def preset(tmp_path):
    path = tmp_path / "base.yaml"
    path.write_text("count: {corpus: a.txt, out: w}\nfit: {run: here}\nrefine: 3\n")
    return str(path)


@pytest.mark.parametrize("verb", ["plan", "fit", "validate", "test", "predict"])
def test_verbs_of_a_run_read_the_part_of_fit(preset, verb):
    assert own_parts(verb, ["--config", preset, "--run", "x"], VERBS) == ["--config", '{"run": "here"}', "--run", "x"]


def test_each_way_to_name_it(preset):
    part = json.dumps({"corpus": "a.txt", "out": "w"})
    assert own_parts("count", ["-c", preset], VERBS) == ["-c", part]
    assert own_parts("count", [f"--config={preset}"], VERBS) == [f"--config={part}"]
    assert own_parts("count", ["--corpus", preset, "--out=" + preset], VERBS) == ["--corpus", preset, "--out=" + preset]


@pytest.mark.parametrize("verb", ["evaluate", "refine"])  # none, and one that is a number
def test_a_verb_without_a_part_is_told_which_there_are(preset, verb):
    with pytest.raises(UsageError, match=rf"has parts for count, fit, refine and none for {verb}; wanted {verb}: "):
        own_parts(verb, ["--config", preset], VERBS)


@pytest.mark.parametrize("text", ["corpus: a.txt\nout: w", "", "- count", "count: {", "count: 1\ncorpus: a", "\x00"])
def test_other_files_are_the_parser_s(tmp_path, text):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    for args in (["--config", str(path)], ["--config", str(tmp_path / "absent.yaml")], ["--config"], ["--config="]):
        assert own_parts("count", args, VERBS) == args


def test_later_files_and_flags_win(preset, tmp_path, capsys):
    before, more = tmp_path / "before.yaml", tmp_path / "more.yaml"
    before.write_text("corpus: before.txt\ncolumn: body\n")
    long = [f"{name}.txt" * 40 for name in "abcdefgh"] * 20
    more.write_text(yaml.safe_dump({"count": {"corpus": long, "tokenizer": "t"}}))
    files = ("--config", str(before), "--config", preset, "--config", str(more))
    assert main(["count", *files, "--out", "last", "--print_config"]) == 0
    said = yaml.safe_load(capsys.readouterr().out)
    assert (said["corpus"], said["tokenizer"], said["column"], said["out"]) == (long, "t", "body", "last")


def test_what_is_wrong_in_a_part_is_told(tmp_path, capsys):
    path = tmp_path / "base.yaml"
    path.write_text("count: {corpsu: a.txt}\n")
    assert main(["count", "--config", str(path)]) == 2
    assert "corpsu" in capsys.readouterr().err
