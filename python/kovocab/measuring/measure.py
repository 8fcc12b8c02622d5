"""Measure models side by side on the same held-out text; `kovocab evaluate`."""

import gc
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch

from kovocab.errors import UsageError
from kovocab.evaluating.evaluation import ALL
from kovocab.evaluating.fertility import Spelled, ratio, spelled, summed
from kovocab.evaluating.texts import Budget, Text
from kovocab.evaluating.windows import check_context
from kovocab.measuring.generation import Sample, beginning, generate, room_of
from kovocab.measuring.scoring import BATCH_TOKENS, Scores, score
from kovocab.measuring.subject import Named, Subject, device_of, has_new_tokens, open_subject
from kovocab.measuring.unlearned import FILE, Floats, summary, unlearned
from kovocab.record import Record

log = logging.getLogger(__name__)

VERSIONS = ("kovocab", "torch", "transformers", "tokenizers")


@dataclass(frozen=True)
class Measuring:
    """How models are measured.

    Attributes:
        context: The most tokens that a model is given; None: see `check_context`.
        stride: How many targets each further window of a document adds; None: half of the context.
        batch_tokens: Tokens that are read at once, at most, but for one window.
        prompts: What samples go on from; None: the first words of the first document of each source.
        new_tokens: How many tokens a sample has; with 0 there are none.
        device: Where; auto: the GPU, if there is one.
        unlearned: Whether to look for new tokens that a model has not learned.
    """

    context: int | None = None
    stride: int | None = None
    batch_tokens: int = BATCH_TOKENS
    prompts: tuple[str, ...] | None = None
    new_tokens: int = 32
    device: str = "auto"
    unlearned: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        for name in ("context", "stride", "batch_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; wanted at least 1")
        if self.new_tokens < 0:
            raise UsageError(f"new_tokens is {self.new_tokens}; wanted 0 or more")
        for prompt in self.prompts or ():
            if not prompt.isascii() and any("\ud800" <= character <= "\udfff" for character in prompt):
                raise UsageError(f"prompts: {prompt!r} is no text; wanted UTF-8")


Trained = Callable[[Named, Subject], Floats | None]
"""How often each new token of a model was trained on, float64 [new]; None where it is not known."""


class Measured(NamedTuple):
    """What came of it.

    Attributes:
        evaluation: As `docs/evaluating.md` has it.
        unlearned: The table of new tokens, and the hash of their tokenizer; None where no model has any.
    """

    evaluation: Record
    unlearned: tuple[pl.DataFrame, str] | None


class Part(NamedTuple):
    """Some of the documents: of one source, or all; of one script, or all.

    Attributes:
        source: Its name.
        script: Its name.
        documents: Their numbers among all.
    """

    source: str
    script: str
    documents: list[int]


def measure(
    models: Sequence[Named],
    texts: Sequence[Text],
    budget: Budget,
    how: Measuring,
    *,
    trained: Trained | None = None,
    run: Record | None = None,
    left_out: Sequence[Record] = (),
) -> Measured:
    """Measure models on the same documents, one after the other.

    Args:
        models: The models.
        texts: What they are measured on.
        budget: What `texts` were chosen by, for the output.
        how: How they are measured.
        trained: How often each new token of a model was trained on, where that is known.
        run: What the output says of the run that they are of.
        left_out: What it says of models that are not there.

    Raises:
        KovocabError: a model cannot be loaded or measured; see `open_subject` and `score`.
        UsageError: there are no models or texts, or a setting is out of range for a model.
    """
    if not models or not texts:
        raise UsageError("there is nothing to measure; wanted a model and a text")
    device = device_of(how.device)
    learner = _learner([named for named in models if has_new_tokens(named)])
    documents = pl.concat([text.documents for text in texts])
    parts = list(_parts(texts))
    if not how.new_tokens:
        prompts: list[str] = []
    elif how.prompts is None:
        prompts = [beginning(text.documents[0]) for text in texts]
    else:
        prompts = list(how.prompts)
    spellings: dict[str, list[Spelled]] = {}
    told: list[Record] = []
    figures: list[Record] = []
    samples: list[Record] = []
    found: tuple[pl.DataFrame, str] | None = None
    summed_up: Record | None = None
    for named in models:
        began = time.monotonic()
        subject = open_subject(named, device)
        context, stride = check_context(how.context, how.stride, len(subject.start), subject.most)
        if prompts:
            room_of(subject, how.new_tokens)
        if subject.sha256 not in spellings:
            spellings[subject.sha256] = list(spelled(documents.to_list(), subject.reference))
        spelling = spellings[subject.sha256]
        ids = [document.ids for document in spelling]
        scores = score(
            subject.model, ids, subject.start, context=context, stride=stride, batch_tokens=how.batch_tokens
        )  # fmt: skip
        figures += [{"model": named.name, **_figure(part, subject, spelling, scores)} for part in parts]
        made = generate(subject, prompts, how.new_tokens) if prompts else []
        samples += [_sample(subject, sample) for sample in made]
        if how.unlearned and named is learner and subject.new_tokens:
            times = trained(named, subject) if trained is not None else None
            table = unlearned(subject, ids, scores, times, how.batch_tokens)
            found = table, subject.sha256
            summed_up = summary(table, named.name, FILE)
        told.append(
            {
                **_model(named, subject),
                "context": context,
                "stride": stride,
                "seconds": round(time.monotonic() - began, 3),
                "used": _share(subject, chain.from_iterable(ids)),
                "produced": _share(subject, chain.from_iterable(sample.ids for sample in made)) if made else None,
            }
        )
        log.info("%s: %s", named.name, _said(figures[-len(parts) :]))
        del subject, scores
        _forget()
    evaluation: Record = {
        "verb": "evaluate",
        "run": run,
        "settings": {
            "documents": budget.documents,
            "bytes": budget.bytes,
            "context": how.context,
            "stride": how.stride,
            "new_tokens": how.new_tokens,
            "prompts": prompts,
            "start": "given, not scored",
            "end": "not scored",
        },
        "versions": {name: version(name) for name in VERSIONS},
        "device": device,
        "texts": [
            {
                "source": text.source,
                "documents": len(text.documents),
                "of": text.of,
                "bytes": text.bytes,
                "words": text.words,
                "sha256": text.sha256,
            }
            for text in texts
        ],
        "models": told,
        "figures": figures,
        "samples": samples,
        "left_out": list(left_out),
        "unlearned": summed_up,
        "tasks": [],
    }
    return Measured(evaluation, found)


