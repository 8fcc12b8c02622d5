"""Expand: new rows by the rule, old rows bit by bit."""

import json
import re
import resource
import shutil

import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM

from kovocab.errors import ArtefactError, ModelError, TokenizerError, UsageError
from kovocab.expanding.expand import expand, expand_folder
from kovocab.expanding.split_rows import is_tied
from kovocab.record import read_record, write_record
from support import records
from support.models import ids, tiny

torch.set_num_threads(1)
MODELS = [(a, d, t) for a in ("llama", "phi") for d in (torch.float32, torch.bfloat16) for t in (False, True)]
every_model = pytest.mark.parametrize(("architecture", "dtype", "tied"), MODELS)


def vocabulary(first=90, count=20, low=0):
    """New tokens with one to four pieces each, among rows of old tokens, which expand does not look at."""
    generator = torch.Generator().manual_seed(1)
    pieces = [torch.randint(low, first, (1 + i % 4,), generator=generator).tolist() for i in range(count)]
    new = {
        "id": range(first, first + count),
        "token": [f"새{i}" for i in range(count)],
        "base_pieces": pieces,
    }
    old = {"id": range(first), "token": [f"old{i}" for i in range(first)], "base_pieces": [None] * first}
    schema = {"id": pl.UInt32, "token": pl.String, "base_pieces": pl.List(pl.UInt32)}
    return pl.concat([pl.DataFrame(new, schema=schema), pl.DataFrame(old, schema=schema)])


def head_parts(model):
    head = model.get_output_embeddings()
    return [part for part in (head.weight, head.bias) if part is not None]


def slow_mean(weight, pieces):
    """The obvious twin of subword_mean: element by element, in Python's fp64."""
    return torch.tensor([[sum(weight[p, c].item() for p in pieces) / len(pieces) for c in range(weight.shape[1])]])


@every_model
@pytest.mark.parametrize("rows", [90, 100, 130])  # no padding, padding that new tokens overflow, that holds them
def test_rows_are_what_the_rule_says(architecture, dtype, tied, rows):
    model = tiny(architecture, rows, dtype, tie_word_embeddings=tied)
    base = {name: value.clone() for name, value in model.state_dict().items()}
    old_in, old_out = model.get_input_embeddings().weight.clone(), [p.clone() for p in head_parts(model)]
    table = vocabulary()
    expand(model, table, first_new_id=90, pad_to_multiple_of=16)
    embedding, outputs = model.get_input_embeddings().weight, head_parts(model)
    total = 144 if rows == 130 else 112
    assert model.config.vocab_size == len(embedding) == total
    assert all(len(part) == total for part in outputs)
    assert is_tied(model) == tied
    assert torch.equal(embedding[:90], old_in[:90])
    for part, old in zip(outputs, old_out, strict=True):
        assert torch.equal(part[:90], old[:90])
    for row, pieces in table.filter(pl.col("id") >= 90).select("id", "base_pieces").iter_rows():
        wanted = slow_mean(old_in, pieces)
        tolerance = {"atol": 1e-7, "rtol": 1e-6} if dtype == torch.float32 else {"atol": 1e-4, "rtol": 4e-3}
        torch.testing.assert_close(embedding[row : row + 1].float(), wanted, **tolerance)
        for part, old in zip(outputs, old_out, strict=True):
            if not (tied and part is embedding):
                assert torch.equal(part[row], old[pieces[0]])
    if rows == 130:
        assert torch.equal(embedding[110:130], old_in[110:130])  # padding of the base that is left
    mean = old_in[:90].double().mean(0).to(dtype)
    torch.testing.assert_close(embedding[max(rows, 110) :], mean.expand(total - max(rows, 110), -1))
    same = [k for k in base if not k.endswith(("embed_tokens.weight", "lm_head.weight", "lm_head.bias"))]
    assert all(torch.equal(model.state_dict()[k], base[k]) for k in same)


@pytest.mark.parametrize("architecture", ["llama", "phi"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("first", "count", "exact"), [(96, 32, True), (90, 20, False)])
def test_logits_of_old_tokens_are_the_base_s(architecture, dtype, first, count, exact):
    """Bit for bit where rows fill whole tiles of the matrix product, as SOLAR's do; else to one rounding."""
    model = tiny(architecture, first, dtype)
    prompt = ids(first)
    before = model(prompt).logits
    after = expand(model, vocabulary(first, count), first_new_id=first)(prompt).logits[..., :first]
    if exact or dtype == torch.bfloat16:
        assert torch.equal(after, before)
    torch.testing.assert_close(after, before, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.filter(pl.col("id") != 95), "after 94 comes 96 ('새6')"),
        (lambda t: t.filter(pl.col("id") != 90), "after 89 comes 91 ('새1')"),
        (lambda t: t.filter(pl.col("id") < 90), "no new token"),
        (lambda t: t.drop("base_pieces"), "no column base_pieces"),
        (lambda t: with_pieces(t, 93, [3, 90]), "'새3' (id 93) has the base piece 90"),
        (lambda t: with_pieces(t, 93, []), "'새3' (id 93) has no base pieces"),
        (lambda t: with_pieces(t, 93, None), "'새3' (id 93) has no base pieces"),
    ],
)
def test_a_vocabulary_that_does_not_fit(change, message):
    with pytest.raises(ModelError) as error:
        expand(tiny(), change(vocabulary()), first_new_id=90)
    assert message in str(error.value)


