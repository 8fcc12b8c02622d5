"""The data module against slow, obvious twins: packing, shares, order, resume."""

from collections import Counter

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from kovocab.data.mix import Mixture
from kovocab.errors import CorpusError, KovocabError, TokenizerError, UsageError
from kovocab.packing.token_files import Packing, Source
from support.base import LENGTH, corpus, pack, save_tokenizer, texts


@pytest.fixture
def source(tmp_path):
    return Source("web", str(corpus(tmp_path, "web", texts(200))))


def tokens(packed, part):
    return [packed.block(part, i).tolist() for i in range(packed.blocks(part))]


def test_packing_is_what_the_slow_way_gives(tokenizer, tmp_path):
    documents = ["", *texts(300), *texts(3)]
    source = Source("web", str(corpus(tmp_path, "web", documents)))
    packed = pack(source, tokenizer, tmp_path / "tokens", Packing(LENGTH, 0.3))
    slow = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    encoded = {text: [*slow.encode(text).ids, slow.token_to_id("</s>")] for text in documents if text}
    found = {}
    for part in ("train", "validation"):
        stream = np.fromfile(packed.folder / f"{part}.bin", dtype="<u2").tolist()
        assert packed.record[part]["tokens"] == len(stream)
        assert packed.record[part]["dropped_tokens"] == len(stream) % LENGTH
        blocks = [stream[i : i + LENGTH] for i in range(0, len(stream) - LENGTH + 1, LENGTH)]
        assert tokens(packed, part) == blocks
        # Cut the stream at eos: each piece is one document, bos first.
        pieces, piece = [], []
        for token in stream:
            piece.append(token)
            if token == slow.token_to_id("</s>"):
                pieces.append(tuple(piece))
                piece = []
        assert not piece
        assert all(piece[0] == slow.token_to_id("<s>") for piece in pieces)
        found[part] = Counter(pieces)
        assert packed.record[part]["documents"] == len(pieces)
    assert sum(found.values(), Counter()) == Counter(tuple(encoded[text]) for text in documents if text)
    assert not found["train"].keys() & found["validation"].keys()
    assert 50 < found["validation"].total() < 150


def test_the_same_documents_are_held_out_in_any_order(tokenizer, tmp_path):
    for share in (0.2, 1e-9):
        held = []
        for name, documents in (
            ("a", texts(100)),
            ("b", texts(100)[::-1]),
            ("c", texts(100)[50:] + texts(50)),
        ):
            source = Source(name, str(corpus(tmp_path, f"{name}{share}", documents)))
            packed = pack(source, tokenizer, tmp_path / "tokens", Packing(LENGTH, share))
            stream = np.fromfile(packed.folder / "validation.bin", dtype="<u2")
            held.append(sorted(np.split(stream, np.flatnonzero(stream == 2) + 1)[:-1], key=bytes))
            assert packed.blocks("validation") >= 1
        assert all(len(other) == len(held[0]) for other in held)
        assert all(np.array_equal(x, y) for other in held for x, y in zip(held[0], other, strict=True))


def test_token_files_are_reused_until_something_changes(source, tokenizer, tmp_path):
    first = pack(source, tokenizer, tmp_path / "tokens", Packing(LENGTH, 0.1)).folder
    inode = (first / "train.bin").stat().st_ino
    assert pack(source, tokenizer, tmp_path / "tokens", Packing(LENGTH, 0.1)).folder == first
    assert (first / "train.bin").stat().st_ino == inode
    assert pack(source, tokenizer, tmp_path / "tokens", Packing(LENGTH + 1, 0.1)).folder != first
    corpus(tmp_path, "web", texts(201))
    assert pack(source, tokenizer, tmp_path / "tokens", Packing(LENGTH, 0.1)).folder != first
    assert not list((tmp_path / "tokens").glob(".*"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"eos_token": ', "cannot be read"),
        ("[]", "wanted an object, got list"),
        ('{"eos_token": 2}', "eos_token is 2"),
    ],
)
def test_a_broken_tokenizer_config_is_named(source, tmp_path, text, says):
    save_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(text)
    with pytest.raises(TokenizerError, match=rf"tokenizer_config\.json.* {says}"):
        pack(source, tmp_path, tmp_path / "tokens", Packing(LENGTH, 0.1))
    assert not (tmp_path / "tokens").exists()


class At:
    """What the data module reads of a Trainer."""

    max_steps, accumulate_grad_batches = 12, 2

    def __init__(self, rank, world):
        self.global_rank, self.world_size = rank, world


