"""config.json and generation_config.json: what the base says of special ids is kept, and older readers read the same.

transformers 5 saves `rope_parameters` and `dtype`, moves what it does not expect in a config.json elsewhere, and writes
a generation_config.json of its own. Readers of `rope_theta` and `torch_dtype` (transformers 4, converters, servers)
would take their defaults without a word. So each model folder that kovocab writes is finished here: both spellings, the
source's special ids, the source's generation_config.json byte for byte.
"""

import json
from collections.abc import Container
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PreTrainedModel
from transformers.utils.hub import cached_file

from kovocab.errors import ModelError
from kovocab.expanding.special_ids import MODEL_FILES, is_special_key, taken_special_id

CONFIG, GENERATION = MODEL_FILES

_ALIKE = ("default", "linear", "dynamic", "yarn", "llama3", "longrope")
"""Kinds of rope that transformers 4 and 5 compute from the same numbers."""
_OWN_NAMES = {"gpt_neox": {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}}
"""Where transformers 4 calls them otherwise, by `model_type`."""


def save_model(model: PreTrainedModel, folder: Path, source: str | Path | None, **settings: Any) -> None:
    """Save a model in the plain layout, for old and new readers.

    Args:
        model: What `save_pretrained` writes.
        folder: Made where it is not there.
        source: Folder or hub id that the model came from: what it says of special ids and generation is kept.
        **settings: Of `save_pretrained`.

    Raises:
        ModelError: transformers refuses to save it.
    """
    generation: Any = model.generation_config
    if source is not None and find_file(source, GENERATION) is not None:
        # The file is copied: not all that can be read can be saved.
        model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    try:
        model.save_pretrained(folder, **settings)
    except (ValueError, TypeError) as error:
        raise ModelError(f"transformers does not save the model of {source}: {' '.join(str(error).split())}") from error
    finally:
        model.generation_config = generation
    finish(folder, source)


def copy_config(source: Path, folder: Path, dtype: str) -> None:
    """Write a folder's config.json and generation_config.json to another, of weights of `dtype` (`auto`: as there)."""
    config = read_json(source, CONFIG) or {}
    (folder / CONFIG).write_text(json.dumps(config | ({} if dtype == "auto" else {"dtype": dtype})), encoding="utf-8")
    finish(folder, source)


def finish(folder: Path, source: str | Path | None) -> None:
    """Finish a folder whose config.json transformers has just written, see `save_model`."""
    path = folder / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    before = {} if source is None else read_json(source, CONFIG) or {}
    config = {key: value for key, value in before.items() if is_special_key(key)} | config
    path.write_text(json.dumps(_both_spellings(config), ensure_ascii=False, indent=2, sort_keys=True) + "\n", "utf-8")
    generation = None if source is None else find_file(source, GENERATION)
    if generation is not None:
        (folder / GENERATION).write_bytes(generation.read_bytes())


def reader_needed(config: dict[str, Any]) -> str | None:
    """What has to read a config.json; None where transformers 4 and what follows it read it too."""
    rope = config.get("rope_parameters")
    if not rope or _older_rope(config, rope) is not None:
        return None
    kinds = {part.get("rope_type") for part in rope.values() if isinstance(part, dict)}
    return f"transformers 5 or later (rope_parameters {'by kind of layer' if kinds else rope.get('rope_type')})"


def check_special_ids(model: str, first_new_id: int, replaced: Container[int] = ()) -> None:
    """See that no special id of a base is one that a new token will have.

    Args:
        model: Folder or hub id.
        first_new_id: Number of tokens of the base's tokenizer.
        replaced: Ids of the base's that are new tokens' now.

    Raises:
        ModelError: one is; names the file, the key and the id.
    """
    for name in MODEL_FILES:
        if fault := taken_special_id(read_json(model, name) or {}, first_new_id, replaced):
            raise ModelError(f"{name} of {model} says {fault}")


def read_json(source: str | Path, name: str) -> dict[str, Any] | None:
    """A file of a model's folder or hub id as JSON; None where there is none, or it is no object.

    Raises:
        ModelError: it is not JSON.
    """
    path = find_file(source, name)
    try:
        found = None if path is None else json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    return found if isinstance(found, dict) else None


def find_file(source: str | Path, name: str) -> Path | None:
    """A file of a model's folder or hub id; None where there is none."""
    try:
        path = cached_file(str(source), name, _raise_exceptions_for_missing_entries=False)
    except OSError:  # then the model itself cannot be had either, which `load_plain` says better
        return None
    return None if path is None else Path(path)


def _both_spellings(config: dict[str, Any]) -> dict[str, Any]:
    """A config.json of transformers 5 with what transformers 4 reads beside it, in its parts too."""
    config = {key: _both_spellings(value) if _is_part(value) else value for key, value in config.items()}
    if isinstance(config.get("dtype"), str):
        config["torch_dtype"] = config["dtype"]
    if config.get("model_type") == "gpt2" and isinstance(config.get("n_positions"), int):
        config.setdefault("n_ctx", config["n_positions"])  # which transformers 5 drops, and llama.cpp's converter reads
    rope = config.get("rope_parameters")
    return config | ((_older_rope(config, rope) or {}) if rope else {})


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and "model_type" in value


def _older_rope(config: dict[str, Any], rope: dict[str, Any]) -> dict[str, Any] | None:
    """`rope_parameters` as transformers 4 spells them; None where it cannot.

    transformers 5 puts the older keys into its own before anything else: they have to give back the same.
    """
    kind, own = rope.get("rope_type", "default"), _OWN_NAMES.get(config.get("model_type", ""), {})
    if kind not in _ALIKE or any(isinstance(value, dict) for value in rope.values()):
        return None
    older = {own.get(key, key): rope[key] for key in ("rope_theta", "partial_rotary_factor") if key in rope}
    scaling = {key: value for key, value in rope.items() if key not in ("rope_theta", "partial_rotary_factor")}
    length = "original_max_position_embeddings"
    if kind == "longrope" and length in rope:  # which transformers 4 wants outside
        older[length] = rope[length]
    if kind == "longrope" and config.get("model_type") == "phi3":
        scaling = {"type": kind} | {key: scaling[key] for key in scaling if key not in ("type", "rope_type", length)}
        if len(scaling) != 3:  # transformers 4 takes no more
            return None
    return older | {"rope_scaling": None if kind == "default" else scaling}
