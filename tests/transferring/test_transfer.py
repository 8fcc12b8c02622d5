"""Transfer: the sibling's change arrives, and nothing else; what does not belong together is refused by name."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from kovocab.cli.main import main
from kovocab.errors import ModelError, UsageError
from kovocab.record import read_record
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.transferring.transfer import transfer
from support.base import BASE_TOKENS
from support.front import tree
from support.siblings import CHAT, TEMPLATE, expand, make_instruct, nudge, on_grid

torch.set_num_threads(1)
ENGLISH = "The old trees, 3.14! They didn't move."
KOREAN = "나무 그늘 아래 안녕하세요"


def weights(folder):
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def by_token(name):
    return "embed_tokens" in name or "lm_head" in name


@pytest.fixture(scope="module")
def place(street, tmp_path_factory):
    """base and expanded of the street on a grid; instruct, and one with chat tokens of its own."""
    folder = tmp_path_factory.mktemp("siblings")
    shutil.copytree(street / "base", folder / "base")
    nudge(folder / "base", size=0, exact=True)
    expand(folder / "base", street, folder / "expanded")
    make_instruct(folder / "base", folder / "instruct", exact=True)
    make_instruct(folder / "base", folder / "chat", chat_tokens=CHAT, template=TEMPLATE, exact=True)
    return folder


def run(place, out, adapted="expanded", instruct="instruct", **settings):
    return transfer(str(place / "base"), str(place / adapted), str(place / instruct), out, **settings)


def test_with_scale_0_it_is_the_adapted_model_bit_for_bit(place, street, tmp_path):
    for adapted in (place / "expanded", street / "run/stages/1", street / "export"):
        out = tmp_path / adapted.name
        transfer(str(street / "base"), str(adapted), str(place / "instruct"), out, scale=0.0)
        assert (out / "model.safetensors").read_bytes() == (adapted / "model.safetensors").read_bytes()
        assert (out / "tokenizer.model").read_bytes() == (adapted / "tokenizer.model").read_bytes()
