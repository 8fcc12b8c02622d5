"""What a model gives each token of some documents, and what it would have said there.

Logits are made for some positions at a time, as training makes them: never for a whole batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from kovocab.errors import ModelError, model_errors
from kovocab.evaluating.windows import Window, grouped, windows
from kovocab.expanding.logits import LogitForm
from kovocab.model.cross_entropy import IGNORE, PIECE_LOGITS

BATCH_TOKENS = 8_192
"""Tokens that are read at once, by default."""

Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class Scores:
    """Of each token of a document.

    Attributes:
        nats: −ln of its probability behind those before it, float32 [tokens].
        best: The most probable token there, int64 [tokens].
    """

    nats: npt.NDArray[np.float32]
    best: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Windows that are read together, padded at the right.

    Attributes:
        windows: The windows, a row each.
        input_ids: int64 [windows, length].
        targets: What follows each, int64 as `input_ids`; `IGNORE` where nothing is scored.
    """

    windows: list[Window]
    input_ids: Tensor
    targets: Tensor


def batches(documents: Sequence[Ids], start: Ids, context: int, stride: int, batch_tokens: int) -> Iterator[Batch]:
    """Documents as batches of windows.

    Args:
        documents: The tokens of each.
        start: What is given before them.
        context: The most tokens of a window.
        stride: How many targets each but the first of a document adds.
        batch_tokens: Tokens of a batch, at most, but for one window.
    """
    found = [
        window
        for number, ids in enumerate(documents)
        for window in windows(number, len(start), len(ids), context, stride)
    ]
    for group in grouped(found, batch_tokens):
        shape = len(group), group[0].length
        input_ids, targets = torch.zeros(shape, dtype=torch.int64), torch.full(shape, IGNORE, dtype=torch.int64)
        for row, window in enumerate(group):
            sequence = torch.tensor([*start, *documents[window.document]][window.begin : window.end + 1])
            input_ids[row, : window.length] = sequence[:-1]
            targets[row, window.length - window.scored : window.length] = sequence[-window.scored :]
        yield Batch(group, input_ids, targets)


@torch.no_grad()
def score(
    model: PreTrainedModel,
    documents: Sequence[Ids],
    start: Ids,
    *,
    context: int,
    stride: int,
    batch_tokens: int = BATCH_TOKENS,
) -> list[Scores]:
    """Score every token of each document once.

    Args:
        model: A causal language model, in eval mode.
        documents: The tokens of each; one may have none.
        start: What is given before them, at least one token.
        context: The most tokens that the model is given.
        stride: How many targets each further window of a document adds.
        batch_tokens: Tokens that are read at once, at most, but for one window.

    Raises:
        ModelError: the model's logits are not what its head makes of its last hidden state, or are no numbers.
    """
    found = [Scores(np.zeros(len(ids), np.float32), np.zeros(len(ids), np.int64)) for ids in documents]
    reader = Reader(model)
    for batch in batches(documents, start, context, stride, batch_tokens):
        nats, best = reader.read(batch.input_ids, batch.targets)
        at = 0
        for window in batch.windows:
            stop = window.end - len(start) + 1  # of the document's own tokens
            one = found[window.document]
            one.nats[stop - window.scored : stop] = nats[at : at + window.scored]
            one.best[stop - window.scored : stop] = best[at : at + window.scored]
            at += window.scored
    if not all(np.isfinite(one.nats).all() for one in found):
        raise ModelError(f"the loss of {model.name_or_path} is no number: its weights are broken")
    return found


class Reader:
    """A model, read for the logits of some positions.

    Args:
        model: In eval mode.

    Raises:
        ModelError: its logits are not what its head makes of its last hidden state.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model, self._form = model, LogitForm.of(model.config)
        self._head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        self._check()

    @torch.no_grad()
    def read(self, input_ids: Tensor, targets: Tensor) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The nats of each target that is not `IGNORE`, row by row, and the most probable token in its place.

        Args:
            input_ids: int64 [rows, length].
            targets: As many.
        """
        device = self._model.device
        hidden, labels = self._hidden(input_ids.to(device)), targets.to(device)
        wanted = labels != IGNORE
        hidden, labels = hidden[wanted], labels[wanted]
        nats, best = torch.empty(len(labels), dtype=torch.float32), torch.empty(len(labels), dtype=torch.int64)
        piece = max(1, PIECE_LOGITS // self._head.weight.shape[0])
        for at in range(0, len(labels), piece):
            logits = self.logits(hidden[at : at + piece])
            own = functional.cross_entropy(logits, labels[at : at + piece], reduction="none")
            nats[at : at + piece] = own.cpu()
            best[at : at + piece] = logits.argmax(dim=-1).cpu()
        return nats.numpy(), best.numpy()

    def last(self, input_ids: Tensor) -> Tensor:
        """The logits behind the last token of each row, fp32 [rows, vocabulary]."""
        return self.logits(self._hidden(input_ids.to(self._model.device))[:, -1])

    def logits(self, hidden: Tensor) -> Tensor:
        """The logits of hidden states, fp32."""
        logits: Tensor = self._form.apply_(self._head(self._form.states(hidden)))
        return logits.float()

    def _hidden(self, input_ids: Tensor) -> Tensor:
        hidden: Tensor = self._model.base_model(input_ids=input_ids, use_cache=False).last_hidden_state
        return hidden

    @torch.no_grad()
    def _check(self) -> None:
        kind = type(self._model).__name__
        input_ids = torch.arange(4, device=self._model.device).unsqueeze(0)
        with model_errors(f"transformers cannot run the {kind} of {self._model.name_or_path}, on four tokens"):
            theirs = self._model(input_ids=input_ids, use_cache=False).logits.float()
            ours = self.logits(self._hidden(input_ids))
        if theirs.shape != ours.shape or not torch.allclose(theirs.nan_to_num(), ours.nan_to_num(), rtol=1e-3):
            raise ModelError(
                f"the logits of {kind} are not its output embeddings times its last hidden state, scaled or capped as "
                "its config.json says; wanted a model whose logits are"
            )
