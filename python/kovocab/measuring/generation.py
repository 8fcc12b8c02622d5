"""How a model goes on from a prompt: always by the most probable token, and so many times."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from kovocab.errors import UsageError
from kovocab.measuring.subject import Subject

WORDS = 8
"""Of a document's beginning, where nobody gave prompts."""


@dataclass(frozen=True)
class Sample:
    """What came of a prompt.

    Attributes:
        prompt: The prompt.
        text: What follows it.
        ids: Its tokens.
    """

    prompt: str
    text: str
    ids: list[int]


def beginning(document: str) -> str:
    """The first words of a document, as they stand there."""
    words = document.split()
    at = 0
    for word in words[:WORDS]:
        at = document.index(word, at) + len(word)
    return document[:at]


def room_of(subject: Subject, new_tokens: int) -> int | None:
    """How many tokens of a prompt can be read where so many are to follow; None: all.

    Raises:
        UsageError: what follows is alone longer than the model can read.
    """
    room = None if subject.most is None else subject.most - new_tokens
    if room is not None and room < 1:
        raise UsageError(f"new_tokens is {new_tokens}, and {subject.name} reads {subject.most} tokens; wanted fewer")
    return room


@torch.no_grad()
def generate(subject: Subject, prompts: list[str], new_tokens: int, seed: int = 0) -> list[Sample]:
    """Go on from each prompt, one after the other, so that none is padded.

    Args:
        subject: The model.
        prompts: Texts; the model's start is put before each. Of one that leaves no room the last tokens are read.
        new_tokens: How many tokens to generate: exactly so many, whatever ends a text for the model.
        seed: Of torch, for models that draw something all the same.

    Raises:
        UsageError: what follows a prompt is alone longer than the model can read.
    """
    configured: Any = GenerationConfig
    model, settings = subject.model, configured(do_sample=False, max_new_tokens=new_tokens, pad_token_id=0)
    # What has no token cannot be told as text.
    padding = list(range(subject.tokens, subject.rows))
    settings.suppress_tokens = padding or None
    model.generation_config = settings
    made: Any = model.generate
    room = room_of(subject, new_tokens)
    samples = []
    for prompt in prompts:
        ids = [*subject.start, *subject.reference.encode([prompt])[0]]
        if room is not None:
            ids = ids[-room:]
        torch.manual_seed(seed)
        found = made(
            torch.tensor([ids], device=model.device), attention_mask=torch.ones(1, len(ids), device=model.device)
        )
        own = found[0, len(ids) :].tolist()
        samples.append(Sample(prompt, subject.continued(ids, own), own))
    return samples
