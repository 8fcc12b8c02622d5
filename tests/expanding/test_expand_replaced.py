"""Expand on what replace left: new rows by the rule at old ids, all others bit by bit; who needs a block says so."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kovocab.cli.main import main
from kovocab.errors import ModelError
from kovocab.expanding.new_rows import RULES, check_replaced, matrices, replace_rows, replaced_pieces
from kovocab.record import read_record
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.front import answer, tree
from support.models import tiny
from support.street import skip_training

PIECES = {40: [1, 2], 7: [7], 3: [40, 3, 99]}


@pytest.fixture(scope="module")
def replaced(street: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    skip_training("expand")
    out = tmp_path_factory.mktemp("replaced") / "tokenizer"
    line = (
        f"replace --tokenizer {street}/tokenizer --words {street}/words.parquet --base {street}/base "
        f"--keep {street}/english.parquet --out {out} --max_english_loss 0.05"
    )
    assert main(line.split()) == 0
    return out


@pytest.fixture(scope="module")
def expanded(street: Path, replaced: Path) -> Path:
    out = replaced.parent / "expanded"
    assert main(f"expand --model {street}/base --tokenizer {replaced} --out {out}".split()) == 0
    return out


def held(model):
    return {name: matrix.detach().clone() for name, matrix in matrices(model).items()}


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True}),
        ("phi", {}),
        ("llama", {"dtype": torch.bfloat16}),
    ],
    ids=["llama", "tied", "bias", "bf16"],
)
def test_rows_are_by_the_rule_of_the_rows_before_and_all_others_keep_every_bit(architecture, settings) -> None:
    """A piece may itself be replaced, or be the token's own id: what it was before counts."""
    model = tiny(architecture, **settings)
    before, state = held(model), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert replace_rows(model, PIECES) is model
    after = matrices(model)
    assert after.keys() == before.keys()
    for name, matrix in after.items():
        assert matrix.shape == before[name].shape
        others = [row for row in range(len(matrix)) if row not in PIECES]
        assert torch.equal(matrix[others], before[name][others])
        for row, ids in PIECES.items():
            mean = name == "input embeddings"
            wanted = before[name][ids].float().mean(0).to(matrix.dtype) if mean else before[name][ids[0]]
            assert torch.equal(matrix[row], wanted)
    check_replaced(model, before, PIECES)
    layers = [name for name in state if "layers" in name]
    assert layers
    assert all(torch.equal(model.state_dict()[name], state[name]) for name in layers)


@pytest.mark.parametrize("row", [0, 40])
def test_a_row_that_is_not_what_it_should_be_is_found(row: int) -> None:
    model = tiny()
    before = held(model)
    replace_rows(model, PIECES)
    with torch.no_grad():
        matrices(model)["output embeddings"][row, 3] += 1e-6
    with pytest.raises(ModelError, match="rows of the output embeddings are not the base's and what the rule gives"):
        check_replaced(model, before, PIECES)


def test_the_rules_are_expands_own() -> None:
    model = tiny()
    before = held(model)
    replace_rows(model, PIECES)
    for name, matrix in matrices(model).items():
        assert torch.equal(matrix[list(PIECES)], RULES[name](before[name], list(PIECES.values())))


def test_untied_it_is_two_matrices() -> None:
    model = tiny(tie_word_embeddings=True)
    replace_rows(model, PIECES, untie=True)
    assert len(matrices(model)) == 2


def table(**columns):
    rows = {"id": [5, 2], "token": ["a", "b"], "base_pieces": [[1], [3, 4]], "new": [True, True]} | columns
    return pl.DataFrame(
        rows, {"id": pl.UInt32, "token": pl.String, "base_pieces": pl.List(pl.UInt32), "new": pl.Boolean}
    )


def test_pieces_are_by_id_and_those_of_tokens_that_keep_theirs_are_none() -> None:
    assert replaced_pieces(table(), 9) == {2: [3, 4], 5: [1]}
    assert replaced_pieces(table(new=[False, True]), 9) == {2: [3, 4]}


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"id": [5, 5]}, "has the id 5; wanted one of the 9 ids, each once"),
        ({"id": [5, 9]}, "the new token 'b' has the id 9; wanted one of the 9 ids"),
        ({"base_pieces": [[1], []]}, r"the token 'b' \(id 2\) has no base pieces"),
        ({"base_pieces": [[1], [9]]}, r"'b' \(id 2\) has the base piece 9; wanted ids of the base, below 9"),
        ({"new": [False, False]}, "the vocabulary has no new token"),
    ],
)
def test_a_table_that_cannot_be_is_named(columns, wanted) -> None:
    with pytest.raises(ModelError, match=wanted):
        replaced_pieces(table(**columns), 9)
    with pytest.raises(ModelError, match="the vocabulary has no column new"):
        replaced_pieces(table().drop("new"), 9)


def test_a_model_without_a_row_for_an_id_is_refused() -> None:
    with pytest.raises(ModelError, match="100 embedding rows, and a new token the id 100; wanted a row for each"):
        replace_rows(tiny(), {100: [1]})


