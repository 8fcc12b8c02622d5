"""Tokens that are not learned: rows, copies, targets and need, each held to a plain computation."""

import math

import numpy as np
import polars as pl
import pytest
import torch

from kovocab.evaluating.fertility import text_reference
from kovocab.measuring.scoring import Scores, score
from kovocab.measuring.subject import Subject
from kovocab.measuring.unlearned import COPIES, need, summary, unlearned
from support.base import BASE_TOKENS, NEW_TOKENS, save_tokenizer
from support.models import ids, tiny

SIZE = BASE_TOKENS + NEW_TOKENS


@pytest.fixture
def subject(tmp_path):
    save_tokenizer(tmp_path)
    return Subject("tiny", tiny(rows=SIZE + 8), text_reference(tmp_path), [1], "0" * 64, BASE_TOKENS)


DOCUMENTS = [ids(SIZE, (40,), seed).tolist() for seed in range(6)]


def test_each_column_is_what_a_plain_computation_gives(subject):
    model = subject.model
    scores = score(model, DOCUMENTS, [1], context=64, stride=32)
    trained = np.arange(NEW_TOKENS, dtype=float)
    table = unlearned(subject, DOCUMENTS, scores, trained, batch_tokens=50).sort("id")
    targets = [token for document in DOCUMENTS for token in document]
    best = np.concatenate([each.best for each in scores]).tolist()
    nats = np.concatenate([each.nats for each in scores]).tolist()
    rows = {"input_norm": model.get_input_embeddings().weight, "output_norm": model.lm_head.weight}
    for row in table.iter_rows(named=True):
        i = row["id"]
        assert row["token"] == subject.reference.document.text_of[i]
        assert row["trained"] == i - BASE_TOKENS
        for name, weight in rows.items():
            lengths = weight.norm(dim=-1)
            assert row[name] == pytest.approx((lengths[i] / lengths[:BASE_TOKENS].median()).item(), rel=1e-5)
        with torch.no_grad():
            logits = model(torch.tensor([[1, *[i] * COPIES]])).logits[0, -1]
        assert row["repeats"] == (logits.argmax().item() == i)
        assert row["repeat_probability"] == pytest.approx(logits.softmax(-1)[i].item(), rel=1e-4)
        at = [place for place, token in enumerate(targets) if token == i]
        assert row["held_out"] == len(at)
        assert row["predicted"] == sum(best[place] == i for place in at)
        assert row["recall"] == (pytest.approx(row["predicted"] / len(at)) if at else None)
        surprise = np.mean([nats[place] for place in at]) / math.log(2) if at else None
        assert row["surprise"] == (pytest.approx(surprise, rel=1e-5) if at else None)


def test_a_model_that_learned_its_tokens_is_told_from_one_that_did_not(subject):
    """Of a head that gives each token itself again, every copy is repeated; of one new row turned round, it is not."""
    model, lost = subject.model, BASE_TOKENS + 5
    with torch.no_grad():
        for layer in model.model.layers:  # nothing but the token itself goes through
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.lm_head.weight.copy_(50 * torch.nn.functional.normalize(model.model.embed_tokens.weight, dim=-1))
        model.lm_head.weight[lost].neg_()
    documents = [[BASE_TOKENS + i] * 4 for i in range(NEW_TOKENS)]
    table = unlearned(subject, documents, score(model, documents, [1], context=64, stride=32))
    assert table["id"][0] == lost
    assert table.filter(~pl.col("repeats"))["id"].to_list() == [lost]
    first, others = table.row(0, named=True), table.slice(1)
    assert (first["predicted"], first["recall"]) == (0, 0.0)
    assert others["recall"].to_list() == [0.75] * (NEW_TOKENS - 1)  # behind the start it is nobody's copy
    assert first["need"] > others["need"].max() + 0.3
    said = summary(table, "tiny", None)
    assert said["repeated"] == pytest.approx(1 - 1 / NEW_TOKENS)
    assert said["recall"] == pytest.approx(table["predicted"].sum() / table["held_out"].sum())


def test_need_is_the_formula_of_the_docs():
    repeats, held_out = np.array([True, False, False]), np.array([4, 0, 1])
    predicted, bits = np.array([2, 0, 0]), np.array([8.0, 0.0, 12.0])
    recall, mean = 2 / 5, 20 / 5
    wanted = [
        1 - (said + (hits + 4 * recall) / (n + 4) + 2 ** -((sum_ + 4 * mean) / (n + 4))) / 3
        for said, n, hits, sum_ in zip([1, 0, 0], held_out, predicted, bits, strict=True)
    ]
    assert need(repeats, held_out, predicted, bits) == pytest.approx(wanted)


def test_without_new_tokens_in_the_text_it_is_the_copies_alone(subject):
    table = unlearned(subject, [[5, 6]], [Scores(np.ones(2, np.float32), np.zeros(2, np.int64))])
    assert table["need"].to_list() == [1.0 - said for said in table["repeats"]]
    assert table["trained"].to_list() == [None] * NEW_TOKENS
    assert table["recall"].null_count() == NEW_TOKENS
    assert summary(table, "tiny", None)["surprise"] is None
