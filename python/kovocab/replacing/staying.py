"""Base tokens that never go, whatever texts use: those that something else than text speaks of."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kovocab.errors import TokenizerError
from kovocab.expanding.special_ids import MODEL_FILES, special_ids
from kovocab.hub import local
from kovocab.tokenizer.companions import CONFIG, read_config
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import SPACE
from kovocab.tokenizer.spelling import BYTE_PIECES, BYTES
from kovocab.tokenizer.tokenizer import Source
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson

TEMPLATE = "chat_template.jinja"
_TAGS = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\'": "'", '\\"': '"', "\\\\": "\\"}


def staying(tokenizer: TokenizerJson, base: Reference, source: Source) -> set[int]:
    """The ids of base tokens that stay.

    Added tokens, special or not; bytes, and characters of one byte, which would be read as a byte that the model hardly
    knows, at no more tokens; the space, and the unknown token; what a template puts round a text; what
    config.json and generation_config.json of the base's folder call by its id; and the tokens of the literal text in
    its chat template.

    Args:
        tokenizer: The base.
        base: The same as the library has it.
        source: What it was loaded from; only a folder says more than the tokenizer.

    Raises:
        TokenizerError: a file of the folder cannot be read.
    """
    model = tokenizer.model
    assert isinstance(model, BpeModel)
    in_bytes = tokenizer.spelling.byte_level
    in_text = [*BYTE_PIECES, *map(chr, range(128)), SPACE]
    atoms = BYTES if in_bytes else in_text
    named = [*atoms, *([model.unk_token] if model.unk_token else [])]
    found = {model.vocab[token] for token in named if token in model.vocab}
    found |= {token.id for token in tokenizer.added_tokens}
    found |= set(_ids_in(tokenizer.post_processor))
    if isinstance(source, str | Path) and (folder := local(source)).is_dir():
        for name in MODEL_FILES:
            found |= {i for _, i in special_ids(read_config(folder / name))}
        found |= {i for ids in base.encode(_written_by(folder)) for i in ids}
    return found


def _ids_in(step: Any) -> Iterator[int]:
    """The ids that a post-processor puts round a text."""
    if isinstance(step, dict):
        for key, value in step.items():
            if key == "ids" and isinstance(value, list):
                yield from (i for i in value if isinstance(i, int))
            else:
                yield from _ids_in(value)
    elif isinstance(step, list):
        for value in step:
            yield from _ids_in(value)


def _written_by(folder: Path) -> list[str]:
    """The literal texts of a folder's chat templates, each as it may stand in a chat."""
    found: dict[str, None] = {}
    for template in _templates(folder):
        for text in literals(template):
            found |= dict.fromkeys((text, text.strip(), f" {text}", f"\n{text}", f"{text}\n"))
    return list(found)


def _templates(folder: Path) -> Iterator[str]:
    said = read_config(folder / CONFIG).get("chat_template")
    for template in said if isinstance(said, list) else [said]:
        text = template.get("template") if isinstance(template, dict) else template
        if isinstance(text, str):
            yield text
    for path in [folder / TEMPLATE, *sorted((folder / "additional_chat_templates").glob("*.jinja"))]:
        if path.is_file():
            try:
                yield path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise TokenizerError(f"{path} cannot be read: {error}; wanted a chat template in UTF-8") from error


def literals(template: str) -> list[str]:
    """What of a Jinja template may come out as it is written: the text between its tags, and what is quoted in them."""
    quoted = [single or double for tag in _TAGS.findall(template) for single, double in _QUOTED.findall(tag)]
    texts = [*_TAGS.split(template), *(re.sub(r"\\.", _unescaped, text, flags=re.DOTALL) for text in quoted)]
    return [text for text in dict.fromkeys(texts) if text]


def _unescaped(escape: re.Match[str]) -> str:
    return _ESCAPES.get(escape[0], escape[0])
