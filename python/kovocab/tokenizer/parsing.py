"""What a base's files say, read: `tokenizer.json`, every part that decides ids checked, and the files beside it.

Older ways to write the same (merges as `"a b"`, a Metaspace without scheme) become today's, as they do in `tokenizers`,
so that either form has the same text and the same digest.

`added_tokens.json`, `tokenizer_config.json` and `special_tokens_map.json` may name tokens that `tokenizer.model` (or an
older `tokenizer.json`) lacks: they are the base's, with the ids after its own, as AutoTokenizer reads them. Where the
files contradict each other the folder is refused: AutoTokenizer would take one of them and say nothing.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

from kovocab.errors import TokenizerError
from kovocab.tokenizer.tokenizer_json import STEPS, AddedToken, BpeModel, Merge, OtherModel, Step, TokenizerJson

CONFIG, NAMES, ADDED = COMPANIONS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""What a folder may say of tokens beside the tokenizer itself."""

_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_LISTS = ("additional_special_tokens", "extra_special_tokens")
_FLAGS = [setting.name for setting in fields(AddedToken) if setting.name not in ("id", "content")]
_MOST_IDS = 1 << 24  # a row of a model each: more would be a fault of the file, and take the memory


def parse(data: bytes | str, name: str | Path) -> TokenizerJson:
    """Read a `tokenizer.json`.

    Args:
        data: What the file holds.
        name: What to call it in an error: its path.

    Raises:
        TokenizerError: it is not one; says what is wrong where, and what was wanted.
    """
    try:
        config = json.loads(data.decode() if isinstance(data, bytes) else data, parse_constant=_no_number)
        if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
            raise _Wrong("wanted an object with a model")
        if config.get("version", "1.0") != "1.0":
            raise _Wrong(f'version is {json.dumps(config["version"])}; wanted "1.0"')
        model = _model(config["model"])
        added = _added([] if config.get("added_tokens") is None else config["added_tokens"], model.vocab)
        steps: Any = {step: _step(config, step) for step in STEPS}
        document = TokenizerJson(model, added, name=str(name), **steps)
        _check_templates(document.post_processor)
        document.text.encode()  # a lone surrogate is JSON and no text
    except (_Wrong, ValueError) as error:
        raise TokenizerError(f"{name} is not a tokenizer.json: {error}") from error
    except RecursionError as error:
        raise TokenizerError(f"{name} is not a tokenizer.json: it is nested too deeply") from error
    return document


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
    except ValueError as error:
        raise TokenizerError(f"{path} is not JSON and cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise TokenizerError(f"{path} is not a {path.name}: wanted an object, got {type(found).__name__}")
    return found


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
    kind: str = _want(config.get("type") or _kind(config), str, "model.type", "the name of a kind")
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
    merges = [
        _merge(merge, i)
        for i, merge in enumerate(_want(config.get("merges"), list, "model.merges", "a list"))
        if not (isinstance(merge, str) and merge.startswith("#version"))
    ]
    prefix = settings.get("continuing_subword_prefix", "")
    for i, (left, right) in enumerate(merges):
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
    seen: dict[int, str] = {}
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
        listed = config.get(key) or []
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
