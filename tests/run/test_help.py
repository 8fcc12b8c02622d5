"""What `--help` of the verbs that train says, and what is said of a setting that cannot be."""

import json
import re

import pytest

from kovocab.cli.main import main
from kovocab.errors import UsageError
from kovocab.run.configuration import Configuration
from kovocab.run.help import USED, short
from kovocab.run.stage_plan import TRAINING

SOURCES = '[{"name": "web", "corpus": "web.jsonl"}]'


@pytest.mark.parametrize(
    ("verb", "settings"), [("fit", 21), ("plan", 20), ("coverage", 18), ("validate", 11), ("test", 11), ("predict", 13)]
)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_what_people_use_with_its_defaults(capsys, verb, settings, flag):
    assert main([verb, flag, "--run", "x"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: kovocab {verb} [--config FILE.yaml ...] [--SETTING VALUE ...]\n\n")
    assert said.endswith(f": kovocab {verb} --help_all\n")
    shown = re.findall(r"^  --(\S+)  +(\S.*)$", said, flags=re.MULTILINE)
    assert len(shown) == settings
    assert max(map(len, said.splitlines())) <= 120
    parsed = Configuration(verb, ["--model.model", "folder", "--data.sources", SOURCES]).config
    for key, line in shown:
        default = re.search(r" \(default: (.*)\)$", line)
        value = parsed[key]
        if line.endswith(" (required)"):
            assert key in ("model.model", "data.sources")
        elif default:
            assert default[1] in (value, json.dumps(value))
        else:
            assert value in (None, {})


@pytest.mark.parametrize("verb", TRAINING)
def test_all_of_it_begins_with_that_and_has_every_setting(capsys, verb):
    assert main([verb, "--help_all"]) == 0
    first, _, rest = capsys.readouterr().out.partition("\nall settings\n")
    assert first == short(verb).rpartition("\n\n")[0] + "\n"
    for key in re.findall(r"^  --(\S+)  ", first, flags=re.MULTILINE):
        assert f"  --{key}" in rest
    assert len(re.findall(r"^  --trainer\.\S+", rest, flags=re.MULTILINE)) > 30


def test_every_setting_in_it_is_one():
    for verb in TRAINING:
        parsed = Configuration(verb, ["--model.model", "folder", "--data.sources", SOURCES]).config
        for settings in USED.values():
            assert all(key in parsed for key, (verbs, *_) in settings.items() if verb in verbs)


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
