"""The model card: true after several runs, and silent on the machine that it was made on."""

import copy
import shutil
from contextlib import chdir

import pytest
import yaml

from kovocab.cli.main import main
from kovocab.errors import UsageError
from kovocab.exporting.card import MOST_DECISIONS, model_card
from kovocab.exporting.export import export
from kovocab.exporting.languages import Scripts
from kovocab.forms import fault
from kovocab.record import read_record, write_record
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.base import BASE_TOKENS, corpus, texts
from support.runs import fit, make_place

CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1}
defaults: {lr: 1e-2, steps: 2}
schedule: [{input_rows: new}, {output_rows: all}, {input_rows: new, output_rows: new}]
"""
SECOND = """
model: {{model: {place}/first/stages/3}}
data:
  sources:
    - {{name: news, corpus: {place}/secret.jsonl, weight: 3}}
    - {{name: ko, corpus: {place}/ko.jsonl}}
  length: 16
  batch_size: 4
  validation_share: 0.1
trainer: {{accelerator: cpu, devices: 1}}
defaults: {{lr: 2e-3, steps: 3}}
schedule: [{{input_rows: all, output_rows: all, layers: true}}, {{layers: true}}]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two runs, the second from the first one's last stage, on other data."""
    folder = make_place(tmp_path_factory.mktemp("place"), CONFIG)
    corpus(folder, "secret", texts(200, "바다", seed=1))
    with chdir(folder):
        fit("first")
        (folder / "fit.yaml").write_text(SECOND.format(place=folder))
        fit("second")
    return folder


def training(card):
    """The rows of the table of stages, the columns' names first."""
    lines = card.partition("## Training")[2].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|") and "---" not in line]
    return rows[0], rows[1:]


def test_each_run_has_its_data_and_stages_count_through(place):
    second = read_record(place / "second/stages/2", "fit")
    first = second["base"]
    card = model_card(second, "some-model")
    assert "Run 1: packed to 16 tokens." in card
    assert "Run 2: packed to 16 tokens." in card
    for run, name in ((first, "ko"), (second, "news"), (second, "ko")):
        source = next(source for source in run["data"]["sources"] if source["name"] == name)
        counts = (source["train"]["documents"], source["train"]["tokens"], source["validation"]["tokens"])
        shown = " | ".join(f"{number:,}" for number in (source["corpus"]["bytes"], *counts))
        assert f"| {name} | {source['share']:.2%} | {shown} |" in card
    assert "Run 2 holds out other text than run 1" in card
    columns, rows = training(card)
    assert columns[:2] == ["stage", "run"]
    assert [row[:2] for row in rows] == [["1", "1"], ["2", "1"], ["3", "1"], ["4", "2"], ["5", "2"]]
    stages = [*first["earlier"], first, *second["earlier"], second]
    at = columns.index("held-out after")
    assert [row[at] for row in rows] == [f"{stage['loss']['val']:.4g}" for stage in stages]
    assert f"Trained on {sum(stage['tokens'] for stage in stages):,} tokens in 5 stages of 2 runs" in card
    assert "not the last" not in card
    assert f"ids {BASE_TOKENS} to" in card


def test_the_same_data_is_said_once(place):
    record = copy.deepcopy(read_record(place / "second/stages/1", "fit"))
    record["data"] = record["base"]["data"]
    card = model_card(record, "some-model")
    assert "Run 2: as run 1." in card
    assert "holds out other text" not in card
    assert card.count("| ko |") == 1
    assert "this is stage 1 of 2 of the last run, not the last" in card


def test_one_run_is_not_numbered(place):
    card = model_card(read_record(place / "first/stages/3", "fit"), "some-model")
    assert "Run 1" not in card
    assert training(card)[0][:2] == ["stage", "input rows"]


