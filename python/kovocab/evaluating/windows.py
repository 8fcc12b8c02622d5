"""A document as windows of one context: each of its tokens is scored once. Numbers alone: no torch here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kovocab.errors import UsageError

CONTEXT = 2_048
"""Tokens that a model is given at most, unless told otherwise: it may be able to read more."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a model reads at once: some of a sequence, which is the start and a document's tokens behind it.

    Attributes:
        document: Its number.
        begin: The first token that is read.
        end: Behind the last: the number of the last target.
        scored: How many of the targets are scored: the last ones.
    """

    document: int
    begin: int
    end: int
    scored: int

    @property
    def length(self) -> int:
        """How many tokens are read."""
        return self.end - self.begin


def windows(document: int, start: int, tokens: int, context: int, stride: int) -> Iterator[Window]:
    """The windows of a document.

    Args:
        document: Its number.
        start: How many tokens are given before its own, at least one.
        tokens: How many are its own.
        context: The most tokens of a window.
        stride: How many targets each but the first adds.
    """
    last = start + tokens - 1  # the number of the last target: what is behind the last token is none
    if not tokens:
        return
    end = min(context, last)
    yield Window(document, 0, end, end - start + 1)
    while end < last:
        before, end = end, min(end + stride, last)
        yield Window(document, end - context, end, end - before)


def check_context(context: int | None, stride: int | None, start: int, most: int | None) -> tuple[int, int]:
    """The context and stride to measure with.

    Args:
        context: As it was asked for; None: what the model can read, and `CONTEXT` at most.
        stride: As it was asked for; None: half of the context.
        start: How many tokens are given before a document's own.
        most: What the model can read; None where it does not say.

    Raises:
        UsageError: they are out of range.
    """
    context = context or min(CONTEXT, most or CONTEXT)
    if most is not None and context > most:
        raise UsageError(f"context is {context:,}, and the model reads {most:,} tokens; wanted no more")
    if context < start + 1:
        raise UsageError(f"context is {context}; wanted at least {start + 1} tokens")
    stride = stride or max(1, context // 2)
    if not 1 <= stride <= context + 1 - start:
        raise UsageError(f"stride is {stride:,} and context {context:,}; wanted 1 to {context + 1 - start:,}")
    return context, stride


def grouped(found: Sequence[Window], batch_tokens: int) -> list[list[Window]]:
    """Windows of about one length together, the longest first: as many as have `batch_tokens` when padded."""
    groups: list[list[Window]] = []
    for window in sorted(found, key=lambda window: (-window.length, window.document, window.begin)):
        if groups and (len(groups[-1]) + 1) * groups[-1][0].length <= batch_tokens:
            groups[-1].append(window)
        else:
            groups.append([window])
    return groups
