"""What a document holds is text: the ids of packing on real tokenizers, its counts, what the base makes of it."""

import gzip
import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from kovocab import progress as told
from kovocab.building.placement import base_of
from kovocab.building.target import build_target
from kovocab.cli.main import main
from kovocab.data.mix import Mixture
from kovocab.errors import CorpusError, TokenizerError, UsageError
from kovocab.packing import token_files
from kovocab.packing.encoding import Encoder, eos_of
from kovocab.packing.memo import Memo
from kovocab.packing.source import Packing, Source, check_sources
from kovocab.reading.documents import batches
from kovocab.record import write_record
from kovocab.tokenizer.parsing import parse
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import AddedToken, OtherModel, TokenizerJson
from support.base import LENGTH, corpus, pack, save_tokenizer, texts
from support.reference import as_library, zstd
from support.vocabularies import changed, train_vocabulary

STRUCK = ["<s>old</s> new", "{eos}", "가{eos}나", "  두 칸{eos}\n    if x:\n        y", "a {eos}", "{eos} b{eos}{eos}"]


def documents_of(encoder, texts):
    """Each document that was encoded, by itself."""
    made = encoder.encode(pl.Series(texts, dtype=pl.String))
    ids = np.split(made.ids, made.ends[:-1].astype(int))
    columns = (
        made.texts,
        map(np.ndarray.tolist, ids),
        made.words.tolist(),
        made.bytes.tolist(),
        made.text_tokens.tolist(),
    )
    return [
        SimpleNamespace(text=text, ids=ids, words=words, bytes=size, text_tokens=own)
        for text, ids, words, size, own in zip(*columns, strict=True)
    ]


def real(data, name):
    if name == "qwen2":
        packed = (data / "tokenizers" / name / "tokenizer.json.zst").read_bytes()
        return parse(zstd.decompress(packed), name)
    return load_tokenizer(data / "tokenizers" / name / "tokenizer.json")


@pytest.mark.parametrize("name", ["mistral_v1", "gpt2", "phi2", "qwen2"])
def test_a_special_token_in_a_text_is_text(data, name):
    tokenizer = real(data, name)
    eos = eos_of(tokenizer, data)
    special = {token.id for token in tokenizer.added_tokens if token.special}
    struck = [text.replace("{eos}", eos).replace("<s>", "<s>" if name == "mistral_v1" else eos) for text in STRUCK]
    encoder, reference = Encoder(tokenizer, eos, "text", None), Reference(tokenizer)
    found = documents_of(encoder, ["", *struck, "plain"])
    begins = tokenizer.ids["<s>"] if name == "mistral_v1" else None
    for document, text in zip(found, [*struck, "plain"], strict=True):
        ids = document.ids
        assert ids[-1] == tokenizer.ids[eos]
        assert (ids[0] == begins) == (begins is not None)
        inside = ids[begins is not None : -1]
        assert not special.intersection(inside)
        assert reference.decode(inside) == text == document.text
        assert document.text_tokens == len(inside)
        assert (document.words, document.bytes) == (len(text.split()), len(text.encode()))
    assert encoder.with_special_tokens == len(struck)
    indent = found[STRUCK.index(STRUCK[3])].ids
    if name == "phi2":  # its runs of spaces are added tokens and not special
        assert {tokenizer.ids["    "], tokenizer.ids["        "]} <= set(indent)


def test_a_word_of_the_model_is_no_end_of_a_document(data):
    tokenizer = real(data, "qwen2")
    assert "</s>" in tokenizer.ids
    assert eos_of(tokenizer, data) == "<|endoftext|>"


def test_they_are_encoded_as_by_the_model_alone(data):
    tokenizer = real(data, "mistral_v1")
    alone = Reference(replace(tokenizer, added_tokens=()))
    struck = [text.replace("{eos}", "</s>") for text in STRUCK]
    found = documents_of(Encoder(tokenizer, "</s>", "text", None), struck)
    assert [document.ids[1:-1] for document in found] == alone.encode(struck)


