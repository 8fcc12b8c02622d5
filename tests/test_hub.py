"""A base that is named as on the hub: from the cache, without a network; and what is missing is said."""

import json
import shutil
from pathlib import Path

import pytest

from kovocab import hub
from kovocab.cli.main import main
from kovocab.errors import ModelError, TokenizerError
from kovocab.hub import local
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.base import save_tokenizer

constants = pytest.importorskip("huggingface_hub.constants")
NAME = "example/base"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def cached(cache, *names) -> Path:
    """The folder of a model in the cache, with the tokenizer of `support` and empty files."""
    folder = cache / "models--example--base"
    snapshot = folder / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("a" * 40)
    save_tokenizer(snapshot)
    for name in names:
        (snapshot / name).write_text("{}")
    return snapshot


def test_a_path_stays_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example/base").mkdir(parents=True)
    assert local(NAME) == Path(NAME)  # though it could be a name
    for path in ("tokenizer.json", "a/b/c", "/nowhere/base", "./example/other", "../x"):
        assert local(path) == Path(path)


def test_a_tokenizer_of_the_cache(cache, tmp_path):
    folder = cached(cache)
    assert local(NAME) == folder
    assert load_tokenizer(NAME).text == load_tokenizer(folder).text
    (tmp_path / "ko.txt").write_text("나무 그늘\n")
    words = str(tmp_path / "words.parquet")
    assert main(["count", "--corpus", str(tmp_path / "ko.txt"), "--tokenizer", NAME, "--out", words]) == 0


def test_what_is_missing_is_said(cache, capsys, tmp_path):
    with pytest.raises(TokenizerError, match=r"no file or folder example/base; .* or tokenizer.model not in the cache"):
        local(NAME)
    folder = cached(cache)
    with pytest.raises(ModelError, match=r": config.json and model.safetensors or model.safetensors.index.json not in"):
        local(NAME, weights=True)
    (folder / "config.json").write_text("{}")
    parts = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(parts))
    (folder / "model-00001-of-00002.safetensors").write_text("")
    with pytest.raises(ModelError, match=r"hub: model-00002-of-00002.safetensors not in the cache") as error:
        local(NAME, weights=True)
    for wanted in (str(cache), "offline mode", "set HF_HOME", f"hf download {NAME}"):
        assert wanted in str(error.value)
    (folder / "model-00002-of-00002.safetensors").write_text("")
    assert local(NAME, weights=True) == folder
    shutil.rmtree(cache)
    (tmp_path / "ko.txt").write_text("나무\n")
    corpus, words = str(tmp_path / "ko.txt"), str(tmp_path / "words.parquet")
    assert main(["count", "--corpus", corpus, "--tokenizer", NAME, "--out", words]) == 1
    assert "there is no file or folder example/base" in capsys.readouterr().err


def test_the_hub_is_asked_once_whether_it_is_there(monkeypatch):
    """What fetches files tries six times for each, for most of a minute."""
    import huggingface_hub

    asked = []

    def model_info(self, name, timeout):
        asked.append((name, timeout))
        raise ConnectionError("Name or service not known")

    def fetches(*args, local_files_only=False, **kwargs):
        assert local_files_only
        raise FileNotFoundError

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetches)
    with pytest.raises(TokenizerError, match=r"the hub gives none \(Name or service not known\)"):
        local(NAME)
    assert asked == [(NAME, hub.SECONDS)]


def test_what_the_hub_has_is_fetched(cache, monkeypatch):
    import huggingface_hub

    wanted = []

    def fetch(name, cache_dir, local_files_only=False, allow_patterns=()):
        if local_files_only:
            raise FileNotFoundError
        wanted.extend(allow_patterns)
        return cached(cache)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *args, **kwargs: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert (local(NAME) / "tokenizer.json").is_file()
    assert "tokenizer*" in wanted
    assert not any("safetensors" in pattern for pattern in wanted)
