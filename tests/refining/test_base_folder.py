"""What of a base's folder cannot be kept is said before the work."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kovocab.counting.count import count
from kovocab.errors import TokenizerError
from kovocab.refining.base_folder import ModelPlan, check_base
from kovocab.refining.refine import refine
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.script import HANGUL
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.vocabularies import changed

PAD = {"added_tokens.json": {"<pad>": 32000}, "special_tokens_map.json": {"pad_token": "<pad>"}}


@pytest.fixture(scope="module")
def texts(ko_small: pl.Series) -> pl.Series:
    return ko_small.gather_every(8)


@pytest.fixture
def folder(base_model_file: Path, tmp_path: Path) -> Path:
    """A base of the old kind, without tokenizer.json."""
    shutil.copyfile(base_model_file, tmp_path / "tokenizer.model")
    return tmp_path


def put(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (PAD | {"config.json": {"vocab_size": 32000}}, "vocab_size 32,000, and the tokenizer 32,001 tokens, .*'<pad>'"),
        ({"config.json": {"vocab_size": 32001, "pad_token_id": 32000}}, "pad_token_id 32,000, and .* 32,000 tokens"),
        ({"generation_config.json": {"eos_token_id": [2, 32000]}}, r"generation_config.json says eos_token_id 32,000"),
    ],
)
def test_a_base_that_cannot_keep_its_ids_is_refused_before_the_work(
    files: dict[str, Any], said: str, folder: Path
) -> None:
    put(folder, files)
    with pytest.raises(TokenizerError, match=said):
        check_base(folder)


def test_a_tokenizer_model_that_reads_spaces_otherwise_is_left_out(folder: Path, base: TokenizerJson) -> None:
    assert check_base(folder) == ModelPlan()
    (folder / "tokenizer.json").write_text(base.pretty())
    assert check_base(folder) == ModelPlan()
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    legacy = changed(base, lambda config: config.update(normalizer=None, pre_tokenizer=metaspace))
    (folder / "tokenizer.json").write_text(legacy.pretty())
    plan = check_base(folder)
    assert plan.source == "nothing"
    assert plan.why is not None
    assert plan.why.startswith("promise 5")
    assert "its Metaspace puts no ▁ before a text that begins with a space" in plan.why


def test_a_tokenizer_model_that_does_not_agree_is_made_anew(
    folder: Path, base: TokenizerJson, texts: pl.Series
) -> None:
    # The base's tokenizer.json puts no space before a text, and its tokenizer.model does.
    bare = changed(base, lambda config: config.update(normalizer=config["normalizer"]["normalizers"][1]))
    (folder / "tokenizer.json").write_text(bare.pretty())
    plan = check_base(folder)
    assert plan.source == "ranks"
    assert plan.why is not None
    assert plan.why.startswith("promise 5")
    settings = RefineSettings(min_count=60, min_syllable_count=60, intermediate_vocab_size=8000)
    refined = refine(count(texts, folder), folder, settings)
    record = refined.save(folder / "target")
    assert record["tokenizer_model_made"] == plan.why
    assert "tokenizer.model is made from the ranks of tokenizer.json: promise 5" in refined.summary()
    assert record["promises"]["texts_in_model"] > 1_000


def test_a_base_in_memory_has_no_folder(base: TokenizerJson) -> None:
    assert check_base(base) == ModelPlan("ranks", "the base has none")


def test_a_byte_level_base_has_no_tokenizer_model(data: Path) -> None:
    assert check_base(data / "tokenizers" / "gpt2") == ModelPlan("nothing")


def test_an_old_llamas_pad_on_real_text(folder: Path, texts: pl.Series) -> None:
    put(folder, PAD)
    settings = RefineSettings(min_count=60, min_syllable_count=60, intermediate_vocab_size=8000, prune="leaf")
    record = refine(count(texts, folder), folder, settings).save(folder / "target")
    target = load_tokenizer(folder / "target")
    assert record["first_new_id"] == 32001
    assert target.tokens[32000] == "<pad>"
    assert HANGUL.holds(target.tokens[32001])
    assert record["promises"]["texts_in_model"] > 1_000
