"""A file for the whole street: each verb reads its own part, and what is no such file is left to the parser."""

import json
from importlib.util import find_spec

import pytest
import yaml

from kovocab.cli.main import main
from kovocab.cli.presets import own_parts
from kovocab.errors import UsageError

VERBS = ("count", "refine", "fit", "evaluate")

needs_lightning = pytest.mark.skipif(find_spec("lightning") is None, reason="pip install kovocab[train]")


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


def test_a_verb_without_a_part_is_told_which_there_are(preset):
    with pytest.raises(UsageError, match="has parts for count, fit, refine and none for evaluate; wanted evaluate: "):
        own_parts("evaluate", ["--config", preset], VERBS)


@pytest.mark.parametrize(("part", "said"), [("null", "null"), ("[1, 2]", r"\[1, 2\]"), ("3", "3"), ("", "null")])
def test_a_part_that_is_no_settings_is_told(tmp_path, part, said):
    path = tmp_path / "base.yaml"
    path.write_text(f"count: {part}\n")
    with pytest.raises(UsageError, match=rf"^--config {path}: count is {said}; wanted count: {{SETTING: VALUE}}$"):
        own_parts("count", ["--config", str(path)], VERBS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("count: {out: w}\nrefin: {words: w}", "refin is no verb (is it refine?), beside the part for count"),
        ("count: {out: w}\nrefine: {}\ncorpus: a", "corpus is no verb, beside the parts for count, refine"),
        ("count: 1\ncorpus: a", "corpus is no verb, beside the part for count"),
        ("refin: {words: w}", "refin is no verb (is it refine?)"),
    ],
)
def test_what_stands_beside_parts_is_told(tmp_path, text, said):
    path = tmp_path / "base.yaml"
    path.write_text(text)
    for verb in ("count", "refine"):
        with pytest.raises(UsageError) as caught:
            own_parts(verb, [f"--config={path}"], VERBS)
        assert str(caught.value) == f"--config {path}: {said}; wanted parts for verbs alone, or a verb's settings alone"


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("{tokenizer: a, tokenizer: b}", "tokenizer", 1),
        ("count:\n  out: w\n  corpus: a\n  out: v\n", "out", 4),
        ("model: {model: a}\ndata:\n  sources:\n  - {name: a, corpus: b, name: c}\n", "name", 4),
        ("run: a\nmodel: {model: a}\nrun: a\n", "run", 3),
    ],
)
@pytest.mark.parametrize("verb", ["count", "fit"])
def test_a_key_that_is_there_twice_is_refused(tmp_path, capsys, verb, text, key, line):
    path = tmp_path / "twice.yaml"
    path.write_text(text)
    assert main([verb, "--config", str(path)]) == 2
    said = f"--config {path}: {key} is there a second time, in line {line}; wanted each key once\n"
    assert capsys.readouterr().err == f"kovocab {verb}: {said}"


def test_what_an_alias_repeats_is_there_once(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("defaults: &a {lr: 1}\nstages: {1: *a, 2: {<<: *a, lr: 2}}\n")
    assert own_parts("fit", ["-c", str(path)], VERBS) == ["-c", str(path)]


@pytest.mark.parametrize("text", ["corpus: a.txt\nout: w", "", "- count", "count: {", "\x00"])
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


@pytest.mark.parametrize("text", ["{part}: {{{key}: a.txt}}", "{key}: a.txt"])
@pytest.mark.parametrize(
    ("verb", "part", "key"),
    [("count", "count", "corpsu"), pytest.param("plan", "fit", "runn", marks=needs_lightning)],
)
def test_what_is_wrong_in_a_file_is_told_with_the_file(tmp_path, capsys, text, verb, part, key):
    path, other = tmp_path / "base.yaml", tmp_path / "other.yaml"
    path.write_text(text.format(part=part, key=key))
    other.write_text("{}")
    assert main([verb, f"--config={path}", "-c", str(other)]) == 2
    said = f"kovocab {verb}: --config {path}: Option '{key}' is not accepted (see `kovocab {verb} --help`)\n"
    assert capsys.readouterr().err == said
    assert main([verb, f"--{key}", "a"]) == 2
    assert "--config" not in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["count", "evaluate"])
def test_a_setting_called_as_a_verb_is_a_setting(tmp_path, capsys, monkeypatch, verb):
    """count has a report, and evaluate an export: what --print_config gives is read again."""
    monkeypatch.chdir(tmp_path)
    given = {"count": ["--corpus", "a", "--tokenizer", "b", "--out", "c", "--report", "r.json"], "evaluate": ["run"]}
    assert main([verb, *given[verb], "--print_config"]) == 0
    printed = capsys.readouterr().out
    assert set(yaml.safe_load(printed)) & {"report", "export"}
    (tmp_path / "c.yaml").write_text(printed)
    assert main([verb, "--config", "c.yaml", "--print_config"]) == 0
    assert capsys.readouterr().out == printed
