"""The mixture with a bias and with contexts: over all stages each new token is seen as often as promised."""

import json

import numpy as np
import polars as pl
import pytest

from kovocab.data.coverage import coverage
from kovocab.data.mix import Mixture
from kovocab.errors import UsageError
from kovocab.favouring.bias import SEEN
from kovocab.favouring.contexts import CONTEXTS, Contexts
from kovocab.favouring.rates import Bias
from kovocab.ownership import MARK
from kovocab.packing.token_files import Source
from kovocab.record import read_record, write_record
from support.base import BASE_TOKENS, LENGTH, NEW_TOKENS, corpus, save_tokenizer, texts

SIZE = BASE_TOKENS + NEW_TOKENS
RARE = ["하늘 구름 바람", "tree 바다 그늘"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    write_record(folder, {"verb": "refine", "first_new_id": BASE_TOKENS})
    return folder


class At:
    """What the data module reads of a Trainer."""

    accumulate_grad_batches = 1

    def __init__(self, steps, rank=0, world=1):
        self.max_steps, self.global_rank, self.world_size = steps, rank, world


def mixture(tmp_path, tokenizer, stages, **settings):
    ko, en = (
        corpus(tmp_path, "ko", [*texts(400, "tree"), *RARE]),
        corpus(tmp_path, "en", ["old trees"] * 40 + texts(40)),
    )
    sources = [Source("ko", str(ko), 3.0), Source("en", str(en), 1.0)]
    settings = {"length": LENGTH, "batch_size": 4, "tokens_dir": str(tmp_path / "tokens")} | settings
    made = Mixture(str(tokenizer), sources, **settings)
    made.plan(stages)
    made.prepare_data()
    made.setup("fit")
    return made


def read(made, stage, blocks, rank=0, world=1):
    made.enter(stage)
    made.trainer = At(blocks // (4 * world), rank, world)
    return [block for batch in made.train_dataloader() for block in batch["input_ids"].tolist()]


def new_tokens(blocks):
    return np.bincount(np.ravel(blocks), minlength=SIZE)[BASE_TOKENS:]


STAGES = [(400, False), (80, False), (720, False)]


@pytest.mark.parametrize("bias", [Bias(), Bias(min_seen=30, max_passes=50)])
def test_over_all_stages_each_new_token_is_seen_as_promised(bias, tokenizer, tmp_path):
    made = mixture(tmp_path, tokenizer, STAGES, bias={"ko": bias})
    pieces = made.biased()["ko"]
    said, table = read_record(pieces.folder, "bias"), pl.read_parquet(pieces.folder / SEEN)
    assert said["blocks"] == made.budgets[0] == 900
    served = [block for number, (blocks, _) in enumerate(STAGES, 1) for block in read(made, number, blocks)]
    assert len(served) == 1200
    assert (new_tokens(served) >= table["seen"].to_numpy()).all()
    wanted = np.minimum(said["n"], said["most"] * table["count"].to_numpy())
    assert (table["seen"].to_numpy() >= wanted).all()
    assert said["n"] == (bias.min_seen or said["n"]) > 0
    plain = mixture(tmp_path, tokenizer, STAGES)
    before = [block for number, (blocks, _) in enumerate(STAGES, 1) for block in read(plain, number, blocks)]
    rare = table["count"].to_numpy() > 0
    assert new_tokens(served)[rare].min() > new_tokens(before)[rare].min()


def test_ranks_share_its_order_and_a_resume_goes_on_in_it(tokenizer, tmp_path):
    made = mixture(tmp_path, tokenizer, STAGES, bias={"ko": Bias()})
    alone = read(made, 2, 80)
    by_rank = [read(made, 2, 80, rank, 2) for rank in (0, 1)]
    assert sorted(alone) == sorted(by_rank[0] + by_rank[1])
    made.enter(2)
    made.trainer = At(20)
    loader = made.train_dataloader()
    batches = iter(loader)
    for _ in range(7):
        next(batches)
    state, rest = loader.state_dict(), [batch["input_ids"].tolist() for batch in batches]
    resumed = made.train_dataloader()
    resumed.load_state_dict(state)
    assert [batch["input_ids"].tolist() for batch in resumed] == rest


def test_a_stage_that_distills_reads_contexts_and_takes_nothing_of_the_mix(tokenizer, tmp_path):
    stages = [(200, True), (120, False), (80, True)]
    made = mixture(tmp_path, tokenizer, stages, bias={"ko": Bias()}, contexts=Contexts(6, 8))
    assert sum(made.budgets) == 120
    pieces = {name: each for name, each in made.mined().items() if each is not None}
    counts = pl.read_parquet(next(iter(pieces.values())).folder / CONTEXTS)["contexts"].to_numpy()
    size = sum(each.blocks("train") for each in pieces.values())
    assert size <= 200
    first = read(made, 1, 200)
    assert (new_tokens(first) >= counts).all()
    assert counts.max() == 6
    windows = {tuple(each.block("train", i).tolist()) for each in pieces.values() for i in range(each.blocks("train"))}
    assert {tuple(block) for block in first} == windows
    assert {tuple(block) for block in read(made, 3, 80)} <= windows
    assert made.begin == 200
    served = made.served(80)
    assert served["begin"] == 200
    assert sum(each["blocks"] for each in served["sources"].values()) == 80
    made.enter(2)
    assert made.begin == 0
    plain = mixture(tmp_path, tokenizer, stages, bias={"ko": Bias()}, contexts=None)
    assert plain.budgets == [300, 100]
    assert not plain.mined()


def test_the_identity_of_a_run_has_its_bias_and_contexts(tokenizer, tmp_path):
    plain = mixture(tmp_path, tokenizer, STAGES).identity()
    assert "contexts" not in plain
    assert "bias" not in plain["sources"]["ko"]
    with_bias = mixture(tmp_path, tokenizer, STAGES, bias={"ko": Bias(share=0.3)}).identity()
    assert with_bias["sources"]["ko"]["bias"]["share"] == 0.3
    assert with_bias["sources"]["ko"]["bias"]["blocks"] == 900
    longer = mixture(tmp_path, tokenizer, [*STAGES, (400, False)], bias={"ko": Bias(share=0.3)}).identity()
    assert longer != with_bias
    distilled = mixture(tmp_path, tokenizer, [(40, True)], contexts=Contexts(3, 5)).identity()
    assert distilled["contexts"] == {"per_token": 3, "length": 5}


def test_what_cannot_be_is_named(tokenizer, tmp_path):
    with pytest.raises(UsageError, match=r"data\.bias: there is no source 'web'; wanted one of ko, en"):
        mixture(tmp_path, tokenizer, STAGES, bias={"web": Bias()})
    alone = mixture(tmp_path, tokenizer, [], bias={"ko": Bias()})
    with pytest.raises(
        UsageError, match=r"data\.bias: ko has no tokens, and no stages say how many; wanted bias.ko.tokens"
    ):
        alone.train_dataloader()
    given = mixture(tmp_path, tokenizer, [], bias={"ko": Bias(tokens=40 * LENGTH)})
    assert given.biased()["ko"].blocks("train") <= 40
    assert next(iter(given.train_dataloader()))["input_ids"].shape == (4, LENGTH)


def test_needs_are_read_from_a_table_and_told_by_coverage(tmp_path, tokenizer):
    plain = mixture(tmp_path, tokenizer, STAGES, bias={"ko": Bias(min_seen=10)})
    sha256 = plain.packed[0].record["tokenizer"]
    path = tmp_path / "unlearned.parquet"
    needs = [*[0.5] * (NEW_TOKENS - 4), *[1.0] * 4]

    def save(sha256):
        table = pl.DataFrame({"id": range(BASE_TOKENS, SIZE), "need": needs}, schema_overrides={"id": pl.UInt32})
        table.write_parquet(path, metadata={MARK: json.dumps({"verb": "evaluate", "tokenizer": sha256})})

    save(sha256)
    made = mixture(tmp_path, tokenizer, STAGES, bias={"ko": Bias(min_seen=10, needs=str(path), needs_weight=2.0)})
    found = coverage(made).tokens
    assert found["wanted"].to_list() == [*[10] * (NEW_TOKENS - 4), *[20] * 4]
    assert made.identity() != plain.identity()
    save("another")
    made = Mixture(str(tokenizer), made.sources, tokens_dir=str(tmp_path / "new"), bias=made.bias, length=LENGTH)
    with pytest.raises(UsageError, match="which is of another tokenizer's tokens"):
        made.check()
    assert not list((tmp_path / "new").glob("*/train.bin"))  # before anything is packed
