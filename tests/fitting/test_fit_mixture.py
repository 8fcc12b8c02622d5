"""A run's mixture: what each source gave is on record, exactly; stages go on in one order; documents kept apart."""

import json

import pytest
import torch
from safetensors.torch import load_file

from kovocab.data.block_loader import _Blocks
from kovocab.data.block_order import ORDER
from kovocab.errors import ArtefactError, CorpusError, ModelError, UsageError
from kovocab.fitting.fit import main
from kovocab.record import read_record, write_record
from support.base import corpus, texts
from support.expanded import save_expanded
from support.ranks import fresh_port, on_two
from support.runs import assert_equal, fit, make_place, strike

CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1, accumulate_grad_batches: 2}
schedule: [{input_rows: new}, {input_rows: new, output_rows: all}, {layers: true}]
defaults: {lr: 1e-2, steps: 3}
stages: {2: {steps: 5}}
checkpoint_every: 1
"""
DATA = """
data:
  sources:
    - {name: web, corpus: ko.jsonl, weight: 83.46}
    - {name: other, corpus: other.jsonl, weight: 10.69}
    - {name: pairs, corpus: pairs.jsonl, weight: 5.86, template: ["{en} {ko}", "{ko} {en}"]}
  length: 16
  batch_size: 4
  validation_share: 0.05
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = make_place(tmp_path_factory.mktemp("place"), CONFIG, DATA)
    corpus(folder, "other", texts(60, "tree"))
    rows = [{"en": en, "ko": ko} for en, ko in zip(texts(20, "leaf"), texts(20, seed=1), strict=True)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def watched(monkeypatch):
    """The addresses of the blocks that are trained on, in order."""
    seen, before = [], _Blocks.__getitem__

    def hook(self, address):
        if self._part == "train":
            seen.append(address)
        return before(self, address)

    monkeypatch.setattr(_Blocks, "__getitem__", hook)
    return seen


def test_what_each_source_gave_is_on_record_and_stages_go_on_in_one_order(in_place, tmp_path, capsys, watched):
    assert fit(tmp_path / "run") == 0
    said = capsys.readouterr().out
    begin, steps, ends = 0, (3, 5, 3), []
    assert len(watched) == 8 * sum(steps)
    for number, length in enumerate(steps, start=1):
        record = read_record(tmp_path / f"run/stages/{number}", "fit")
        taken = watched[8 * begin : 8 * (begin + length)]
        served = record["served"]
        assert [served["begin"], served["end"]] == [8 * begin, 8 * (begin + length)]
        assert list(served["sources"]) == ["web", "other", "pairs"]
        for index, source in enumerate(served["sources"].values()):
            blocks = sum(s == index for s, _ in taken)
            there = record["data"]["sources"][index]["train"]["blocks"]
            wanted = {"blocks": blocks, "tokens": 16 * blocks, "share": blocks / len(taken), "epochs": blocks / there}
            assert source == wanted
        web = served["sources"]["web"]
        assert (
            f"stage {number}/3: web: {web['tokens']:,} tokens, {web['share']:.2%}, {web['epochs']:.3g} epochs" in said
        )
        assert [stage["served"]["end"] for stage in record["earlier"]] == ends
        begin += length
        ends.append(8 * begin)
    for index in range(3):  # over all stages, no block comes again before all others of its source have come
        blocks = [block for s, block in watched if s == index]
        there = record["data"]["sources"][index]["train"]["blocks"]
        assert all(
            sorted(blocks[i : i + there]) == list(range(there)) for i in range(0, len(blocks) - there + 1, there)
        )


@pytest.mark.parametrize("attention", ["across", "within"])
def test_a_resumed_run_is_one_that_was_never_stopped(in_place, tmp_path, monkeypatch, attention):
    def stop():
        raise KeyboardInterrupt

    args = ["--data.document_attention", attention, "--data.num_workers", "1"]
    assert fit(tmp_path / "whole", *args) == 0
    strike(monkeypatch, 2, 5, stop)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "struck", *args)
    assert fit(tmp_path / "struck", *args) == 0
    assert_equal(tmp_path / "whole", tmp_path / "struck", [1, 2, 3])


