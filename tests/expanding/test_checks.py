"""What belongs together is held together: a file of another refine, stage or run is named before any work is done."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from kovocab.cli.main import main
from kovocab.errors import ArtefactError, ModelError
from kovocab.expanding.checks import check_finite, check_vocabulary
from kovocab.record import check_files, read_record, write_record
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.models import tiny
from support.street import walk

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A street, and beside its tokenizer that of another refine, of as many new tokens."""
    street = tmp_path_factory.mktemp("street")
    walk(street)
    new = read_record(street / "tokenizer")["new_tokens"]
    first = pl.read_parquet(street / "tokenizer/vocabulary.parquet")["token"][0]
    (street / "decisions.csv").write_text(f"token,decision\n{first},drop\n")
    settings = f"--words {street}/words.parquet --base {street}/base --decisions {street}/decisions.csv"
    for name, most in (("other", new), ("smaller", new - 30)):
        counts = f"--min_count 2 --min_syllable_count 2 --max_new_tokens {most} --out {street}/{name}"
        assert main(["refine", *settings.split(), *counts.split()]) == 0
    assert read_record(street / "other")["new_tokens"] == new
    return street


def expand(walked: Path, tmp_path: Path, change: Callable[[Path, dict], object], capsys) -> str:
    """What expand says of refine's folder after a change to a copy of it, whose record lists what is there."""
    folder = tmp_path / "tokenizer"
    shutil.copytree(walked / "tokenizer", folder)
    record = read_record(folder)
    change(folder, record)
    write_record(folder, record)
    capsys.readouterr()
    arguments = ["--model", walked / "base", "--tokenizer", folder, "--out", tmp_path / "out"]
    assert main(["expand", *map(str, arguments)]) == 1
    assert not (tmp_path / "out").exists()
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("kovocab expand: ")
    return said[-1]


@pytest.mark.parametrize("name", ["tokenizer.json", "vocabulary.parquet"])
@pytest.mark.parametrize("other", ["other", "smaller"])
def test_a_file_of_another_refine_is_named(walked, tmp_path, capsys, name, other):
    def swap(folder, record):
        shutil.copyfile(walked / other / name, folder / name)

    said = expand(walked, tmp_path, swap, capsys)
    assert f"tokenizer/{name} is not what `kovocab refine` wrote there" in said


@pytest.mark.parametrize("name", ["tokenizer.json", "vocabulary.parquet"])
def test_it_is_found_where_the_record_lists_no_files(walked, tmp_path, capsys, name):
    def swap(folder, record):
        shutil.copyfile(walked / "other" / name, folder / name)
        del record["files"]

    said = expand(walked, tmp_path, swap, capsys)
    assert {
        "tokenizer.json": "tokenizer.json is another tokenizer than the record of ",
        "vocabulary.parquet": "vocabulary.parquet is not of the tokenizer.json beside it: the token ",
    }[name] in said


def test_it_is_found_where_the_record_says_nothing_of_the_tokenizer(walked, tmp_path, capsys):
    def swap(folder, record):
        shutil.copyfile(walked / "other/tokenizer.json", folder / "tokenizer.json")
        del record["files"], record["target_tokenizer"]

    assert "is not of the tokenizer.json beside it: the token " in expand(walked, tmp_path, swap, capsys)


@pytest.mark.parametrize("key", ["first_new_id", "new_tokens"])
def test_numbers_of_the_record_are_those_of_the_tokenizer(walked, tmp_path, capsys, key):
    def change(folder, record):
        record[key] -= 1

    said = expand(walked, tmp_path, change, capsys)
    assert "tokenizer.json has " in said
    assert " tokens, and the record of " in said


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda t: t.with_columns(base_pieces=pl.col("base_pieces").reverse()),
            "is of another base: its base_pieces of",
        ),
        (lambda t: t.head(-1), "new tokens and the tokenizer.json beside it"),
        (lambda t: t.with_columns(left=pl.lit("x"), right=pl.lit("y")), "does not merge 'x' and 'y' to "),
        (lambda t: t.with_columns(id=pl.col("id").reverse()), "is not of the tokenizer.json beside it: the token "),
    ],
)
def test_a_table_that_was_changed(walked, tmp_path, capsys, change, says):
    def write(folder, record):
        change(pl.read_parquet(folder / "vocabulary.parquet")).write_parquet(folder / "vocabulary.parquet")
        del record["files"]

    assert says in expand(walked, tmp_path, write, capsys)


def test_rows_of_old_tokens_are_compared_too(walked):
    target = load_tokenizer(walked / "tokenizer")
    first = read_record(walked / "tokenizer")["first_new_id"]
    table = pl.read_parquet(walked / "tokenizer/vocabulary.parquet")
    old = table.head(1).with_columns(id=pl.lit(7, pl.UInt32), token=pl.lit(target.tokens[7]))
    check_vocabulary(Path("table"), pl.concat([old, table]), target, first)
    with pytest.raises(ArtefactError, match=r"table is not of the tokenizer.json beside it: the token 7 is 'other' in"):
        check_vocabulary(Path("table"), pl.concat([old.with_columns(token=pl.lit("other")), table]), target, first)


# ── models and stages ──

