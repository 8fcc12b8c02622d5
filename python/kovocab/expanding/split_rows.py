"""Embeddings in two blocks, old rows and new rows, so that freezing is `requires_grad` and nothing else.

A gradient hook that zeroes the old rows, as the model cards print it, lets them move under weight decay and
carried momentum and is never called under FSDP. Two parameters have none of that: the optimizer holds no
state for a frozen block, its gradient is never computed, and sharding is ordinary.

The weights are plain parameters and not `nn.Linear` children: adapters and quantisers that replace every
`nn.Linear` (LoRA's `all-linear`) leave them alone.
"""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional
from transformers import PreTrainedModel

from kovocab.errors import ModelError
from kovocab.expanding.config_files import save_model
from kovocab.stages import ROW_BLOCKS, Block


class SplitEmbedding(nn.Module):
    """Input embeddings in two blocks; gives exactly what `nn.Embedding` on their concatenation gives.

    Args:
        old: Rows 0 to n - 1, `[n, hidden]`.
        new: Rows from n on, `[m, hidden]`, of the same dtype.
        padding_idx: As in `nn.Embedding`: this row never gets a gradient.
        scale: What a row is multiplied by as it is looked up (Gemma's root of the hidden size).
    """

    scale: Tensor | float | None

    def __init__(
        self, old: Tensor, new: Tensor, padding_idx: int | None = None, scale: Tensor | float | None = None
    ) -> None:
        super().__init__()
        self.input_old = _parameter(old)
        self.input_new = _parameter(new)
        self.padding_idx = padding_idx
        if isinstance(scale, Tensor):  # to bf16 it rounds, where a number would not
            self.register_buffer("scale", scale, persistent=False)
        else:
            self.scale = scale

    def forward(self, input_ids: Tensor) -> Tensor:
        """Look up `input_ids` (int64, any shape): `[*, hidden]`.

        Both blocks are looked up for every position, so the new rows are part of the graph even in a batch
        without new tokens: DDP waits for the gradient of each trained parameter.
        """
        rows = self.input_old.shape[0]
        pad = self.padding_idx
        old = functional.embedding(
            input_ids.clamp(max=rows - 1), self.input_old, pad if pad is not None and pad < rows else None
        )
        new = functional.embedding(
            (input_ids - rows).clamp(min=0),
            self.input_new,
            pad - rows if pad is not None and pad >= rows else None,
        )
        found = torch.where((input_ids >= rows).unsqueeze(-1), new, old)
        if self.scale is None:
            return found
        return found * (self.scale.to(found.dtype) if isinstance(self.scale, Tensor) else self.scale)


