"""What the files beside a tokenizer say of tokens.

`added_tokens.json`, `tokenizer_config.json` and `special_tokens_map.json` may name tokens that `tokenizer.model` (or an
older `tokenizer.json`) lacks: they are the base's, with the ids after its own, as AutoTokenizer reads them. Where the
files contradict each other the folder is refused: AutoTokenizer would take one of them and say nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from kovocab.errors import TokenizerError
from kovocab.tokenizer.tokenizer_json import AddedToken, TokenizerJson

CONFIG, NAMES, ADDED = COMPANIONS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""What a folder may say of tokens beside the tokenizer itself."""

_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_LISTS = ("additional_special_tokens", "extra_special_tokens")
_FLAGS = [setting.name for setting in fields(AddedToken) if setting.name not in ("id", "content")]


def with_companions(tokenizer: TokenizerJson, folder: Path, *, in_text: bool) -> TokenizerJson:
    """The tokenizer with the tokens that its folder adds.

    Args:
        tokenizer: Of the folder's own `tokenizer.json` or `tokenizer.model`.
        folder: Where the other files may be.
        in_text: Find each added token in the text as it stands, also where the file says normalised: of a
            `tokenizer.model`, whose normaliser puts a space before it.

    Raises:
        TokenizerError: a file cannot be read, or contradicts another; names the token.
    """
    there = {token.content for token in tokenizer.added_tokens}
    ids, more = dict(tokenizer.ids), []
    for file, token in _said(folder):
        if file == NAMES and token.content not in ids:  # of what AutoTokenizer does not look at
            raise TokenizerError(
                f"{folder / file} names {token.content!r}, and the tokenizer has no such token; wanted files that agree"
            )
        known = ids.setdefault(token.content, len(ids))  # as `tokenizers` counts on
        if token.content not in there:
            more.append(replace(token, id=known, normalized=token.normalized and not in_text))
            there.add(token.content)
        if token.id not in (known, -1):
            raise TokenizerError(
                f"{folder / file} gives {token.content!r} the id {token.id:,}, and the tokenizer reads it as {known:,}"
                "; wanted files that agree"
            )
    if len(set(ids.values())) < len(ids):
        raise TokenizerError(f"{folder} adds tokens to a tokenizer whose ids have gaps; wanted one without")
    if not more:
        return tokenizer
    return replace(tokenizer, added_tokens=tuple(sorted((*tokenizer.added_tokens, *more), key=lambda t: t.id)))


def merged_config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json with the names of special_tokens_map.json, which AutoTokenizer takes from there.

    Raises:
        TokenizerError: one of them cannot be read.
    """
    config, names = read_config(folder / CONFIG), read_config(folder / NAMES)
    if "added_tokens_decoder" not in config:
        config |= {name: _text(said) for name, said in names.items()}
    if config.get("extra_special_tokens"):  # transformers 5 looks no further
        config.pop("additional_special_tokens", None)
    return config


def read_config(path: Path) -> dict[str, Any]:
    """A file that holds a JSON object; an empty one where there is no file.

    Raises:
        TokenizerError: it cannot be read, or holds something else.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise TokenizerError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{path} is not JSON and cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise TokenizerError(f"{path} is not a {path.name}: wanted an object, got {type(found).__name__}")
    return found


def _said(folder: Path) -> Iterator[tuple[str, AddedToken]]:
    """Each token that the folder's files speak of, the file first; the id is -1 where it gives none."""
    config, names = read_config(folder / CONFIG), read_config(folder / NAMES)
    merged = merged_config(folder)
    named = {token.content for token in _named(folder / CONFIG, merged)}
    decoder = config.get("added_tokens_decoder", {})
    for i, token in _items(folder / CONFIG, decoder):
        said = _token(folder / CONFIG, token, i)
        yield CONFIG, replace(said, special=said.special or said.content in named)
    for i, token in _items(folder / ADDED, read_config(folder / ADDED), turned=True):
        special = token in named
        yield ADDED, AddedToken(i, token, special=special, normalized=not special)
    yield from ((CONFIG, token) for token in _named(folder / CONFIG, merged))
    yield from ((NAMES, token) for token in _named(folder / NAMES, names))


def _items(path: Path, table: Any, *, turned: bool = False) -> list[tuple[int, Any]]:
    """Ids and tokens, by id; `turned` where the file has the tokens first."""
    try:
        pairs = [(int(right), left) if turned else (int(left), right) for left, right in table.items()]
        return sorted(pairs, key=lambda pair: pair[0])
    except (AttributeError, TypeError, ValueError):
        raise TokenizerError(f"{path} has added tokens that are no ids and tokens; wanted those") from None


def _named(path: Path, config: dict[str, Any]) -> Iterator[AddedToken]:
    """Special tokens by name, then those in lists."""
    more = [key for key in config if key.endswith("_token") and key not in _NAMED]
    for key in (*_NAMED, *more):
        if isinstance(config.get(key), str | dict):
            yield _token(path, config[key], -1)
    for key in _LISTS:
        listed = [] if config.get(key) is None else config[key]
        if not isinstance(listed, list | dict):
            raise TokenizerError(f"{path}: {key} is {listed!r}; wanted a list of tokens")
        for token in listed.values() if isinstance(listed, dict) else listed:
            yield _token(path, token, -1)


def _text(said: Any) -> Any:
    """What special_tokens_map.json says, with the text alone of each token."""
    if isinstance(said, list):
        return [_text(token) for token in said]
    return said["content"] if isinstance(said, dict) and "content" in said else said


def _token(path: Path, said: Any, i: int) -> AddedToken:
    flags = {flag: bool(said[flag]) for flag in _FLAGS if flag in said} if isinstance(said, dict) else {}
    content = said.get("content") if isinstance(said, dict) else said
    if not isinstance(content, str) or not content:
        raise TokenizerError(f"{path} has a token without text ({json.dumps(said, ensure_ascii=False)[:60]})")
    return AddedToken(i, content, **flags | ({"special": True} if i < 0 else {}))
