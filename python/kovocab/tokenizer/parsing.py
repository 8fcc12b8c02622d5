"""`tokenizer.json` read as a typed document, every part that decides ids checked.

Older ways to write the same (merges as `"a b"`, a Metaspace without scheme) become today's, as they do in `tokenizers`,
so that either form has the same text and the same digest.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, cast

from kovocab.errors import TokenizerError
from kovocab.tokenizer.tokenizer_json import STEPS, AddedToken, BpeModel, Merge, OtherModel, Step, TokenizerJson

_KEYS = ("version", "truncation", "padding", "added_tokens", *STEPS, "model")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # what may be half of a surrogate pair
_MOST_IDS = 1 << 24  # a row of a model each: more would be a fault of the file, and take the memory


def parse(data: bytes | str, name: str | Path) -> TokenizerJson:
    """Read a `tokenizer.json`.

    Args:
        data: What the file holds.
        name: What to call it in an error: its path.

    Raises:
        TokenizerError: it is not one; says what is wrong where, and what was wanted.
    """
    return _parsed(data, str(name))


@lru_cache(maxsize=2)  # a verb opens a base more than once, and reading one takes long
def _parsed(data: bytes | str, name: str) -> TokenizerJson:
    try:
        text = (data if isinstance(data, bytes) else data.encode()).decode()  # a lone surrogate is no text
        config = json.loads(text, parse_constant=_no_number)
        if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
            raise _Wrong("wanted an object with a model")
        if config.get("version", "1.0") != "1.0":
            raise _Wrong(f'version is {json.dumps(config["version"])}; wanted "1.0"')
        if unknown := sorted(set(config) - set(_KEYS)):
            raise _Wrong(f"it has the key {unknown[0]!r}; wanted {', '.join(_KEYS)}")
        model = _model(config["model"])
        added = _added(config.get("added_tokens", []), model.vocab)
        steps: Any = {step: _step(config, step) for step in STEPS}
        document = TokenizerJson(model, added, name=name, **steps)
        _check_templates(document.post_processor)
        if _HALF.search(text):
            json.dumps(config, ensure_ascii=False).encode()  # written so it is JSON, and still no text
    except (_Wrong, ValueError) as error:
        raise TokenizerError(f"{name} is not a tokenizer.json: {error}") from error
    except RecursionError as error:
        raise TokenizerError(f"{name} is not a tokenizer.json: it is nested too deeply") from error
    return document


class _Wrong(Exception):
    """A part of the document that cannot be used."""


def _no_number(name: str) -> None:
    raise _Wrong(f"{name} is no JSON")


def _want(part: object, kind: type | tuple[type, ...], where: str, wanted: str) -> Any:
    if not isinstance(part, kind) or (isinstance(part, bool) and kind is int):
        said = json.dumps(part, ensure_ascii=False)
        raise _Wrong(f"{where} is {said if len(said) <= 60 else said[:60] + '…'}; wanted {wanted}")
    return part


def _step(config: dict[str, Any], name: str) -> Step | None:
    step = config.get(name)
    if step is None:
        return None
    _want(_want(step, dict, name, "an object or null").get("type"), str, f"{name}.type", "the name of a kind")
    return cast(Step, _today(step))


def _today(step: Any) -> Any:
    """A step as it is written today: Metaspace says its scheme, inside a sequence too."""
    if not isinstance(step, dict):
        return step
    if step.get("type") == "Metaspace":
        scheme = step.get("prepend_scheme", "always")
        _want(step.get("add_prefix_space"), (bool, type(None)), "a Metaspace's add_prefix_space", "true, false or null")
        if step.get("add_prefix_space") is False and scheme != "never":
            raise _Wrong(f"a Metaspace has add_prefix_space false and the prepend_scheme {scheme!r}; wanted 'never'")
        split = True if step.get("split") is None else step["split"]
        return {"type": "Metaspace", "replacement": step.get("replacement"), "prepend_scheme": scheme, "split": split}
    return {key: [_today(part) for part in value] if isinstance(value, list) else value for key, value in step.items()}


def _check_templates(step: Step | None) -> None:
    """A template that leaves the text out, or has it twice, does so even where no special token is asked for."""
    inner = (step or {}).get("processors")
    for part in [step, *(inner if isinstance(inner, list) else [])]:
        if isinstance(part, dict) and part.get("type") == "TemplateProcessing":
            single = _want(part.get("single"), list, "post_processor.single", "a list")
            texts = [piece["Sequence"] for piece in single if isinstance(piece, dict) and "Sequence" in piece]
            if [text.get("id") if isinstance(text, dict) else text for text in texts] != ["A"]:
                raise _Wrong("post_processor.single does not hold the text once; wanted one Sequence, A")


def _model(config: dict[str, Any]) -> BpeModel | OtherModel:
    kind: str = _want(config["type"] if "type" in config else _kind(config), str, "model.type", "the name of a kind")
    if kind != "BPE":
        return OtherModel(_other_vocab(config.get("vocab")), kind, {"type": kind} | config)
    settings = {
        setting.name: config[setting.name]
        for setting in fields(BpeModel)
        if config.get(setting.name) is not None and setting.name not in ("type", "vocab", "merges")
    }
    for name, value in settings.items():
        if name in ("fuse_unk", "byte_fallback", "ignore_merges"):
            _want(value, bool, f"model.{name}", "true or false")
        elif name == "dropout":
            if not 0 <= _want(value, (int, float), f"model.{name}", "a number or null") <= 1:
                raise _Wrong(f"model.dropout is {value}; wanted 0 to 1")
        else:
            _want(value, str, f"model.{name}", "a string or null")
    vocab = _by_id(_want(config.get("vocab"), dict, "model.vocab", "an object of tokens and ids"))
    written = [merge for merge in _want(config.get("merges"), list, "model.merges", "a list") if merge]
    if len({isinstance(merge, str) for merge in written}) > 1:
        raise _Wrong("model.merges has texts and lists; wanted one or the other")
    merges = _pairs(config["merges"]) or [
        _merge(merge, i)
        for i, merge in enumerate(config["merges"])
        if not (isinstance(merge, str) and merge.startswith("#version"))
    ]
    prefix = settings.get("continuing_subword_prefix", "")
    plain = not prefix and vocab.keys() >= {*chain.from_iterable(merges)}
    for i, (left, right) in () if plain and vocab.keys() >= {*map("".join, merges)} else enumerate(merges):
        for token in (left, right, left + right.removeprefix(prefix)):
            if token not in vocab or not right.startswith(prefix):
                raise _Wrong(
                    f"model.merges[{i}], {left!r} + {right!r}, needs {token!r}, which is no token of the model"
                    if token not in vocab
                    else f"model.merges[{i}] has {right!r} on its right; wanted {prefix!r} before it"
                )
    # Of a merge that is there twice the later rank counts.
    return BpeModel(vocab, list(dict.fromkeys(reversed(merges)))[::-1], **settings)


def _kind(config: dict[str, Any]) -> str:
    """Of a model that does not say."""
    if "merges" in config:
        return "BPE"
    if isinstance(config.get("vocab"), list):
        return "Unigram"
    return "WordPiece" if "max_input_chars_per_word" in config else "WordLevel"


def _pairs(written: list[Any]) -> list[Merge]:
    """Merges that are written as two tokens each, as today's are; none where one is not."""
    if {*map(type, written)} != {list} or {*map(len, written)} != {2}:
        return []
    return [*map(cast(Any, tuple), written)] if {*map(type, chain.from_iterable(written))} == {str} else []


