"""Samples: the most probable token, so many times, from a start that is there, and never one without a text."""

import pytest
import torch

from kovocab.errors import UsageError
from kovocab.evaluating.fertility import text_reference
from kovocab.measuring.generation import beginning, generate
from kovocab.measuring.subject import Subject
from support.base import BASE_TOKENS, NEW_TOKENS, save_tokenizer
from support.models import tiny

SIZE = BASE_TOKENS + NEW_TOKENS


@pytest.fixture
def subject(tmp_path):
    save_tokenizer(tmp_path)
    return Subject("tiny", tiny(rows=SIZE + 32), text_reference(tmp_path), [1], "0" * 64, BASE_TOKENS)


def test_each_token_is_the_most_probable_one(subject):
    prompt = "나무 그늘"
    [sample, other] = generate(subject, [prompt, "old"], 12)
    ids = [1, *subject.reference.encode([prompt])[0]]
    for token in sample.ids:
        with torch.no_grad():
            logits = subject.model(torch.tensor([ids])).logits[0, -1]
        assert token == logits[:SIZE].argmax().item()  # of what has a token
        ids.append(token)
    assert len(sample.ids) == len(other.ids) == 12
    whole = subject.reference.decode(ids, special=False)
    assert whole.startswith(prompt)
    assert prompt + sample.text == whole


def test_the_end_of_a_text_ends_no_sample(subject):
    with torch.no_grad():
        subject.model.lm_head.weight.zero_()
        subject.model.lm_head.weight[2] = subject.model.model.norm.weight  # eos, whatever was before
        subject.model.lm_head.weight[2] *= 0.1
    assert len(generate(subject, ["나무"], 9)[0].ids) == 9


def test_of_a_prompt_that_leaves_no_room_the_last_tokens_are_read(subject):
    prompt = " ".join(["나무 그늘"] * 40)
    ids = subject.reference.encode([prompt])[0]
    assert len(ids) > 64
    found = generate(subject, [prompt], 8)[0].ids
    with torch.no_grad():
        logits = subject.model(torch.tensor([ids[-56:]])).logits[0, -1]
    assert found[0] == logits[:SIZE].argmax().item()
    with pytest.raises(UsageError, match="new_tokens is 64, and tiny reads 64 tokens"):
        generate(subject, ["나무"], 64)


def test_a_documents_beginning_is_its_first_words_as_they_stand():
    assert beginning("a  b\nc d e f g h i") == "a  b\nc d e f g h"
    assert beginning("a") == "a"
