"""Tokenizers: load a base, build the target from it with real merges, save the target.

Why the target keeps the promises (`kovocab.tokenizer.promises` checks them): a new merge always holds a Hangul
character, so in text without Hangul none fires and the base's own keep their order. New merges are the
intermediate tokenizer's, merge for merge, and none of the base's goes before them on Hangul, so every token comes
out of its own text.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from kovocab.artefact import new_file
from kovocab.errors import TokenizerError
from kovocab.tokenizer import sentencepiece_model
from kovocab.tokenizer.companions import ADDED, NAMES, merged_config, read_config, with_companions
from kovocab.tokenizer.parsing import parse
from kovocab.tokenizer.placement import check_style, place_merges, read_rows
from kovocab.tokenizer.tokenizer_json import AddedToken, BpeModel, TokenizerJson

if TYPE_CHECKING:
    import polars as pl


class Written(Protocol):
    """A `tokenizers.Tokenizer` of 0.23, or what else gives its `tokenizer.json`."""

    def to_str(self, pretty: bool = False) -> str:
        """The file."""


class Fast(Protocol):
    """A tokenizer of transformers that encodes with one of `tokenizers`."""

    backend_tokenizer: Written


ModelFrom = Literal["base", "ranks", "nothing"]
"""Where a target's `tokenizer.model` comes from: the base's grown, the ranks of `tokenizer.json`; or there is none."""

Source = str | Path | TokenizerJson | Written | Fast
"""A path to `tokenizer.json` or `tokenizer.model`, a folder holding one, what `load_tokenizer` made of one, a
`tokenizers.Tokenizer` of 0.23, or a tokenizer of transformers that has one."""

_WANTED = "wanted a tokenizer.json, a SentencePiece tokenizer.model or a folder holding one"
# Keys of a base's tokenizer_config.json that name its class, or its own files, and not what it does.
_OF_ITS_CLASS = ("auto_map", "legacy", "sp_model_kwargs", "add_prefix_space", "from_slow", "name_or_path")
_COPIED = (ADDED, "chat_template.jinja")


def load_tokenizer(source: Source) -> TokenizerJson:
    """Open a tokenizer.

    Args:
        source: A path to a `tokenizer.json`, to a SentencePiece `tokenizer.model` (under any name), or to a
            folder holding one of the two; the folder's `tokenizer.json` comes first, and tokens that its other
            files add are the tokenizer's too, as for AutoTokenizer. A `TokenizerJson` is
            handed back as it is; a `tokenizers.Tokenizer` is read and not changed.

    Returns:
        The tokenizer, without truncation and padding: they are settings of one use of it, and with them on a count
        would miss text without a word.

    Raises:
        TokenizerError: there is no such file, it holds no tokenizer of a kind that is covered, or files of the
            folder contradict each other.
    """
    if isinstance(source, TokenizerJson):
        return source
    if not isinstance(source, str | Path):
        return _written(source)
    path = _find(Path(source))
    data = _read(path)
    is_model = not data.lstrip().startswith(b"{")
    if is_model:
        own = sentencepiece_model.to_tokenizer(sentencepiece_model.read_model(data, str(path)), str(path))
    else:
        own = parse(data, path)
    return with_companions(own, Path(source), in_text=is_model) if Path(source).is_dir() else own


def _written(source: Written | Fast) -> TokenizerJson:
    name = type(source).__name__
    written: Any = getattr(source, "backend_tokenizer", source)
    if not hasattr(written, "to_str"):
        raise TokenizerError(
            f"a {name} does not give its tokenizer.json; wanted a path or a Tokenizer of tokenizers 0.23, or one of "
            "transformers that holds such a Tokenizer"
        )
    try:
        text = written.to_str()
    except Exception as error:  # a bare one, where a part of it is Python
        raise TokenizerError(f"the {name} does not give its tokenizer.json: {error}; wanted a path") from error
    document = parse(text, f"the {name}")
    return replace(document, encode_special_tokens=bool(getattr(written, "encode_special_tokens", False)))


def base_pieces(base: TokenizerJson, tokens: Sequence[str]) -> list[list[int]]:
    """The ids that a tokenizer gives for each token's own text.

    This is the model alone: `▁안녕` is read as it stands, no space is put before it, no special token is
    looked for, and merges have to reach each piece (`ignore_merges` is off).
    """
    from kovocab.tokenizer.reference import Reference

    return Reference(base.model_alone()).encode(tokens)


def build_target(base: TokenizerJson, vocabulary: "pl.DataFrame") -> TokenizerJson:
    """Build the target tokenizer: the base with the tokens and merges of `vocabulary`.

    New ids follow the base's, in the order of `vocabulary`. New merges stand after the base's own and before
    those of runs of spaces; where the base merges Hangul by itself (it is a target already, say), they stand
    before all of the base's.

    Args:
        base: A SentencePiece-style tokenizer: BPE with byte fallback, not cut into words, `▁` for a space.
        vocabulary: Columns `token`, `left` and `right` (str), in merge order. A character has null parts.
            Any other token is `left` + `right`, each an earlier token, a token of the base, or `▁`. A token
            that the base has keeps its id. Of a base that merges Hangul, list also the tokens that new ones
            are built from: a new token whose parts the base only merges later may be out of reach.

    Returns:
        The target. The same base and vocabulary give the same tokenizer, byte for byte.

    Raises:
        TokenizerError: the base is of another kind, or a row of `vocabulary` cannot be used; names the row.
    """
    model = check_style(base)
    added = {token.content for token in base.added_tokens}
    base_tokens = model.vocab.keys() - added
    rows = list(read_rows(vocabulary, base_tokens, added))
    merges = place_merges(model.merges, rows, base_tokens)
    # tokenizers renumbers an added token that the model does not hold as soon as the model grows.
    vocab = dict(sorted(base.ids.items(), key=lambda item: item[1]))
    vocab |= {token: i for i, token in enumerate((token for token, _, _ in rows if token not in vocab), base.size)}
    return replace(base, model=replace(model, vocab=vocab, merges=merges))


def build_target_model(
    base_model: bytes, vocabulary: "pl.DataFrame | None", added_tokens: Sequence[AddedToken] = ()
) -> bytes:
    """Build the target's `tokenizer.model`: what `build_target` builds, in SentencePiece's form.

    Args:
        base_model: The bytes of the base's `tokenizer.model`.
        vocabulary: As for `build_target`; None of the base itself.
        added_tokens: The base's. Those that the model lacks become its pieces, before the new ones.

    Returns:
        The bytes of the target's, the same every time.

    Raises:
        TokenizerError: the model is of a kind that is not covered, its scores leave no room, or a row of
            `vocabulary` cannot be used.
    """
    proto = sentencepiece_model.read_model(base_model, "the base's tokenizer.model")
    sentencepiece_model.append_added(proto, added_tokens)
    pieces, added = sentencepiece_model.piece_ids(proto)
    rows = [] if vocabulary is None else list(read_rows(vocabulary, pieces, added))
    return sentencepiece_model.append_pieces(proto, rows)


def save_tokenizer(
    target: TokenizerJson,
    folder: str | Path,
    *,
    base_source: Source,
    vocabulary: "pl.DataFrame",
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
        model_from: Where `tokenizer.model` comes from: `base`, the base's own with the new pieces, or made from the
            ranks where it has none; `ranks`, made from them in any case.

    Raises:
        TokenizerError: the base's `tokenizer.json` and `tokenizer.model` number their tokens differently, or a
            `tokenizer.model` cannot say what the ranks do.
    """
    from kovocab.tokenizer.ranked_model import is_sentencepiece_style, ranked_model

    folder = Path(folder)
    files = {"tokenizer.json": target.pretty().encode()}
    config: dict[str, Any] = {}
    if isinstance(base_source, str | Path):
        source = Path(base_source)
        if model_from == "base" and (found := model_file(source)) is not None:
            files["tokenizer.model"] = matching_model(target, found[1], vocabulary, found[0])
        if source.is_dir():
            config = merged_config(source)
            files |= {name: _read(source / name) for name in _COPIED if (source / name).is_file()}
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
    if not model.is_file() or (data := _read(model)).lstrip().startswith(b"{"):
        return None
    return model, data


