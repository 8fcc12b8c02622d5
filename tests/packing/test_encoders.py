"""The engine gives what `tokenizers` gives: ids, ends, hashes, words and bytes of each document, in order."""

from dataclasses import fields, replace

import numpy as np
import polars as pl
import pytest

from kovocab.building.target import build_target
from kovocab.packing.encoders import Engine, Library, encoder_of
from kovocab.packing.encoding import DTYPES, Encoder, dtype_of, eos_of
from kovocab.reading.documents import batches
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.base import save_tokenizer
from support.byte_level import load
from support.vocabularies import train_vocabulary, vocabulary_of_words, with_added

STRUCK = [
    "<s>old</s> new",
    "{eos}",
    "가{eos}나",
    "  두 칸{eos}\n    if x:\n        y",
    "{eos} b{eos}{eos}",
    " ",
    "\n\n",
    "가",
]


@pytest.fixture(scope="module")
def texts(data, ko_small):
    """Korean, English and other text, of documents of all sizes, and special tokens in it."""
    others = [next(batches(data / f"{name}.jsonl.zst")).head(300) for name in ("en", "other")]
    struck = [text.replace("{eos}", eos) for eos in ("</s>", "<|endoftext|>") for text in STRUCK]
    joined = pl.Series(
        ["\n".join(ko_small.head(400)), "".join(ko_small.head(50)), "가" * 3_000, "http://" + "a1" * 900]
    )
    return pl.concat([pl.Series(struck), ko_small.head(1_500), joined, *others]).alias("text")


def grown(tokenizer, ko_small):
    return build_target(tokenizer, train_vocabulary(ko_small.head(2_000), 1_500))


def same(texts, tokenizer, eos, **settings):
    """Both encode `texts`: the same of everything; gives what the engine made."""
    settings = {"template": True, "eos_id": tokenizer.ids[eos], "sought": [eos], **settings}
    dtype = dtype_of(tokenizer)
    ours = encoder_of(tokenizer, dtype, threads=3, memory=1 << 20, **settings)
    assert isinstance(ours, Engine)
    slow, wanted = Library(Reference(tokenizer), dtype, **settings).encode(texts)
    for part in (texts, texts.reverse(), texts):  # words are known by then, and some have made way
        made, found = ours.encode(part)
        assert found == wanted
        if part is not texts[:0] and part[0] == texts[0]:
            for field in fields(made)[1:]:
                one, other = getattr(made, field.name), getattr(slow, field.name)
                assert one.dtype == other.dtype, field.name
                assert np.array_equal(one, other), field.name
    return made


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("name", ["mistral_v1", "gpt2", "phi2", "qwen2"])
def test_ids_are_those_of_tokenizers(name, as_text, texts, data):
    if name == "mistral_v1":
        tokenizer = load_tokenizer(data / "tokenizers" / name / "tokenizer.json")
    else:
        tokenizer = load(data, name)
    tokenizer = replace(tokenizer, encode_special_tokens=as_text)
    made = same(texts, tokenizer, eos_of(tokenizer, data))
    assert made.ids.dtype == (DTYPES[1] if name == "qwen2" else DTYPES[0])
    assert len(made.ends) == len(texts)
    assert int(made.words.sum()) == sum(len(text.split()) for text in texts)


@pytest.mark.parametrize("as_text", [True, False])
def test_ids_of_a_target_are_those_of_tokenizers(as_text, texts, base, ko_small):
    target = replace(grown(base, ko_small), encode_special_tokens=as_text)
    assert len(same(texts, target, "</s>").ids) < len(same(texts, base, "</s>").ids)
    same(texts, target, "</s>", template=False, eos_id=None, sought=[])


def test_ids_of_a_byte_level_target_are_those_of_tokenizers(texts, data, ko_small):
    rows = vocabulary_of_words(ko_small.head(2_000), 1_500, HANGUL.in_bytes)
    same(texts, build_target(load(data, "gpt2"), rows), "<|endoftext|>")


def test_a_special_token_that_is_text_hides_what_else_could_begin_in_it(base):
    """As in `tokenizers`, which passes over it and what lies across its end."""
    both = with_added(base, "s>x", special=False)
    both = replace(both, added_tokens=tuple(replace(token, normalized=False) for token in both.added_tokens))
    for as_text in (True, False):
        same(pl.Series(["a<s>x", "a s>x", "<s></s>xs>x"]), replace(both, encode_special_tokens=as_text), "</s>")


def test_what_the_engine_does_not_read_goes_the_slow_way_and_that_is_said(tmp_path, caplog):
    save_tokenizer(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    with caplog.at_level("INFO"):
        made = encoder_of(tokenizer, "<u2", template=True, eos_id=2, sought=[], threads=1, memory=1)
    assert isinstance(made, Library)
    assert caplog.messages == ["packing with tokenizers, which is slower: entries of its vocabulary span words"]


def test_a_template_that_is_not_the_same_round_every_text_goes_the_slow_way(base, monkeypatch):
    def encode(self, texts, *, template=False):
        return [[7] * (len(text) if template else 1) for text in texts]

    monkeypatch.setattr(Reference, "encode", encode)
    assert isinstance(encoder_of(base, "<u2", template=True, eos_id=2, sought=[], threads=1, memory=1), Library)


def test_nothing_is_encoded_to_nothing(base):
    encoder = Encoder(base, "</s>", "text", None)
    for series in (pl.Series([], dtype=pl.String), pl.Series(["", ""])):
        made = encoder.encode(series)
        assert len(made.ids) == len(made.ends) == len(made.hashes) == 0
