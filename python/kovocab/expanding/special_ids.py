"""Special ids in config.json and generation_config.json. Plain JSON, no torch."""

import json
import re
from collections.abc import Container, Iterator
from typing import Any

MODEL_FILES = ("config.json", "generation_config.json")

_SPECIAL = re.compile(r"\w+_token_(id|ids|index)|(begin_)?suppress_tokens|forced_decoder_ids|(bad|force)_words_ids")


def taken_special_id(config: dict[str, Any], first_new_id: int, replaced: Container[int] = ()) -> str | None:
    """What is wrong with the special ids of a config.json or generation_config.json, and what to do.

    Of the first that is no id, or that a new token would take: these are at the ids from `first_new_id` on, and at
    those that are `replaced`.

    Negative ids stand for none, as in the first Llama's `pad_token_id` -1.
    """
    if (no_id := next(_no_ids(config), None)) is not None:
        return f"{no_id[0]} {json.dumps(no_id[1], ensure_ascii=False)}, which is no id; wanted a whole number"
    found = next(((key, i) for key, i in special_ids(config) if i in replaced), None)
    if found is not None:
        return f"{found[0]} {found[1]:,}, and a new token has that id now; wanted a tokenizer replaced with that folder"
    return next(
        (
            f"{key} {i:,}, and the base tokenizer has {first_new_id:,} tokens: a new one would take that id; wanted a "
            f"folder whose tokenizer has it (added_tokens.json, tokenizer_config.json), or another id"
            for key, i in special_ids(config)
            if i >= first_new_id
        ),
        None,
    )


def is_special_key(key: str) -> bool:
    """Whether a key of config.json or generation_config.json holds special ids."""
    return _SPECIAL.fullmatch(key) is not None


def special_ids(config: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Every key of special ids with each of them; the positions of `forced_decoder_ids` are none."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from special_ids(value)
        elif is_special_key(key):
            pairs = key == "forced_decoder_ids" and isinstance(value, list)
            yield from ((key, i) for i in _whole([pair[1:] for pair in value] if pairs else value))


def _no_ids(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What stands where ids should: text, or a number that is not whole."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _no_ids(value)
        elif is_special_key(key):
            rest = [value]
            while rest:
                if isinstance(part := rest.pop(0), list):
                    rest = [*part, *rest]
                elif isinstance(part, str | float | bool):
                    yield key, part


def _whole(value: Any) -> Iterator[int]:
    if isinstance(value, list):
        for part in value:
            yield from _whole(part)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value
