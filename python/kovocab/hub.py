"""Where a base's files are: a path stays a path; of a name on the hub, the folder of the cache that holds its files.

The cache comes first, and then nothing is asked of a network. What is not there is fetched, where the hub can be
reached: one question finds that out, since what fetches files would try for a minute.
"""

import json
import logging
import re
from pathlib import Path

from kovocab.errors import ModelError, TokenizerError

log = logging.getLogger(__name__)

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""A model's name on the hub: whose it is, and what it is called."""

TOKENIZERS = ("tokenizer.json", "tokenizer.model")
_BESIDE = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "*config.json")
_INDEX, _WEIGHTS = "model.safetensors.index.json", "*.safetensors"

SECONDS = 10
"""How long the hub has to answer whether it has a model."""


def local(source: str | Path, *, weights: bool = False) -> Path:
    """The file or folder that `source` is, or that holds the files of the model of that name on the hub.

    Args:
        source: A path, or a name on the hub. What is neither is handed back: whoever reads it says what is missing.
        weights: Whether the model is wanted, or its tokenizer alone.

    Raises:
        ModelError, TokenizerError: it is a folder without the weights that are wanted; or a name on the hub, the cache
            does not hold its files, and they cannot be fetched: says which were looked for, where, and what to set.
    """
    name = str(source)
    if Path(source).is_dir() and weights and (lacking := _lacking(Path(source), weights)):
        raise ModelError(
            f"{name} has no {lacking}; wanted the folder of a model: config.json, and weights in safetensors (of a "
            "pytorch_model.bin, load the model with transformers and save it again)"
        )
    if Path(source).exists() or not HUB_ID.fullmatch(name):
        return Path(source)
    try:
        from huggingface_hub import HfApi, constants, snapshot_download
    except ImportError:
        return Path(source)
    where, kind = constants.HF_HUB_CACHE, ModelError if weights else TokenizerError
    try:
        cached = Path(snapshot_download(name, cache_dir=where, local_files_only=True))
    except (OSError, ValueError):  # nothing of it is there
        cached = None
    lacking = _lacking(cached, weights)
    if cached is not None and not lacking:
        return cached
    try:
        HfApi().model_info(name, timeout=SECONDS)
        log.info("%s: no such path, and the cache %s lacks %s: fetching it from the hub", name, where, lacking)
        patterns = [*_BESIDE, *((_INDEX, _WEIGHTS) if weights else ())]
        fetched = Path(snapshot_download(name, cache_dir=where, allow_patterns=patterns))
    except Exception as error:  # the hub's client has errors of its own, and those of what it speaks with
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise kind(
            f"there is no file or folder {name}; as a name on the hub: {lacking} not in the cache {where}, and the hub "
            f"gives none ({reason}); wanted the path of a folder with them, the cache that has them (set HF_HOME), or "
            f"`hf download {name}` where there is a network"
        ) from error
    if lacking := _lacking(fetched, weights):
        raise kind(f"{name} on the hub has no {lacking}; wanted a model that has")
    return fetched


def _lacking(folder: Path | None, weights: bool) -> str | None:
    """Which of the files that are wanted a folder lacks."""
    there = {path.name for path in folder.iterdir() if path.is_file()} if folder is not None else set[str]()
    if not weights:
        return None if there & {*TOKENIZERS} else " or ".join(TOKENIZERS)
    lacking = [] if "config.json" in there else ["config.json"]
    if folder is not None and _INDEX in there and "model.safetensors" not in there:
        try:
            parts = set(json.loads((folder / _INDEX).read_bytes())["weight_map"].values())
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            parts = set()  # whoever reads the weights says what is wrong with it
        lacking += sorted(map(str, parts - there))
    elif not any(name.endswith(".safetensors") for name in there):
        lacking.append(f"model.safetensors or {_INDEX}")
    return " and ".join(lacking) or None