def test_they_are_tokens_where_that_is_wanted(data):
    encoder = Encoder(real(data, "mistral_v1"), "</s>", "token", None)
    (document,) = documents_of(encoder, ["<s>old</s> new"])
    assert (document.ids.count(1), document.ids.count(2)) == (2, 2)
    assert document.text_tokens == len(document.ids) - 2
    assert encoder.with_special_tokens == 1


def test_an_end_that_only_the_folder_calls_one_is_text_too(data):
    tokenizer = real(data, "gpt2")
    plain = replace(tokenizer, added_tokens=tuple(replace(token, special=False) for token in tokenizer.added_tokens))
    (document,) = documents_of(Encoder(plain, "<|endoftext|>", "text", None), ["a<|endoftext|>b"])
    assert document.ids.count(plain.ids["<|endoftext|>"]) == 1


def test_a_model_that_makes_the_token_itself_is_refused(data):
    def merge(config):
        config["model"]["vocab"]["s>"] = 32_000
        config["model"]["merges"] += [["s", ">"], ["</", "s>"]]

    broken = changed(real(data, "mistral_v1"), merge)
    with pytest.raises(TokenizerError, match="the special token '</s>' of that text by its model alone"):
        Encoder(broken, "</s>", "text", None)
    Encoder(broken, "</s>", "token", None)


def pack_struck(folder, how):
    save_tokenizer(folder)
    documents = [*texts(100), *(f"{text} <s>tree</s> 바다" for text in texts(20))]
    source = Source("web", str(corpus(folder, "web", documents)))
    return documents, pack(source, folder, folder / "tokens", Packing(LENGTH, 0.3, how))


@pytest.mark.parametrize(("how", "ends"), [("text", 120), ("token", 140)])
def test_packing_says_how_many_documents_had_one(tmp_path, caplog, how, ends):
    with caplog.at_level(logging.INFO):
        documents, packed = pack_struck(tmp_path, how)
    streams = [np.fromfile(packed.folder / f"{part}.bin", dtype="<u2") for part in ("train", "validation")]
    assert sum(int((stream == 2).sum()) for stream in streams) == ends
    assert packed.record["special_tokens_in_text"] == how
    assert packed.record["documents_with_special_tokens"] == 20
    said = [line for line in caplog.messages if "special token" in line]
    assert len(said) == 1
    assert said[0].startswith("web: 20 documents with the text of a special token (<unk>, <s>, </s>), read as t")
    parts = [packed.record[part] for part in ("train", "validation")]
    assert sum(part["words"] for part in parts) == sum(len(text.split()) for text in documents)
    assert sum(part["bytes"] for part in parts) == sum(len(text.encode()) for text in documents)
    assert all(part["tokens"] - part["text_tokens"] == 2 * part["documents"] for part in parts)
    assert not any("base_text_tokens" in part for part in parts)


def test_another_reading_is_another_pack(tmp_path):
    assert pack_struck(tmp_path, "text")[1].folder != pack_struck(tmp_path, "token")[1].folder
    with pytest.raises(UsageError, match="special_tokens_in_text is both; wanted text or token"):
        Packing(LENGTH, 0.3, "both")


@pytest.fixture(scope="module")
def target(base, ko_small):
    return build_target(base, train_vocabulary(ko_small.head(2000), 1500))


def test_the_base_of_a_target_encodes_as_the_base_did(data, base, target, ko_small):
    english = next(batches(data / "en.jsonl.zst")).head(1000)
    sample = [*ko_small.tail(2000), *english, "두  칸   이상 </s>", ""]
    made = base_of(target, base.size)
    assert made.size == base.size < target.size
    assert as_library(made).encode(sample) == as_library(base).encode(sample)
    assert as_library(target).encode(sample) != as_library(base).encode(sample)


def test_there_is_no_base_where_its_own_merges_lost_their_order(base, target, data):
    assert base_of(target, target.size - 1) is None
    assert base_of(replace(base, model=parse(json.dumps(WORDS), "words").model), 1) is None