def with_pieces(table, row, pieces):
    new = pl.lit(pl.Series([pieces], dtype=pl.List(pl.UInt32))).first()
    return table.with_columns(base_pieces=pl.when(pl.col("id") == row).then(new).otherwise("base_pieces"))


def test_a_model_that_does_not_fit():
    with pytest.raises(ModelError, match="80 embedding rows and the base tokenizer 90 tokens"):
        expand(tiny(rows=80), vocabulary(), first_new_id=90)
    with pytest.raises(UsageError, match="pad_to_multiple_of is 0"):
        expand(tiny(), vocabulary(), first_new_id=90, pad_to_multiple_of=0)

    class Scaled(torch.nn.Embedding):
        pass

    model = tiny()
    model.set_input_embeddings(Scaled(100, 32))
    with pytest.raises(ModelError, match="input embeddings of LlamaForCausalLM are a Scaled"):
        expand(model, vocabulary(), first_new_id=90)


# --- the verb ---


def save_tokenizer(folder, tokens):
    folder.mkdir(parents=True, exist_ok=True)
    made = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token=tokens[0]))
    made.save(str(folder / "tokenizer.json"))


@pytest.fixture
def street(tmp_path):
    """A base model with its tokenizer, and what refine would leave for it."""
    base, refined = tmp_path / "base", tmp_path / "refined"
    old, new = [f"old{i}" for i in range(90)], [f"새{i}" for i in range(20)]
    tiny("phi", 100, torch.bfloat16).save_pretrained(base)
    save_tokenizer(base, old)
    save_tokenizer(refined, old + new)
    (refined / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    vocabulary().write_parquet(refined / "vocabulary.parquet")
    write_record(refined, records.refined(90, 20))
    return base, refined, tmp_path / "expanded"


def test_a_path_is_no_model():
    with pytest.raises(UsageError, match=r"^model is of type str; wanted a model, as transformers loads it$"):
        expand("base", vocabulary(), first_new_id=90)


def test_expand_writes_a_model_a_tokenizer_and_a_record(street):
    base, refined, out = street
    record = expand_folder(str(base), refined, out, pad_to_multiple_of=32)
    assert record == read_record(out, "expand") | {"kovocab": record["kovocab"]}
    assert {k: record[k] for k in ("first_new_id", "vocab_size", "new_tokens", "tied", "dtype")} == {
        "first_new_id": 90,
        "vocab_size": 128,
        "new_tokens": 20,
        "tied": False,
        "dtype": "bfloat16",
    }
    assert record["architecture"] == "PhiForCausalLM"
    assert record["base_tokenizer_checked"] is True
    assert record["tokenizer"] == read_record(refined)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (out / name).read_bytes() == (refined / name).read_bytes()
    model = AutoModelForCausalLM.from_pretrained(out)
    before = AutoModelForCausalLM.from_pretrained(base)
    assert model.config.vocab_size == 128
    assert torch.equal(model(ids(90)).logits[..., :90], before(ids(90)).logits[..., :90])
    assert list(out.parent.glob(".*")) == []
    expand_folder(str(base), refined, out, dtype="float32", overwrite=True)  # again, over the artefact
    assert AutoModelForCausalLM.from_pretrained(out).dtype == torch.float32


def test_all_files_of_the_tokenizer_come_along_and_nothing_else(street):
    base, refined, out = street
    files = {"chat_template.jinja": "{{ messages }}", "special_tokens_map.json": "{}", "tokenizer.model": "model"}
    for name, text in files.items():
        (refined / name).write_text(text)
    expand_folder(str(base), refined, out)
    assert {name: (out / name).read_text() for name in files} == files
    assert not (out / "vocabulary.parquet").exists()


@pytest.mark.parametrize("multiple", [0, -8, 65_537, 10**12])
def test_a_multiple_that_cannot_be_meant_is_refused_before_anything_is_read(tmp_path, multiple):
    with pytest.raises(UsageError, match=f"pad_to_multiple_of is {multiple}; wanted a number from 1 to 65,536"):
        expand_folder("./absent", tmp_path / "absent", tmp_path / "out", pad_to_multiple_of=multiple)


def test_a_broken_tokenizer_beside_the_model_is_named(street):
    base, refined, out = street
    (base / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(TokenizerError, match=r"base/tokenizer\.json is not a tokenizer\.json"):
        expand_folder(str(base), refined, out)


@pytest.mark.parametrize("own", [True, False], ids=["with", "without"])
@pytest.mark.parametrize(
    "broken", ["{", '{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "decoder": {"type": "No"}}', None]
)
def test_a_target_that_cannot_be_opened_is_named_before_anything_is_written(street, own, broken):
    base, refined, out = street
    if not own:
        (base / "tokenizer.json").unlink()
    (refined / "tokenizer.json").unlink()
    if broken is not None:
        (refined / "tokenizer.json").write_text(broken)
    with pytest.raises(TokenizerError, match=re.escape(f"{refined}/tokenizer.json ")):
        expand_folder(str(base), refined, out)
    assert not out.exists()


def test_the_model_s_own_tokenizer_must_be_the_base(street):
    base, refined, out = street
    save_tokenizer(base, [f"old{i}" for i in range(41)] + ["other"] + [f"old{i}" for i in range(42, 90)])
    with pytest.raises(ModelError, match="id 41 is 'other' in the model's and 'old41' in the target's base"):
        expand_folder(str(base), refined, out)
    save_tokenizer(base, [f"old{i}" for i in range(91)])
    with pytest.raises(ModelError, match="id 90 is 'old90' in the model's and None"):
        expand_folder(str(base), refined, out)
    (base / "tokenizer.json").unlink()
    assert expand_folder(str(base), refined, out)["base_tokenizer_checked"] is False


def test_a_token_that_another_file_of_the_base_adds_must_be_in_the_target(street):
    base, refined, out = street
    (base / "added_tokens.json").write_text('{"<pad>": 90}')
    with pytest.raises(ModelError, match="id 90 is '<pad>' in the model's and None"):
        expand_folder(str(base), refined, out)
    (base / "added_tokens.json").write_text('{"<pad>": 91}')
    with pytest.raises(TokenizerError, match=r"gives '<pad>' the id 91, .* as 90"):
        expand_folder(str(base), refined, out)


def test_a_special_id_of_a_row_that_a_new_token_takes_is_refused(street):
    base, refined, out = street
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"eos_token_id": [2, 95]}))
    with pytest.raises(ModelError, match=r"config.json of .*base says eos_token_id 95"):
        expand_folder(str(base), refined, out)
    assert not out.exists()


