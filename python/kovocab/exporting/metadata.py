"""What the hub reads: the YAML at a card's head, of what is in it; and records as they go there, without paths."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from kovocab.errors import UsageError
from kovocab.exporting.languages import Scripts
from kovocab.hub import HUB_ID
from kovocab.record import Record

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def front_matter(
    scripts: Scripts,
    licence: str | None,
    base_models: Sequence[str],
    relation: str,
    tags: Sequence[str],
    datasets: Sequence[str] = (),
) -> str:
    """The YAML at the head of a card.

    Args:
        scripts: Of the new tokens, which tell languages.
        licence: Its identifier, as the hub has them.
        base_models: Names on the hub of what the model was made of.
        relation: How, as the hub has it: finetune, or merge.
        tags: Beside those of the scripts.
        datasets: Names on the hub of what it was trained on.
    """
    said: dict[str, Any] = {"language": scripts.languages}
    if licence is not None:
        said["license"] = licence
    said |= {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if base_models:
        said["base_model"] = base_models[0] if len(base_models) == 1 else list(base_models)
        said["base_model_relation"] = relation
    if datasets:
        said["datasets"] = list(datasets)
    said["tags"] = [*scripts.tags, *tags, "kovocab"]
    return f"---\n{yaml.safe_dump(said, sort_keys=False, allow_unicode=True)}---"


def check_licence(licence: str | None) -> None:
    """See that an identifier of a licence is one.

    Raises:
        UsageError: it is not what the hub takes.
    """
    if licence is not None and not _LICENCE.fullmatch(licence):
        raise UsageError(f"license is {licence!r}; wanted an identifier as the hub has them: apache-2.0 or other, say")


def check_name(name: str | None) -> str | None:
    """See that what the card is to call a model is a line that can stand in its example; it is handed back.

    Raises:
        UsageError: it is not.
    """
    if name is not None and (not name.strip() or not name.isprintable() or {*name} & {'"', "\\"}):
        raise UsageError(f"name is {name!r}; wanted a line without quotes and backslashes: SOLAR-10.7B-ko, say")
    return name


def named_datasets(given: str | Sequence[str] | None) -> list[str]:
    """Names of datasets on the hub, as a list without repeats.

    Raises:
        UsageError: one is none; a path of this machine, say, which is nobody else's business.
    """
    names = [] if given is None else [given] if isinstance(given, str) else list(dict.fromkeys(given))
    for name in names:
        if not HUB_ID.fullmatch(name):
            raise UsageError(f"datasets: {name!r} is no name on the hub; wanted HAERAE-HUB/KOREAN-WEBTEXT, say")
    return names


def without_places(record: Record) -> Record:
    """A record as it may leave the machine: of a folder that a base was read from, its name on the hub, or its own."""
    found = {key: without_places(value) if isinstance(value, dict) else value for key, value in record.items()}
    if isinstance(place := found.get("base_model"), str) and found.get("verb") == "expand":
        found["base_model"] = found.get("base_name") or public_name(place)
    return found


def public_name(place: str) -> str:
    """What a folder or a name on the hub is called elsewhere."""
    return place if HUB_ID.fullmatch(place) and not Path(place).exists() else Path(place).name
