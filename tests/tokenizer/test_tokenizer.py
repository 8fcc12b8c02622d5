"""Load: against SentencePiece, and what is refused; what a tokenizer makes of a text by its model alone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sentencepiece

from kovocab.building.target import build_target
from kovocab.errors import TokenizerError
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import base_pieces, load_tokenizer
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson
from support.sentencepiece_base import ROWS, SENTENCES, changed_model, differing
from support.vocabularies import (
    changed,
    ids,
    pieces,
)


def test_a_converted_model_is_the_published_json(data: Path, base: TokenizerJson) -> None:
    published = data / "tokenizers" / "mistral_v1" / "tokenizer.json"
    converted = load_tokenizer(published.with_name("tokenizer.model"))
    assert json.loads(converted.text) == json.loads(published.read_text("utf-8"))
    assert base.text == converted.text


@pytest.mark.parametrize("name", ["ko_small", "en", "other"])
def test_a_converted_model_gives_the_ids_of_sentencepiece(
    data: Path, base: TokenizerJson, base_model_file: Path, name: str
) -> None:
    special = ("<unk>", "<s>", "</s>")
    texts = pl.read_ndjson(data / f"{name}.jsonl.zst")["text"]
    kept = [text for text in texts if not any(token in text for token in special)]
    assert len(texts) - len(kept) <= 94
    assert differing(base, base_model_file.read_bytes(), kept) == []


def test_a_converted_model_gives_the_ids_of_sentencepiece_on_sentences_and_runs_of_spaces(
    base: TokenizerJson, base_model_file: Path
) -> None:
    runs = [before + " " * n + after for n in range(40) for before in ("", "a") for after in ("", "b", "안", "\n")]
    assert differing(base, base_model_file.read_bytes(), [*SENTENCES, *runs]) == []


def test_a_model_without_leading_space(base_model_file: Path, tmp_path: Path) -> None:
    def change(proto: Any) -> None:
        proto.normalizer_spec.add_dummy_prefix = False
        proto.trainer_spec.bos_id = -1

    model = changed_model(base_model_file, change)
    (tmp_path / "any name").write_bytes(model)
    tokenizer = load_tokenizer(tmp_path / "any name")
    assert differing(tokenizer, model, list(SENTENCES)) == []
    assert tokenizer.post_processor is None
    reference = Reference(tokenizer)
    assert reference.decode(reference.encode(["  안녕 a"])[0]) == "  안녕 a"


def test_control_and_user_defined_pieces_become_added_tokens(base_model_file: Path) -> None:
    path = base_model_file.with_name("mistral_instruct_tokenizer_240323.model.v3")
    tokenizer = load_tokenizer(path)
    added = {token.id: token for token in tokenizer.added_tokens}
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert [i for i, token in added.items() if token.special] == [
        0,
        *filter(processor.is_control, range(32_768)),
    ]
    assert len(added) == 771
    assert pieces(tokenizer, "[INST] 안녕")[0] == "[INST]"
    assert differing(tokenizer, path.read_bytes(), list(SENTENCES)) == []


def test_a_folder_is_read_by_its_json_first(base: TokenizerJson, base_model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(base_model_file.read_bytes())
    assert load_tokenizer(str(tmp_path)).text == base.text
    config = json.loads(build_target(base, ROWS).text)
    config["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    config["padding"] = {
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "<unk>",
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(config))
    loaded = load_tokenizer(tmp_path)
    assert "안녕" in loaded.ids
    assert len(ids(loaded, ["one two three four five six seven eight nine ten"])[0]) > 9
    assert load_tokenizer(loaded) is loaded


def test_what_is_no_tokenizer(tmp_path: Path) -> None:
    wanted = "wanted a tokenizer.json, a SentencePiece tokenizer.model or a folder holding one"
    with pytest.raises(TokenizerError, match=f"{tmp_path}/nowhere does not exist; {wanted}"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(TokenizerError, match=f"{tmp_path} holds neither tokenizer.json nor tokenizer.model; {wanted}"):
        load_tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    for content, reason in {
        b'{"a": 1}': "is not a tokenizer.json: ",
        b'{"version": "1.0", ': "is not a tokenizer.json: ",
        b"": "is neither a tokenizer.json nor a SentencePiece",
        b"\x00\xff garbage": "is neither a tokenizer.json nor a SentencePiece",
        "한국어".encode(): "is neither a tokenizer.json nor a SentencePiece",
    }.items():
        path.write_bytes(content)
        with pytest.raises(TokenizerError, match=f"{path} {reason}"):
            load_tokenizer(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: setattr(p.trainer_spec, "model_type", 1), "its model type is UNIGRAM; wanted BPE"),
        (lambda p: setattr(p.trainer_spec, "byte_fallback", False), "it has no byte fallback"),
        (lambda p: setattr(p.trainer_spec, "treat_whitespace_as_suffix", True), "whitespace as a suffix"),
        (lambda p: setattr(p.normalizer_spec, "remove_extra_whitespaces", True), "removes extra whitespace"),
        (lambda p: setattr(p.normalizer_spec, "escape_whitespaces", False), "does not write spaces as ▁"),
        (lambda p: setattr(p.normalizer_spec, "precompiled_charsmap", b"x"), "it normalises text"),
        (lambda p: setattr(p.denormalizer_spec, "precompiled_charsmap", b"x"), "it rewrites decoded text"),
        (lambda p: setattr(p.pieces[900], "type", 5), "it has unused pieces"),
    ],
)
def test_models_that_are_not_covered(
    base_model_file: Path, tmp_path: Path, change: Callable[[Any], object], reason: str
) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(changed_model(base_model_file, change))
    with pytest.raises(TokenizerError, match=rf"{path} is a SentencePiece model .*{reason}"):
        load_tokenizer(path)


def test_base_pieces_is_the_model_alone(base: TokenizerJson) -> None:
    tokens = ["▁안녕", "안녕", "▁"]
    space, syllable = base.ids["▁"], base.ids["안"]
    spelt = [base.ids[f"<0x{byte:02X}>"] for byte in "녕".encode()]
    assert base_pieces(base, tokens) == [[space, syllable, *spelt], [syllable, *spelt], [space]]


def test_base_pieces_goes_by_merges(base: TokenizerJson) -> None:
    def change(config: dict[str, Any]) -> None:
        config["model"]["ignore_merges"] = True
        config["model"]["merges"].remove(["안", "녕"])

    cut_off = changed(build_target(base, ROWS), change)
    assert pieces(changed(cut_off, lambda config: config.update(normalizer=None)), "안녕") == ["안녕"]
    assert base_pieces(cut_off, ["안녕"]) == [[cut_off.ids["안"], cut_off.ids["녕"]]]
    assert isinstance(cut_off.model, BpeModel)
    assert cut_off.model.ignore_merges


def test_importing_is_cheap() -> None:
    heavy = {"polars", "sentencepiece", "google.protobuf", "transformers", "torch"}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    code = "import sys, kovocab.tokenizer.tokenizer; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).split()
    assert "kovocab.tokenizer.tokenizer" in loaded
    assert not heavy & set(loaded)
