"""The verbs beside the street: each a function whose signature is its help, as in `verbs_of_text`."""

from pathlib import Path
from typing import Literal

from kovocab.errors import UsageError


def tell_doctor(gpu: bool = False, json: bool = False) -> None:
    """Tell what is installed, what is missing for which verb, and what the machine has; no secret, no path, no network.

    Args:
        gpu: Load torch too, and say which GPUs it sees.
        json: As a JSON object.
    """
    from kovocab.diagnosing.diagnose import diagnose, told

    found = diagnose(gpu=gpu)
    if json:
        from json import dumps

        print(dumps(found, ensure_ascii=False))
        return
    print(told(found))


def sample(
    out: str,
    megabytes: float = 2.0,
    seed: int = 0,
    language: Literal["ko", "en", "mixed"] = "mixed",
) -> None:
    """Write sample text: generated Korean and English, the same on every machine, of any size.

    Args:
        out: The file to write: .txt, .jsonl or .parquet.
        megabytes: Size of the text, in millions of bytes of UTF-8.
        seed: Another seed, another text.
        language: ko, en, or mixed: four Korean documents to an English one.
    """
    if megabytes <= 0:
        raise UsageError(f"megabytes is {megabytes}; wanted more than 0")
    from kovocab.example.text import write_sample

    write_sample(out, int(megabytes * 1e6), seed=seed, language=language)
    print(out)


def quickstart(
    out: str | None = None,
    corpus: str | None = None,
    min_count: int | None = None,
    base: Literal["llama", "phi-2"] = "llama",
    overwrite: bool = False,
) -> None:
    """Walk the whole street on a small example, from raw text to a folder for the hub, in some minutes.

    Args:
        out: The folder for all artefacts; runs/quickstart, if not given, and runs/quickstart-phi-2 for that base.
        corpus: Your own text instead of the sample: a file, folder or glob.
        min_count: Threshold of refine; by default one that suits the size of the text.
        base: What is adapted: llama, with a real tokenizer of 32,000 tokens, or phi-2, byte-level, with a bias for each
            row and rows to spare; both small, with random weights.
        overwrite: Replace what a quickstart left in out of another base, corpus or min_count.
    """
    from kovocab.example.quickstart import walk

    place = out or ("runs/quickstart" if base == "llama" else f"runs/quickstart-{base}")
    walk(Path(place), corpus, min_count, base, overwrite=overwrite)