class SplitLinear(nn.Module):
    """Output embeddings in two blocks; gives what `nn.Linear` on their concatenation gives.

    Bit for bit where both blocks are whole tiles of the matrix product (multiples of 16 rows on CPU: 32,000
    and 8,960 are), else up to the rounding of one product (2e-6 at hidden 2,560, fp32; measured).

    Args:
        old: Rows 0 to n - 1, `[n, hidden]`.
        new: Rows from n on, `[m, hidden]`, of the same dtype.
        old_bias: `[n]`, where the head has a bias (Phi).
        new_bias: `[m]`.
    """

    def __init__(
        self, old: Tensor, new: Tensor, old_bias: Tensor | None = None, new_bias: Tensor | None = None
    ) -> None:
        super().__init__()
        self.output_old = _parameter(old)
        self.output_new = _parameter(new)
        self.output_old_bias = None if old_bias is None else _parameter(old_bias)
        self.output_new_bias = None if new_bias is None else _parameter(new_bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits of `hidden` (`[*, hidden]`): `[*, n + m]`."""
        old = functional.linear(hidden, self.output_old, self.output_old_bias)
        new = functional.linear(hidden, self.output_new, self.output_new_bias)
        return torch.cat([old, new], dim=-1)


def split_rows(model: PreTrainedModel, first_new_id: int) -> PreTrainedModel:
    """Put both embeddings of a plain model in two blocks, cut at `first_new_id`, in place; returns the model.

    Rows of padding behind the new tokens are new rows. Tied embeddings stay tied: both modules hold the same
    two parameters.

    Raises:
        ModelError: the embeddings are not plain (`nn.Embedding`, `nn.Linear`), or there is no row to cut off.
    """
    embedding, head = plain_embeddings(model)
    rows = embedding.num_embeddings
    if not 0 < first_new_id < rows:
        raise ModelError(
            f"the model has {rows:,} embedding rows and the first new id is {first_new_id:,}; "
            "wanted at least one old and one new row (run `kovocab expand` first)"
        )
    weight = embedding.weight.detach()
    # Copies, so that the fused matrix is freed and a checkpoint of one block does not carry the other along.
    # A pad_token_id of -1, the first Llama's way to say none, is to torch the last row: a new token's.
    padding = None if (getattr(model.config, "pad_token_id", None) or 0) < 0 else embedding.padding_idx
    scale = getattr(embedding, "embed_scale", None)
    split = SplitEmbedding(weight[:first_new_id].clone(), weight[first_new_id:].clone(), padding, scale)
    output, bias = head.weight.detach(), head.bias
    biases = (
        (None, None) if bias is None else (bias.detach()[:first_new_id].clone(), bias.detach()[first_new_id:].clone())
    )
    if head.weight is embedding.weight:
        split_head = SplitLinear(split.input_old, split.input_new, *biases)
    else:
        split_head = SplitLinear(output[:first_new_id].clone(), output[first_new_id:].clone(), *biases)
    model.set_input_embeddings(split.train(embedding.training))
    model.set_output_embeddings(split_head.train(head.training))  # type: ignore[no-untyped-call]
    return model


def plain_embeddings(model: PreTrainedModel) -> tuple[nn.Embedding, nn.Linear]:
    """The input embeddings and the head of a plain model; the input may be scaled as it is looked up (Gemma).

    Raises:
        ModelError: they are of another type, which may do more than look up, scale and multiply (a normed embedding,
            a quantised head), or there is no head, or their rows differ; or the model has a second table by token.
    """
    embedding = model.get_input_embeddings()
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if getattr(model.config.get_text_config(), "hidden_size_per_layer_input", 0):
        raise ModelError(
            f"{type(model).__name__} has a second table by token (hidden_size_per_layer_input in its config.json), for "
            "which no new rows are made; wanted a model with one"
        )
    for module, wanted, what in ((embedding, nn.Embedding, "input"), (head, nn.Linear, "output")):
        if type(module) is not wanted and not _is_scaled(module):
            raise ModelError(
                f"the {what} embeddings of {type(model).__name__} are a {type(module).__name__}; "
                f"wanted a plain torch.nn.{wanted.__name__}"
            )
    embedding, head = cast("nn.Embedding", embedding), cast("nn.Linear", head)
    rows, head_rows = embedding.weight.shape[0], head.weight.shape[0]
    if rows != head_rows:
        raise ModelError(f"the model has {rows:,} input rows and {head_rows:,} output rows; wanted as many of each")
    return embedding, head


def _is_scaled(module: nn.Module) -> bool:
    """Whether it is one of transformers' embeddings that only multiply what they look up, as Gemma and others do."""
    scaled = type(module).__name__.endswith("ScaledWordEmbedding") and hasattr(module, "embed_scale")
    return isinstance(module, nn.Embedding) and scaled and type(module).__module__.startswith("transformers.")


def is_tied(model: PreTrainedModel) -> bool:
    """Whether a plain model's head is its input embeddings."""
    embedding, head = plain_embeddings(model)
    return embedding.weight is head.weight


def untie_embeddings(model: PreTrainedModel) -> bool:
    """Give the head of a plain model a matrix of its own, a copy of the input embeddings, in place.

    The logits stay what they were.

    Returns:
        Whether the two were tied; if not, nothing is done.
    """
    if not is_tied(model):
        return False
    embedding, head = plain_embeddings(model)
    head.weight = nn.Parameter(embedding.weight.detach().clone())
    model.config.tie_word_embeddings = False
    return True


def block_of(name: str) -> Block:
    """The block that the parameter `name` of a split model belongs to."""
    last = name.rpartition(".")[2].removesuffix("_bias")
    return next((block for block in ROW_BLOCKS if block == last), "layers")


def plain_place(name: str, first_new_id: int) -> tuple[str, int]:
    """Where the parameter `name` of a split model is in the plain layout: the name there, and its first row."""
    block, (module, _, last) = block_of(name), name.rpartition(".")
    if block == "layers":
        return name, 0
    return f"{module}.{'bias' if last.endswith('_bias') else 'weight'}", first_new_id * block.endswith("_new")


def fused_state_dict(model: PreTrainedModel) -> dict[str, Tensor]:
    """The state of a split model in the plain Hugging Face layout.

    Both embeddings are copies, one copy where they are tied; every other tensor is the model's own, detached.
    Of a sharded model every process calls; tensors are gathered one by one, and the first process alone gets
    them, on the CPU, where a whole model has to fit. The others get nothing.
    """
    split = {type(m): n for n, m in model.named_modules() if isinstance(m, SplitEmbedding | SplitLinear)}
    state = model.state_dict()
    embedding, head = (model.get_submodule(split[kind]) for kind in (SplitEmbedding, SplitLinear))
    tied = embedding.input_old is head.output_old
    parts: dict[str, list[Tensor]] = {}
    for name, tensor in state.items():  # old rows come before new ones
        if tied and name.startswith(f"{split[SplitLinear]}.") and not name.endswith("_bias"):
            continue
        whole = _whole(tensor)
        if whole is not None:
            parts.setdefault(plain_place(name, 1)[0], []).append(whole)
    plain = {name: blocks[0] if len(blocks) == 1 else torch.cat(blocks) for name, blocks in parts.items()}
    if tied and plain:
        # One tensor under two names is how save_pretrained knows that they are tied, and it writes it once.
        plain[f"{split[SplitLinear]}.weight"] = plain[f"{split[SplitEmbedding]}.weight"]
    return plain


def save_plain(
    model: PreTrainedModel,
    folder: str | Path,
    state: dict[str, Tensor] | None = None,
    source: str | Path | None = None,
) -> None:
    """Write a split model to `folder` so that every Hugging Face tool opens it: config, safetensors.

    Args:
        model: Says the configuration.
        folder: Made where it is not there.
        state: What `fused_state_dict` gave: of a sharded model, which one process writes and all gather.
        source: Where the model came from: what its files say of special ids and generation is kept.
    """
    save_model(model, Path(folder), source, state_dict=fused_state_dict(model) if state is None else state)


def _whole(tensor: Tensor) -> Tensor | None:
    """A tensor of the state; of a sharded one all of it, on the first process's CPU, and None elsewhere."""
    if not isinstance(tensor, DTensor):
        return tensor
    whole = tensor.full_tensor()
    return whole.cpu() if torch.distributed.get_rank() == 0 else None


def _parameter(tensor: Tensor) -> nn.Parameter:
    return tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor)
