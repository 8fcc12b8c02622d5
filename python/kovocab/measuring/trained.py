"""How often a run trained on each new token: worked out from what its stages took of each source."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from kovocab.errors import ArtefactError
from kovocab.evaluating.places import read_places
from kovocab.favouring.bias import SEEN
from kovocab.favouring.contexts import CONTEXTS
from kovocab.favouring.passages import Passages
from kovocab.packing.packed import PackedSource
from kovocab.record import RECORD, Record, read_record

Floats = npt.NDArray[np.float64]


def times_trained(run: Path, stage: Path, size: int) -> Floats | None:
    """How often each new token stood in what a run's stages took, float64 [new].

    Of a source that is read evenly it is how often the token is in its training part, times how often the stages read
    that; of one with a bias, its share of what the bias reads over the whole run.

    Args:
        run: The run's folder.
        stage: The folder of the last stage that counts.
        size: How many tokens the tokenizer has.

    Returns:
        None where the token files are not there, or a stage does not say what it took.
    """
    places, record = read_places(run), read_record(stage, "fit")
    stages = [*record["earlier"], record]
    if places is None or any("served" not in each for each in stages):
        return None
    total: Floats | None = None
    try:
        for name, folder in places["tokens"].items():
            mixed = [each["served"]["sources"].get(name) for each in stages if not _distills(each)]
            read = [each for each in mixed if each is not None]
            found = _of_source(Path(folder), size, record["settings"], name, read)
            total = found if total is None else total + found
        contexts = [each for each in stages if _distills(each)]
        if contexts and total is not None:
            total = total + _of_contexts(Path(next(iter(places["tokens"].values()))), record["settings"], contexts)
    except ArtefactError:
        return None
    return total


def _of_source(folder: Path, size: int, settings: Record, name: str, read: list[Record]) -> Floats:
    packed = PackedSource(folder)
    data = settings.get("data", {}).get("sources", {}).get(name, {})
    if (bias := data.get("bias")) is not None:
        blocks = sum(each["blocks"] for each in read)
        for found in sorted(folder.parent.glob(f"{name}.bias.*")):
            record = read_record(found, "bias")
            if record["of"] == folder.name and record.get("blocks") == bias["blocks"]:
                seen: Floats = pl.read_parquet(found / SEEN, glob=False)["seen"].cast(pl.Float64).to_numpy()
                share: float = blocks / bias["blocks"]
                return np.multiply(seen, share)
        raise ArtefactError(f"{folder.parent} has no bias of {name}")
    counts = Passages(packed, size).counts().astype(np.float64)
    epochs: float = sum(each["epochs"] for each in read)
    return np.multiply(counts, epochs)


def _of_contexts(tokens: Path, settings: Record, stages: list[Record]) -> Floats:
    """What stages read that distill: a token's contexts, as often as they were read."""
    wanted = settings.get("data", {}).get("contexts") or {}
    for found in sorted(tokens.parent.glob("contexts.*")):
        record = read_record(found, "contexts") if (found / RECORD).is_file() else {}
        if tokens.name in record.get("of", []) and all(record.get(key) == value for key, value in wanted.items()):
            times: float = sum(max(each["epochs"] for each in stage["served"]["sources"].values()) for stage in stages)
            contexts: Floats = pl.read_parquet(found / CONTEXTS, glob=False)["contexts"].cast(pl.Float64).to_numpy()
            return np.multiply(contexts, times)
    raise ArtefactError(f"{tokens.parent} has no contexts")


def _distills(stage: Record) -> bool:
    mode: str = stage["settings"]["stage"].get("label_mode", "plain")
    return mode == "distill"
