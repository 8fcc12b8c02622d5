"""What other engines make of an exported folder: run by the Python of an environment that has them, without kovocab.

    python engines.py ENGINE TEXTS.json FOLDER OUT.json

writes `{"version": ..., "ids": [[...], ...], "logits": [[...], ...] or null}`: ids of each text without special tokens
put round it, and the last row of logits of the ids of each of the first texts where the engine computes them.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

Made = tuple[list[list[int]], list[list[float]] | None]

LOGITS, LENGTH = 8, 24
"""Of how many texts logits are compared, and how many ids of each."""


def prompts(ids: list[list[int]]) -> list[list[int]]:
    """The ids that logits are computed of."""
    return [row[:LENGTH] for row in ids[:LOGITS] if row]


def transformers(folder: Path, texts: list[str]) -> Made:
    """transformers: AutoTokenizer and AutoModelForCausalLM."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        return ids, [model(torch.tensor([row])).logits[0, -1].tolist() for row in prompts(ids)]


def llama_cpp(folder: Path, texts: list[str]) -> Made:
    """llama.cpp, with special tokens in the text parsed; the folder is a GGUF file."""
    from llama_cpp import Llama

    model = Llama(str(folder), n_ctx=64, n_threads=1, logits_all=True, verbose=False)
    ids = [model.tokenize(text.encode(), add_bos=False, special=True) for text in texts]
    logits = []
    for row in prompts(ids):
        model.reset()
        model.eval(row)
        logits.append(model.scores[len(row) - 1].tolist())
    return ids, logits


def llama_cpp_start(folder: Path, texts: list[str]) -> Made:
    """llama.cpp with its own start token, as a server has it."""
    from llama_cpp import Llama

    model = Llama(str(folder), vocab_only=True, verbose=False)
    return [model.tokenize(text.encode(), add_bos=True, special=True) for text in texts], None


def ctranslate2(folder: Path, texts: list[str]) -> Made:
    """ctranslate2's converter and generator; it takes ids, so those of transformers."""
    from ctranslate2 import Generator
    from ctranslate2.converters import TransformersConverter
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    with TemporaryDirectory() as made:
        TransformersConverter(str(folder)).convert(made, force=True)
        words = json.loads(Path(made, "vocabulary.json").read_text(encoding="utf-8"))
        generator = Generator(made, compute_type="float32", intra_threads=1)
        logits = []
        for row in prompts(ids):
            # By the names that the converter gave to ids, so that its table is compared, too.
            out: Any = generator.forward_batch([[words[i] for i in row]])
            logits.append([list(map(float, line)) for line in __import__("numpy").array(out)[0]][-1])
    return ids, logits


def openvino(folder: Path, texts: list[str]) -> Made:
    """openvino-tokenizers: the tokenizer as a graph."""
    import openvino_tokenizers  # noqa: F401  # its operations
    from openvino import compile_model
    from openvino_tokenizers import convert_tokenizer
    from transformers import AutoTokenizer

    graph = convert_tokenizer(AutoTokenizer.from_pretrained(folder), add_special_tokens=False)
    run = compile_model(graph, "CPU")
    return [run([text])["input_ids"][0].tolist() for text in texts], None


def onnxruntime(folder: Path, texts: list[str]) -> Made:
    """onnxruntime-extensions, which goes by the class that tokenizer_config.json names."""
    from onnxruntime_extensions.pp_api import Tokenizer

    tokenizer = Tokenizer(str(folder), {"add_special_tokens": "false"})
    return [list(map(int, tokenizer.tokenize(text))) for text in texts], None


def gigatoken(folder: Path, texts: list[str]) -> Made:
    """gigatoken, through its face of transformers."""
    from gigatoken import Tokenizer

    tokenizer = Tokenizer(str(folder / "tokenizer.json")).as_hf()
    return [list(map(int, tokenizer.encode(text, add_special_tokens=False))) for text in texts], None


def kitoken(folder: Path, texts: list[str]) -> Made:
    """kitoken, with special tokens in the text read as those."""
    from kitoken import Kitoken

    return Kitoken.from_file(str(folder / "tokenizer.json")).encode_all(texts, True), None


def sentencepiece(folder: Path, texts: list[str]) -> Made:
    """SentencePiece on tokenizer.model."""
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_file=str(folder / "tokenizer.model")).encode(texts), None


def xgrammar(folder: Path, texts: list[str]) -> Made:
    """The ids that xgrammar allows first where a text has to match each of `texts`, regular expressions."""
    from transformers import AutoTokenizer
    from xgrammar import GrammarCompiler, GrammarMatcher, TokenizerInfo, allocate_token_bitmask

    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    info = TokenizerInfo.from_huggingface(AutoTokenizer.from_pretrained(folder), vocab_size=rows)
    compiler, allowed = GrammarCompiler(info), []
    for text in texts:
        matcher = GrammarMatcher(compiler.compile_regex(text))
        mask = allocate_token_bitmask(1, rows)
        matcher.fill_next_token_bitmask(mask)
        allowed.append([i for i in range(rows) if int(mask[0, i // 32]) >> (i % 32) & 1])
    return allowed, None


def llguidance(folder: Path, texts: list[str]) -> Made:
    """The same of llguidance."""
    import llguidance.hf
    import llguidance.numpy
    from llguidance import LLMatcher
    from transformers import AutoTokenizer

    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    tokenizer = llguidance.hf.from_tokenizer(AutoTokenizer.from_pretrained(folder), n_vocab=rows)
    allowed = []
    for text in texts:
        matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_regex(text))
        mask = llguidance.numpy.allocate_token_bitmask(1, rows)
        llguidance.numpy.fill_next_token_bitmask(matcher, mask)
        allowed.append([i for i in range(rows) if int(mask[0, i // 32]) >> (i % 32) & 1])
    return allowed, None


PACKAGES = {
    "llama_cpp": "llama_cpp_python", "llama_cpp_start": "llama_cpp_python", "openvino": "openvino_tokenizers",
    "onnxruntime": "onnxruntime_extensions",
}  # fmt: skip
ENGINES: dict[str, Callable[[Path, list[str]], Made]] = {
    made.__name__: made
    for made in (
        transformers, llama_cpp, llama_cpp_start, ctranslate2, openvino, onnxruntime, gigatoken, kitoken, sentencepiece,
        xgrammar, llguidance,
    )
}  # fmt: skip


def ask(python: str, engine: str, texts: list[str], folder: Path, **environment: str) -> dict[str, Any]:
    """Run this file with another Python, and give back what it wrote."""
    import os

    with TemporaryDirectory() as place:
        asked, out = Path(place, "texts.json"), Path(place, "out.json")
        asked.write_text(json.dumps(texts))
        done = subprocess.run(
            [python, __file__, engine, str(asked), str(folder), str(out)],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "USE_TF": "0", **environment},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        made: dict[str, Any] = json.loads(out.read_text())
    return made


def main(engine: str, texts: str, folder: str, out: str) -> None:
    """Ask one engine."""
    ids, logits = ENGINES[engine](Path(folder), json.loads(Path(texts).read_text()))
    try:
        number = version(PACKAGES.get(engine, engine))
    except Exception:  # of sources that are not installed
        number = "?"
    Path(out).write_text(json.dumps({"version": number, "ids": ids, "logits": logits}))


if __name__ == "__main__":
    # Beside this file are modules that an engine's own could be taken for.
    sys.path = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent]
    main(*sys.argv[1:])