@pytest.mark.parametrize(("said", "name"), [("meta/llama", "meta/llama"), ("/home/me/llama", None), (None, None)])
def test_a_base_in_a_folder_is_called_what_its_config_says(street, said, name):
    base, refined, out = street
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"_name_or_path": said}))
    assert expand_folder(str(base), refined, out)["base_name"] == name


def test_misfits_and_faults_are_named_and_leave_nothing(street, monkeypatch):
    base, refined, out = street
    (base / "tokenizer.json").unlink()
    # Offline: the variable is read when huggingface_hub is imported, so set what it became.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for model, message in (
        ("somebody/absent-model", r"no file or folder somebody/absent-model; as a name on the hub: config\.json and"),
        ("./absent", "no such folder"),
        ("absent", "no such folder; wanted one, or a name on the hub: user/name"),
        (str(base / "config.json"), r"config\.json is a file; wanted the folder of a model"),
        (str(refined), r"is not a model: it has no config\.json"),
    ):
        with pytest.raises(ModelError, match=message):
            expand_folder(model, refined, out)
    with pytest.raises(ArtefactError, match=r"it has no kovocab\.json"):
        expand_folder(str(base), base, out)
    with pytest.raises(ArtefactError, match=r"there is no folder .*/gone; wanted one that `kovocab refine or"):
        expand_folder(str(base), base / "gone", out)
    with pytest.raises(ArtefactError, match="is what expand reads"):
        expand_folder(str(base), refined, refined)
    for rows in (89, 90 + 1025):
        tiny("phi", rows).save_pretrained(base)
        with pytest.raises(ModelError, match=f"has {rows:,} embedding rows and the base tokenizer .* 90 tokens"):
            expand_folder(str(base), refined, out)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ModelError, match=r"has 14 missing keys, the first model\.layers\.2"):
        expand_folder(str(base), refined, out)
    (base / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(ModelError, match=r"has 14 unexpected keys, the first model\.layers\.1"):
        expand_folder(str(base), refined, out)
    with (base / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelError, match="cannot be loaded"):
        expand_folder(str(base), refined, out)
    shutil.copyfile(refined / "tokenizer.json", refined / "vocabulary.parquet")
    with pytest.raises(ArtefactError, match=r"vocabulary\.parquet cannot be read"):
        expand_folder(str(base), refined, out)
    assert not out.exists()
    assert list(out.parent.glob(".*")) == []


def test_a_full_disk_leaves_nothing(street):
    base, refined, out = street
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(ArtefactError, match="cannot be written"):
            expand_folder(str(base), refined, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not out.exists()
    assert list(out.parent.glob(".*")) == []


def test_what_is_written_is_checked(street, monkeypatch):
    base, refined, out = street
    monkeypatch.setattr("kovocab.expanding.expand.expand", sabotaged(expand, 5))
    with pytest.raises(ModelError, match="old rows of the output bias are not what they were"):
        expand_folder(str(base), refined, out)
    monkeypatch.setattr("kovocab.expanding.expand.expand", sabotaged(expand, 95))
    with pytest.raises(ModelError, match="new rows of the output bias are not what the rule gives"):
        expand_folder(str(base), refined, out)
    assert not out.exists()


def sabotaged(real, row):
    def expand(model, *rest, **settings):
        made = real(model, *rest, **settings)
        made.get_output_embeddings().bias.data[row] += 1
        return made

    return expand