@pytest.mark.parametrize("base", ["/home/me/models/llama", "models/llama", "../llama", "~/llama"])
def test_no_place_on_the_machine_is_on_the_card(place, tmp_path, base, monkeypatch):
    (tmp_path / "models/llama").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    record = copy.deepcopy(read_record(place / "second/stages/2", "fit"))
    record["base"]["base"]["base_model"] = base
    card = model_card(record, "some-model")
    for word in (str(place), "secret", "ko.jsonl", "llama", "first", "second"):
        assert word not in card.replace("first_new_id", "")
    assert "base_model:" not in card
    record["base"]["base"]["base_name"] = "meta/real"  # what config.json of the folder said
    assert "base_model: meta/real" in model_card(record, "some-model")


def test_the_settings_of_the_hub(place, tmp_path):
    export(place / "second", tmp_path / "hub", license="apache-2.0", base_model="someone/base")
    card = (tmp_path / "hub/README.md").read_text()
    assert card.startswith("---\nlanguage:\n- ko\n- en\nlicense: apache-2.0\n")
    assert "\nbase_model: someone/base\n" in card
    assert "\nsomeone/base with 32 new Korean tokens" in card
    assert "The base's licence applies" not in card
    assert "Reading it needs" not in card
    for wrong in ({"license": "Apache 2.0"}, {"base_model": "../base"}, {"base_model": "base"}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))} is "):
            export(place / "second", tmp_path / "other", **wrong)
    assert not (tmp_path / "other").exists()


def test_what_was_decided_by_hand(place):
    record = copy.deepcopy(read_record(place / "first/stages/3", "fit"))
    refined = record["base"]["tokenizer"]
    refined["decisions"] = {"keep": ["나무"], "drop": [f"바{i}" for i in range(MOST_DECISIONS + 5)]}
    card = model_card(record, "some-model")
    assert "Kept by hand, whatever their counts: 1 token (나무)." in card
    assert f"Dropped by hand, whatever their counts: {MOST_DECISIONS + 5} tokens (바0, 바1, " in card
    assert f"바{MOST_DECISIONS - 1} and 5 more)." in card
    assert f"바{MOST_DECISIONS}" not in card
    refined["decisions"] = {"keep": [], "drop": []}
    assert "by hand" not in model_card(record, "some-model")


def test_tokens_per_word_are_those_of_held_out_text(place):
    record = copy.deepcopy(read_record(place / "second/stages/2", "fit"))
    counts = [{"words": 100, "base_text_tokens": 500, "text_tokens": 200}]
    counts.append({"words": 300, "base_text_tokens": 900, "text_tokens": 600})
    for source, counted in zip(record["data"]["sources"], counts, strict=True):
        source["validation"] |= counted
    card = model_card(record, "some-model")
    assert "on held-out text: 3.50 with the base's tokenizer, 2.00 with this one." in card
    assert "| 5.00 → 2.00 |" in card
    assert "| 3.00 → 2.00 |" in card


def test_text_that_was_counted_and_trained_on_has_the_sources_name(place):
    record = copy.deepcopy(read_record(place / "first/stages/3", "fit"))
    counted = record["base"]["tokenizer"]["words"]
    counted["corpus"] = record["data"]["sources"][0]["corpus"]
    assert f"counting the text of ko ({counted['corpus']['bytes']:,} bytes)" in model_card(record, "some-model")


