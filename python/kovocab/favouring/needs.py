"""What a measurement says of needs: which new tokens a bias is to show more often than others.

The table is what `kovocab evaluate` leaves, `unlearned.parquet`; nothing is known here of how it was made.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from kovocab.errors import UsageError
from kovocab.favouring.rates import Bias
from kovocab.ownership import MARK
from kovocab.record import Record

NEED = "need"


def weights_of(bias: Bias, tokenizer: str, first: int, size: int) -> npt.NDArray[np.float64] | None:
    """The weight of each new token, float64 [new]: from 1, of half of them, to `bias.needs_weight`, of the neediest.

    A token whose need is at most the median has weight 1; above it, what is left of the way to the largest need that
    there can be, 1, is the way from 1 to `needs_weight`.

    Args:
        bias: How.
        tokenizer: The hash of the tokenizer that the source was packed with.
        first: Where new tokens begin.
        size: How many tokens the tokenizer has.

    Returns:
        None where the bias names no table.

    Raises:
        UsageError: the table cannot be read, is none of `kovocab evaluate`, or is of another tokenizer's tokens.
    """
    if bias.needs is None:
        return None
    what = f"data.bias: needs is {bias.needs}"
    try:
        table = pl.read_parquet(bias.needs, glob=False).sort("id")
        if (mark := pl.read_parquet_metadata(bias.needs).get(MARK)) is None:
            raise ValueError("it does not say of which tokenizer it is")
        said = json.loads(mark)
        ids, needs = table["id"].to_numpy(), table[NEED].cast(pl.Float64).to_numpy()
        of = said["tokenizer"]
    except (OSError, pl.exceptions.PolarsError, LookupError, TypeError, ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{what}, which cannot be read ({reason}); wanted what `kovocab evaluate` wrote") from error
    if of != tokenizer or not np.array_equal(ids, np.arange(first, size)):
        raise UsageError(f"{what}, which is of another tokenizer's tokens; wanted one of the model that is trained")
    if not len(needs) or not np.isfinite(needs).all() or needs.min() < 0 or needs.max() > 1:
        raise UsageError(f"{what}, whose column {NEED} is not of numbers from 0 to 1")
    middle = float(np.median(needs))
    above = np.clip((needs - middle) / (1 - middle), 0, 1) if middle < 1 else np.zeros(len(needs))
    found: npt.NDArray[np.float64] = 1 + (bias.needs_weight - 1) * above
    return found


def settings_of(bias: Bias) -> Record:
    """What of a bias decides how a source is read: a table of needs by what it holds, wherever it lies.

    Raises:
        UsageError: the table cannot be read.
    """
    said = asdict(bias)
    if bias.needs is None:
        del said["needs"], said["needs_weight"]  # as what was made by a kovocab that knew of none
    else:
        try:
            said["needs"] = hashlib.sha256(Path(bias.needs).read_bytes()).hexdigest()
        except OSError as error:
            raise UsageError(f"data.bias: needs is {bias.needs}, which cannot be read: {error.strerror}") from error
    return said
