"""What is told of the data before it is packed: a `min_seen` that cannot be, and text that is read otherwise now."""

import json
from pathlib import Path

import pytest

from kovocab.cli import main as cli
from kovocab.corpus.settings import Reading
from kovocab.reading.documents import fingerprint
from kovocab.record import read_record, write_record
from support.base import NEW_TOKENS, corpus, texts
from support.runs import TWO_STAGES, make_place

pytestmark = pytest.mark.usefixtures("in_place")
BUDGET = 2 * 30 * 2 * 4 * 16
"""Tokens of the run: stages, steps, accumulated batches, blocks and tokens of one."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("forecast"), TWO_STAGES)


def tell(capsys, verb, *args):
    capsys.readouterr()
    code = cli.main([verb, "--config", "fit.yaml", *(["--run", "run"] if verb == "fit" else []), *args])
    return code, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("verb", ["plan", "fit", "coverage"])
def test_what_is_certain_not_to_fit_is_refused_before_anything_is_packed(verb, capsys):
    asked = f"{{ko: {{min_seen: {BUDGET + 1}}}}}"
    code, said = tell(capsys, verb, "--data.bias", asked, "--data.tokens_dir", f"fresh_{verb}")
    assert code == 2
    assert said == [
        f"kovocab {verb}: data.bias: ko cannot show each new token {BUDGET + 1:,} times in the {BUDGET:,} tokens that "
        f"the run takes from it, nor even one of them; wanted min_seen of at most {BUDGET // NEW_TOKENS}, a longer "
        "run, or none"
    ]
    assert not Path(f"fresh_{verb}").exists()


@pytest.mark.parametrize(("times", "told"), [(BUDGET // NEW_TOKENS, False), (BUDGET // NEW_TOKENS + 1, True)])
def test_what_is_likely_not_to_fit_is_said(times, told, capsys):
    code, said = tell(capsys, "plan", "--data.bias", f"{{ko: {{min_seen: {times}}}}}")
    assert code == 0
    line = f"data.bias: ko cannot show each new token {times} times in the {BUDGET:,} tokens that the run takes from it"
    assert [each.startswith(line) for each in said] == [True] * told


def test_a_bias_that_does_not_fit_shows_before_the_other_sources_are_packed(capsys):
    corpus(Path(), "first", texts(300, "tree"))
    sources = json.dumps([{"name": "first", "corpus": "first.jsonl"}, {"name": "ko", "corpus": "ko.jsonl"}])
    asked = ("--data.sources", sources, "--data.bias", "{ko: {min_seen: 3000}}", "--data.tokens_dir", "some")
    code, said = tell(capsys, "fit", *asked)
    assert code == 2
    assert "ko cannot show each new token 3,000 times" in said[-1]
    assert [path.name.split(".")[0] for path in Path("some").iterdir() if not path.name.startswith(".")] == ["ko"]


def counted(reading):
    """The model's tokens were chosen from ko.jsonl, read so."""
    record = read_record("expanded")
    record["tokenizer"]["words"]["corpus"] = fingerprint("ko.jsonl", reading)
    write_record("expanded", record)


@pytest.mark.parametrize("verb", ["plan", "fit"])
def test_text_that_is_read_otherwise_than_when_tokens_were_chosen_is_named(verb, capsys):
    counted(Reading(normalize="nfc", deduplicate=True))
    stops = ("--stages", "{1: {steps: 1}, 2: {steps: 1}}")
    sources = '[{name: other, corpus: other.jsonl}, {name: ko, corpus: "*o.jsonl"}, {name: same, corpus: ko.jsonl%s}]'
    corpus(Path(), "other", texts(200, "other"))
    same = ", normalize: nfc, deduplicate: true"
    code, said = tell(capsys, verb, *stops, "--data.sources", sources % same, "--data.tokens_dir", f"t_{verb}")
    assert code == 0
    assert [line for line in said if "to choose the tokens" in line] == [
        "data.sources: ko is read without normalize and without deduplicate; its text was read with normalize nfc and "
        "with deduplicate to choose the tokens"
    ]


def test_words_of_several_counts_are_looked_at_one_by_one(capsys):
    record = read_record("expanded")
    corpus(Path(), "other", texts(200, "other"))
    parts = [fingerprint("other.jsonl"), fingerprint("ko.jsonl", Reading(encoding="cp949"))]
    record["tokenizer"]["words"]["corpus"] = {"kind": "combined", "parts": parts}
    write_record("expanded", record)
    _, said = tell(capsys, "plan")
    assert said == [
        "data.sources: ko is read with encoding utf-8; its text was read with encoding cp949 to choose the tokens"
    ]
    counted(Reading())
    assert tell(capsys, "plan") == (0, [])
