"""Tokens that a base's folder adds beside its tokenizer: the base's, with the ids that AutoTokenizer gives them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from kovocab.building.promises import check_base_ids, check_model
from kovocab.building.saving import save_tokenizer
from kovocab.building.target import build_target
from kovocab.errors import TokenizerError
from kovocab.refining.base_folder import ModelPlan, check_base
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.vocabularies import vocabulary, with_added

ROWS = vocabulary(("ㅋ", None, None), ("ㅋㅋ", "ㅋ", "ㅋ"))
PAD = {"added_tokens.json": {"<pad>": 32000}, "special_tokens_map.json": {"pad_token": "<pad>"}}
CHAT = {"<|im_end|>": 32000, "<|im_start|>": 32001}
TEXTS = ["안녕 ㅋㅋ", "a<pad>b ㅋ<pad>", "<|im_start|>user\nㅋㅋ<|im_end|>\n", "<s>x</s> ㅋ"]


def decoder(*contents: str, special: bool = True) -> dict[str, Any]:
    """What tokenizer_config.json says of tokens from 32,000 on."""
    flags = dict.fromkeys(("lstrip", "rstrip", "single_word"), False) | {"special": special, "normalized": not special}
    return {"added_tokens_decoder": {str(32000 + i): {"content": token} | flags for i, token in enumerate(contents)}}


def config(**more: Any) -> dict[str, Any]:
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return {"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"} | names | more}


def auto(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers", reason="pip install kovocab[train]")
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def folder(base_model_file: Path, tmp_path: Path) -> Path:
    """A base of the old kind, without tokenizer.json."""
    (tmp_path / "base").mkdir()
    shutil.copyfile(base_model_file, tmp_path / "base/tokenizer.model")
    return tmp_path / "base"


def put(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))


OLD = {
    "added_tokens": {"config.json": {"model_type": "llama", "vocab_size": 32001}} | PAD,
    "both": PAD | config(pad_token="<pad>"),
    "decoder": config(pad_token="<pad>", **decoder("<pad>")),
    "name alone": config(pad_token="<pad>"),
    "as an object": config()
    | {
        "special_tokens_map.json": {
            "pad_token": {
                "content": "<pad>",
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "single_word": False,
            }
        }
    },
    "map alone": config() | {"special_tokens_map.json": {"pad_token": "<pad>"}},
    "chat": {"added_tokens.json": CHAT} | config(eos_token="<|im_end|>", **decoder(*CHAT)),
    "chat, as text": {"added_tokens.json": CHAT} | config(**decoder(*CHAT, special=False)),
    "list": config(additional_special_tokens=["<|a|>", "<|b|>"], pad_token="<pad>"),
    "list of transformers 5": config(extra_special_tokens=["<|b|>"], pad_token="<pad>"),
    "both lists": config(additional_special_tokens=["<|a|>"], extra_special_tokens=["<|b|>"], pad_token="<pad>"),
    "a piece": config(additional_special_tokens=["▁hello", "</s>"]),
}


@pytest.mark.parametrize(
    ("kind", "with_json"),
    [*((kind, False) for kind in OLD), *((kind, True) for kind in ("added_tokens", "decoder", "chat", "a piece"))],
)
def test_the_base_has_the_tokens_that_autotokenizer_gives_it(
    kind: str, with_json: bool, folder: Path, base: TokenizerJson, tmp_path: Path
) -> None:
    put(folder, OLD[kind])
    if with_json:
        (folder / "tokenizer.json").write_text(base.pretty())
    loaded, theirs = load_tokenizer(folder), auto(folder)
    assert loaded.size == len(theirs)
    assert theirs.get_added_vocab().items() <= {token.content: token.id for token in loaded.added_tokens}.items()
    assert check_base(folder) == ModelPlan()

    target = build_target(loaded, ROWS)
    save_tokenizer(target, tmp_path / "target", base_source=folder, vocabulary=ROWS)
    again, opened = load_tokenizer(tmp_path / "target"), auto(tmp_path / "target")
    assert again == target
    assert again.ids["ㅋ"] == loaded.size
    assert len(opened) == target.size
    for name in ("bos_token", "eos_token", "unk_token", "pad_token"):
        assert getattr(theirs, f"{name}_id") in (getattr(opened, f"{name}_id"), None)
    for text, ids in zip(TEXTS, Reference(target).encode(TEXTS, template=True), strict=True):
        assert opened(text)["input_ids"] == ids
    data = (tmp_path / "target/tokenizer.model").read_bytes()
    processor = sentencepiece.SentencePieceProcessor(model_proto=data)
    assert {processor.id_to_piece(i): i for i in range(processor.piece_size())} == target.ids
    check_base_ids(loaded, target, ROWS)
    assert check_model(Reference(target), data, ["안녕 ㅋㅋ", "a pad b"]) == 2


def test_a_padded_batch_has_the_row_of_the_base(folder: Path, tmp_path: Path) -> None:
    put(folder, OLD["added_tokens"])
    save_tokenizer(build_target(load_tokenizer(folder), ROWS), tmp_path / "t", base_source=folder, vocabulary=ROWS)
    opened = auto(tmp_path / "t")
    assert opened.pad_token_id == 32000
    batch = opened(["안녕", "안녕하세요 ㅋㅋ"], padding=True)["input_ids"]
    assert max(max(ids) for ids in batch) < 32003
    for name in ("added_tokens.json", "special_tokens_map.json"):
        assert json.loads((tmp_path / "t" / name).read_text()) == PAD[name]


def test_a_chat_models_folder(folder: Path, base: TokenizerJson) -> None:
    chat = with_added(base, *CHAT)
    (folder / "tokenizer.json").write_text(chat.pretty())
    put(folder, {"added_tokens.json": CHAT} | config(**decoder(*CHAT)))
    assert load_tokenizer(folder) == chat
    assert check_base(folder) == ModelPlan()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"added_tokens.json": {"<pad>": 32005}}, r"added_tokens.json gives '<pad>' the id 32,005, .* as 32,000"),
        ({"added_tokens.json": {"</s>": 32000}}, r"added_tokens.json gives '</s>' the id 32,000, .* as 2"),
        ({"added_tokens.json": {"<a>": 32000, "<b>": 32000}}, r"'<b>' the id 32,000, .* as 32,001"),
        (PAD | config(**decoder("<q>")), r"added_tokens.json gives '<pad>' the id 32,000, .* as 32,001"),
        (config(added_tokens_decoder={"31000": {"content": "<x>"}}), r"'<x>' the id 31,000, .* as 32,000"),
        (config(added_tokens_decoder={"x": {"content": "<x>"}}), "added tokens that are no ids and tokens"),
        (
            config(**decoder("<q>")) | {"special_tokens_map.json": {"pad_token": "<pad>"}},
            "special_tokens_map.json names '<pad>', and the tokenizer has no such token",
        ),
        (config(additional_special_tokens="<a>"), "additional_special_tokens is '<a>'; wanted a list of tokens"),
        (config(additional_special_tokens=5), "tokenizer_config.json: additional_special_tokens is 5; wanted a list"),
        (config(pad_token={"lstrip": True}), "tokenizer_config.json has a token without text"),
        ({"added_tokens.json": ["<pad>"]}, "added_tokens.json: wanted an object, got list"),
    ],
)
def test_files_that_contradict_each_other_are_refused(files: dict[str, Any], said: str, folder: Path) -> None:
    put(folder, files)
    with pytest.raises(TokenizerError, match=said):
        load_tokenizer(folder)
