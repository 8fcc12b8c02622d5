"""Transfer: an instruct model that speaks the new tokens, of a base, what was adapted of it, and its instruct sibling.

Chat Vector (arXiv 2310.04799): what training on instructions changed of a base is added to another model of that base.
The rows of new tokens, which the sibling has not, stay, or move with those of their base pieces: what LEP does with a
learned map (arXiv 2412.21140) done with `expand`'s own rule.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from kovocab.artefact import check_replaceable, new_folder
from kovocab.building.ranked_model import is_sentencepiece_style
from kovocab.errors import ModelError, UsageError
from kovocab.expanding.checks import check_tokenizer, open_tokenizer, refined_of
from kovocab.expanding.config_files import CONFIG, check_special_ids, read_json, reader_needed
from kovocab.expanding.expand import hub_id
from kovocab.expanding.row_counts import meaning, without_token
from kovocab.exporting.export import fill_generation
from kovocab.exporting.languages import Scripts
from kovocab.exporting.metadata import check_licence, check_name, named_datasets, public_name, without_places
from kovocab.ownership import identity, real
from kovocab.record import RECORD, Record, check_block, check_files, expanded_of, read_record, write_record
from kovocab.tokenizer.script import script_of
from kovocab.transferring.card import transfer_card
from kovocab.transferring.chat_tokens import check_written, ids_of, save, target_of
from kovocab.transferring.siblings import Model, Three, check_padding, check_related, open_model
from kovocab.transferring.sums import Ids
from kovocab.transferring.writing import matrices_of, write_config, write_weights

_YIELDS = ("README.md",)
"""A card that somebody edited is theirs."""

_SIBLING, _ADAPTED = "the base's instruct sibling", "a model adapted from it"


def transfer(
    base: str,
    adapted: str,
    instruct: str,
    out: str | Path,
    *,
    scale: float = 1.0,
    move_new_rows: bool = False,
    name: str | None = None,
    license: str | None = None,
    datasets: str | Sequence[str] | None = None,
    overwrite: bool = False,
) -> Record:
    """Write the instruct model to `out`: a folder for AutoModelForCausalLM and AutoTokenizer, laid out as `adapted`.

    Layers and rows of old tokens are adapted + scale × (instruct − base), in the adapted model's dtype. No model is in
    memory, but for a block of a tensor of each.

    Args:
        base: The base: a folder or a hub id.
        adapted: What `expand`, `fit` or `export` left of it, or another folder with more tokens than the base.
        instruct: The base's sibling that follows instructions: a folder or a hub id.
        out: The folder to write. What transfer left there before, of the same models and settings, is replaced; an
            edited README.md and what else is in the folder stay.
        scale: What the change is multiplied by; with 0 the weights are the adapted model's bit for bit.
        move_new_rows: Move the input row of a new token by the mean change of its base pieces' rows, and the output
            row by the change of the first one's.
        name: What the card calls the model; the folder's name, if not given.
        license: The identifier of the model's licence on the card, as the hub has them.
        datasets: Hub ids on the card of what the adapted model was trained on; those that its export names, if not
            given.
        overwrite: Whether what transfer left there of other models or settings is replaced too.

    Returns:
        The record that `out` holds.

    Raises:
        UsageError: `scale`, `license` or `datasets` cannot be used, or one model is given twice.
        ModelError: the three do not belong together, or hold what is no number.
        TokenizerError: a tokenizer cannot be read, or the result's breaks a promise.
        ArtefactError: `adapted` is not as kovocab wrote it, or `out` cannot be written.
    """
    if not (math.isfinite(scale) and scale >= 0):
        raise UsageError(f"scale is {scale}; wanted a number from 0 on: 1 adds all of what instructions changed")
    check_licence(license)
    named = named_datasets(datasets)
    _check_apart(base=base, adapted=adapted, instruct=instruct)
    out = Path(out)
    with ExitStack() as stack:
        check_replaceable(out, "transfer", yields=_YIELDS, reads=(base, adapted, instruct))
        three = Three(*(open_model(source, stack) for source in (base, adapted, instruct)))
        made = three.adapted.folder
        record = read_record(made, "expand", "fit", "export") if (made / RECORD).is_file() else None
        made_from: Record = {
            "name": check_name(name) or out.resolve().name,
            "settings": {"scale": scale, "move_new_rows": move_new_rows, "license": license},
            **{key: _source(model) for key, model in three._asdict().items()},
        }
        if record is not None:
            check_block(made, record)
            made_from["adapted"]["record"] = without_places(record)
            named = named or record.get("settings", {}).get("datasets", [])
            if made_from["base"]["name"] is None:
                made_from["base"]["name"] = expanded_of(record.get("model", record)).get("base_name")
        if named:
            made_from["settings"]["datasets"] = named
        check_replaceable(out, "transfer", made_from, overwrite=overwrite, yields=_YIELDS)
        ids = _checked(three, record)
        hashes: dict[str, str] = {}
        with new_folder(out, made_from, overwrite=overwrite, yields=_YIELDS, hashes=hashes) as folder:
            hashes |= _write(folder, out, three, ids, made_from, record)
    return read_record(out)


def _check_apart(**sources: str) -> None:
    seen: dict[str, str] = {}
    for setting, source in sources.items():
        if (other := seen.setdefault(real(source), setting)) != setting:
            raise UsageError(f"{setting} is {source}, which is {other} too; wanted three models")


def _source(model: Model) -> Record:
    """What tells a model from another: what it is called, and its files, by their sizes and samples."""
    files = [*model.weights.files, model.folder / CONFIG]
    return {
        "model": public_name(model.called),
        "name": hub_id(model.called),
        "tokenizer": model.tokenizer.digest,
        "files": {path.name: identity(path, sample=True) for path in files},
    }


def _checked(three: Three, record: Record | None) -> Ids:
    """Whose ids are whose, once the three are seen to belong together.

    Raises:
        KovocabError: they do not.
    """
    base, adapted, instruct = three
    for model in (base, instruct):
        check_padding(model)
    check_related(base, instruct, _SIBLING)
    check_related(base, adapted, _ADAPTED, may_be_untied=True)
    ids = ids_of(three)
    check_special_ids(str(instruct.folder), ids.chat)
    if record is not None:
        check_files(adapted.folder, record)
        made = record["model"] if record["verb"] == "export" else record
        check_tokenizer(adapted.folder, made, adapted.tokenizer)
        if made["first_new_id"] != ids.old:
            raise ModelError(
                f"{adapted.called} has new tokens from id {made['first_new_id']:,} on, by its record, and from "
                f"{ids.old:,} on by its tokenizer and those of {base.called} and {instruct.called}; wanted {_ADAPTED}"
            )
    open_tokenizer(adapted.folder)
    return ids


def _coarser(base: Model, instruct: Model) -> str | None:
    """What is to be said of a change that is between weights of two kinds."""
    if base.dtype == instruct.dtype:
        return None
    return (
        f"The base's weights are {base.dtype} and the instruct model's {instruct.dtype}: what was added holds the "
        "rounding of the coarser one too."
    )


def _write(
    folder: Path, out: Path, three: Three, ids: Ids, made_from: Record, adapted_record: Record | None
) -> dict[str, str]:
    """Write all files; the hashes of those of weights."""
    settings = made_from["settings"]
    target = target_of(three.adapted.tokenizer, three.instruct.tokenizer, ids)
    expanded = None if adapted_record is None else expanded_of(adapted_record.get("model", adapted_record))
    refined = None if expanded is None else refined_of(expanded)
    scripts = Scripts.of(refined or {"settings": {}})
    lost = save(target, folder, three, ids)
    write_config(folder, three, ids)
    # Before the long work: what others would read otherwise is seen in seconds.
    has_chat = check_written(folder, out, three, ids, script_of(scripts.names))
    fill_generation(folder, open_tokenizer(folder, out))
    matrices = matrices_of(three, ids, move=settings["move_new_rows"])
    hashes = write_weights(folder, three, settings["scale"], ids, matrices)
    adapted = three.adapted
    reader = reader_needed(read_json(folder, CONFIG) or {})
    said = (
        _coarser(three.base, three.instruct),
        None if reader is None else f"Reading it needs {reader}.",
        None if has_chat else "The instruct model has no chat template, and so this one has none.",
        lost,
        without_token(ids.rows, target.size, sentencepiece=is_sentencepiece_style(target)),
        meaning(ids.rows, (adapted.config.architectures or [""])[0]),
    )
    record: Record = {
        "verb": "transfer",
        "kovocab": version("kovocab"),
        **made_from,
        "first_new_id": ids.chat,
        "vocab_size": ids.rows,
        "tokens": target.size,
        "new_tokens": ids.new,
        "ids_moved_by": ids.moved_by,
        "new_rows": _new_rows(tied=adapted.tied, move=settings["move_new_rows"]),
        "tied": adapted.tied,
        "notes": [note for note in said if note is not None],
    }
    stage = adapted_record.get("model", adapted_record) if adapted_record is not None else {}
    card = transfer_card(record, refined, stage if stage.get("verb") == "fit" else None, has_chat=has_chat)
    (folder / "README.md").write_bytes(card.encode("utf-8", errors="backslashreplace"))
    write_record(folder, record)
    return hashes


def _new_rows(*, tied: bool, move: bool) -> str:
    """What the rows of new tokens are, in words."""
    if not move:
        return "the adapted model's"
    mean, first = "scale × the mean change of the base pieces' rows", "scale × the change of the first piece's row"
    return f"adapted + {mean}" + ("" if tied else f"; output: adapted + {first}")
