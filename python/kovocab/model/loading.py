"""A plain Hugging Face folder into a model of two blocks, tensor by tensor, whole or sharded.

The model is built without weights, split, and sharded where it is to be; only then is each tensor read, and of it
only the rows that this process keeps. So no process holds a second copy of the model, or, sharded, a first.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.module import register_module_parameter_registration_hook
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel
from transformers.utils import GENERATION_CONFIG_NAME

from kovocab.errors import ModelError, model_errors
from kovocab.expanding.expand import Dtype, load_plain
from kovocab.expanding.split_rows import block_of, plain_place, split_rows
from kovocab.model.tensor_files import weight_files


def load_split(
    folder: str | Path,
    first_new_id: int,
    dtype: Dtype = "auto",
    device: torch.device | str = "cpu",
    shard: Callable[[PreTrainedModel], None] | None = None,
) -> PreTrainedModel:
    """Load a plain model with both embeddings in two blocks, in train mode.

    Some architectures' weights are renamed or merged as transformers reads them (the experts of a mixture);
    these are read by transformers itself, and not sharded.

    Args:
        folder: config.json and weights in safetensors, one file or several.
        first_new_id: Where both embeddings are cut.
        dtype: Of the weights in memory; `auto` is as they were written.
        device: Where each tensor goes as it is read.
        shard: Called with the model while its parameters are on the meta device, to shard it. Every process calls,
            and reads its own rows from the folder.

    Raises:
        ModelError: it cannot be read; weights are missing, left over or of another shape.
    """
    folder = Path(folder)
    with model_errors(f"the model {folder} cannot be loaded"), ExitStack() as stack:
        files = _Files(folder, stack)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        model = _without_weights(config, _wanted(dtype, config, files))
        if (folder / GENERATION_CONFIG_NAME).is_file():
            model.generation_config = GenerationConfig.from_pretrained(folder)
        split_rows(model, first_new_id)
        wrong = files.compare(model, first_new_id)
        if "unexpected keys" in wrong and shard is None:
            return _in_train_mode(split_rows(load_plain(str(folder), dtype), first_new_id))
        if wrong:
            told = "; ".join(f"{len(names)} {kind}, the first {min(names)}" for kind, names in wrong.items())
            raise ModelError(f"the model {folder} has {told}; wanted exactly the weights of {type(model).__name__}")
        if shard is not None:
            shard(model)
        files.fill(model, first_new_id, torch.device(device))
    return _in_train_mode(model)


def dtype_of(folder: Path, dtype: Dtype = "auto") -> torch.dtype:
    """Of the weights that `load_split` would load; none of them is read.

    Raises:
        ModelError: the folder cannot be read.
    """
    with model_errors(f"the model {folder} cannot be loaded"), ExitStack() as stack:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        return _wanted(dtype, config, _Files(folder, stack))


def _wanted(dtype: Dtype, config: Any, files: "_Files") -> torch.dtype:
    found: torch.dtype = getattr(torch, dtype) if dtype != "auto" else (config.dtype or files.dtype())
    return found


def _in_train_mode(model: PreTrainedModel) -> PreTrainedModel:
    model.train()  # Lightning leaves the mode as it is, and in eval mode there is no dropout
    return model


def _without_weights(config: Any, dtype: torch.dtype) -> PreTrainedModel:
    """A model whose parameters have no memory, and whose buffers are what its constructor made of them.

    `with torch.device("meta")` would leave the buffers that no file holds (RoPE's inverse frequencies) without
    values, and `to_empty` fills them with whatever the memory held.
    """

    def to_meta(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter | None:
        del module, name
        if parameter.is_meta:
            return None
        return nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)

    hook = register_module_parameter_registration_hook(cast("Any", to_meta))
    try:
        made: Any = AutoModelForCausalLM.from_config  # untyped
        return cast("PreTrainedModel", made(config, dtype=dtype, trust_remote_code=False))
    finally:
        hook.remove()


class _Files:
    """The tensors in a folder's safetensors files, read in part.

    Args:
        folder: With one file, or several and their index.
        stack: Closes them.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        opened = [stack.enter_context(safe_open(file, framework="pt")) for file in weight_files(folder)]
        self._file = {name: file for file in opened for name in file.keys()}  # noqa: SIM118  # no dict

    def dtype(self) -> torch.dtype:
        """Of the first tensor that is of floats."""
        tensors = (self._rows(name, 0, 1) for name in sorted(self._file))
        return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)

    def compare(self, model: PreTrainedModel, first_new_id: int) -> dict[str, set[str]]:
        """The names of what does not fit a split model, by what is wrong with them."""
        unread, missing, mismatched = set(self._file), set[str](), set[str]()
        for names, tensor in _tensors(model):
            places = [plain_place(name, first_new_id) for name in names]
            there = [(name, row) for name, row in places if name in self._file]
            if not there:
                missing.add(places[0][0])
                continue
            name, row = there[0]
            unread.discard(name)
            found = self._file[name].get_slice(name).get_shape()
            shape = [row + tensor.shape[0], *tensor.shape[1:]] if tensor.dim() else []
            if block_of(names[0]).endswith("_old"):  # where the file's rows end, the new ones know
                found, shape = found[1:], shape[1:]
            if found != shape:
                mismatched.add(name)
        wrong = {"missing keys": missing, "unexpected keys": unread, "mismatched keys": mismatched}
        return {kind: names for kind, names in wrong.items() if names}

    @torch.no_grad()
    def fill(self, model: PreTrainedModel, first_new_id: int, device: torch.device) -> None:
        """Give every parameter its memory, on `device`, and its values; of a sharded one, this process's rows."""
        for names, tensor in _tensors(model):
            places = [plain_place(name, first_new_id) for name in names]
            name, row = next(place for place in places if place[0] in self._file)
            filled = tensor
            if isinstance(tensor, nn.Parameter):
                filled = nn.Parameter(torch.empty_like(tensor, device=device), tensor.requires_grad)
            local = filled
            if isinstance(filled, DTensor):
                row += _first_row(filled)
                local = filled.to_local()
            if local.numel():
                local.copy_(self._rows(name, row, row + len(local) if local.dim() else 0))
            if filled is not tensor:
                for home in names:
                    module, _, last = home.rpartition(".")
                    setattr(model.get_submodule(module), last, filled)
        if any(tensor.is_meta for tensor in model.buffers()):
            raise ModelError(f"{type(model).__name__} makes buffers without values; wanted a model that does not")
        for part in model.modules():
            for name, buffer in part.named_buffers(recurse=False):
                setattr(part, name, buffer.to(device))

    def _rows(self, name: str, start: int, stop: int) -> Tensor:
        part = self._file[name].get_slice(name)
        return cast("Tensor", part[start:stop] if part.get_shape() else self._file[name].get_tensor(name))


def _tensors(model: PreTrainedModel) -> list[tuple[list[str], Tensor]]:
    """Each tensor of the state with its names, of which a tied one has several."""
    kept = model.state_dict().keys()
    found: dict[int, tuple[list[str], Tensor]] = {}
    for named in (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)):
        for name, tensor in named:
            if name in kept:
                found.setdefault(id(tensor), ([], tensor))[0].append(name)
    return list(found.values())


def _first_row(tensor: DTensor) -> int:
    """Of this process's shard: rows are divided as `torch.chunk` does it."""
    rows = -(-tensor.shape[0] // tensor.device_mesh.size())
    return min(rows * tensor.device_mesh.get_local_rank(), tensor.shape[0])
