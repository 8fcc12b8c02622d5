"""Records of artefacts, damaged and changed: read as they are, or refused in one line that names the file."""

import json
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

from fuzz.trying import damaged, mutated, seen
from kovocab.artefact import check_replaceable
from kovocab.errors import ArtefactError
from kovocab.record import RECORD, files_of, read_record
from support.street import walk

BATCH = 100
VERBS = {"tokenizer": "refine", "expanded": "expand", "run/stages/1": "fit", "export": "export"}


def make(random: Random) -> tuple[int, int, Random]:
    """Which record, how it is changed, and by what: the records are made where the folder is known."""
    return random.randrange(4), random.randrange(4), random


@cache
def records(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """A verb and the record that it left, of each verb that leaves a folder."""
    street = folder / "street"
    if not (street / "export" / RECORD).is_file():
        walk(street)
    return [
        (verb, json.loads((street / name / RECORD).read_text()))
        for name, verb in VERBS.items()
        if (street / name).is_dir()
    ]


def check(inputs: list[tuple[int, int, Random]], random: Random, folder: Path) -> None:
    made = records(folder)
    artefact = folder / "artefact"
    artefact.mkdir(exist_ok=True)
    path = artefact / RECORD
    for which, how, draw in inputs:
        verb, record = made[which % len(made)]
        changed: Any = record
        for _ in range(how):
            changed = mutated(changed, draw)
        data = json.dumps(changed, ensure_ascii=draw.random() < 0.5, indent=draw.choice((None, 2))).encode(
            errors="surrogatepass"
        )
        if how == 0 and draw.random() < 0.9:
            data = damaged(data, draw)
        path.write_bytes(data)
        found = seen(partial(read_record, artefact, verb), ArtefactError)
        if isinstance(found, ArtefactError):
            assert str(artefact) in str(found), found
        else:
            assert found["verb"] == verb
            assert changed != record or how or found == record or data != json.dumps(record).encode()
        listed = seen(partial(files_of, artefact), ArtefactError)
        assert isinstance(listed, ArtefactError | dict), listed
        made_from = {key: record[key] for key in ("settings", "base_tokenizer", "verb") if key in record}
        seen(partial(check_replaceable, artefact, verb, made_from), ArtefactError)