def test_export_says_which_reader_is_needed(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("kovocab.exporting.export.reader_needed", lambda config: f"a reader of {config['model_type']}")
    assert main(["export", "--stage", str(place / "first"), "--out", str(tmp_path / "hub")]) == 0
    assert "\nreading it needs a reader of llama\n" in capsys.readouterr().out
    assert "\nReading it needs a reader of llama.\n" in (tmp_path / "hub/README.md").read_text()
    assert read_record(tmp_path / "hub")["reader"] == "a reader of llama"


def test_the_reader_that_is_needed_is_said(place):
    record = read_record(place / "first/stages/3", "fit")
    assert "\nReading it needs transformers 5 or later.\n" in model_card(
        record, "some-model", reader="transformers 5 or later"
    )


def test_where_tokenizer_model_is_from_is_said(place):
    record = read_record(place / "first/stages/3", "fit")
    assert "tokenizer.model" not in model_card(record, "some-model")
    record["base"]["tokenizer"]["tokenizer_model_made"] = "the base has none"
    assert " tokenizer.model was made from the ranks of tokenizer.json." in model_card(record, "some-model")
    del record["base"]["tokenizer"]["tokenizer_model_made"]
    record["base"]["tokenizer"]["tokenizer_model_left_out"] = "why"
    assert " There is no tokenizer.model: SentencePiece cannot say" in model_card(record, "some-model")


def head(card):
    """Lists of a card's YAML, by their keys."""
    return yaml.safe_load(card.split("---")[1])


@pytest.mark.parametrize(
    ("script", "called", "languages", "tags"),
    [
        (None, "Korean", ["ko", "en"], ["korean"]),
        ("Hang", "Korean", ["ko", "en"], ["korean"]),
        ("Thai", "Thai", ["th", "en"], ["thai"]),
        ("grek", "Grek", ["el", "en"], ["grek"]),
        ("Ethiopic", "Ethiopic", ["en"], ["ethiopic"]),
        ("cyrillic", "Cyrillic", ["en"], ["cyrillic"]),
        (
            ["Hiragana", "katakana", "Han"],
            "Hiragana and Katakana and Han",
            ["ja", "en"],
            ["hiragana", "katakana", "han"],
        ),
        (["Thai", "Hangul", "thai"], "Thai and Hangul", ["th", "ko", "en"], ["thai", "korean"]),
    ],
)
def test_the_card_says_the_script_of_the_record(place, script, called, languages, tags):
    record = copy.deepcopy(read_record(place / "first/stages/3", "fit"))
    refined = record["base"]["tokenizer"]
    refined["settings"] = {"min_count": 5} | ({} if script is None else {"script": script})
    card = model_card(record, "some-model")
    assert f"with 32 new {called} tokens" in card
    assert head(card)["language"] == languages
    assert head(card)["tags"] == [*tags, "vocabulary-expansion", "continued-pretraining", "kovocab"]
    if "ko" not in languages:
        assert "orean" not in card
    refined["settings"]["script"] = 5
    assert "settings.script is 5" in fault(refined, "refine")


def test_the_example_of_another_script_goes_on_from_a_token_of_its_own(place, tmp_path):
    export(place / "first", tmp_path / "korean")
    card = (tmp_path / "korean/README.md").read_text()
    assert 'inputs = tokenizer("안녕하세요", return_tensors="pt")' in card
    stage = tmp_path / "stage"
    shutil.copytree(place / "first/stages/3", stage)
    record = read_record(stage, "fit")
    record["base"]["tokenizer"]["settings"]["script"] = "Latin"
    write_record(stage, record)
    export(stage, tmp_path / "latin")
    target = load_tokenizer(stage)
    new = [target.tokens[i].removeprefix("▁") for i in range(BASE_TOKENS, target.size)]
    word = next(token for token in new if token.isascii() and token.isalpha() and len(token) >= 3)
    card = (tmp_path / "latin/README.md").read_text()
    assert f'inputs = tokenizer("{word}", return_tensors="pt")' in card
    assert "안녕" not in card
    assert Scripts(["Gothic"]).prompt(target, BASE_TOKENS) is None
    assert "inputs =" not in model_card(record, "some-model", prompt=None)


@pytest.mark.parametrize(
    ("held", "said"), [(0, None), (1, "1 is a scaffold"), (7, "7 are scaffolds"), (31, "31 are scaffolds")]
)
def test_scaffolds_are_on_the_card(place, held, said):
    record = copy.deepcopy(read_record(place / "first/stages/3", "fit"))
    record["base"]["tokenizer"]["scaffolds"] = held
    card = model_card(record, "some-model")
    assert ("scaffold" in card) == (held > 0)
    if said is not None:
        text = f"{32 - held} {'is' if held == 31 else 'are'} text"
        assert (
            f" Of the new tokens {said}, the first two bytes of characters and no text by themselves; {text}. " in card
        )
