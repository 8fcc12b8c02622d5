"""Documents of one block that do not see each other: what a model is told, and whether it goes by it.

transformers finds packed sequences by their positions: where they begin anew, attention does not look back. Models that
take no positions, or carry a state along, know nothing of that, and are refused.
"""

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedConfig, PreTrainedModel

from kovocab.errors import ModelError

LEAKS = 0.1
"""What documents may have to do with each other, of what they have without positions: more than rounding does."""

WANTED = "wanted data.document_attention: across"


def check_family(config: PreTrainedConfig, folder: str | Path) -> None:
    """See, before long work, that models of this kind can keep documents apart.

    Raises:
        ModelError: they take no positions, or carry a state from token to token.
    """
    family: Any = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if family is None or isinstance(family, tuple):  # of none that is known here; the weights will be asked
        return
    why = None
    if "position_ids" not in inspect.signature(family.forward).parameters:
        why = "takes no position_ids"
    elif getattr(family, "_is_stateful", False):
        why = "carries a state from token to token"
    if why is not None:
        raise ModelError(f"{folder}: {family.__name__} {why}, so it cannot keep documents apart; {WANTED}")


@torch.no_grad()
def check_documents(model: PreTrainedModel) -> None:
    """See that a second document in a block is read as if it were alone.

    Raises:
        ModelError: it is not.
    """
    body, training = model.base_model, model.training
    model.train(False)  # dropout would give other hidden states
    device = next(model.parameters()).device
    # The same document behind two others. Two blocks at once: flash attention goes by positions in a single one alone.
    blocks = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 4, 5, 6, 7]], device=device)
    positions = torch.arange(8, device=device).expand(2, 8) % 4

    def second(ids: Tensor, **told: Tensor) -> Tensor:
        hidden: Tensor = body(input_ids=ids, use_cache=False, **told).last_hidden_state
        return hidden[:, -4:].float()

    alone, joined, apart = second(blocks[:, 4:]), second(blocks), second(blocks, position_ids=positions)
    model.train(training)
    leaks = (apart[0] - apart[1]).norm() > LEAKS * (joined[0] - joined[1]).norm()
    if leaks or (apart - alone).norm() > LEAKS * (joined - alone).norm():  # of NaN something else is said
        raise ModelError(f"{type(model).__name__} does not keep documents apart by their position_ids; {WANTED}")


def respelled(position_ids: Tensor, ends: Tensor, length: int) -> Tensor:
    """The positions of another spelling of the same documents.

    Args:
        position_ids: `[batch, tokens]`; 0 where a document begins.
        ends: For each of those tokens, the place of its last piece in the other spelling, `[batch, tokens]`.
        length: That of the other spelling, which may be cut off.

    Returns:
        `[batch, length]`, beginning anew with the first piece of each document.
    """
    firsts = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1] + 1], dim=1)
    row, token = torch.nonzero((position_ids == 0) & (firsts < length), as_tuple=True)
    begins = ends.new_zeros(len(ends), length)
    begins[row, firsts[row, token]] = firsts[row, token]
    return torch.arange(length, device=ends.device) - begins.cummax(dim=1).values
