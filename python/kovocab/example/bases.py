"""The bases of the quickstart: a small Llama with a real tokenizer, and a small phi-2 with one learned on the spot.

Both have random weights, the same every time.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from kovocab.artefact import check_replaceable, new_file
from kovocab.errors import ArtefactError, UsageError
from kovocab.example.text import sample_documents
from kovocab.refining.intermediate import train
from kovocab.tokenizer.spelling import BYTES, ByteSpelling
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import AddedToken, BpeModel, TokenizerJson

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# As GPT-2 cuts text, where all letters and digits are those of ASCII: the sample's English has no others.
_WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
_ENGLISH_BYTES = 1_000_000
_BYTE_LEVEL_TOKENS = 8_000
END = "<|endoftext|>"

RUNS = (*(" " * count for count in range(31, 1, -1)), *("\t" * count for count in range(9, 1, -1)))
"""phi-2's added tokens: found in raw text, and text themselves."""

SPARE_ROWS = 905
"""phi-2 has 51,200 rows for 50,295 tokens."""


Save = Callable[[Path], str]
"""Writes a base to a folder that is there, and gives what to call it."""


def llama() -> Save:
    """A Llama of 5 M parameters, and the tokenizer of 32,000 tokens that mistral_common carries.

    Raises:
        UsageError: mistral_common is not installed.
    """
    try:
        import mistral_common
    except ImportError:
        raise UsageError(
            "the quickstart's base tokenizer comes with the package mistral-common: pip install 'kovocab[quickstart]'"
        ) from None
    from transformers import LlamaConfig, LlamaForCausalLM

    model_file = Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"
    tokenizer = load_tokenizer(model_file)
    config = LlamaConfig(
        vocab_size=tokenizer.size,
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
    )

    def save(folder: Path) -> str:
        _save(lambda: LlamaForCausalLM(config), tokenizer, folder)
        shutil.copyfile(model_file, folder / "tokenizer.model")
        return "a Llama with random weights"

    return save


def phi_2() -> Save:
    """A phi-2 of 1.5 M parameters: byte-level, with its 38 added tokens, a bias for each row, and rows to spare."""
    from transformers import PhiConfig, PhiForCausalLM

    tokenizer = byte_level_tokenizer()
    end = tokenizer.ids[END]
    config = PhiConfig(
        vocab_size=tokenizer.size + SPARE_ROWS,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
        bos_token_id=end,
        eos_token_id=end,
        tie_word_embeddings=False,
    )
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)
    text = json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}, indent=2)

    def save(folder: Path) -> str:
        _save(lambda: PhiForCausalLM(config), tokenizer, folder)
        (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
        return "a phi-2 with random weights"

    return save


BASES: dict[str, Callable[[], Save]] = {"llama": llama, "phi-2": phi_2}
"""Each base of the quickstart, by its name; what it needs and is not installed is said before a folder is made."""


def byte_level_tokenizer() -> TokenizerJson:
    """A tokenizer as phi-2's is, of generated English: bytes, merges, the end of a text, then runs of white space."""
    counts: Counter[str] = Counter()
    for document in sample_documents(_ENGLISH_BYTES, language="en"):
        counts.update(_WORDS.findall(document))
    spell = ByteSpelling().spell
    words = {"word": [spell(word.replace(" ", "▁")) for word in counts], "count": list(counts.values())}
    learned = train(pl.DataFrame(words, schema={"word": pl.String, "count": pl.UInt64}), _BYTE_LEVEL_TOKENS - 256)
    merges = learned.drop_nulls("left").select("left", "right").rows()
    tokens = [*BYTES, *dict.fromkeys(left + right for left, right in merges), END]
    added = [AddedToken(len(tokens) - 1, END, special=True, normalized=False)]
    added += [AddedToken(i, run, special=False, normalized=True) for i, run in enumerate(RUNS, start=len(tokens))]
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return TokenizerJson(
        BpeModel({token: i for i, token in enumerate(tokens)}, merges),
        tuple(added),
        pre_tokenizer=step,
        post_processor=step,
        decoder=step,
    )


def write_sample_tokenizer(folder: str | Path) -> None:
    """Write `byte_level_tokenizer` as `folder/tokenizer.json`: a base to try things on, the same on every machine.

    Raises:
        ArtefactError: the file cannot be written, or is there and is another; or the folder holds somebody's files.
    """
    path = Path(folder) / "tokenizer.json"
    text = byte_level_tokenizer().pretty()
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
        raise ArtefactError(f"{path} is there and is not the sample tokenizer; choose another folder, or remove it")
    if not path.exists():
        check_replaceable(folder)
    with new_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


def _save(make: "Callable[[], PreTrainedModel]", tokenizer: TokenizerJson, folder: Path) -> None:
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.manual_seed(0)
    make().save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.pretty(), encoding="utf-8")