def mixture(tmp_path, tokenizer, rank=0, world=1, **settings):
    ko, en = corpus(tmp_path, "ko", texts(120)), corpus(tmp_path, "en", texts(40, "tree"))
    sources = [Source("ko", str(ko), 3.0), Source("en", str(en), 1.0)]
    made = Mixture(
        str(tokenizer),
        sources,
        length=LENGTH,
        tokens_dir=str(tmp_path / "tokens"),
        **({"batch_size": 4} | settings),
    )
    made.prepare_data()
    made.setup("fit")
    made.trainer = At(rank, world)
    return made


def ids(batches):
    return [batch["input_ids"].tolist() for batch in batches]


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_is_exact_in_the_middle_of_an_epoch_and_past_it(tokenizer, tmp_path, workers):
    made = mixture(tmp_path, tokenizer, num_workers=workers)
    loader = made.train_dataloader()
    assert len(loader) == 24
    stream = [batch for _ in range(3) for batch in ids(loader)]
    assert len(stream) == 3 * 24
    assert stream[:24] != stream[24:48]
    for stop in (0, 7, 23, 24, 30):
        loader = made.train_dataloader()
        batches = (batch for _ in range(2) for batch in loader)
        for _ in range(stop):
            next(batches)
        state = loader.state_dict()
        resumed = made.train_dataloader()
        resumed.load_state_dict(state)
        to_the_end = 24 - stop % 24
        assert ids(resumed) == stream[stop : stop + to_the_end]
        assert ids(resumed) == stream[stop + to_the_end :][:24]


