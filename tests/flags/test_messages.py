"""What the parser cannot take is said in one plain line, also where a setting may be of several kinds."""

import pytest

from kovocab.errors import UsageError
from kovocab.run.configuration import Configuration

GIVEN = ["--model.model", "expanded", "--data.sources", "[{name: ko, corpus: ko.jsonl}]"]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("data.sources", "[{name: ko, corpus: ko.jsonl, normalize: nfkc}]", ".normalize is nfkc; wanted nfc or null"),
        ("data.sources", "[{name: ko, corpus: 5}]", ".corpus is 5; wanted text or a list"),
        ("data.bias", "{ko: {min_seen: x}}", ".min_seen is x; wanted a whole number or null"),
        ("data.bias", "{ko: {share: x}}", ".share is x; wanted a number"),
        ("data.bias", "{ko: }", " is {'ko': None}; wanted settings by their names or null"),
        ("data.bias", "[]", " is []; wanted settings by their names or null"),
        ("data.contexts", "5", " is 5; wanted settings by their names or null"),
    ],
)
def test_of_several_kinds_all_are_said(key, value, says):
    with pytest.raises(UsageError) as caught:
        Configuration("plan", [*GIVEN, f"--{key}", value])
    assert str(caught.value) == f"{key}{says} (see `kovocab plan --help`)"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("bias", "{ko: {min_seen: 0}}", "data.bias: min_seen is 0; wanted at least 1, or none"),
        ("bias", "{ko: {share: 1}}", "data.bias: share is 1.0; wanted a share between 0 and 1"),
        ("contexts", "{per_token: 0}", "data.contexts: per_token is 0 and length 50; wanted 1 to 10,000, and at least"),
        ("seed", "-1", "data.seed is -1; wanted at least 0"),
    ],
)
def test_what_a_class_refuses_is_said_by_its_words(key, value, says):
    with pytest.raises(UsageError) as caught:
        Configuration("plan", [*GIVEN, f"--data.{key}", value]).build()
    assert str(caught.value).startswith(says)


def test_a_file_is_named_before_what_is_wrong_in_it(here):
    file = here / "a b.yaml"
    for text, says in (
        ("schedule:\n  - { input_rows: some }\n", "schedule.input_rows is some; wanted none or new or all"),
        ("schedule:\n  - { layer: all }\n", "schedule.layer: there is no such setting"),
        ("stages: {1: {lr: x}}\n", "stages.1.lr is x; wanted a number or null"),
    ):
        file.write_text(text)
        with pytest.raises(UsageError) as caught:
            Configuration("plan", [*GIVEN, "--config", str(file)])
        assert str(caught.value) == f"--config {file}: {says} (see `kovocab plan --help`)"


def test_an_item_of_a_list_is_no_setting():
    with pytest.raises(UsageError, match=r"^data\.sources\.0\.weight: there is no such setting; wanted the whole list"):
        Configuration("plan", [*GIVEN, "--data.sources.0.weight", "-1"])


@pytest.mark.parametrize(
    ("key", "more"), [("model", ", or the folder of a model by --model.model nowhere"), ("data", "")]
)
def test_what_is_no_file_of_settings_is_said_with_what_was_meant(key, more, here):
    with pytest.raises(UsageError) as caught:
        Configuration("validate", [f"--{key}", "nowhere"])
    said = f"{key} is nowhere; wanted a YAML file of its settings{more} (see `kovocab validate --help`)"
    assert str(caught.value) == said


def test_what_begins_as_a_negative_number_is_a_value():
    for value, says in (("-4GB", "is -4GB; wanted a number or null"), ("-1e", "is -1e; wanted a number or null")):
        with pytest.raises(UsageError, match=rf"^defaults\.lr {says}"):
            Configuration("plan", [*GIVEN, "--defaults.lr", value])


def test_a_file_that_is_no_text_is_said_with_what_was_wanted(here):
    (here / "latin.yaml").write_bytes(b"\xff")
    with pytest.raises(UsageError) as caught:
        Configuration("plan", [*GIVEN, "--config", "latin.yaml"])
    said = "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte; wanted YAML in UTF-8"
    assert str(caught.value) == f"--config latin.yaml: {said} (see `kovocab plan --help`)"


@pytest.mark.parametrize("given", [["--model", "latin.yaml"], ["--data=latin.yaml"], ["--trainer", "latin.yaml"]])
def test_a_file_of_one_setting_that_is_no_text_is_named_too(given, here):
    (here / "latin.yaml").write_bytes(b"\xff")
    with pytest.raises(UsageError) as caught:
        Configuration("plan", [*GIVEN, *given])
    said = "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte; wanted YAML in UTF-8"
    flag = given[0].partition("=")[0]
    assert str(caught.value) == f"{flag} latin.yaml: {said} (see `kovocab plan --help`)"
