"""A `tokenizer.json` read: what `tokenizers` makes of it, older forms too, or a line that says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from kovocab.errors import TokenizerError
from kovocab.tokenizer.parsing import parse
from kovocab.tokenizer.reference import Reference
from support.reference import zstd
from support.vocabularies import tokenizer_of

FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
METASPACE = {"type": "Metaspace", "replacement": "▁"}


def config(**change: Any) -> dict[str, Any]:
    """A small `tokenizer.json`, with a change."""
    vocab = {token: i for i, token in enumerate(["a", "b", "▁", "ab", "▁ab"])}
    model = {"type": "BPE", "vocab": vocab, "merges": [["a", "b"], ["▁", "ab"]]}
    return {"version": "1.0", "added_tokens": [], "model": model} | change


def written(raw: str) -> Any:
    """What `tokenizers` 0.23 writes of a file."""
    if not hasattr(Tokenizer, "from_str"):
        pytest.skip("this version of tokenizers writes no file")
    return Tokenizer.from_str(raw)


@pytest.mark.parametrize("name", ["mistral_v1", "gpt2", "phi2", "qwen2"])
def test_a_real_file_is_written_as_tokenizers_writes_it(data: Path, name: str) -> None:
    folder = data / "tokenizers" / name
    packed = folder / "tokenizer.json.zst"
    raw = zstd.decompress(packed.read_bytes()) if packed.exists() else (folder / "tokenizer.json").read_bytes()
    ours, theirs = parse(raw, name), written(raw.decode())
    assert ours.text == theirs.to_str()
    assert ours.pretty() == theirs.to_str(pretty=True) + "\n"
    assert ours.ids == theirs.get_vocab(with_added_tokens=True)
    assert ours.size == theirs.get_vocab_size(with_added_tokens=True)


def with_model(**change: Any) -> dict[str, Any]:
    return config(model=config()["model"] | change)


def untyped() -> dict[str, Any]:
    return config(model={key: value for key, value in config()["model"].items() if key != "type"})


OLDER = {
    "merges": with_model(merges=["a b", "▁ ab"]),
    "no type": untyped(),
    "merges with a version": with_model(merges=["#version: 0.2", "a b", "▁ ab"]),
    "no type, WordLevel": config(model={"vocab": {"a": 0, "b": 1}, "unk_token": "a"}),
    "no version": {key: value for key, value in config().items() if key != "version"},
    "metaspace": config(pre_tokenizer=METASPACE | {"add_prefix_space": True}),
    "metaspace, str_rep": config(pre_tokenizer=METASPACE | {"str_rep": "▁", "add_prefix_space": True}),
    "metaspace, no prefix": config(
        pre_tokenizer=METASPACE | {"add_prefix_space": False, "prepend_scheme": "never"}, decoder=None
    ),
    "metaspace in a sequence": config(
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, METASPACE]}
    ),
    "vocab in another order": with_model(vocab={"▁ab": 4, "b": 1, "a": 0, "ab": 3, "▁": 2}),
    "added tokens in another order": config(
        added_tokens=[FLAGS | {"id": 5, "content": "<s>"}, FLAGS | {"id": 3, "content": "ab"}]
    ),
    "metaspace, null": config(pre_tokenizer=METASPACE | {"add_prefix_space": None}),
    "a merge twice": with_model(merges=[["a", "b"], ["▁", "ab"], ["a", "b"]]),
    "null for false": with_model(fuse_unk=None, byte_fallback=None, dropout=None),
    "added tokens behind a hole": config(
        model=config()["model"] | {"vocab": config()["model"]["vocab"] | {"<mask>": 40}},
        added_tokens=[FLAGS | {"id": 40, "content": "<mask>"}, FLAGS | {"id": 6, "content": "<new>"}],
    ),
    "truncation": config(
        truncation={"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}, padding=None
    ),
}


@pytest.mark.parametrize("raw", OLDER.values(), ids=OLDER.keys())
def test_older_forms_become_today_s(raw: dict[str, Any]) -> None:
    theirs = written(json.dumps(raw))
    theirs.no_truncation()
    assert json.loads(tokenizer_of(raw).text) == json.loads(theirs.to_str())
    assert tokenizer_of(json.loads(tokenizer_of(raw).text)).text == tokenizer_of(raw).text


TOKENS = st.sampled_from(["", "a", "b", "c", "d", "<s>", "<t>", "<u>"])
VOCABS = st.dictionaries(TOKENS.filter(bool), st.integers(0, 9), min_size=1)
ADDED = st.lists(st.tuples(TOKENS, st.integers(0, 12)), max_size=4)


@settings(max_examples=400, deadline=None)
@given(vocab=VOCABS, added=ADDED)
def test_ids_are_those_that_tokenizers_gives_or_the_file_is_refused(
    vocab: dict[str, int], added: list[tuple[str, int]]
) -> None:
    tokens = [FLAGS | {"id": i, "content": content} for content, i in added]
    raw = {"version": "1.0", "added_tokens": tokens, "model": {"type": "BPE", "vocab": vocab, "merges": []}}
    try:
        document = tokenizer_of(raw)
    except TokenizerError:
        # No file is refused whose ids are the plain ones: the model's without holes, then the added tokens'.
        plain = sorted(vocab.values()) == list(range(len(vocab)))
        fresh = [i for content, i in added if content not in vocab]
        once = len({content for content, _ in added} - {""}) == len(added)
        known = all(vocab.get(content, i) == i for content, i in added)
        assert not (plain and once and known and fresh == list(range(len(vocab), len(vocab) + len(fresh))))
        return
    reference = Reference(document)
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(raw, file)
        file.flush()
        library = Tokenizer.from_file(file.name)
    for token in document.ids:
        assert library.encode(token).ids == reference.encode([token])[0]
    alone = {token: i for token, i in document.ids.items() if len(token) == 1 or token in dict(added)}
    assert reference.encode(list(alone)) == [[i] for i in alone.values()]
    assert len(set(document.ids.values())) == len(document.ids)
    if hasattr(library, "get_vocab"):
        assert document.ids == library.get_vocab(with_added_tokens=True)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ([], "wanted an object with a model$"),
        ({"model": []}, "wanted an object with a model$"),
        (config(model={"type": 5}), "model.type is 5; wanted the name of a kind"),
        (with_model(vocab=["a"]), r"model.vocab is \[\"a\"\]; wanted an object of tokens and ids"),
        (with_model(vocab={"a": "0"}), "the id of 'a' is \"0\"; wanted a whole number"),
        (with_model(vocab={"a": True}), "the id of 'a' is true; wanted a whole number"),
        (with_model(vocab={"a": -1}), "the id of 'a' is -1; wanted 0 to 16777215"),
        (with_model(vocab={"a": 1, "b": 1}), "the tokens 'a' and 'b' have the same id, 1"),
        (with_model(merges={}), "model.merges is {}; wanted a list"),
        (with_model(merges=["a b c"]), r"model.merges\[0\] is \"a b c\"; wanted two tokens"),
        (with_model(merges=[["a", "b"], ["a"]]), r"model.merges\[1\] is \[\"a\"\]; wanted two tokens"),
        (with_model(merges=[["a", "x"]]), r"model.merges\[0\], 'a' \+ 'x', needs 'x', which is no token of the model"),
        (with_model(merges=[["b", "a"]]), "needs 'ba', which is no token"),
        (with_model(byte_fallback=1), "model.byte_fallback is 1; wanted true or false"),
        (with_model(dropout="a"), 'model.dropout is "a"; wanted a number or null'),
        (with_model(dropout=-1), "model.dropout is -1; wanted 0 to 1"),
        (with_model(dropout=float("nan")), "NaN is no JSON"),
        (with_model(vocab={}), "model.vocab is empty; wanted tokens"),
        (with_model(vocab={"a": 1 << 24}), "the id of 'a' is 16777216; wanted 0 to 16777215"),
        (with_model(continuing_subword_prefix="##"), r"model.merges\[0\] has 'b' on its right; wanted '##' before it"),
        (config(version="2.0"), 'version is "2.0"; wanted "1.0"'),
        (
            config(pre_tokenizer=METASPACE | {"add_prefix_space": False}),
            "add_prefix_space false and the prepend_scheme",
        ),
        (config(post_processor={"type": "TemplateProcessing", "single": []}), "does not hold the text once"),
        (config(added_tokens=""), 'added_tokens is ""; wanted a list'),
        (config(added_tokens=None), "added_tokens is null; wanted a list"),
        (config(tokens=[]), "it has the key 'tokens'; wanted version, truncation, padding, added_tokens"),
        (with_model(type=None), "model.type is null; wanted the name of a kind"),
        (
            config(pre_tokenizer=METASPACE | {"add_prefix_space": {}}),
            "add_prefix_space is {}; wanted true, false or null",
        ),
        (config(added_tokens=[FLAGS | {"id": 5, "content": ""}]), "the added token '' is empty"),
        (
            config(added_tokens=[FLAGS | {"id": 6, "content": "<t>"}, FLAGS | {"id": 5, "content": "<s>"}]),
            "the added token '<t>' has the id 6, where tokenizers reads 5",
        ),
        (with_model(unk_token=5), "model.unk_token is 5; wanted a string or null"),
        (with_model(unk_token="\ud800"), "surrogates not allowed"),
        (with_model(comment="\ud800"), "surrogates not allowed"),
        (with_model(merges=["a b", ["▁", "ab"]]), "model.merges has texts and lists; wanted one or the other"),
        (with_model(type="Unigram", vocab=[5]), r"model.vocab\[0\] is 5; wanted a token and its score"),
        (with_model(type="Unigram", vocab=[["a", 0.0], [5, 0.0]]), r"model.vocab\[1\] is \[5, 0.0\]; wanted a token"),
        (with_model(type="Unigram", vocab=[[]]), r"model.vocab\[0\] is \[\]; wanted a token and its score"),
        (config(normalizer=[]), r"normalizer is \[\]; wanted an object or null"),
        (config(decoder={}), "decoder.type is null; wanted the name of a kind"),
        (config(added_tokens={"a": 1}), 'added_tokens is {"a": 1}; wanted a list'),
        (config(added_tokens=[5]), r"added_tokens\[0\] is 5; wanted an object"),
        (config(added_tokens=[FLAGS]), r"added_tokens\[0\].id is null; wanted a whole number"),
        (config(added_tokens=[{"id": 5, "content": "<s>"}]), r"\[0\].single_word is null; wanted true or false"),
        (config(added_tokens=[FLAGS | {"id": 7, "content": "<s>"}]), "has the id 7, where tokenizers reads 5"),
        (config(added_tokens=[FLAGS | {"id": 5, "content": "ab"}]), "has the id 5, where tokenizers reads 3"),
    ],
)
def test_what_is_no_tokenizer_json_is_said(raw: object, reason: str) -> None:
    with pytest.raises(TokenizerError, match=f"^some/file is not a tokenizer.json: .{{0,80}}{reason}") as caught:
        parse(json.dumps(raw), "some/file")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_what_is_no_json_is_said() -> None:
    for raw in ('{"a": ', b"\xff{", "[" * 100_000, json.dumps(config()).encode("utf-16-le")):
        with pytest.raises(TokenizerError, match=r"some/file is not a tokenizer\.json: "):
            parse(raw, "some/file")


@pytest.mark.parametrize(
    "model",
    [
        {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"},
        {"type": "Unigram", "vocab": [["[UNK]", 0.0], ["a", -1.5]], "unk_id": 0, "byte_fallback": False},
        {
            "type": "WordPiece", "vocab": {"[UNK]": 0, "a": 1, "##a": 2}, "unk_token": "[UNK]",
            "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        },
    ],
    ids=lambda model: model["type"],
)  # fmt: skip
def test_other_models_are_kept_as_they_are(model: dict[str, Any]) -> None:
    document = tokenizer_of(config(model=model))
    reference = Reference(document)
    assert [document.tokens[i] for i in reference.encode(["a"])[0]] == ["a"]
    assert document.ids["[UNK]"] == reference.encode(["漢"])[0][0]
    assert json.loads(document.text)["model"] == model


def test_merges_that_continue_a_word() -> None:
    document = tokenizer_of(
        config(
            model={
                "type": "BPE",
                "continuing_subword_prefix": "##",
                "vocab": {"a": 0, "##b": 1, "ab": 2},
                "merges": [["a", "##b"]],
            }
        )
    )
    assert Reference(document).encode(["ab"]) == [[2]]


def test_a_template_that_holds_the_text_once_is_read() -> None:
    text, begin = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "a", "type_id": 0}}
    template = {
        "type": "TemplateProcessing", "single": [begin, text], "pair": [text, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"a": {"id": "a", "ids": [0], "tokens": ["a"]}},
    }  # fmt: skip
    document = tokenizer_of(config(post_processor={"type": "Sequence", "processors": [template]}))
    assert Reference(document).encode(["b"], template=True) == [[0, 1]]
    for single in ([begin], [text, text]):
        wrong = {"type": "Sequence", "processors": [template | {"single": single}]}
        with pytest.raises(TokenizerError, match="does not hold the text once"):
            tokenizer_of(config(post_processor=wrong))


@pytest.mark.parametrize("read", [str, str.encode], ids=["text", "bytes"])
def test_text_and_bytes_are_read_alike(read: Callable[[str], Any]) -> None:
    assert parse(read(json.dumps(config(), ensure_ascii=False)), "x") == tokenizer_of(config())
