"""The files of a target, beside what the base's folder says of special tokens and chat."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kovocab.artefact import new_file
from kovocab.building.ranked_model import is_sentencepiece_style, ranked_model
from kovocab.building.target import build_target_model
from kovocab.errors import TokenizerError
from kovocab.hub import local
from kovocab.tokenizer.companions import ADDED, NAMES, merged_config, read_config
from kovocab.tokenizer.script import HANGUL, Script
from kovocab.tokenizer.sentencepiece_model import piece_ids, read_model
from kovocab.tokenizer.tokenizer import Source, read_bytes
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson

if TYPE_CHECKING:
    import polars as pl

# Keys of a base's tokenizer_config.json that name its class, or its own files, and not what it does.
_OF_ITS_CLASS = ("auto_map", "legacy", "sp_model_kwargs", "add_prefix_space", "from_slow", "name_or_path")
ModelFrom = Literal["base", "ranks", "nothing"]
"""Where a target's `tokenizer.model` comes from: the base's grown, the ranks of `tokenizer.json`; or there is none."""

_COPIED = (ADDED, "chat_template.jinja")


def save_tokenizer(
    target: TokenizerJson,
    folder: str | Path,
    *,
    base_source: Source,
    vocabulary: "pl.DataFrame",
    script: Script = HANGUL,
    model_from: ModelFrom = "base",
) -> None:
    """Write the target so that tokenizers, transformers (`AutoTokenizer`) and SentencePiece open it.

    Writes `tokenizer.json` and `tokenizer_config.json`; of a SentencePiece-style target `tokenizer.model`; and what
    else a base folder says about special tokens and chat. The same input writes the same bytes.

    Args:
        target: What `build_target` built.
        folder: Where to write; made if missing, files of these names in it are replaced.
        base_source: What the base was loaded from. Only a folder brings its `tokenizer_config.json` along.
        vocabulary: What the target was built with.
        script: What it was built with.
        model_from: Where `tokenizer.model` comes from: `base`, the base's own with the new pieces, or made from the
            ranks where it has none; `ranks`, made from them in any case.

    Raises:
        TokenizerError: the base's `tokenizer.json` and `tokenizer.model` number their tokens differently, or a
            `tokenizer.model` cannot say what the ranks do.
    """
    folder = Path(folder)
    files = {"tokenizer.json": target.pretty().encode()}
    config: dict[str, Any] = {}
    if isinstance(base_source, str | Path):
        source = local(base_source)
        if model_from == "base" and (found := model_file(source)) is not None:
            files["tokenizer.model"] = matching_model(target, found[1], vocabulary, found[0], script)
        if source.is_dir():
            config = merged_config(source)
            files |= {name: read_bytes(source / name) for name in _COPIED if (source / name).is_file()}
            if names := read_config(source / NAMES):
                names |= {name: config[name] for name in names if name in config}
                files[NAMES] = json.dumps(names, ensure_ascii=False, indent=2).encode() + b"\n"
    config = _tokenizer_config(target) | {k: v for k, v in config.items() if k not in _OF_ITS_CLASS}
    if model_from != "nothing" and "tokenizer.model" not in files and is_sentencepiece_style(target):
        files["tokenizer.model"] = ranked_model(target, config)
    if isinstance(config.get("extra_special_tokens"), list):  # how transformers 5 writes what 4 calls otherwise
        config["additional_special_tokens"] = config.pop("extra_special_tokens")
    # With these neither transformers 4 nor 5 looks into added_tokens.json and special_tokens_map.json.
    config["added_tokens_decoder"] = {
        str(token.id): {key: value for key, value in vars(token).items() if key != "id"}
        for token in target.added_tokens
    }
    # transformers' LlamaTokenizer takes only vocab and merges from tokenizer.json and makes the rest itself;
    # this class, of transformers 4 and 5, opens the file as it is.
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    text = json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True)
    files["tokenizer_config.json"] = text.encode() + b"\n"
    for name, content in files.items():
        with new_file(folder / name) as path:
            path.write_bytes(content)


def model_file(source: Path) -> tuple[Path, bytes] | None:
    """The `tokenizer.model` that is `source`, or in it."""
    model = source / "tokenizer.model" if source.is_dir() else source
    if not model.is_file() or (data := read_bytes(model)).lstrip().startswith(b"{"):
        return None
    return model, data


def matching_model(
    target: TokenizerJson, data: bytes, vocabulary: "pl.DataFrame | None", path: Path, script: Script = HANGUL
) -> bytes:
    """The target's `tokenizer.model`, of the base's `data` at `path`; None as the vocabulary is the base itself.

    Raises:
        TokenizerError: it numbers its tokens otherwise than the target.
    """
    model = build_target_model(data, vocabulary, target.added_tokens, script)
    pieces, added = piece_ids(read_model(model, str(path)))
    ids, ours = pieces | added, target.ids
    for token in (
        () if ids == ours else sorted(ours.keys() | ids.keys(), key=lambda token: (ours.get(token, -1), token))
    ):
        if ours.get(token) != ids.get(token):
            raise TokenizerError(
                f"{path} does not number its tokens as the base's tokenizer.json does: {token!r} is "
                f"{ids.get(token)} in it and {ours.get(token)} in the other; take tokenizer.model out of "
                "the base's folder, or give the file itself as the base"
            )
    return model


def _tokenizer_config(target: TokenizerJson) -> dict[str, Any]:
    """What transformers has to be told when the base has no tokenizer_config.json."""
    special = {token.content for token in target.added_tokens if token.special}
    unknown = target.model.unk_token if isinstance(target.model, BpeModel) else None
    end = next((token for token in ("</s>", "<|endoftext|>") if token in special), None)
    names = {"bos_token": "<s>", "eos_token": end, "unk_token": unknown}
    return {
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        **{name: token for name, token in names.items() if token in special},
    }