def matching_model(target: TokenizerJson, data: bytes, vocabulary: "pl.DataFrame | None", path: Path) -> bytes:
    """The target's `tokenizer.model`, of the base's `data` at `path`; None as the vocabulary is the base itself.

    Raises:
        TokenizerError: it numbers its tokens otherwise than the target.
    """
    model = build_target_model(data, vocabulary, target.added_tokens)
    pieces, added = sentencepiece_model.piece_ids(sentencepiece_model.read_model(model, str(path)))
    ids, ours = pieces | added, target.ids
    for token in sorted(ours.keys() | ids.keys(), key=lambda token: (ours.get(token, -1), token)):
        if ours.get(token) != ids.get(token):
            raise TokenizerError(
                f"{path} does not number its tokens as the base's tokenizer.json does: {token!r} is "
                f"{ids.get(token)} in it and {ours.get(token)} in the other; take tokenizer.model out of "
                "the base's folder, or give the file itself as the base"
            )
    return model


def _find(path: Path) -> Path:
    if path.is_dir():
        for name in ("tokenizer.json", "tokenizer.model"):
            if (path / name).is_file():
                return path / name
        raise TokenizerError(f"{path} holds neither tokenizer.json nor tokenizer.model; {_WANTED}")
    if not path.is_file():
        raise TokenizerError(f"{path} does not exist; {_WANTED}")
    return path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{path} cannot be read: {error.strerror}") from error


def _tokenizer_config(target: TokenizerJson) -> dict[str, Any]:
    """What transformers has to be told when the base has no tokenizer_config.json."""
    special = {token.content for token in target.added_tokens if token.special}
    unknown = target.model.unk_token if isinstance(target.model, BpeModel) else None
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": unknown}
    return {
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        **{name: token for name, token in names.items() if token in special},
    }
