"""`kovocab coverage`: what it foretells is what the run then reads, and it says what falls short and why."""

import json
from pathlib import Path

import polars as pl
import pytest

from kovocab.cli import main as cli
from kovocab.data.block_loader import _Blocks
from kovocab.errors import ArtefactError
from kovocab.record import read_record
from support.base import BASE_TOKENS, NEW_TOKENS, corpus, texts
from support.runs import TWO_STAGES, fit, make_place

pytestmark = pytest.mark.usefixtures("in_place")
BIAS = ("--data.bias", "{ko: {max_passes: 3}}")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("coverage"), TWO_STAGES)


def tell(capsys, *args, code=0):
    capsys.readouterr()
    assert cli.main(["coverage", "--config", "fit.yaml", *args]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


def test_it_foretells_what_the_run_reads(capsys, monkeypatch):
    said = json.loads(tell(capsys, *BIAS, "--out", "coverage.parquet", "--log", "json"))
    table = pl.read_parquet("coverage.parquet")
    assert table["id"].to_list() == list(range(BASE_TOKENS, BASE_TOKENS + NEW_TOKENS))
    [source] = said["sources"]
    assert source["budget"] == 2 * 30 * 2 * 4 * 16
    assert source["min_seen"] > 0
    assert said["new_tokens"] == NEW_TOKENS
    seen, before = [0] * NEW_TOKENS, _Blocks.__getitem__

    def counted(self, address):
        block = before(self, address)
        if self._part == "train":
            for number in block["input_ids"].tolist():
                if number >= BASE_TOKENS:
                    seen[number - BASE_TOKENS] += 1
        return block

    monkeypatch.setattr(_Blocks, "__getitem__", counted)
    assert fit("run", *BIAS) == 0
    assert all(real >= told for real, told in zip(seen, table["seen"].to_list(), strict=True))
    # Behind the last reading comes the first again, to the end of the budget: that is all there is more.
    assert sum(seen) - table["seen"].sum() <= source["budget"] * 0.15
    short = table.filter(pl.col("short").is_null())
    assert (short["seen"] >= source["min_seen"]).all()


def test_it_tells_a_table(capsys):
    said = tell(capsys, *BIAS)
    assert said.splitlines()[0].split()[-4:] == ["min_seen", "at", "most", "moved"]
    for line in (
        "new tokens, seen over the run:",
        "without bias",
        "with bias",
        "the least seen tenth of what is there:",
    ):
        assert line in said
    assert said.splitlines()[1].split()[:4] == ["ko", said.splitlines()[1].split()[1], "7,680", "100.00%"]
    without = tell(capsys)
    assert "the least seen tenth of what is there: 1.00 times as often" in without
    assert len(without.splitlines()[1].split()) == 5


def test_a_bias_changes_no_source_s_share(capsys, tmp_path):
    corpus(tmp_path, "other", texts(200, "tree"))
    other = {"name": "other", "corpus": str(tmp_path / "other.jsonl"), "weight": 3}
    sources = ("--data.sources", json.dumps([{"name": "ko", "corpus": "ko.jsonl"}, other]))
    told = [json.loads(tell(capsys, *sources, *bias, "--log", "json"))["sources"] for bias in ((), BIAS)]
    assert [[each["share"] for each in said] for said in told] == [[0.25, 0.75]] * 2
    assert told[1][0]["moved"] > 0


def test_what_falls_short_is_named_with_its_reason(capsys, tmp_path):
    corpus(tmp_path, "rare", [f"{i} " + "tree " * 20 for i in range(80)] + ["하늘 구름"] * 2)
    sources = json.dumps([{"name": "ko", "corpus": str(tmp_path / "rare.jsonl")}])
    said = tell(capsys, "--data.sources", sources, "--data.bias", "{ko: {min_seen: 40}}")
    assert "are in no document that is trained on: " in said
    assert "are seen less than min_seen times, though read as often as max_passes allows: " in said


def test_a_stage_that_distills_tells_its_contexts(capsys):
    stages = ("--stages", "{1: {label_mode: distill}}", "--data.contexts", "{per_token: 5, length: 6}")
    said = json.loads(tell(capsys, *stages, "--log", "json"))
    assert said["distilling"][0]["stage"] == 1
    assert said["distilling"][0]["epochs"] > 1
    told = tell(capsys, *stages)
    assert "stage 1 distills " in told
    assert " to 5 of each new token" in told
    assert fit("distilled", *stages) == 0
    record = read_record("distilled/stages/1")
    assert record["settings"]["data"]["contexts"] == {"per_token": 5, "length": 6}
    assert record["served"]["begin"] == 0


def test_too_much_is_a_usage_error(capsys):
    too_much = ("--data.bias", "{ko: {min_seen: 1000000}}")
    said = tell(capsys, *too_much, code=2)
    assert "kovocab coverage: data.bias: ko cannot show each new token 1,000,000 times" in said
    assert cli.main(["fit", "--config", "fit.yaml", "--run", "too_much", *too_much]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("kovocab fit: data.bias: ko cannot show each new token 1,000,000 times")
    assert not Path("too_much/stages/1").exists()


def test_a_run_that_is_to_go_on_longer_is_refused_where_its_bias_depends_on_that():
    longer = ("--stages", "{2: {steps: 31}}")
    assert fit("short", *BIAS) == 0
    told = r"short/stages/1 was trained with data\.sources\.ko\.bias\.blocks 480; the configuration now gives 488"
    with pytest.raises(ArtefactError, match=told):
        fit("short", *BIAS, *longer)
    fixed = ("--data.bias", "{ko: {tokens: 7680}}")
    assert fit("fixed", *fixed) == 0
    with pytest.raises(ArtefactError, match=r"fixed/stages/2 was trained with stage\.steps 30"):
        fit("fixed", *fixed, *longer)


def test_a_table_of_another_plan_stays_until_told(capsys, tmp_path):
    out = tmp_path / "c.parquet"
    for _ in range(2):  # the same again
        tell(capsys, "--out", str(out))
    first = out.read_bytes()
    said = tell(capsys, "--out", str(out), *BIAS, code=1)
    assert "c.parquet is of other settings: data.sources.ko.bias" in said
    assert "--overwrite replaces it" in said
    assert "stages.0.0 was" in tell(capsys, "--out", str(out), "--defaults.steps", "31", code=1)
    assert out.read_bytes() == first
    tell(capsys, "--out", str(out), *BIAS, "--overwrite")
    assert out.read_bytes() != first


def test_another_file_is_not_written_over(capsys, tmp_path):
    (tmp_path / "mine.parquet").write_bytes(b"mine")
    assert "mine.parquet" in tell(capsys, "--out", str(tmp_path / "mine.parquet"), code=1)
    assert (tmp_path / "mine.parquet").read_bytes() == b"mine"
