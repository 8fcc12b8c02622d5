"""What is given before a text: the template's, else bos, else eos; and it is the same for a base and its target."""

import json

import pytest

from kovocab.errors import TokenizerError, UsageError
from kovocab.measuring.subject import device_of, start_of
from support.base import save_tokenizer


def test_the_start(tmp_path):
    save_tokenizer(tmp_path)
    assert start_of(tmp_path) == [1]
    path = tmp_path / "tokenizer.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"post_processor": None}))
    assert start_of(tmp_path) == [1]  # by tokenizer_config.json
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"bos_token": None, "eos_token": {"content": "</s>"}}))
    assert start_of(tmp_path) == [2]
    config.unlink()
    assert start_of(tmp_path) == [2]  # by its usual name
    text = path.read_text().replace("</s>", "<end>").replace('"<s>"', '"<begin>"')
    path.write_text(text)
    with pytest.raises(TokenizerError, match="names no bos_token and no eos_token"):
        start_of(tmp_path)


def test_real_ones(data):
    """phi-2 and gpt2 have no template, and begin as lm-eval has them begin: behind <|endoftext|>."""
    assert start_of(data / "tokenizers/gpt2") == [50256]
    assert start_of(data / "tokenizers/mistral_v1") == [1]


def test_devices():
    assert device_of("cpu") == "cpu"
    with pytest.raises(UsageError, match="device is nothing, which is not here"):
        device_of("nothing")
    with pytest.raises(UsageError, match="device is meta, which holds no numbers"):
        device_of("meta")
