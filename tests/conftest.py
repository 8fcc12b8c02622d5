"""What tests share: where the real text lies, a base tokenizer that a package carries, a folder, a disk.

What only the text half needs is imported where it is used: tests of the GPU run on machines without Polars.
"""

import gc
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import polars as pl

    from kovocab.counting.word_counts import Counted
    from kovocab.tokenizer.tokenizer_json import TokenizerJson

pytest.register_assert_rewrite("support")

# Real text and tokenizers, beside the checkout (or where KOVOCAB_TEST_DATA says). Not part of the project:
# what needs them is skipped, visibly, where they are not.
DATA = Path(os.environ.get("KOVOCAB_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_collection_finish() -> None:
    """What is imported by now lives to the end: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `gpu` are skipped, visibly, where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs an NVIDIA GPU that torch sees; `make gpu` runs these where there is one")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real text, or a skip that says why."""
    if not (DATA / "ko.parquet").is_file():
        pytest.skip(f"real text is not at {DATA} (set KOVOCAB_TEST_DATA)")
    return DATA


@pytest.fixture(scope="session")
def base_model_file() -> Path:
    """A real 32,000-piece SentencePiece `tokenizer.model`, from the package mistral_common."""
    mistral_common = pytest.importorskip("mistral_common", reason="pip install kovocab[quickstart]")
    return Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"


@pytest.fixture(scope="session")
def base(base_model_file: Path) -> "TokenizerJson":
    """The tokenizer of that model; nothing of it may be changed."""
    from kovocab.tokenizer.tokenizer import load_tokenizer

    return load_tokenizer(base_model_file)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small tokenizer of our own; nothing in it may be changed."""
    from support.base import save_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def mistral(data: Path) -> Path:
    """The real base: 32,000 pieces, `tokenizer.json` beside its `tokenizer.model`."""
    return data / "tokenizers" / "mistral_v1" / "tokenizer.json"


@pytest.fixture(scope="session")
def byte_level(data: Path) -> "Callable[[str], TokenizerJson]":
    """The real byte-level bases (gpt2, phi2, qwen2), by name; nothing of them may be changed."""
    from functools import cache, partial

    from support.byte_level import load

    return cache(partial(load, data))


@pytest.fixture(scope="session")
def ko_small(data: Path) -> "pl.Series":
    """12 MB of real Korean text, 41,453 documents."""
    import polars as pl

    return pl.read_ndjson(data / "ko_small.jsonl.zst")["text"]


@pytest.fixture(scope="session")
def counted(ko_small: "pl.Series", mistral: Path) -> "Counted":
    """The words of `ko_small`, cut for `mistral`."""
    from kovocab.counting.count import count

    return count(ko_small, mistral)


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an artefact of every verb; nothing in it may be changed."""
    from support.street import walk

    folder = tmp_path_factory.mktemp("street")
    walk(folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the test stands in, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def in_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `place` that a test file makes; the test stands in it."""
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C is heard, also where the shell that runs the tests ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk of a size, "16k" or "3m"; the test is skipped, and told why, where there can be none."""
    folder = tmp_path / "disk"

    def mount(size: str) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)
