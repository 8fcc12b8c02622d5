"""kovocab: adapt an English language model to Korean by vocabulary expansion.

The names below are loaded when they are first used: `import kovocab` loads neither torch nor polars.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kovocab.counting.count import combine, count, count_to, count_words
    from kovocab.counting.token_counts import count_tokens
    from kovocab.evaluating.evaluate import evaluate
    from kovocab.example.bases import write_sample_tokenizer
    from kovocab.example.text import sample_documents, write_sample
    from kovocab.expanding.expand import expand
    from kovocab.expanding.split_rows import save_plain, split_rows
    from kovocab.exporting.export import export
    from kovocab.freezing.callback import StageFreezing
    from kovocab.refining.refine import refine
    from kovocab.refining.settings import RefineSettings
    from kovocab.replacing.replace import replace
    from kovocab.replacing.settings import ReplaceSettings
    from kovocab.stages import STAGES, Stage
    from kovocab.transferring.transfer import transfer

_ROOMS = {
    "count": "counting.count",
    "count_to": "counting.count",
    "count_words": "counting.count",
    "combine": "counting.count",
    "count_tokens": "counting.token_counts",
    "refine": "refining.refine",
    "RefineSettings": "refining.settings",
    "replace": "replacing.replace",
    "ReplaceSettings": "replacing.settings",
    "expand": "expanding.expand",
    "split_rows": "expanding.split_rows",
    "save_plain": "expanding.split_rows",
    "StageFreezing": "freezing.callback",
    "Stage": "stages",
    "STAGES": "stages",
    "evaluate": "evaluating.evaluate",
    "export": "exporting.export",
    "transfer": "transferring.transfer",
    "sample_documents": "example.text",
    "write_sample": "example.text",
    "write_sample_tokenizer": "example.bases",
}

__all__ = [
    "STAGES",
    "RefineSettings",
    "ReplaceSettings",
    "Stage",
    "StageFreezing",
    "combine",
    "count",
    "count_to",
    "count_tokens",
    "count_words",
    "evaluate",
    "expand",
    "export",
    "refine",
    "replace",
    "sample_documents",
    "save_plain",
    "split_rows",
    "transfer",
    "write_sample",
    "write_sample_tokenizer",
]

# Where nothing trains, `help(kovocab)` and `from kovocab import *` have what there is.
if not find_spec("torch"):
    for _name in ("StageFreezing", "expand", "export", "save_plain", "split_rows", "transfer"):
        __all__.remove(_name)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        from kovocab.errors import training_installed

        with training_installed():
            return getattr(import_module(f"kovocab.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'kovocab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