def _parts(texts: Sequence[Text]) -> Iterator[Part]:
    """Each source and each of its scripts, then the same of all sources together, where there are several."""
    at, scripts = 0, [text.scripts.to_list() for text in texts]
    for text, own in zip(texts, scripts, strict=True):
        yield Part(text.source, ALL, list(range(at, at + len(own))))
        yield from _by_script(text.source, own, at)
        at += len(own)
    if len(texts) > 1:
        yield Part(ALL, ALL, list(range(at)))
        yield from _by_script(ALL, list(chain.from_iterable(scripts)), 0)


def _by_script(source: str, scripts: list[str], at: int) -> Iterator[Part]:
    for script in sorted(set(scripts)):
        yield Part(source, script, [at + number for number, own in enumerate(scripts) if own == script])


def _figure(part: Part, subject: Subject, spelling: Sequence[Spelled], scores: Sequence[Scores]) -> Record:
    own = [spelling[number] for number in part.documents]
    counts: dict[str, Any] = dict(summed(own))
    nats = float(sum(scores[number].nats.sum(dtype=np.float64) for number in part.documents))
    bits = ratio(nats / math.log(2), counts["bytes"])
    ids = list(chain.from_iterable(document.ids for document in own))
    first = subject.first_new_id
    return {
        "source": part.source,
        "script": part.script,
        **{key: counts[key] for key in ("documents", "bytes", "words", "tokens")},
        "nats": nats,
        "bits_per_byte": bits,
        **{key: counts[key] for key in ("tokens_per_word", "bytes_per_token", "one_token", "two_tokens")},
        "new_token_share": 0.0 if first is None else ratio(sum(i >= first for i in ids), len(ids)),
        "used": _share(subject, ids),
    }


def _share(subject: Subject, ids: Iterable[int]) -> float | None:
    """Which share of the new tokens is among these."""
    first = subject.first_new_id
    if first is None or not subject.new_tokens:
        return None
    return len({i for i in ids if i >= first}) / subject.new_tokens


def _sample(subject: Subject, sample: Sample) -> Record:
    text_of, first = subject.reference.document.text_of, subject.first_new_id
    return {
        "model": subject.name,
        "prompt": sample.prompt,
        "text": sample.text,
        "tokens": [text_of.get(i, "") for i in sample.ids],
        "new": [first is not None and i >= first for i in sample.ids],
    }


def _model(named: Named, subject: Subject) -> Record:
    model = subject.model
    return {
        "name": named.name,
        "kind": named.kind,
        "stage": named.stage,
        "dtype": str(model.dtype).removeprefix("torch."),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "rows": subject.rows,
        "tokens": subject.tokens,
        "first_new_id": subject.first_new_id,
        "new_tokens": subject.new_tokens,
        "tokenizer": subject.sha256,
        "start": "".join(subject.reference.document.text_of.get(i, "") for i in subject.start),
    }


def _learner(models: Sequence[Named]) -> Named | None:
    """The model whose new tokens are looked at, of those that have some: the last stage, or else the last."""
    stages = [named for named in models if named.kind == "stage"]
    return next(iter(reversed(stages or models)), None)


def _said(rows: Sequence[Record]) -> str:
    return ", ".join(
        f"{row['source']} {row['bits_per_byte']:.4f} bits a byte"
        for row in rows
        if row["script"] == ALL and row["bits_per_byte"] is not None and (row["source"] != ALL or len(rows) == 1)
    )


def _forget() -> None:
    """Give back a model's memory before the next is loaded."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
