"""Whether three models are a base, what was adapted of it, and what was tuned of it: refused by name where not.

Tensors of equal names and shapes can be added whosever they are, and nothing that opens the sum would say so.
"""

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from kovocab.errors import ModelError, model_errors
from kovocab.expanding.config_files import CONFIG
from kovocab.expanding.expand import MOST_PADDING_ROWS, check_model_folder
from kovocab.expanding.special_ids import is_special_key
from kovocab.expanding.split_rows import plain_embeddings
from kovocab.forms import short
from kovocab.hub import local
from kovocab.model.tensor_files import Weights
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

LEAST_ALIKE = 0.25
"""Cosine of two models' layers from which on one is taken to be trained from the other. Of siblings it is near 1, of
models that began with other random numbers near 0."""

_SAMPLED_ROWS = 32
"""Of each matrix: some 100 MB of a model of 10.7 B parameters."""

_FREE = re.compile(
    "vocab_size|max_position_embeddings|max_window_layers|initializer_range|use_cache|pretraining_tp|tie_word_embeddings"
    r"|(torch_)?dtype|transformers_version|_name_or_path|architectures|\w*dropout\w*|\w*pdrop"
    r"|id2label|label2id|problem_type|return_dict|output_\w+"
)
"""Keys of config.json in which siblings may differ: what the layers compute does not depend on them."""

_PLAIN = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
"""Kinds of floating-point numbers that are weights by themselves, as safetensors spells them."""

_NOT_WEIGHTS = re.compile(r".*rotary_emb\.inv_freq")
"""Tensors that older files hold and nobody reads."""


@dataclass(frozen=True)
class Model:
    """One of the three, opened.

    Attributes:
        called: As it was given: a folder, or a name on the hub.
        folder: Where its files are.
        config: Its config.json.
        tokenizer: Its tokenizer.
        weights: Its tensors.
        embedding: The name of its input embeddings.
        head: Of its output embeddings; that of the input embeddings where they are tied.
        bias: Of the output embeddings' bias, where there is one.
        names: Of all its tensors.
    """

    called: str
    folder: Path
    config: PreTrainedConfig
    tokenizer: TokenizerJson
    weights: Weights
    embedding: str
    head: str
    bias: str | None
    names: frozenset[str]

    @property
    def tied(self) -> bool:
        """Whether one matrix is input and output embeddings."""
        return self.head == self.embedding

    @property
    def dtype(self) -> str:
        """What its input embeddings are kept in: bfloat16, say."""
        kind = self.weights.entries[self.embedding].dtype
        return _PLAIN.get(kind, kind)

    @property
    def by_token(self) -> list[str]:
        """The names of what has a row for each token."""
        return [name for name in dict.fromkeys((self.embedding, self.head, self.bias)) if name is not None]

    @property
    def rows(self) -> int:
        """How many rows these have."""
        return self.weights.entries[self.embedding].shape[0]


class Three(NamedTuple):
    """The models that a transfer is of."""

    base: Model
    adapted: Model
    instruct: Model


