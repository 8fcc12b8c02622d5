"""What never goes: what something else than text speaks of."""

import json
from pathlib import Path

import pytest

from kovocab.errors import TokenizerError
from kovocab.replacing.staying import literals, staying
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.base import save_tokenizer
from support.random_bpe import sentencepiece_style
from support.vocabularies import tokenizer_of

TEMPLATE = (
    "{% for message in messages %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    '{% if message.role == "it\'s" %}{{ "end\\n" }}{% endif %}{% endfor %}<|go|>'
)


def names(tokenizer: TokenizerJson, source: str | Path | TokenizerJson) -> set[str]:
    found = staying(tokenizer, Reference(tokenizer), source)
    return {tokenizer.tokens[i] for i in found if i in tokenizer.tokens}


def test_literal_text_of_a_template_is_between_tags_and_in_quotes() -> None:
    assert literals(TEMPLATE) == ["<|go|>", "[INST] ", "content", " [/INST]", "it's", "end\n"]
    assert literals("") == []


def test_bytes_special_tokens_and_ascii_stay_and_words_do_not() -> None:
    tokenizer = sentencepiece_style(["a", "é", "▁", "ab", "b"], [["a", "b"]])
    assert names(tokenizer, tokenizer) == {"<unk>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "a", "b", "▁"}


def test_bytes_of_a_byte_level_base_stay() -> None:
    from support.byte_level import added, symbols, tiny

    vocab = tiny()["model"]["vocab"]
    tokenizer = tokenizer_of(tiny(added_tokens=[added("<|end|>", len(vocab), special=True)]))
    assert names(tokenizer, tokenizer) == {"<|end|>", *symbols().values()}


def test_what_a_folder_speaks_of_stays(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    before = names(tokenizer, tmp_path)
    words = [token for token in tokenizer.ids if token.startswith("▁new▁w")]
    assert words
    assert before.isdisjoint(words)
    word = words[0]
    (tmp_path / "chat_template.jinja").write_text("{{ '" + word.replace("▁", " ")[1:] + "' }}")
    assert names(tokenizer, tmp_path) - before >= {word}
    (tmp_path / "chat_template.jinja").unlink()
    last = tokenizer.size - 1
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, last], "pad_token_id": -1}))
    assert names(tokenizer, tmp_path) - before == {tokenizer.tokens[last]}


@pytest.mark.parametrize("as_list", [True, False])
def test_a_template_in_the_tokenizers_config_counts_too(tmp_path: Path, as_list: bool) -> None:
    save_tokenizer(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    template = "{{ 'old trees' }}"
    said = [{"name": "default", "template": template}] if as_list else template
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": said}))
    tokenizer = load_tokenizer(tmp_path)
    wanted = {tokenizer.tokens[i] for i in Reference(tokenizer).encode(["old trees"])[0]}
    assert any(len(token) > 2 for token in wanted)
    assert wanted <= names(tokenizer, tmp_path)


def test_a_template_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe\xfa")
    tokenizer = load_tokenizer(tmp_path)
    with pytest.raises(TokenizerError, match=r"chat_template.jinja cannot be read: .*in UTF-8"):
        names(tokenizer, tmp_path)