def test_a_folder_has_the_bases_shapes_and_its_tokenizer_opens(street: Path, replaced: Path, expanded: Path) -> None:
    base, model = (AutoModelForCausalLM.from_pretrained(folder) for folder in (street / "base", expanded))
    record, gone = read_record(expanded, "expand"), pl.read_parquet(replaced / "replaced.parquet")["id"].to_list()
    pieces = replaced_pieces(pl.read_parquet(replaced / "vocabulary.parquet"), record["vocab_size"])
    assert sorted(pieces) == gone
    assert record["first_new_id"] is None
    assert (record["new_tokens"], record["vocab_size"]) == (len(gone), base.config.vocab_size)
    check_replaced(model, held(base), pieces)
    assert {name: t.shape for name, t in model.state_dict().items()} == {
        name: t.shape for name, t in base.state_dict().items()
    }
    others = [name for name in base.state_dict() if "embed" not in name and "lm_head" not in name]
    assert all(torch.equal(base.state_dict()[name], model.state_dict()[name]) for name in others)
    target = load_tokenizer(expanded)
    text = pl.read_parquet(replaced / "vocabulary.parquet").filter("new")["token"][0]
    assert target.texts[text] in AutoTokenizer.from_pretrained(expanded)(text)["input_ids"]


def test_without_hangul_or_what_went_logits_are_the_bases(street: Path, replaced: Path, expanded: Path) -> None:
    """Over all ids that were not replaced, bit for bit: the same rows in the same matrices."""
    base, model = (AutoModelForCausalLM.from_pretrained(folder).eval() for folder in (street / "base", expanded))
    gone = pl.read_parquet(replaced / "replaced.parquet")["id"].to_list()
    kept = [row for row in range(base.config.vocab_size) if row not in gone]
    ids = torch.tensor([kept[5:40]])
    with torch.no_grad():
        before, after = base(ids).logits, model(ids).logits
    assert torch.equal(before[..., kept], after[..., kept])
    assert not torch.equal(before[..., gone], after[..., gone])


@pytest.mark.parametrize(
    "line",
    [
        "fit --config {street}/fit.yaml --model.model {expanded} --run new",
        "validate --config {street}/fit.yaml --model.model {expanded}",
        "plan --config {street}/fit.yaml --model.model {expanded}",
        "coverage --config {street}/fit.yaml --model.model {expanded}",
        "transfer --base {street}/base --adapted {expanded} --instruct {street}/instruct --out new",
    ],
)
def test_what_needs_a_block_of_new_rows_refuses_by_name(
    line: str, street: Path, expanded: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = answer(capsys, line.format(street=street, expanded=expanded).split())
    assert code == 1
    assert said.count("\n") == 1, said
    assert f"{expanded} has its new tokens at the ids of old ones (`kovocab replace`), and stages train" in said
    assert list(here.iterdir()) == []


def test_any_model_is_evaluated(street: Path, expanded: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"evaluate --models [{expanded}] --corpus {street}/en.txt --documents 2 --new_tokens 2"
    assert main(line.split()) == 0
    assert "expanded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("pad", "pad_to_multiple_of is 64, and {tokenizer} was made by `kovocab replace`"),
        ("special", "generation_config.json of base says eos_token_id {gone:,}, and a new token has that id now"),
        ("tokenizer", "tokenizer/tokenizer.json is not what `kovocab replace` wrote there"),
        ("vocabulary", "vocabulary.parquet is not what `kovocab replace` wrote there"),
        ("base", "was not made from the tokenizer of base"),
        ("record", "kovocab.json is not what `kovocab replace` wrote: there is no target_tokenizer"),
        ("refined", "kovocab.json is not what `kovocab replace` wrote: there is no tokenizer.first_new_id"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    change: str, wanted: str, street: Path, replaced: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(street / "base", "base")
    shutil.copytree(replaced, "tokenizer")
    gone = pl.read_parquet(replaced / "replaced.parquet")["id"][0]
    line = "expand --model base --tokenizer tokenizer --out out"
    record = json.loads(Path("tokenizer/kovocab.json").read_text())
    match change:
        case "pad":
            line += " --pad_to_multiple_of 64"
        case "special":
            Path("base/generation_config.json").write_text(json.dumps({"eos_token_id": gone}))
        case "tokenizer":
            shutil.copy(street / "tokenizer/tokenizer.json", "tokenizer/tokenizer.json")
        case "vocabulary":
            pl.read_parquet("tokenizer/vocabulary.parquet").head(3).write_parquet("tokenizer/vocabulary.parquet")
        case "base":
            kept = next(
                row for row in range(259, 320) if row not in pl.read_parquet("tokenizer/replaced.parquet")["id"]
            )
            text = load_tokenizer("base").tokens[kept]
            config = json.loads(Path("base/tokenizer.json").read_text())
            config["model"]["vocab"]["Q"] = config["model"]["vocab"].pop(text)
            config["model"]["merges"] = [m for m in config["model"]["merges"] if text not in (*m, "".join(m))]
            Path("base/tokenizer.json").write_text(json.dumps(config))
        case "record":
            del record["target_tokenizer"]
        case "refined":
            del record["tokenizer"]["first_new_id"]
    if change in ("record", "refined"):
        Path("tokenizer/kovocab.json").write_text(json.dumps(record))
    before = tree(here)
    code, said = answer(capsys, line.split())
    assert code == (2 if change == "pad" else 1), said
    assert wanted.format(tokenizer="tokenizer", gone=gone) in said
    assert said.count("\n") == 1 or "is not as" in said, said
    assert tree(here) == before
