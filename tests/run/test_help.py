"""What `--help` of the verbs that train begins with, and what is said of a setting that cannot be."""

import json
import os
import re
import subprocess
import sys

import pytest
from jsonargparse import ArgumentParser, DefaultHelpFormatter

from kovocab.cli.main import main
from kovocab.errors import UsageError
from kovocab.run import help as help_
from kovocab.run.configuration import Configuration
from kovocab.run.help import RECORDED, USED, recorded
from kovocab.run.stage_plan import TRAINING

SOURCES = '[{"name": "web", "corpus": "web.jsonl"}]'


def printed(capsys, verb):
    with pytest.raises(SystemExit) as end:
        Configuration(verb, ["--help"])
    assert not end.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("verb", "settings"), [("fit", 21), ("plan", 20), ("validate", 11), ("test", 11), ("predict", 12)]
)
def test_help_begins_with_what_people_use(capsys, verb, settings):
    said = printed(capsys, verb)
    assert said.startswith(f"usage: kovocab {verb} [--config FILE.yaml ...] [--SETTING VALUE ...]\n\n")
    first, _, rest = said.partition("\nall settings\n")
    shown = re.findall(r"^  --(\S+)  +(\S.*)$", first, flags=re.MULTILINE)
    assert len(shown) == settings
    assert max(map(len, first.splitlines())) <= 120
    parsed = Configuration(verb, ["--model.model", "folder", "--data.sources", SOURCES]).config
    for key, line in shown:
        assert f"  --{key}" in rest
        default = re.search(r" \(default: (.*)\)$", line)
        value = parsed[key]
        if line.endswith(" (required)"):
            assert key in ("model.model", "data.sources")
        else:
            assert (default[1] if default else None) in (value, json.dumps(value), None)
            assert default or value in (None, {})
    assert len(re.findall(r"^  --trainer\.\S+", rest, flags=re.MULTILINE)) > 30


def test_every_setting_in_it_is_one():
    for verb in ("fit", "plan", "validate", "test", "predict"):
        parsed = Configuration(verb, ["--model.model", "folder", "--data.sources", SOURCES]).config
        for settings in USED.values():
            assert all(key in parsed for key, (verbs, _) in settings.items() if verb in verbs)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--stages.1.lr", "abc"], "stages.1.lr is abc; wanted a number or null"),
        (["--stages.2.lr=1e-4", "--stages.3.lr=abc"], "stages.*.lr is abc; wanted a number or null"),
        (["--stages.2.foo", "3"], "stages.2.foo: there is no such setting"),
        (["--defaults.steps", "1.5"], "defaults.steps is 1.5; wanted a whole number or null"),
        (["--foo", "3"], "unrecognized arguments: --foo 3"),
        (["--data.length", "long"], "data.length is long; wanted a whole number"),
        (["--model.qlora.rank", "z"], "model.qlora.rank is z; wanted a whole number"),
        (["--model.dtype", "float8"], "model.dtype is float8; wanted auto or bfloat16 or float32 or float16"),
        (
            ["--data.sources", '[{"name": "a", "corpus": "b", "wight": 3}]'],
            "data.sources.wight: there is no such setting",
        ),
        (["--data.special_tokens_in_text", "both"], "data.special_tokens_in_text is both; wanted text or token"),
        (["--config", "slip.yaml"], "Group 'data' does not accept option 'lenght'"),
        ([], "model.model is not given"),
        (["--model.model", "folder"], "the following arguments are required: data.sources"),
    ],
)
def test_a_slip_is_named_before_what_is_not_given(tmp_path, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slip.yaml").write_text("data: {lenght: 4}\n")
    with pytest.raises(UsageError) as caught:
        Configuration("fit", args)
    assert str(caught.value) == f"{says} (see `kovocab fit --help`)"


def test_recorded_help_is_what_all_that_training_loads_says():
    """In a process of its own: what else was loaded, tests' own callbacks say, would be in it."""
    if recorded("fit") is None:
        pytest.skip("recorded with other versions than are installed here")
    if sys.version_info >= (3, 13):
        pytest.skip("from Python 3.13 on argparse lays short flags out another way")
    code = "import sys; from support.recorded_help import live; sys.stdout.write(live())"
    path = os.pathsep.join(sys.path)
    live = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert RECORDED.read_bytes() == live.stdout, "make help-text records it"


@pytest.mark.parametrize("verb", TRAINING)
def test_recorded_help_is_printed_to_who_asks_for_nothing_else(monkeypatch, capsys, verb):
    if recorded(verb) is None:
        pytest.skip("recorded with other versions than are installed here")
    monkeypatch.setattr("kovocab.fitting.fit.main", None)
    for flag in ("-h", "--help"):
        assert main([verb, flag]) == 0
        assert capsys.readouterr().out == recorded(verb)
    with pytest.raises(TypeError):
        main([verb, "--help", "--run", "folder"])


@pytest.mark.parametrize("made_with", ["torch==0.1 lightning==2.6.6", "lightning==2.6.6 no_such_package==1"])
def test_help_recorded_with_other_versions_is_not_printed(monkeypatch, tmp_path, capsys, made_with):
    other = tmp_path / "help.txt"
    other.write_text("\n".join([made_with, *RECORDED.read_text(encoding="utf-8").splitlines()[1:]]), encoding="utf-8")
    monkeypatch.setattr(help_, "RECORDED", other)
    assert recorded("fit") is None
    assert main(["fit", "--help"]) == 0
    assert capsys.readouterr().out == printed(capsys, "fit")


@pytest.mark.parametrize("columns", [50, 80, 133, 2000])
def test_help_is_wrapped_as_argparse_wraps_it(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(help_, "_FOREIGN", re.compile("(?!)"))  # argparse says it too
    parser = Configuration("plan", ["--model.model", "folder", "--data.sources", SOURCES]).parser
    parser.formatter_class = DefaultHelpFormatter
    wrapped = ArgumentParser.format_help(parser)
    ours = parser.format_help().partition("\nall settings\n\n")[2]
    assert ours == wrapped[wrapped.find("options:") :]
