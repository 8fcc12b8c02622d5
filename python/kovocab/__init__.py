"""kovocab: adapt an English language model to Korean by vocabulary expansion.

The names below are loaded when they are first used: `import kovocab` loads neither torch nor polars.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kovocab.counts import combine, count, count_to, count_words
    from kovocab.embeddings import expand
    from kovocab.freezing import StageFreezing
    from kovocab.refine import refine
    from kovocab.sample import sample_documents, write_sample
    from kovocab.settings import RefineSettings
    from kovocab.stages import STAGES, Stage
    from kovocab.token_counts import count_tokens

_ROOMS = {
    "count": "counts",
    "count_to": "counts",
    "count_words": "counts",
    "count_tokens": "token_counts",
    "combine": "counts",
    "refine": "refine",
    "RefineSettings": "settings",
    "expand": "embeddings",
    "StageFreezing": "freezing",
    "Stage": "stages",
    "STAGES": "stages",
    "sample_documents": "sample",
    "write_sample": "sample",
}

__all__ = [
    "STAGES",
    "RefineSettings",
    "Stage",
    "StageFreezing",
    "combine",
    "count",
    "count_to",
    "count_tokens",
    "count_words",
    "expand",
    "refine",
    "sample_documents",
    "write_sample",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"kovocab.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'kovocab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})


class _Package(ModuleType):
    """`refine` is a room and the function in it: importing the room must not hide the function."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _ROOMS or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