def _merge(merge: object, i: int) -> Merge:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if not (isinstance(parts, list) and len(parts) == 2 and all(isinstance(part, str) for part in parts)):
        raise _Wrong(f"model.merges[{i}] is {json.dumps(merge, ensure_ascii=False)[:60]}; wanted two tokens")
    return cast(Merge, tuple(parts))


def _other_vocab(vocab: object) -> dict[str, int]:
    if isinstance(vocab, list):  # Unigram: tokens with their scores, by id
        return {_scored(row, i): i for i, row in enumerate(vocab)}
    return _by_id(_want(vocab, dict, "model.vocab", "an object of tokens and ids, or a list of tokens and scores"))


def _scored(row: object, i: int) -> str:
    if not (isinstance(row, list) and len(row) == 2 and isinstance(row[0], str)):
        raise _Wrong(f"model.vocab[{i}] is {json.dumps(row, ensure_ascii=False)[:60]}; wanted a token and its score")
    return row[0]


def _by_id(vocab: dict[str, Any]) -> dict[str, int]:
    if not vocab:
        raise _Wrong("model.vocab is empty; wanted tokens")
    seen: dict[int, str] = {i: token for token, i in vocab.items()} if {*map(type, vocab.values())} == {int} else {}
    if len(seen) == len(vocab) and min(seen) >= 0 and max(seen) < _MOST_IDS:
        return {seen[i]: i for i in sorted(seen)}
    seen = {}
    for token, i in vocab.items():
        if not 0 <= _want(i, int, f"the id of {token!r}", "a whole number") < _MOST_IDS:
            raise _Wrong(f"the id of {token!r} is {i}; wanted 0 to {_MOST_IDS - 1}")
        if i in seen:
            raise _Wrong(f"the tokens {seen[i]!r} and {token!r} have the same id, {i}")
        seen[i] = token
    return {seen[i]: i for i in sorted(seen)}


def _added(tokens: object, vocab: Mapping[str, int]) -> tuple[AddedToken, ...]:
    kinds = {"id": (int, "a whole number"), "content": (str, "a string")}
    found = []
    for i, token in enumerate(_want(tokens, list, "added_tokens", "a list")):
        _want(token, dict, f"added_tokens[{i}]", "an object")
        values = {}
        for setting in fields(AddedToken):
            kind, wanted = kinds.get(setting.name, (bool, "true or false"))
            values[setting.name] = _want(token.get(setting.name), kind, f"added_tokens[{i}].{setting.name}", wanted)
        found.append(AddedToken(**values))
    # `tokenizers` does not go by the file: it takes the model's id, or else counts on from the number of the model's
    # tokens, in the file's order (0.23) or that of the ids (1.0).
    seen: set[str] = set()
    taken, following = set(vocab.values()), len(vocab)
    for token in found:
        name, there = f"the added token {token.content!r}", vocab.get(token.content)
        given = following if there is None else there
        if not token.content:
            raise _Wrong(f"{name} is empty")
        if token.content in seen:
            raise _Wrong(f"{name} is there twice")
        if token.id != given:
            raise _Wrong(f"{name} has the id {token.id}, where tokenizers reads {given}")
        if there is None and given in taken:
            raise _Wrong(f"{name} has the id of a token of the model, {given}")
        seen.add(token.content)
        following += there is None
    return tuple(sorted(found, key=lambda token: token.id))