def test_documents_kept_apart_are_another_training(in_place, tmp_path, capsys):
    losses = []
    for attention in ("across", "within"):
        args = ["--data.document_attention", attention, "--schedule", "kosolar", "--stages", "{}"]
        assert fit(tmp_path / attention, *args) == 0
        losses.append(read_record(tmp_path / attention / "stages/1")["loss"])
        capsys.readouterr()
        model = ["--model.model", str(tmp_path / attention / "stages/1")]
        assert main(["validate", "--config", "fit.yaml", *args[:2], *model]) == 0
        assert float(capsys.readouterr().out.split()[-1]) == pytest.approx(losses[-1]["val"], abs=1e-5)
    assert losses[0] != losses[1]
    with pytest.raises(ArtefactError, match=r"trained with data.document_attention .?across.?; the configuration now"):
        fit(tmp_path / "across", *args)


def test_a_run_of_another_order_does_not_go_on_in_this_one(in_place, tmp_path):
    assert fit(tmp_path / "run") == 0
    for path in (tmp_path / "run/stages/1", tmp_path / "run/stages/2", tmp_path / "run/stages/3"):
        record = read_record(path)
        del record["settings"]["data"]["order"]  # as before
        write_record(path, record)
    with pytest.raises(ArtefactError, match=rf"stages/1 was trained with data.order null; .* now gives .?{ORDER}"):
        fit(tmp_path / "run")


def test_a_family_that_cannot_keep_documents_apart_is_refused_before_anything_is_packed(in_place, tmp_path):
    save_expanded(tmp_path / "bloom", "bloom")
    args = ["--model.model", str(tmp_path / "bloom"), "--data.tokens_dir", str(tmp_path / "tokens")]
    args += ["--data.document_attention", "within"]
    with pytest.raises(ModelError, match="bloom: BloomForCausalLM takes no position_ids, so it cannot keep documents"):
        fit(tmp_path / "run", *args)
    with pytest.raises(ModelError, match="BloomForCausalLM takes no position_ids"):
        main(["plan", "--config", "fit.yaml", *args])
    assert not (tmp_path / "tokens").exists()
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match=r"data.document_attention is inside; wanted across or within"):
        fit(tmp_path / "run", *args[:-1], "inside")


def test_bad_templates_are_said_before_anything_is_packed(in_place, tmp_path):
    sources = (
        '[{"name": "a", "corpus": "ko.jsonl"}, {"name": "pairs", "corpus": "pairs.jsonl", "template": "{en} {kr}"}]'
    )
    with pytest.raises(CorpusError, match=r"pairs.jsonl: line 1: no key 'kr' in \['en', 'ko'\]"):
        fit(tmp_path / "run", "--data.sources", sources, "--data.tokens_dir", str(tmp_path / "tokens"))
    assert not list((tmp_path / "tokens").glob("*"))


def on_ranks(run, *args):
    fresh_port()
    fit(run, *args)


def test_documents_are_kept_apart_on_two_processes_alike(in_place, tmp_path):
    args = ["--data.document_attention", "within", "--data.batch_size", "2", "--trainer.devices", "2"]
    args += ["--schedule", "kosolar", "--stages", "{}"]
    mesh = {"data_parallel_size": 2, "tensor_parallel_size": 1}
    sharded = {"class_path": "lightning.pytorch.strategies.ModelParallelStrategy", "init_args": mesh}
    on_two(on_ranks, tmp_path / "ddp", *args, "--trainer.strategy", "ddp")
    on_two(on_ranks, tmp_path / "fsdp", *args, "--trainer.strategy", json.dumps(sharded))
    one, other = (load_file(tmp_path / name / "stages/1/model.safetensors") for name in ("ddp", "fsdp"))
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, atol=1e-4, rtol=1e-4)
    records = [read_record(tmp_path / name / "stages/1") for name in ("ddp", "fsdp")]
    assert records[0]["served"] == records[1]["served"]
    assert records[0]["loss"]["val"] == pytest.approx(records[1]["loss"]["val"], rel=1e-5)


@pytest.mark.usefixtures("in_place")
def test_sources_in_another_order_are_another_run():
    two = ["{name: web, corpus: ko.jsonl}", "{name: other, corpus: other.jsonl}"]
    assert fit("ordered", "--data.sources", f"[{', '.join(two)}]") == 0
    told = "ordered/stages/1 was trained with data.sources in the order web, other; the configuration now has them as "
    with pytest.raises(ArtefactError, match=told + "other, web"):
        fit("ordered", "--data.sources", f"[{', '.join(two[::-1])}]")
    assert fit("ordered", "--data.sources", f"[{', '.join(two)}]") == 0
