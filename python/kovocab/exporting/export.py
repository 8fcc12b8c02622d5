"""Export: a finished stage as a folder for the hub, opened again and compared before it takes its name."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from kovocab.artefact import check_replaceable, new_folder
from kovocab.building.ranked_model import is_sentencepiece_style
from kovocab.errors import ArtefactError, ModelError, TokenizerError, UsageError, model_errors
from kovocab.expanding.checks import PROMPTS, check_finite, check_tokenizer, open_tokenizer, refined_of
from kovocab.expanding.config_files import CONFIG, GENERATION, read_json, reader_needed, save_model
from kovocab.expanding.expand import Dtype, copy_tokenizer, load_plain
from kovocab.expanding.row_counts import check_multiple, meaning, rows_for, set_rows, without_token
from kovocab.expanding.split_rows import plain_embeddings
from kovocab.exporting.card import model_card
from kovocab.exporting.languages import Scripts
from kovocab.exporting.measured import section
from kovocab.exporting.metadata import check_licence, check_name, named_datasets, without_places
from kovocab.hub import HUB_ID
from kovocab.record import RECORD, Record, check_files, read_record, write_record
from kovocab.tokenizer.companions import CONFIG as TOKENIZER_CONFIG
from kovocab.tokenizer.companions import read_config
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

_YIELDS = ("README.md",)
"""A card that somebody edited is theirs."""

TokenizerClass = Literal["PreTrainedTokenizerFast", "LlamaTokenizer"]
FAST: TokenizerClass = "PreTrainedTokenizerFast"
"""The class that transformers 4 and 5 open a tokenizer.json with as it is."""
_CLASSES: dict[str, str | None] = {
    FAST: None,
    "LlamaTokenizer": (
        "tokenizer_config.json names the class LlamaTokenizer, which onnxruntime-extensions wants; under it "
        "transformers 5 reads a text that begins with a space, or stands behind a special token, otherwise than "
        "tokenizer.json."
    ),
}

SHARD = "5GB"
"""Largest weight file: what the hub recommends."""


def export(
    stage: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    dtype: Dtype = "auto",
    license: str | None = None,
    base_model: str | None = None,
    datasets: str | Sequence[str] | None = None,
    pad_to_multiple_of: int | None = None,
    tokenizer_class: TokenizerClass = FAST,
    overwrite: bool = False,
) -> Record:
    """Write a stage to `out`, for AutoModelForCausalLM and AutoTokenizer: weights, tokenizer, card.

    It has as many rows as tokens: those without a token, which training may have had, go. Before the folder takes its
    name it is opened with both: the logits equal the stage's bit for bit (of the same dtype and rows), the model
    generates, and the tokenizer gives the ids that tokenizer.json gives.

    Args:
        stage: The folder of a finished stage, or of a run whose stages are all finished: then its last one. See
            `stage_of` for another one.
        out: The folder to write. What export left there before, of the same stage and settings, is replaced; an
            edited README.md and what else is in the folder stay.
        name: What the card calls the model; the folder's name, if not given.
        dtype: Of the weights written; `auto` keeps the stage's.
        license: The identifier of the model's licence on the card, as the hub has them: apache-2.0, say.
        base_model: The base's hub id on the card, if it was a folder that does not say.
        datasets: Hub ids on the card of what it was trained on, HAERAE-HUB/KOREAN-WEBTEXT say: one, or a list.
        pad_to_multiple_of: Round the number of rows up to a multiple of this; output and card say what that does.
        tokenizer_class: What tokenizer_config.json names. Some engines go by it: under `LlamaTokenizer`
            onnxruntime-extensions reads a SentencePiece-style tokenizer right, and transformers 5 wrongly.
        overwrite: Whether what export left there of another stage or with other settings is replaced too.

    Returns:
        The record that `out` holds.

    Raises:
        UsageError: `license`, `base_model` or `datasets` is not what the hub takes, `pad_to_multiple_of` is out of
            range, or `tokenizer_class` is not for a tokenizer of this style.
        ArtefactError: `stage` is no finished stage or run, or a file in it is not that stage's; or `out` cannot be
            written.
        ModelError: the weights cannot be read, are no numbers, or not what they were when they are opened again.
        TokenizerError: AutoTokenizer does not give what tokenizer.json gives.
    """
    check_licence(license)
    if base_model is not None and not HUB_ID.fullmatch(base_model):
        raise UsageError(f"base_model is {base_model!r}; wanted the base's hub id: mistralai/Mistral-7B-v0.1, say")
    named = named_datasets(datasets)
    check_multiple(pad_to_multiple_of)
    stage, out = Path(stage), Path(out)
    if not (stage / RECORD).is_file():
        stage = stage_of(stage)
    source = read_record(stage, "fit")
    name = check_name(name) or out.resolve().name
    settings: Record = {"dtype": dtype, "license": license, "base_model": base_model}
    settings |= {"datasets": named} if named else {}
    if pad_to_multiple_of is not None:
        settings["pad_to_multiple_of"] = pad_to_multiple_of
    if tokenizer_class != FAST:
        settings["tokenizer_class"] = tokenizer_class
    made_from: Record = {"name": name, "settings": settings, "model": without_places(source)}
    check_replaceable(out, "export", made_from, overwrite=overwrite, yields=_YIELDS, reads=[stage])
    check_files(stage, source)
    target = load_tokenizer(stage / "tokenizer.json")
    check_tokenizer(stage, source, target)
    tokenizer = open_tokenizer(stage)
    if tokenizer_class != FAST:
        _check_class(stage, target, tokenizer_class)
    model = load_plain(str(stage), dtype)
    check_finite(model, stage)
    if (rows := plain_embeddings(model)[0].num_embeddings) != source["vocab_size"]:
        raise ModelError(
            f"{stage} has {rows:,} embedding rows, and its record {source['vocab_size']:,}; wanted as many"
        )
    rows = rows_for(target.size, target.size, pad_to_multiple_of)
    set_rows(model, rows, target.size, source["first_new_id"])
    before = [_logits(model, tokenizer, prompt) for prompt in PROMPTS]
    record: Record = {
        "verb": "export",
        "name": name,
        "settings": made_from["settings"],
        "dtype": str(model.dtype).removeprefix("torch."),
        "first_new_id": source["first_new_id"],
        "vocab_size": rows,
        "tokens": target.size,
        "notes": [],
        "model": made_from["model"],
    }
    padded = without_token(rows, target.size, sentencepiece=is_sentencepiece_style(target))
    said = padded, meaning(rows, type(model).__name__), _CLASSES[tokenizer_class]
    with new_folder(out, made_from, overwrite=overwrite, yields=_YIELDS) as folder:
        save_model(model, folder, stage, max_shard_size=SHARD)
        fill_generation(folder, tokenizer)
        del model  # so that only one is in memory while what was written is checked
        copy_tokenizer(stage, folder)
        if (reader := reader_needed(read_json(folder, CONFIG) or {})) is not None:
            record["reader"] = reader
        if tokenizer_class != FAST:
            _name_class(folder, tokenizer_class)
        record["notes"] = [note for note in said if note is not None]
        prompt = Scripts.of(refined_of(source)).prompt(target, source["first_new_id"])
        card = model_card(
            source,
            name,
            base_model=base_model,
            licence=license,
            datasets=named,
            reader=reader,
            notes=record["notes"],
            prompt=prompt,
            measured=section(stage, source, target),
        )
        (folder / "README.md").write_bytes(
            card.encode("utf-8", errors="backslashreplace")
        )  # a token may be half a pair
        _check(folder, out, before)
        write_record(folder, record)
    return read_record(out)


def stage_of(run: str | Path, number: int | None = None) -> Path:
    """The folder of a run's stage: its last one, where all are finished, or that of a number.

    Raises:
        ArtefactError: it is no run, the stage is not finished, or, where no number is given, not all are.
    """
    folders = (path for path in (Path(run) / "stages").glob("*") if path.name.isdecimal())
    finished = {int(path.name): path for path in folders}
    if not Path(run).exists():
        raise ArtefactError(f"there is no folder {run}; wanted RUN, or the folder RUN/stages/K of a stage")
    if not finished:
        raise ArtefactError(f"{run} is no run with a finished stage; wanted RUN, or the folder RUN/stages/K of a stage")
    said = ", ".join(map(str, sorted(finished)))
    if number is not None:
        if number not in finished:
            raise ArtefactError(f"stage {number} of {run} is not finished; these are: {said}")
        return finished[number]
    last = max(finished)
    of = read_record(finished[last], "fit")["of"]
    if missing := set(range(1, of + 1)) - finished.keys():
        raise ArtefactError(
            f"{run} is not finished: of {of} stages, {min(missing)} is not there (these are: {said}); `kovocab fit` "
            f"goes on, and --run {run} --stage {last} exports that one"
        )
    return finished[last]


def _check_class(stage: Path, target: TokenizerJson, name: str) -> None:
    """See, before weights are read, that transformers opens the tokenizer as it is under a class of another name.

    Raises:
        UsageError: it is byte-level, or transformers gives other ids, or does not open it.
    """
    if not is_sentencepiece_style(target):
        raise UsageError(f"tokenizer_class is {name}, and the tokenizer is byte-level; wanted {FAST}")
    with TemporaryDirectory() as made:
        folder = Path(made)
        copy_tokenizer(stage, folder)
        (folder / CONFIG).write_bytes((stage / CONFIG).read_bytes())
        _name_class(folder, name)
        try:
            open_tokenizer(folder, stage)
        except TokenizerError as error:
            raise UsageError(
                f"tokenizer_class is {name}, and under that transformers gives other ids than the tokenizer.json of "
                f"{stage}, which is not as a Llama's; wanted {FAST}"
            ) from error


def _name_class(folder: Path, name: str) -> None:
    """Write the class that tokenizer_config.json names."""
    path = folder / TOKENIZER_CONFIG
    text = json.dumps(read_config(path) | {"tokenizer_class": name}, ensure_ascii=False, indent=2, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def fill_generation(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """How generation begins, ends and pads, where the base says nothing of it: as config.json or the tokenizer says.

    A negative id says nothing, and nothing that generation_config.json says is changed.
    """
    generation, config = read_json(folder, GENERATION) or {}, read_json(folder, CONFIG) or {}
    filled = dict(generation)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        ids = (generation.get(name), config.get(name), getattr(tokenizer, name))
        filled[name] = next((i for i in ids if i is not None and not (isinstance(i, int) and i < 0)), None)
    if filled["pad_token_id"] is None:
        end = filled["eos_token_id"]
        filled["pad_token_id"] = end[0] if isinstance(end, list) and end else end
    filled = {key: value for key, value in filled.items() if value is not None or key in generation}
    if filled != generation:
        filled.pop("_from_model_config", None)  # it is not alone any more
        (folder / GENERATION).write_text(json.dumps(filled, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _check(folder: Path, out: Path, before: list[torch.Tensor]) -> None:
    """Open what was written as its user will, and compare."""
    tokenizer = open_tokenizer(folder, out)
    model = load_plain(str(folder))
    for prompt, wanted in zip(PROMPTS, before, strict=True):
        if not torch.equal(_logits(model, tokenizer, prompt), wanted):
            raise ModelError(
                f"the exported model gives other logits for {prompt!r} than the stage; nothing was written"
            )
    inputs = tokenizer(PROMPTS[0], return_tensors="pt")
    length = inputs["input_ids"].shape[1]
    generate: Any = model.generate
    made = generate(inputs["input_ids"], max_new_tokens=4, do_sample=False)
    if made.shape[1] <= length:
        raise ModelError("the exported model generates nothing; nothing was written")


@torch.no_grad()
def _logits(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str) -> torch.Tensor:
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    with model_errors(f"transformers cannot run the {type(model).__name__} of {model.name_or_path}"):
        logits: torch.Tensor = model(input_ids=ids).logits
    return logits