def open_model(source: str, stack: ExitStack) -> Model:
    """Open a model without reading its weights.

    Args:
        source: A folder, or a name on the hub.
        stack: Closes its files.

    Raises:
        ModelError: there is none, it cannot be read or is quantised, its embeddings are not plain, or it has other
            tensors or rows than its config.json says.
        TokenizerError: it has no tokenizer, or one that cannot be read.
    """
    check_model_folder(source)
    folder = local(source, weights=True)
    tokenizer = load_tokenizer(folder)
    with model_errors(f"the model {source} cannot be opened"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if getattr(config, "quantization_config", None):
            raise ModelError(f"{source} is quantised (quantization_config in its {CONFIG}); wanted plain weights")
        embedding, head, bias, tied = _by_token(config)
        weights = Weights(folder, stack)
    unread = {head} if tied else set[str]()  # a second copy, which some files hold
    names = frozenset(name for name in weights.entries if name not in unread and not _NOT_WEIGHTS.fullmatch(name))
    model = Model(source, folder, config, tokenizer, weights, embedding, embedding if tied else head, bias, names)
    said = config.get_text_config().vocab_size
    for name in model.by_token:
        if name not in names:
            raise ModelError(
                f"{source} has no tensor {name}, where a {_architecture(config)} has what belongs to its tokens; load "
                "it with transformers and save it again"
            )
        shape = weights.entries[name].shape
        if len(shape) != (1 if name == bias else 2):
            raise ModelError(f"{name} of {source} has the shape {list(shape)}; wanted a row for each token")
        if shape[0] != said:
            raise ModelError(
                f"{name} of {source} has {shape[0]:,} rows, and vocab_size is {said:,} in its {CONFIG}; wanted as many"
            )
    for name in sorted(names):
        if (kind := weights.entries[name].dtype).startswith("F8") or "F4" in kind or "F6" in kind:
            raise ModelError(f"{name} of {source} is {kind}; wanted plain weights: {', '.join(_PLAIN)}")
    if model.rows < tokenizer.size:
        raise ModelError(
            f"{source} has {model.rows:,} embedding rows and its tokenizer {tokenizer.size:,} tokens; wanted a row for "
            "each"
        )
    return model


def check_padding(model: Model) -> None:
    """See that a model as somebody published it has not so many more rows than tokens that these are another's.

    Raises:
        ModelError: it has.
    """
    if (padding := model.rows - model.tokenizer.size) > MOST_PADDING_ROWS:
        raise ModelError(
            f"{model.called} has {model.rows:,} embedding rows and its tokenizer {model.tokenizer.size:,} tokens, "
            f"{padding:,} fewer; wanted at most {MOST_PADDING_ROWS:,} rows of padding"
        )


def check_related(base: Model, other: Model, wanted: str, *, may_be_untied: bool = False) -> None:
    """See that a model is of one shape with the base, and that its weights come from the base's.

    Args:
        base: The base.
        other: What was adapted or tuned of it.
        wanted: What it should be, for the error.
        may_be_untied: Whether it may have a head of its own where the base has none (`expand --untie`).

    Raises:
        ModelError: it is not; names the key, the tensor, or what the weights are like.
    """
    if (ours := _architecture(base.config)) != (theirs := _architecture(other.config)):
        raise ModelError(f"{other.called} is a {theirs} and {base.called} a {ours}; wanted {wanted}")
    before, after = _computing(base.config), _computing(other.config)
    for key in before:
        if before[key] != after.get(key):
            raise ModelError(
                f"{other.called} says {key} {short(after.get(key))} in its {CONFIG}, and {base.called} "
                f"{short(before[key])}; wanted {wanted}"
            )
    if base.tied != other.tied and not (may_be_untied and base.tied):
        said = {True: "tied", False: "untied"}
        raise ModelError(
            f"the embeddings of {other.called} are {said[other.tied]}, and those of {base.called} {said[base.tied]}; "
            f"wanted {wanted}"
        )
    own_head = {other.head} if base.tied and not other.tied else set[str]()
    for name in sorted(base.names ^ (other.names - own_head)):
        has, lacks = (base, other) if name in base.names else (other, base)
        raise ModelError(f"{has.called} has the tensor {name}, which {lacks.called} has not; wanted {wanted}")
    for name in sorted(base.names):
        kinds = [model.weights.entries[name].dtype for model in (base, other)]
        if kinds[0] != kinds[1] and not _PLAIN.keys() >= {*kinds}:
            raise ModelError(f"{name} is {kinds[1]} in {other.called} and {kinds[0]} in {base.called}; wanted {wanted}")
        shape, there = (list(model.weights.entries[name].shape) for model in (base, other))
        if shape[1:] != there[1:] or (name not in base.by_token and shape != there):
            raise ModelError(
                f"{name} has the shape {there} in {other.called} and {shape} in {base.called}; wanted {wanted}"
            )
    if (alike := _cosine(base, other)) < LEAST_ALIKE:
        raise ModelError(
            f"the layers of {other.called} are none that were trained from those of {base.called}: their cosine is "
            f"{alike:.3f}, and siblings' is near 1; wanted {wanted}"
        )


def _architecture(config: PreTrainedConfig) -> str:
    return f"{config.model_type} model"


def _computing(config: PreTrainedConfig) -> dict[str, Any]:
    """What of a configuration decides what the layers compute, with all defaults; keys that its class knows."""
    said, known = config.to_dict(), type(config)().to_dict()
    return {key: said.get(key) for key in sorted(known) if not (_FREE.fullmatch(key) or is_special_key(key))}


def _by_token(config: PreTrainedConfig) -> tuple[str, str, str | None, bool]:
    """What a model's embeddings, its head and that one's bias are called, and whether the first two are one."""
    with torch.device("meta"):
        made: Any = AutoModelForCausalLM.from_config  # untyped
        model = made(config, trust_remote_code=False)
    embedding, head = plain_embeddings(model)
    names = {module: name for name, module in model.named_modules()}
    bias = None if head.bias is None else f"{names[head]}.bias"
    return f"{names[embedding]}.weight", f"{names[head]}.weight", bias, head.weight is embedding.weight


def _cosine(base: Model, other: Model) -> float:
    """The cosine of two models' layers, of some rows of each matrix; 1 where there is none."""
    sums = torch.zeros(3, dtype=torch.float64)
    for name in sorted(base.names - {*base.by_token}):
        if len(base.weights.entries[name].shape) < 2:  # norms and biases are alike in all models
            continue
        rows = min(_SAMPLED_ROWS, base.weights.entries[name].shape[0])
        ours, theirs = (model.weights.rows(name, 0, rows).double().flatten() for model in (base, other))
        sums += torch.stack([ours @ theirs, ours @ ours, theirs @ theirs])
    product, ours_squared, theirs_squared = sums.tolist()
    return float(product / (ours_squared * theirs_squared) ** 0.5) if ours_squared and theirs_squared else 1.0