@pytest.mark.parametrize("attention", ["across", "within"])
def test_ranks_share_the_order_of_one(tokenizer, tmp_path, attention):
    def rows(rank, world):
        """Of five epochs as training counts them, and of several times round each source: the rows of each step."""
        made = mixture(tmp_path, tokenizer, rank, world, batch_size=4 // world, document_attention=attention)
        made.begin = 40
        loader = made.train_dataloader()
        batches = [all_of(batch) for _ in range(5) for batch in loader]
        assert made.served(5 * 24 * 4)["sources"]["en"]["epochs"] > 1
        return [[*zip(*batch.values(), strict=True)] for batch in batches]

    alone, parts = rows(0, 1), [rows(rank, 2) for rank in (0, 1)]
    assert [sorted(step) for step in alone] == [sorted(a + b) for a, b in zip(*parts, strict=True)]
    held = [mixture(tmp_path, tokenizer, r, 2).val_dataloader() for r in (0, 1)]
    assert len(ids(held[0])) == len(ids(held[1])) == len(held[0])


def test_validation_begins_at_the_start_every_time(tokenizer, tmp_path):
    loader = mixture(tmp_path, tokenizer, validation_share=0.3).val_dataloader()
    whole = ids(loader)
    assert len(whole) == len(loader) > 1
    next(iter(loader))
    assert ids(loader) == whole


def test_training_never_sees_a_held_out_document(tokenizer, tmp_path):
    made = mixture(tmp_path, tokenizer, validation_share=0.3)
    seen = {tuple(block) for batch in ids(made.train_dataloader()) for block in batch}
    held = {tuple(block) for batch in ids(made.val_dataloader()) for block in batch}
    assert not seen & held


def test_batches_are_long_tensors(tokenizer, tmp_path):
    batch = next(iter(mixture(tmp_path, tokenizer).train_dataloader()))
    assert batch["input_ids"].dtype == torch.int64
    assert batch["input_ids"].shape == (4, LENGTH)


def test_blocks_say_where_documents_begin(tokenizer, tmp_path):
    made = mixture(tmp_path, tokenizer)
    for packed in made.packed:
        for part in ("train", "validation"):
            begins = {0, *packed.ends(part).tolist()}
            for index in range(packed.blocks(part)):
                first = index * LENGTH
                wanted = [place for place in range(LENGTH) if first + place in begins]
                found = packed.boundaries(part, index)
                assert found.dtype == np.int64
                assert found.tolist() == wanted
                assert all(packed.block(part, index)[found] == 1)  # <s>, which begins each document here


@pytest.mark.parametrize("attention", ["across", "within"])
@pytest.mark.parametrize("workers", [0, 2])
def test_no_token_is_lost_or_doubled(tokenizer, tmp_path, attention, workers):
    """Two sources of one weight a block: an epoch of both is each token of the token files once, but the tail."""
    made = mixture(tmp_path, tokenizer, num_workers=workers, document_attention=attention)
    sizes = [packed.blocks("train") for packed in made.packed]
    made.sources = [Source(s.name, s.corpus, float(size)) for s, size in zip(made.sources, sizes, strict=True)]
    made.trainer = None
    made.batch_size = 1
    served, blocks = Counter(), 0
    for batch in made.train_dataloader():
        blocks += 1
        for row, number in enumerate(batch["input_ids"]):
            served[tuple(number.tolist())] += 1
            assert ("position_ids" in batch) == (attention == "within")
            if attention == "within":  # positions count from 0 in each document: <s> begins one
                place = 0
                for token, position in zip(number.tolist(), batch["position_ids"][row].tolist(), strict=True):
                    place = 0 if token == 1 else place
                    assert position == place
                    place += 1
    wanted, tokens = Counter(), 0
    for packed in made.packed:
        stream = packed.tokens("train")
        whole = len(stream) // LENGTH * LENGTH
        assert packed.record["train"]["dropped_tokens"] == len(stream) - whole
        assert packed.record["train"]["tokens"] == len(stream)
        wanted.update(map(tuple, stream[:whole].reshape(-1, LENGTH).tolist()))
        tokens += whole
    assert served == wanted
    assert blocks * LENGTH == tokens == sum(s["tokens"] for s in made.served(blocks)["sources"].values())
    assert [source["epochs"] for source in made.served(blocks)["sources"].values()] == [1, 1]


@pytest.mark.parametrize("attention", ["across", "within"])
def test_resume_is_exact_over_many_epochs_of_a_small_source_and_from_a_later_stage(tokenizer, tmp_path, attention):
    made = mixture(tmp_path, tokenizer, document_attention=attention)
    loader = made.train_dataloader()
    stream = [all_of(batch) for _ in range(40) for batch in loader]
    counts = made.served(4 * len(stream))["sources"]
    assert counts["en"]["epochs"] > 3
    made.begin = 4 * 500
    later = made.train_dataloader()
    assert [all_of(batch) for _ in range(3) for batch in later] == stream[500 : 500 + 3 * 24]
    resumed = made.train_dataloader()
    resumed.load_state_dict({"blocks": 4 * 30, "epoch_began_at": 4 * 24})
    assert [all_of(batch) for batch in resumed] == stream[530 : 500 + 2 * 24]
    assert made.served(4 * 24)["begin"] == 4 * 500


def all_of(batch):
    return {name: value.tolist() for name, value in batch.items()}


def test_the_record_says_where_the_text_came_from(tokenizer, tmp_path):
    record = mixture(tmp_path, tokenizer).record()
    assert record["length"] == LENGTH
    assert [s["name"] for s in record["sources"]] == ["ko", "en"]
    assert [s["share"] for s in record["sources"]] == [0.75, 0.25]
    assert record["sources"][0]["corpus"]["files"][0]["name"] == "ko.jsonl"
    assert record["sources"][0]["train"]["blocks"] > 0


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"sources": []}, UsageError, "data.sources is empty"),
        ({"twice": True}, UsageError, "two sources have the name 'web'"),
        ({"weight": 0.0}, UsageError, "web has weight 0"),
        ({"weight": -1.0}, UsageError, "web has weight -1"),
        ({"weight": 1e308}, UsageError, "web has weight 1e[+]308; wanted a number from 1e-18 to 1e[+]18"),
        ({"weight": 1e-300}, UsageError, "web has weight 1e-300; wanted a number from 1e-18"),
        ({"name": "a/b"}, UsageError, "'a/b'"),
        ({"length": 1}, UsageError, "data.length is 1"),
        ({"validation_share": 0.0}, UsageError, "data.validation_share is 0"),
        ({"batch_size": 0}, UsageError, "data.batch_size is 0"),
        ({"corpus": "missing.jsonl"}, CorpusError, "missing.jsonl"),
        ({"length": 100_000}, CorpusError, "one block of 100,000 of each"),
        ({"column": "body"}, CorpusError, "body"),
    ],
)
def test_bad_input_is_named(source, tokenizer, tmp_path, change, error, says):
    fields = {"name": "web", "corpus": source.corpus, "weight": 1.0, "column": "text"}
    settings = {k: v for k, v in change.items() if k in {"length", "validation_share", "batch_size"}}

    def prepare():
        made = [Source(**(fields | {k: v for k, v in change.items() if k in fields}))]
        made = change.get("sources", made * (2 if change.get("twice") else 1))
        data = Mixture(str(tokenizer), made, tokens_dir=str(tmp_path / "t"), **({"length": LENGTH} | settings))
        data.prepare_data()

    with pytest.raises(error, match=says) as caught:
        prepare()
    assert isinstance(caught.value, KovocabError)
    assert not list((tmp_path / "t").glob("*"))