WORDS = {"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}}


def test_the_record_has_what_the_base_makes_of_what_is_held_out(tmp_path, base, target, ko_small):
    folder = tmp_path / "expanded"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(target.text)
    write_record(folder, {"verb": "refine", "first_new_id": base.size})
    documents = ko_small.tail(1500).to_list()
    path = corpus(tmp_path, "ko", documents)
    made = Mixture(
        str(folder), [Source("ko", str(path))], length=64, validation_share=0.2, tokens_dir=str(tmp_path / "tokens")
    )
    made.prepare_data()
    made.setup("fit")
    held = made.record()["sources"][0]["validation"]
    stream = np.fromfile(made.packed[0].folder / "validation.bin", dtype="<u2").astype(int)
    ends = np.split(stream, np.flatnonzero(stream == 2) + 1)[:-1]
    reference = Reference(target)
    texts_held = [reference.decode(ids[1:-1].tolist()) for ids in ends]
    assert set(texts_held) <= set(documents)
    assert held["documents"] == len(texts_held) > 200
    assert held["base_text_tokens"] == sum(map(len, as_library(base).encode(texts_held)))
    assert held["text_tokens"] == sum(map(len, reference.encode(texts_held))) < held["base_text_tokens"]
    assert held["words"] == sum(len(text.split()) for text in texts_held)
    assert held["bytes"] == sum(len(text.encode()) for text in texts_held)
    assert "base_text_tokens" not in made.record()["sources"][0]["train"]


BAD = {
    "parquet": lambda path: pl.DataFrame({"body": ["a"]}).write_parquet(path),
    "jsonl": lambda path: path.write_text('{"body": "a"}\n'),
    "jsonl.gz": lambda path: path.write_bytes(gzip.compress(b'{"body": "a"}\n')),
    "jsonl.zst": lambda path: path.write_bytes(zstd.compress(b'{"body": "a"}\n')),
    "txt": lambda path: path.write_bytes(b"\xff\xfe\n"),
    "xlsx": lambda path: path.write_bytes(b"PK"),
}


def three(folder, kind):
    """Settings of two sources that can be read, and a third that cannot."""
    save_tokenizer(folder)
    good, bad = str(corpus(folder, "good", texts(100))), folder / f"bad.{kind}"
    if kind in BAD:
        BAD[kind](bad)
    return [Source("one", good), Source("two", good), Source("three", str(bad))]


@pytest.mark.parametrize("known", [False, True], ids=["first", "known"])
@pytest.mark.parametrize("kind", [*BAD, "gone.jsonl"])
def test_a_source_that_cannot_be_read_is_said_before_the_first_is_read_whole(tmp_path, monkeypatch, kind, known):
    sources = three(tmp_path, kind)
    made = Mixture(str(tmp_path), sources, length=LENGTH, tokens_dir=str(tmp_path / "tokens"))
    if known and kind in BAD and kind != "xlsx":  # all of it was hashed, with another column say
        monkeypatch.setattr("kovocab.packing.memo.RACY", 0)
        Memo(tmp_path / "tokens", "quick")([tmp_path / f"bad.{kind}"])
    monkeypatch.setattr(token_files.Memo, "__call__", only_known(Memo.__call__, tmp_path / "good.jsonl"))
    with pytest.raises(CorpusError, match=r"bad\..*(text|no such file|UTF-8|suffix)"):
        made.prepare_data()
    assert not list((tmp_path / "tokens").glob("[!.]*"))


def only_known(hashes, never):
    """Hashes of files, none of which is read whole."""

    def call(self, paths):
        assert never not in paths
        return hashes(self, paths)

    return call


@pytest.mark.parametrize("kind", BAD)
def test_a_plan_says_so_too(tmp_path, kind):
    with pytest.raises(CorpusError, match=r"bad\."):
        check_sources(three(tmp_path, kind))


def test_a_plan_needs_no_data(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        check_sources(three(tmp_path, "gone.jsonl"))
    (said,) = caplog.messages
    assert said.startswith("data.sources: three was not looked at: ")
    assert said.endswith("bad.gone.jsonl is not here")


def test_fit_finds_what_pack_left(tmp_path, base, target, ko_small, capsys):
    """The same folder for the same settings, whichever of the two comes first."""
    folder = tmp_path / "expanded"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(target.text)
    write_record(folder, {"verb": "refine", "first_new_id": base.size})
    path, tokens = corpus(tmp_path, "ko", ko_small.tail(1500).to_list()), tmp_path / "tokens"
    settings = {"corpus": path, "tokenizer": folder, "out": tokens, "name": "ko", "length": 64, "threads": 1}
    flags = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    assert main(["pack", *flags, "--validation_share", "0.2", "--memory", "600MB"]) == 0
    said = capsys.readouterr().out.splitlines()
    made = Mixture(str(folder), [Source("ko", str(path))], length=64, validation_share=0.2, tokens_dir=str(tokens))
    before = {path: path.stat() for path in Path(said[-1]).iterdir()}
    made.prepare_data()
    made.setup("fit")
    assert str(made.packed[0].folder) == said[-1]
    assert {path: path.stat() for path in Path(said[-1]).iterdir()} == before
    assert said[0].startswith("train: 1,")
    assert len(said) == 3
    assert "base_text_tokens" in made.record()["sources"][0]["validation"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--length", "1"], "length is 1; wanted at least 2"),
        (["--validation_share", "1"], "validation_share is 1.0; wanted a share between 0 and 1"),
        (["--threads", "0"], "threads is 0; wanted 1 to 1,024"),
        (["--memory", "some"], "memory is 'some'; wanted bytes, or a size"),
        (["--name", "a/b"], "the name 'a/b' is not letters"),
        (["--format", "nemo"], "format"),
    ],
)
def test_what_pack_cannot_use_is_one_line(flags, says, tmp_path, capsys):
    save_tokenizer(tmp_path)
    path = corpus(tmp_path, "web", texts(100))
    settings = ["--corpus", str(path), "--tokenizer", str(tmp_path), "--out", str(tmp_path / "tokens")]
    assert main(["pack", *settings, *flags]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "tokens").exists()


def test_packing_says_where_it_is(tmp_path, caplog, monkeypatch):
    with caplog.at_level(logging.INFO):
        documents, _ = pack_struck(tmp_path, "text")
        size = sum(len(text.encode()) for text in documents)
        (said,) = [line for line in caplog.messages if "B/s" in line]
        assert said.startswith(f"pack web: {size:,} bytes of text, ")
        monkeypatch.setattr(told, "EVERY", 0.0)
        pack_struck(tmp_path, "token")
    (said,) = [line for line in caplog.messages if "s left" in line]
    assert re.fullmatch(r"pack web: [\d.]+ kB of text, [\d.]+ [kM]B/s, \d+%, \d+ s left", said)


def test_a_model_without_bytes_may_not_know_a_token_s_text():
    words = OtherModel({"[UNK]": 0, "a": 1, "</s>": 2}, "WordLevel", WORD_LEVEL)
    tokenizer = TokenizerJson(words, (AddedToken(0, "[UNK]"), AddedToken(2, "</s>")), pre_tokenizer=SPACED)
    with pytest.raises(TokenizerError, match="makes the special token '</s>' of that text by its model alone"):
        Encoder(tokenizer, "</s>", "text", None)
    cut = replace(tokenizer, pre_tokenizer={"type": "Whitespace"})
    (document,) = documents_of(Encoder(cut, "</s>", "text", None), ["a </s> a [UNK]"])
    assert document.ids == [1, 0, 0, 0, 1, 0, 0, 0, 2]


WORD_LEVEL = {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1, "</s>": 2}, "unk_token": "[UNK]"}
SPACED = {"type": "WhitespaceSplit"}
