"""What the hub reads of a card, as its own client reads it; and nothing of an export that says where it was made."""

import copy
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from kovocab.cli.main import main
from kovocab.errors import UsageError
from kovocab.exporting.card import model_card
from kovocab.exporting.languages import Scripts
from kovocab.exporting.metadata import check_licence, front_matter, named_datasets, public_name, without_places
from kovocab.pushing.contents import look_over
from kovocab.record import read_record
from support.records import trained
from support.street import skip_training

HANGUL = Scripts(["Hangul"])


def read(card: str) -> dict:
    return ModelCard(card).data.to_dict()


def test_the_hub_reads_what_was_meant() -> None:
    said = read(front_matter(HANGUL, "apache-2.0", ["some/base"], "finetune", ("expanded",), ["a/b", "c/d"]))
    assert said == {
        "language": ["ko", "en"],
        "license": "apache-2.0",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": "some/base",
        "base_model_relation": "finetune",
        "datasets": ["a/b", "c/d"],
        "tags": ["korean", "expanded", "kovocab"],
    }


@pytest.mark.parametrize("word", ["no", "null", "1.0", "yes", "1e5"])
def test_words_of_yaml_stay_words(word: str) -> None:
    check_licence(word)
    assert read(front_matter(HANGUL, word, [], "merge", ()))["license"] == word


def test_what_is_not_known_is_left_out() -> None:
    said = read(front_matter(HANGUL, None, [], "finetune", ()))
    assert said.keys() == {"language", "library_name", "pipeline_tag", "tags"}
    said = read(front_matter(HANGUL, None, ["a/b", "c/d"], "merge", ()))
    assert (said["base_model"], said["base_model_relation"]) == (["a/b", "c/d"], "merge")


def test_a_card_of_a_record_is_read_too() -> None:
    said = read(model_card(trained(320, 330), "m", base_model="some/base", licence="mit", datasets=["a/b"]))
    assert (said["base_model"], said["license"], said["datasets"]) == ("some/base", "mit", ["a/b"])


def test_datasets_are_names_on_the_hub() -> None:
    assert named_datasets(None) == []
    assert named_datasets("a/b") == ["a/b"]
    assert named_datasets(["a/b", "c/d", "a/b"]) == ["a/b", "c/d"]
    for wrong in ("/home/me/ko.jsonl", "ko.jsonl", "../a/b", "a/b/c", "https://huggingface.co/datasets/a/b", ""):
        with pytest.raises(UsageError, match="is no name on the hub; wanted HAERAE-HUB/KOREAN-WEBTEXT"):
            named_datasets(["a/b", wrong])


@pytest.mark.parametrize(
    ("place", "called"),
    [("/home/me/models/llama", "llama"), ("../llama/", "llama"), ("llama", "llama"), ("meta/llama", "meta/llama")],
)
def test_a_place_becomes_a_name(place: str, called: str) -> None:
    assert public_name(place) == called


def test_a_folder_that_looks_like_a_name_on_the_hub_is_none(here: Path) -> None:
    Path("models/llama").mkdir(parents=True)
    assert public_name("models/llama") == "llama"


def test_records_lose_places_and_nothing_else() -> None:
    record = trained(320, 330)
    record["base"] |= {"base_model": "/home/me/llama", "base_name": None}
    before = copy.deepcopy(record)
    found = without_places({"verb": "export", "model": record})
    assert found["model"]["base"]["base_model"] == "llama"
    assert record == before
    found["model"]["base"]["base_model"] = "/home/me/llama"
    assert found == {"verb": "export", "model": record}
    record["base"]["base_name"] = "meta/llama"
    assert without_places(record)["base"]["base_model"] == "meta/llama"


def test_no_file_of_an_export_says_where_it_was_made(street: Path, tmp_path: Path) -> None:
    skip_training("export")
    line = ["export", "--stage", str(street / "run"), "--out", str(tmp_path / "x"), "--datasets", "a/b", "c/d"]
    assert main([*line, "--license", "mit", "--base_model", "some/base"]) == 0
    for path in (tmp_path / "x").rglob("*"):
        assert str(street).encode() not in path.read_bytes(), path
        assert str(tmp_path).encode() not in path.read_bytes(), path
    said = look_over(tmp_path / "x").metadata
    assert (said["datasets"], said["base_model"], said["license"]) == (["a/b", "c/d"], "some/base", "mit")
    assert read_record(tmp_path / "x")["settings"]["datasets"] == ["a/b", "c/d"]
    assert main([*line, "--license", "mit", "--base_model", "some/base"]) == 0  # the same again
    assert main([*line[:-3], "--license", "mit", "--base_model", "some/base"]) == 1  # of none


def test_no_file_of_a_transfer_does_either(street: Path, tmp_path: Path) -> None:
    skip_training("transfer")
    made = tmp_path / "x"
    assert main(["export", "--stage", str(street / "run"), "--out", str(made), "--datasets", "a/b"]) == 0
    line = ["transfer", "--base", str(street / "base"), "--adapted", str(made), "--instruct", str(street / "instruct")]
    assert main([*line, "--out", str(tmp_path / "y"), "--license", "mit"]) == 0
    for path in (tmp_path / "y").rglob("*"):
        for place in (street, tmp_path):
            assert str(place).encode() not in path.read_bytes(), path
    assert look_over(tmp_path / "y").metadata["datasets"] == ["a/b"]
    assert main([*line, "--out", str(tmp_path / "y"), "--license", "mit"]) == 0
