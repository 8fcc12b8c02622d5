"""Weights a tensor at a time, in one file or in several."""

import pytest
import torch

from kovocab.errors import ModelError
from kovocab.expanding.expand import load_plain
from kovocab.model.tensor_files import read_tensors, write_tensors
from support.models import expanded


def test_files_are_what_transformers_opens(tmp_path):
    folder = expanded(tmp_path / "model")
    (tmp_path / "out").mkdir()
    write_tensors(read_tensors(folder), tmp_path / "out", file_bytes=20_000)
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(files) > 3
    assert files[0] == f"model-00001-of-{len(files) - 1:05}.safetensors"
    assert max((tmp_path / "out" / name).stat().st_size for name in files) < 23_000
    (tmp_path / "out/config.json").write_bytes((folder / "config.json").read_bytes())
    for ours, theirs in zip(
        load_plain(str(tmp_path / "out")).parameters(), load_plain(str(folder)).parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)
    wanted = [name for name, _ in read_tensors(folder)]
    (folder / files[0]).write_bytes((tmp_path / "out" / files[0]).read_bytes())  # left of a layout before
    assert [name for name, _ in read_tensors(folder)] == wanted
    with pytest.raises(ModelError, match="has no weights"):
        list(read_tensors(tmp_path))