READERS = {
    "fit": "--config {street}/fit.yaml --model.model {model} --run {out}/run",
    "validate": "--config {street}/fit.yaml --model.model {model}",
    "test": "--config {street}/fit.yaml --model.model {model}",
    "predict": "--config {street}/fit.yaml --model.model {model} --predictions {out}/predictions",
    "export": "--stage {model} --out {out}/export",
}


def refused(verb: str, walked: Path, model: Path, tmp_path: Path, capsys) -> str:
    capsys.readouterr()
    settings = READERS.get(verb, "--config {street}/fit.yaml --model.model {model}")
    assert main([verb, *settings.format(street=walked, model=model, out=tmp_path).split()]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"kovocab {verb}: ")
    for left in ("run/stages/1", "predictions", "export"):
        assert not (tmp_path / left).exists()
    return said


@pytest.mark.parametrize("verb", READERS)
def test_weights_of_another_stage_are_named(walked, tmp_path, capsys, verb):
    model = tmp_path / "model"
    shutil.copytree(walked / "run/stages/1", model)
    shutil.copyfile(walked / "expanded/model.safetensors", model / "model.safetensors")
    wanted = "model/model.safetensors is not what `kovocab fit` wrote there (of another stage or run?)"
    assert wanted in refused(verb, walked, model, tmp_path, capsys)


@pytest.mark.parametrize("verb", ["fit", "export"])
def test_a_file_too_many_and_one_too_few(walked, tmp_path, capsys, verb):
    model = tmp_path / "model"
    shutil.copytree(walked / "run/stages/1", model)
    weights = model / "model.safetensors"
    shutil.copyfile(weights, model / "model-2.safetensors")
    assert "model-2.safetensors is none of the files that `kovocab fit` wrote there" in refused(
        verb, walked, model, tmp_path, capsys
    )
    (model / "model-2.safetensors").rename(weights)
    weights.rename(tmp_path / "elsewhere")
    assert "model.safetensors is not there, and `kovocab fit` wrote it" in refused(
        verb, walked, model, tmp_path, capsys
    )


@pytest.mark.parametrize("verb", ["plan", "fit", "validate", "test", "predict"])
def test_rows_are_those_of_the_record(walked, tmp_path, capsys, verb):
    model = tmp_path / "model"
    shutil.copytree(walked / "expanded", model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"vocab_size": config["vocab_size"] + 8}))
    said = refused(verb, walked, model, tmp_path, capsys)
    assert f"model has vocab_size {config['vocab_size'] + 8} in its config.json and {config['vocab_size']} in" in said


@pytest.mark.parametrize("verb", READERS)
def test_a_tokenizer_of_another_refine_beside_a_model(walked, tmp_path, capsys, verb):
    model = tmp_path / "model"
    shutil.copytree(walked / "run/stages/1", model)
    shutil.copyfile(walked / "other/tokenizer.json", model / "tokenizer.json")
    record = read_record(model)
    del record["files"]
    write_record(model, record)
    assert "model/tokenizer.json is another tokenizer than the record" in refused(verb, walked, model, tmp_path, capsys)


def test_what_people_edit_is_theirs_and_said(walked, tmp_path, caplog):
    model = tmp_path / "model"
    shutil.copytree(walked / "expanded", model)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        (model / name).write_text(json.dumps(json.loads((model / name).read_text()) | {"mine": 1}))
    (model / "notes.txt").touch()
    with caplog.at_level("WARNING"):
        check_files(model, read_record(model, "expand"))
    said = sorted(message.partition(" is not as")[0].rpartition("/")[2] for message in caplog.messages)
    assert said == ["config.json", "generation_config.json", "tokenizer_config.json"]
    (model / "base_pieces.parquet").unlink()  # who needs it says so
    check_files(model, read_record(model, "expand"))


# ── numbers ──


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_found_wherever_it_is(dtype, value):
    model = tiny(dtype=dtype)
    check_finite(model, "it")
    weight = model.get_output_embeddings().weight
    for place in [(0, 0), (99, -1), *((row, 7 * row % 32) for row in range(0, 100, 9))]:
        before = weight[place].item()
        with torch.no_grad():
            weight[place] = value
        with pytest.raises(ModelError, match=r"lm_head.weight of it holds 1 of 3,200 numbers that are NaN or infinite"):
            check_finite(model, "it")
        with torch.no_grad():
            weight[place] = before
    check_finite(model, "it")


@pytest.mark.parametrize("verb", ["expand", "export"])
def test_a_model_that_holds_no_numbers_is_refused(walked, tmp_path, capsys, verb):
    model, name = tmp_path / "model", "model.layers.1.mlp.up_proj.weight"
    shutil.copytree(walked / ("base" if verb == "expand" else "run/stages/1"), model)
    tensors = load_file(model / "model.safetensors")
    tensors[name][3, 4] = float("nan")
    save_file(tensors, model / "model.safetensors", {"format": "pt"})
    if verb == "export":
        record = read_record(model)
        del record["files"]
        write_record(model, record)
    capsys.readouterr()
    settings = {"expand": f"--model {model} --tokenizer {walked}/tokenizer", "export": f"--stage {model}"}[verb]
    assert main([verb, *settings.split(), "--out", f"{tmp_path}/out"]) == 1
    assert f"kovocab {verb}: {name} of {model} holds 1 of " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
