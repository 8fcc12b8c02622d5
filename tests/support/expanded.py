"""An expanded model, small enough to train in a test: what `refine` and `expand` would have left."""

import polars as pl

from kovocab.expanding.new_rows import INITIALISATION
from kovocab.expanding.spelling import save_pieces
from kovocab.record import write_record
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.base import BASE_TOKENS, NEW_TOKENS, save_tokenizer
from support.models import tiny
from support.records import refined

REFINED = refined(BASE_TOKENS, NEW_TOKENS)


def vocabulary():
    """New tokens, each with one to four base pieces."""
    pieces = [[3 + (7 * i + k) % (BASE_TOKENS - 3) for k in range(1 + i % 4)] for i in range(NEW_TOKENS)]
    ids = range(BASE_TOKENS, BASE_TOKENS + NEW_TOKENS)
    table = {"id": ids, "token": [f"new{i}" for i in ids], "base_pieces": pieces}
    return pl.DataFrame(table, schema={"id": pl.UInt32, "token": pl.String, "base_pieces": pl.List(pl.UInt32)})


def save_expanded(folder, architecture="llama", **settings):
    """What `kovocab expand` leaves, with random weights."""
    folder.mkdir(parents=True)
    size = save_tokenizer(folder)
    tiny(architecture, rows=size, **settings).save_pretrained(folder)
    tokens = load_tokenizer(folder).tokens
    named = vocabulary().with_columns(token=pl.Series([tokens[i] for i in range(BASE_TOKENS, size)]))
    save_pieces(named, BASE_TOKENS, folder)
    write_record(
        folder,
        {
            "verb": "expand",
            "base_model": "example/base",
            "first_new_id": BASE_TOKENS,
            "vocab_size": size,
            "new_tokens": size - BASE_TOKENS,
            "tied": False,
            "dtype": "float32",
            "initialisation": INITIALISATION,
            "tokenizer": REFINED,
        },
    )
    return folder
