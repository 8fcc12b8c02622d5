"""Scores: those of a plain computation token by token, however many are read together, and lm-eval's."""

import math

import numpy as np
import pytest
import torch

from kovocab.errors import ModelError
from kovocab.evaluating.fertility import spelled, text_reference
from kovocab.measuring.scoring import score
from kovocab.model import cross_entropy
from support.base import save_tokenizer, texts
from support.models import ROWS, ids, tiny

START = [1]
DOCUMENTS = [ids(shape=(length,), seed=length).tolist() for length in (5, 1, 30, 0, 12, 13, 41, 12)]
CONTEXT = 12


def plainly(model, document, context, stride):
    """Token by token: what the model says behind all that its window has before it."""
    sequence, nats, best = [*START, *document], [], []
    for target in range(1, len(sequence)):
        begin = 0
        if target > context:
            end = context + stride * math.ceil((target - context) / stride)
            begin = min(end, len(document)) - context
        with torch.no_grad():
            logits = model(torch.tensor([sequence[begin:target]])).logits[0, -1].double()
        nats.append(-logits.log_softmax(-1)[sequence[target]].item())
        best.append(logits.argmax().item())
    return nats, best


@pytest.mark.parametrize("architecture", ["llama", "phi", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("stride", [CONTEXT, 6, 1])
def test_scores_are_those_of_a_plain_computation(architecture, stride):
    settings = {"head_dim": 8} if architecture == "gemma2" else {}
    model = tiny(architecture, final_logit_softcapping=5.0, **settings) if settings else tiny(architecture)
    found = score(model, DOCUMENTS, START, context=CONTEXT, stride=stride, batch_tokens=60)
    for document, scores in zip(DOCUMENTS, found, strict=True):
        nats, best = plainly(model, document, CONTEXT, stride)
        assert scores.nats == pytest.approx(np.array(nats, dtype=np.float32), abs=2e-5)
        assert scores.best.tolist() == best


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_how_many_are_read_together_changes_nothing_but_rounding(dtype, near, monkeypatch):
    model = tiny(dtype=dtype)
    wanted = score(model, DOCUMENTS, START, context=CONTEXT, stride=6, batch_tokens=1)
    monkeypatch.setattr("kovocab.measuring.scoring.PIECE_LOGITS", 7 * ROWS)  # and how many logits are made at a time
    for tokens in (13, 100, 10_000):
        found = score(model, DOCUMENTS, START, context=CONTEXT, stride=6, batch_tokens=tokens)
        for left, right in zip(wanted, found, strict=True):
            assert left.nats == pytest.approx(right.nats, abs=near)


def test_logits_are_made_for_some_positions_at_a_time(monkeypatch):
    seen = []
    model = tiny()
    model.lm_head.register_forward_hook(lambda module, args, out: seen.append(out.numel()))
    monkeypatch.setattr("kovocab.measuring.scoring.PIECE_LOGITS", 10 * ROWS)
    score(model, DOCUMENTS, START, context=CONTEXT, stride=6, batch_tokens=10_000)
    assert max(seen[2:]) == 10 * ROWS  # behind the check, which has four positions
    assert cross_entropy.PIECE_LOGITS > 10 * ROWS


def test_broken_weights_are_one_line():
    model = tiny()
    with torch.no_grad():
        model.lm_head.weight[0, 0] = math.nan
    with pytest.raises(ModelError, match="is no number: its weights are broken"):
        score(model, DOCUMENTS, START, context=CONTEXT, stride=6)


def test_lm_eval_gives_the_same_bits(tmp_path):
    """`loglikelihood_rolling`, of documents that are longer than the context, where both score the start never."""
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    size = save_tokenizer(tmp_path)
    tiny(rows=size).save_pretrained(tmp_path)
    documents = [*texts(3), " ".join(texts(20)), "나"]
    theirs = HFLM(str(tmp_path), device="cpu", dtype="float32", batch_size=2, add_bos_token=False, max_length=24)
    asked = [Instance("loglikelihood_rolling", {}, (text,), at) for at, text in enumerate(documents)]
    wanted = [-value for value in theirs.loglikelihood_rolling(asked, disable_tqdm=True)]
    own = [document.ids for document in spelled(documents, text_reference(tmp_path))]
    found = score(tiny(rows=size), own, START, context=24, stride=24)
    assert max(map(len, own)) > 3 * 24
    assert [float(scores.nats.sum()) for scores in found] == pytest.approx(wanted, rel=1e-5)
